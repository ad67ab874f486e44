"""What a specification says, as constants in a kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I1, decoded, int64, read_spec
from fastnn.engine.lowering import constant_of, given
from fastnn.engine.spec import Layout, Rules

__all__ = [
    "after_gradient",
    "by_layout",
    "by_rules",
    "decays",
    "groups_inputs",
    "has_groups",
    "has_stepper",
    "is_sparse",
    "key_bits",
    "lanes",
    "lazy",
    "lazy_groups",
    "list_parts",
    "listed_rows",
    "lists",
    "packs",
    "reads_rows",
    "shortens",
    "shrinks",
    "sorts",
    "tile_rows",
]


def by_layout(function: Any) -> Any:
    """Let a function have the layout of a specification alone, without the formulas.

    What is compiled of it serves kernels of all formulas in a process.
    """
    return given(function, functools.partial(_part, Layout))


def by_rules(function: Any) -> Any:
    """Let a function have the rules for weights too, without the formulas of outputs and costs."""
    return given(function, functools.partial(_part, Rules))


@functools.cache
def _part(kind: type[Layout], text: str) -> str:
    return decoded(text).part(kind).encode()


def _constant(read: Callable[..., int]) -> Any:
    """Return what is in kernels, called with their specification, the constant read from it.

    Further arguments are known by their types.
    """
    return constant_of(lambda text, *kinds: read(decoded(text), *kinds))


# V.
lanes = _constant(lambda spec: spec.lanes)

# The most rows that share a list of columns.
listed_rows = _constant(lambda spec: spec.listed)

# Whether the columns are listed that rows of a matrix use.
lists = _constant(lambda spec: spec.lists)

# Whether products take rows of X as they are stored, so that no batch is gathered.
reads_rows = _constant(lambda spec, X: spec.lists and X.dtype.bitwidth == 8)

# Whether these are sorted by which rows of a block use them; the parts of a block's list.
sorts = _constant(lambda spec: spec.sorts)
list_parts = _constant(lambda spec: spec.list_parts)

# The bits that say which rows of a block use a column.
key_bits = _constant(lambda spec: spec.key_bits)

# Whether the CPU packs chosen lanes of 16 bits.
packs = _constant(lambda spec: spec.packs)

# Whether the first layer's penalty comes after the gradient.
after_gradient = _constant(
    lambda spec: spec.first_rule is not None and spec.first_rule.after_gradient
)

# Whether the first layer's weights are shrunk as its gradient is added.
shrinks = _constant(lambda spec: spec.shrinks)

# Whether the penalty of columns that a batch does not use waits until they are.
lazy = _constant(lambda spec: spec.lazy)

# Whether the first layer's weights are those of its panels times a factor.
decays = _constant(lambda spec: spec.decays)

# Whether the rows list their nonzeros.
is_sparse = _constant(lambda spec: spec.sparse)

# Whether a layer's penalty scales groups of weights.
has_groups = _constant(lambda spec: spec.has_groups)

# Whether those of the first layer's are inputs' weights, and wait.
lazy_groups = _constant(lambda spec: spec.lazy and spec.groups_inputs)

# Whether groups lose of their norms by steps that differ from weight to weight.
shortens = _constant(lambda spec: spec.shortens)

# Whether an optimizer makes the step, from the whole gradient.
has_stepper = _constant(lambda spec: spec.stepper is not None)


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
