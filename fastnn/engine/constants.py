"""What a specification says, as constants in a kernel."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I1, int64, read_spec

__all__ = [
    "decays",
    "follows",
    "groups_inputs",
    "has_groups",
    "has_stepper",
    "is_sparse",
    "lanes",
    "listed_rows",
    "shrinks",
    "tile_rows",
    "waits",
]


@intrinsic(prefer_literal=True)
def follows(typing: Any, spec: Any) -> Any:
    """Return whether the first layer's penalty comes after the gradient."""
    rule = read_spec(spec).first_rule
    value = rule is not None and rule.follows

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def shrinks(typing: Any, spec: Any) -> Any:
    """Return whether the first layer's weights are shrunk as its gradient is added."""
    value = read_spec(spec).shrinks

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def waits(typing: Any, spec: Any) -> Any:
    """Return whether the penalty of columns that a batch does not use waits until they are."""
    value = read_spec(spec).waits

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def decays(typing: Any, spec: Any) -> Any:
    """Return whether the first layer's weights are those of its panels times a factor."""
    value = read_spec(spec).decays

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def is_sparse(typing: Any, spec: Any) -> Any:
    """Return whether the rows list their nonzeros."""
    value = read_spec(spec).sparse

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def has_groups(typing: Any, spec: Any) -> Any:
    """Return whether a layer's penalty scales groups of weights."""
    value = read_spec(spec).has_groups

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def has_stepper(typing: Any, spec: Any) -> Any:
    """Return whether an optimiser makes the step, from the whole gradient."""
    value = read_spec(spec).stepper is not None

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def groups_inputs(typing: Any, spec: Any, number: Any) -> Any:
    """Return whether the groups of the penalty numbered `number` are inputs' weights."""
    rules = read_spec(spec).rules

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        found = ir.Constant(I1, 0)
        for place, rule in enumerate(rules, 1):
            if rule.grouping == "inputs":
                found = builder.or_(found, builder.icmp_signed("==", arguments[1], int64(place)))
        return found

    return types.boolean(spec, types.int64), generate


@intrinsic(prefer_literal=True)
def lanes(typing: Any, spec: Any) -> Any:
    """Return V."""
    value = read_spec(spec).lanes

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(value)

    return types.int64(spec), generate


@intrinsic(prefer_literal=True)
def listed_rows(typing: Any, spec: Any) -> Any:
    """Return the most rows that share a list of columns."""
    value = read_spec(spec).listed

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(value)

    return types.int64(spec), generate


@intrinsic(prefer_literal=True)
def tile_rows(typing: Any, spec: Any, vectors: Any) -> Any:
    """Return the most rows of a tile of so many vectors."""
    rows = read_spec(spec).rows

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        most = int64(rows[0])
        for wider, value in enumerate(rows[1:], 2):
            if value != rows[wider - 2]:
                is_wide = builder.icmp_signed(">=", arguments[1], int64(wider))
                most = builder.select(is_wide, int64(value), most)
        return most

    return types.int64(spec, types.int64), generate
