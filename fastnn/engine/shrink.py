"""Penalties that act on each weight separately, in vectors of weights: one step, or missed steps.

Every public function except `shrunk` and `spread` is a Numba intrinsic, as in `simd.py`. A row of a
panel is some vectors of weights. If the penalty keeps a number for each weight, ``q`` holds these
numbers, laid out like ``w``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import I32, I64, int64, load, read_spec, store, switch, vector_of
from fastnn.engine.formulas import formula
from fastnn.engine.jit import vector_bytes
from fastnn.engine.spec import Rule
from fastnn.engine.trace import Vec, VecSpace, splat

__all__ = [
    "catch_up_columns",
    "catch_up_run",
    "run_lanes",
    "shrink_columns",
    "shrunk",
    "spread",
]

# The bytes of the wider of the two types that a network may have.
MOST_BYTES = 8


def spread(builder: Any, count: int, pointer: Any, vector: Any) -> list[Vec]:
    """Return the first `count` numbers at a pointer, each in all lanes of a vector."""
    scalars = [builder.load(builder.gep(pointer, [int64(c)])) for c in range(count)]
    return [Vec(builder, splat(builder, scalar, vector)) for scalar in scalars]


def shrunk(
    builder: Any, rule: Rule, values: list[Any], q: Any, places: list[Any], numbers: list[Vec]
) -> list[Any]:
    """Return some vectors after one step; their states are `places` elements after ``q``."""

    def step(*weight_and_state: Vec) -> Any:
        return formula(rule.shrink)(VecSpace(), *weight_and_state, *numbers)

    return _applied(builder, rule, step, values, q, places)


def _applied(
    builder: Any, rule: Rule, step: Any, values: list[Any], q: Any, places: list[Any]
) -> list[Any]:
    """Apply ``step`` to some vectors, and update their states in memory if there are any."""
    results = []
    for value, place in zip(values, places, strict=True):
        w = Vec(builder, value)
        if rule.stateful:
            w, state = step(w, Vec(builder, load(builder, q, place, value.type)))
            store(builder, state.value, q, place)
        else:
            w = step(w)
        results.append(w.value)
    return results


@intrinsic(prefer_literal=True)
def shrink_columns(
    typing: Any,
    spec: Any,
    number: Any,
    vectors: Any,
    numbers: Any,
    columns: Any,
    count: Any,
    w: Any,
    q: Any,
) -> Any:
    """Apply one step of the penalty numbered `number` to the rows columns[:count] of a panel."""
    signature = types.void(spec, types.int64, types.int64, numbers, columns, types.int64, w, q)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, chosen, vectors, coefficients, columns, count, w, q = arguments

        def shrink(number: int) -> None:
            if not number:
                return
            rule = kernel.rules[number - 1]
            numbers = spread(builder, rule.numbers, coefficients, vector)
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(columns, [loop.index])), I64)
                with cgutils.for_range(builder, vectors) as inner:
                    row = builder.add(builder.mul(j, vectors), inner.index)
                    place = builder.mul(row, int64(vector.count))
                    old = load(builder, w, place, vector)
                    (new,) = shrunk(builder, rule, [old], q, [place], numbers)
                    store(builder, new, w, place)

        cases = [(0,), *((n,) for n, rule in enumerate(kernel.rules, 1) if rule.shrink)]
        switch(builder, (chosen,), cases, shrink)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def catch_up_columns(
    typing: Any,
    spec: Any,
    vectors: Any,
    numbers: Any,
    columns: Any,
    count: Any,
    w: Any,
    q: Any,
    left_at: Any,
    step: Any,
) -> Any:
    """Apply the steps that the rows columns[:count] of a panel of the first layer missed.

    Row j missed step - left_at[j] steps.
    """
    signature = types.void(
        spec, types.int64, numbers, columns, types.int64, w, q, left_at, types.int64
    )
    kernel = read_spec(spec)
    vector, rule = vector_of(w, kernel.lanes), kernel.first_rule

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.lazy or rule is None or not rule.caught_up:
            return context.get_dummy_value()
        _, vectors, coefficients, columns, count, w, q, left_at, step = arguments
        numbers = spread(builder, rule.numbers, coefficients, vector)

        def tile(c_count: int) -> None:
            width = int64(c_count * vector.count)
            places = [int64(c * vector.count) for c in range(c_count)]
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(columns, [loop.index])), I64)
                left = builder.sext(builder.load(builder.gep(left_at, [j])), I64)
                steps, at = builder.sub(step, left), builder.mul(j, width)
                row, states = builder.gep(w, [at]), builder.gep(q, [at])
                old = [load(builder, row, p, vector) for p in places]
                new = _missed(builder, rule, old, states, places, steps, numbers)
                for p, value in zip(places, new, strict=True):
                    store(builder, value, row, p)

        switch(builder, (vectors,), [(c + 1,) for c in range(kernel.panel)], tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def run_lanes(typing: Any) -> Any:
    """Return how many columns `catch_up_run` processes at a time: the float64s of a register."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(vector_bytes() // MOST_BYTES)

    return types.int64(), generate


@intrinsic(prefer_literal=True)
def catch_up_run(
    typing: Any, spec: Any, numbers: Any, count: Any, w: Any, q: Any, left_at: Any, step: Any
) -> Any:
    """Apply the steps that the first `count` columns, of one weight each, missed; a lane each.

    Column j missed step - left_at[j] steps, or none if that is not above 0. `count` is a multiple
    of `run_lanes`.
    """
    signature = types.void(spec, numbers, types.int64, w, q, left_at, types.int64)
    kernel = read_spec(spec)
    vector, rule = vector_of(w, vector_bytes() // MOST_BYTES), kernel.first_rule

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if kernel.lanes > 1 or not kernel.lazy or rule is None or not rule.caught_up:
            return context.get_dummy_value()
        _, coefficients, count, w, q, left_at, step = arguments
        numbers = spread(builder, rule.numbers, coefficients, vector)
        counts = ir.VectorType(I32, vector.count)
        now = splat(builder, builder.trunc(step, I32), counts)
        with cgutils.for_range(builder, builder.sdiv(count, int64(vector.count))) as loop:
            at = builder.mul(loop.index, int64(vector.count))
            left = builder.bitcast(builder.gep(left_at, [at]), counts.as_pointer())
            missed = builder.sub(now, builder.load(left, align=4))
            some = builder.icmp_signed(">", missed, ir.Constant(counts, [0] * vector.count))
            held = [(pointer, load(builder, pointer, at, vector)) for pointer in (w, q)]
            held = held if rule.stateful else held[:1]
            steps = Vec(builder, builder.sitofp(missed, vector))
            values = [Vec(builder, value) for _, value in held]
            new = formula(rule.caught_up)(VecSpace(), *values, steps, *numbers)
            results = new if rule.stateful else (new,)
            for (pointer, old), result in zip(held, results, strict=True):
                store(builder, builder.select(some, result.value, old), pointer, at)
        return context.get_dummy_value()

    return signature, generate


def _missed(
    builder: Any, rule: Rule, values: list[Any], q: Any, places: list[Any], steps: Any,
    numbers: list[Vec],
) -> list[Any]:  # fmt: skip
    """Return some vectors after `steps` steps: in closed form, or one by one if there are few."""
    if not rule.one_by_one:
        return _at_once(builder, rule, values, q, places, steps, numbers)
    held = [cgutils.alloca_once_value(builder, value) for value in values]
    for place, value in zip(held, values, strict=True):
        builder.store(value, place)

    def keep(results: list[Any]) -> None:
        for place, value in zip(held, results, strict=True):
            builder.store(value, place)

    few = builder.icmp_signed("<=", steps, int64(rule.one_by_one))
    with builder.if_else(few) as (then, otherwise):
        with then, cgutils.for_range(builder, steps):
            now = [builder.load(place) for place in held]
            keep(shrunk(builder, rule, now, q, places, numbers))
        with otherwise:
            keep(_at_once(builder, rule, values, q, places, steps, numbers))
    return [builder.load(place) for place in held]


def _at_once(
    builder: Any, rule: Rule, values: list[Any], q: Any, places: list[Any], steps: Any,
    numbers: list[Vec],
) -> list[Any]:  # fmt: skip
    vector = values[0].type
    count = Vec(builder, splat(builder, builder.sitofp(steps, vector.element), vector))

    def step(*weight_and_state: Vec) -> Any:
        return formula(rule.caught_up)(VecSpace(), *weight_and_state, count, *numbers)

    return _applied(builder, rule, step, values, q, places)
