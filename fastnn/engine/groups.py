"""Group penalties: the weights that leave an input, or enter a unit, are scaled by one factor.

Symbols: V lanes of a vector; a panel is a layer's weights for some vectors of its units, with the
inputs as rows. If a group is an input's weights, V inputs are scaled at a time, one in each lane;
if it is a unit's, each lane is a unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.emit import I32, I64, int64, load, read_spec, store, switch, vector_of
from fastnn.engine.formulas import formula
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.parts import panel_at
from fastnn.engine.pointers import after, get, layer_of, put
from fastnn.engine.shrink import spread
from fastnn.engine.spec import Spec
from fastnn.engine.team import share
from fastnn.engine.trace import Vec, VecSpace, splat

__all__ = ["scale_columns", "scale_groups", "share_vectors"]


@jit
def scale_groups(spec, net, layer, numbers, columns, count):
    """Scale a layer's groups after a step: those of the listed inputs, or those of all units."""
    here, below = layer_of(net, layer), layer_of(net, layer - 1)
    if here.scaled and here.by_inputs:
        begin, end = share_vectors(spec, net, count)
        listed = after(columns, begin)
        scale_columns(spec, net, layer, numbers, listed, end - begin, -1)
    elif here.scaled:
        panels = (here.vectors + here.panel - 1) // here.panel
        begin, end = share(net, panels)
        for panel in range(begin, end):
            first = panel * here.panel
            vectors, place = panel_at(spec, net, layer, first)
            w = after(here.w, place)
            unit_squares(spec, vectors, w, below.units, net.sums)
            changed = False
            for vector in range(vectors):
                some = after(net.sums, vector * lanes(spec))
                changed |= factors(
                    spec, here.scaled, some, below.units, net.one_step, after(numbers, here.numbers)
                )
            if changed:
                scale_units(spec, vectors, w, below.units, net.sums)


@by_layout
@jit
def share_vectors(spec, net, count):
    """Return where a thread's part of a list begins and ends; only its last vector may be short."""
    begin, end = share(net, (count + lanes(spec) - 1) // lanes(spec))
    return begin * lanes(spec), min(end * lanes(spec), count)


@jit_outlined
def scale_columns(spec, net, layer, numbers, columns, count, step):
    """Scale the weights that leave the listed inputs by one step, or by those missed up to `step`.

    A negative `step` means one step. The list is read in whole vectors, so that the numbers after
    its end must be valid rows of the panel.
    """
    here, v = layer_of(net, layer), lanes(spec)
    sums, missed = net.sums, net.one_step
    for begin in range(0, count, v):
        some, listed = min(v, count - begin), after(columns, begin)
        for lane in range(v):
            put(sums, lane, get(net.zeros, 0))
        for first in range(0, here.vectors, here.panel):
            vectors, place = panel_at(spec, net, layer, first)
            w = after(here.w, place)
            column_squares(spec, vectors, listed, w, sums)
        if step >= 0:
            missed = net.missed
            for lane in range(some):
                put(missed, lane, np.int32(step - get(net.left_at, get(listed, lane))))
        factors(spec, here.scaled, sums, here.units, missed, after(numbers, here.numbers))
        for first in range(0, here.vectors, here.panel):
            vectors, place = panel_at(spec, net, layer, first)
            w = after(here.w, place)
            multiply_columns(spec, vectors, listed, some, w, sums)


@intrinsic(prefer_literal=True)
def factors(
    typing: Any, spec: Any, number: Any, sums: Any, size: Any, steps: Any, numbers: Any
) -> Any:
    """Replace V groups' sums of squares by their factors; return whether any is not 1.

    `number` is that of the penalty, `size` the weights in a group; ``steps`` has V int32 numbers.
    """
    signature = types.boolean(spec, types.int64, sums, types.int64, steps, numbers)
    kernel = read_spec(spec)
    vector = vector_of(sums, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, chosen, sums, size, steps, coefficients = arguments
        counts = ir.VectorType(I32, vector.count)
        missed = builder.load(builder.bitcast(steps, counts.as_pointer()), align=4)
        steps = Vec(builder, builder.sitofp(missed, vector))
        members = Vec(builder, splat(builder, builder.sitofp(size, vector.element), vector))
        norm = VecSpace().sqrt(Vec(builder, load(builder, sums, int64(0), vector)))

        def scale(number: int) -> None:
            rule = kernel.rules[number - 1]
            numbers = spread(builder, rule.numbers, coefficients, vector)
            factor = formula(rule.scale)(VecSpace(), norm, members, steps, *numbers)
            store(builder, factor.value, sums, int64(0))

        cases = [(n,) for n, rule in enumerate(kernel.rules, 1) if rule.scale]
        switch(builder, (chosen,), cases, scale)
        result = load(builder, sums, int64(0), vector)
        ones = ir.Constant(vector, [1.0] * vector.count)
        differs = builder.fcmp_unordered("!=", result, ones)
        bits = builder.bitcast(differs, ir.IntType(vector.count))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return signature, generate


@intrinsic(prefer_literal=True)
def column_squares(typing: Any, spec: Any, vectors: Any, columns: Any, w: Any, sums: Any) -> Any:
    """Add the sum of the squares of row columns[i] of a panel to sums[i], for i < V."""
    signature = types.void(spec, types.int64, columns, w, sums)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, vectors, columns, w, sums = arguments

        def tile(c_count: int) -> None:
            squares = []
            for lane in range(vector.count):
                j = builder.sext(builder.load(builder.gep(columns, [int64(lane)])), I64)
                row = builder.mul(j, int64(c_count * vector.count))
                places = [builder.add(row, int64(c * vector.count)) for c in range(c_count)]
                values = [Vec(builder, load(builder, w, at, vector)) for at in places]
                squares.append(sum((x * x for x in values[1:]), start=values[0] * values[0]))
            found = Vec(builder, load(builder, sums, int64(0), vector)) + _row_sums(squares)
            store(builder, found.value, sums, int64(0))

        _by_width(builder, kernel, "inputs", vectors, tile)
        return context.get_dummy_value()

    return signature, generate


def _row_sums(rows: list[Vec]) -> Vec:
    """Return a vector whose lane i is the sum of the V lanes of rows[i].

    Two vectors' halves are added crosswise, then their quarters, and so on.
    """
    builder, count = rows[0].builder, len(rows)
    span = count // 2
    while len(rows) > 1:
        low = [i for i in range(2 * count) if not i & span]
        masks = (low, [i + span for i in low])
        lower, upper = (ir.Constant(ir.VectorType(I32, count), mask) for mask in masks)
        pairs = zip(rows[::2], rows[1::2], strict=True)
        rows = [
            Vec(builder, builder.shuffle_vector(x.value, y.value, lower))
            + Vec(builder, builder.shuffle_vector(x.value, y.value, upper))
            for x, y in pairs
        ]
        span //= 2
    return rows[0]


@intrinsic(prefer_literal=True)
def multiply_columns(
    typing: Any, spec: Any, vectors: Any, columns: Any, count: Any, w: Any, factors: Any
) -> Any:
    """Multiply row columns[i] of a panel by factors[i], for i < count."""
    signature = types.void(spec, types.int64, columns, types.int64, w, factors)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, vectors, columns, count, w, factors = arguments

        def tile(c_count: int) -> None:
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(columns, [loop.index])), I64)
                row = builder.gep(w, [builder.mul(j, int64(c_count * vector.count))])
                factor = splat(builder, builder.load(builder.gep(factors, [loop.index])), vector)
                _multiply(builder, row, [factor] * c_count, vector)

        _by_width(builder, kernel, "inputs", vectors, tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def unit_squares(typing: Any, spec: Any, vectors: Any, w: Any, inputs: Any, sums: Any) -> Any:
    """Set ``sums`` to the sum of the squares of the weights that enter each unit of a panel."""
    signature = types.void(spec, types.int64, w, types.int64, sums)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, vectors, w, inputs, sums = arguments

        def tile(c_count: int) -> None:
            places = [int64(c * vector.count) for c in range(c_count)]
            zero = ir.Constant(vector, [0.0] * vector.count)
            held = [cgutils.alloca_once_value(builder, zero) for _ in places]
            for place in held:
                builder.store(zero, place)
            with cgutils.for_range(builder, inputs) as loop:
                row = builder.gep(w, [builder.mul(loop.index, int64(c_count * vector.count))])
                for p, place in zip(places, held, strict=True):
                    x = Vec(builder, load(builder, row, p, vector))
                    total = x * x + Vec(builder, builder.load(place))
                    builder.store(total.value, place)
            for p, place in zip(places, held, strict=True):
                store(builder, builder.load(place), sums, p)

        _by_width(builder, kernel, "neurons", vectors, tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def scale_units(typing: Any, spec: Any, vectors: Any, w: Any, inputs: Any, factors: Any) -> Any:
    """Multiply the weights that enter each unit of a panel by the unit's factor."""
    signature = types.void(spec, types.int64, w, types.int64, factors)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, vectors, w, inputs, factors = arguments

        def tile(c_count: int) -> None:
            places = [int64(c * vector.count) for c in range(c_count)]
            units = [load(builder, factors, p, vector) for p in places]
            with cgutils.for_range(builder, inputs) as loop:
                row = builder.gep(w, [builder.mul(loop.index, int64(c_count * vector.count))])
                _multiply(builder, row, units, vector)

        _by_width(builder, kernel, "neurons", vectors, tile)
        return context.get_dummy_value()

    return signature, generate


def _multiply(builder: Any, row: Any, by: list[Any], vector: Any) -> None:
    """Multiply each vector of a panel's row by its own vector of factors."""
    for c, factor in enumerate(by):
        place = int64(c * vector.count)
        store(builder, builder.fmul(load(builder, row, place, vector), factor), row, place)


def _by_width(
    builder: Any, kernel: Spec, grouping: str, vectors: Any, tile: Callable[[int], None]
) -> None:
    """Emit ``tile(C)`` for every panel width C, if some penalty has groups of this kind."""
    if any(rule.grouping == grouping for rule in kernel.rules):
        switch(builder, (vectors,), [(c + 1,) for c in range(kernel.panel)], tile)
