"""Elementwise operations on rows that consist of whole vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import (
    I32,
    I64,
    carried_loop,
    int64,
    item_bytes,
    load,
    read_spec,
    store,
    switch,
    vector_of,
)
from fastnn.engine.formulas import formula
from fastnn.engine.trace import Vec, VecSpace, splat
from fastnn.engine.transpose import emit_transpose

__all__ = [
    "add_rows",
    "divide",
    "each",
    "find_largest",
    "log_normalise",
    "multiply",
    "scale_rows",
    "sum_cost",
    "sum_sizes",
    "widen",
]


@intrinsic(prefer_literal=True)
def each(
    typing: Any, spec: Any, field: Any, choice: Any, out: Any, inputs: Any, scalar: Any, n: Any
) -> Any:
    """Set out[:n] = scalar * formula(inputs...), V elements at a time; n is a multiple of V.

    `field` names a list of formulas in the specification; `choice` selects one of them while the
    kernel runs; `scalar` is a float64.
    """
    signature = types.void(spec, field, choice, out, inputs, scalar, n)
    kernel = read_spec(spec)
    vector, names = vector_of(out, kernel.lanes), getattr(kernel, field.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, choice, out, inputs, scalar, n = arguments
        pointers = cgutils.unpack_tuple(builder, inputs)
        factor = Vec(builder, _spread(builder, scalar, vector))

        def emit(number: int) -> None:
            with cgutils.for_range(builder, builder.sdiv(n, int64(vector.count))) as loop:
                place = builder.mul(loop.index, int64(vector.count))
                values = [Vec(builder, load(builder, p, place, vector)) for p in pointers]
                result = formula(names[number])(VecSpace(), *values) * factor
                store(builder, result.value, out, place)

        switch(builder, [choice], [(number,) for number in range(len(names))], emit)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def sum_cost(typing: Any, spec: Any, inputs: Any, n: Any) -> Any:
    """Return the sum of the cost's formula(inputs...) over n elements; 0 if cost is not tracked."""
    signature = types.float64(spec, inputs, n)
    kernel = read_spec(spec)
    vector = vector_of(inputs[0], kernel.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not kernel.cost:
            return ir.Constant(ir.DoubleType(), 0.0)
        _, inputs, n = arguments
        pointers = cgutils.unpack_tuple(builder, inputs)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * vector.count))
        with cgutils.for_range(builder, builder.sdiv(n, int64(vector.count))) as loop:
            place = builder.mul(loop.index, int64(vector.count))
            values = [Vec(builder, load(builder, p, place, vector)) for p in pointers]
            value = formula(kernel.cost)(VecSpace(), *values).value
            builder.store(builder.fadd(builder.load(total), value), total)
        return _sum_of_lanes(builder, [builder.load(total)])

    return signature, generate


@intrinsic(prefer_literal=True)
def sum_sizes(typing: Any, spec: Any, w: Any, n: Any) -> Any:
    """Return the sums of abs(w) and of w**2 over n elements, a multiple of V.

    Each sum is accumulated in four vectors in turn, to hide the latency of the additions.
    """
    signature = types.UniTuple(types.float64, 2)(spec, w, n)
    vector = vector_of(w, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, w, n = arguments
        zero = ir.Constant(vector, [0.0] * vector.count)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(4)] for _ in range(2)]
        for held in (*sums[0], *sums[1]):
            builder.store(zero, held)

        def add(place: Any, turn: int) -> None:
            value = Vec(builder, load(builder, w, place, vector))
            for held, term in ((sums[0][turn], abs(value)), (sums[1][turn], value * value)):
                builder.store((Vec(builder, builder.load(held)) + term).value, held)

        wide, stride = int64(vector.count), int64(4 * vector.count)
        whole = builder.sdiv(n, stride)
        with cgutils.for_range(builder, whole) as loop:
            start = builder.mul(loop.index, stride)
            for turn in range(4):
                add(builder.add(start, int64(turn * vector.count)), turn)
        done = builder.mul(whole, stride)
        with cgutils.for_range(builder, builder.sdiv(builder.sub(n, done), wide)) as loop:
            add(builder.add(done, builder.mul(loop.index, wide)), 0)
        totals = [_sum_of_lanes(builder, [builder.load(one) for one in held]) for held in sums]
        return context.make_tuple(builder, signature.return_type, totals)

    return signature, generate


def _sum_of_lanes(builder: Any, vectors: Sequence[Any]) -> Any:
    """Return the sum of all lanes as a float64; add the vectors, then halves, quarters, ..."""
    wide = ir.VectorType(ir.DoubleType(), vectors[0].type.count)
    if isinstance(vectors[0].type.element, ir.FloatType):
        vectors = [builder.fpext(vector, wide) for vector in vectors]
    total, count = functools.reduce(builder.fadd, vectors), wide.count
    while count > 1:
        count //= 2
        first, second = (
            ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
            for start in (0, count)
        )
        low, high = (builder.shuffle_vector(total, total, half) for half in (first, second))
        total = builder.fadd(low, high)
    return builder.extract_element(total, ir.Constant(I32, 0))


@intrinsic(prefer_literal=True)
def log_normalise(
    typing: Any, spec: Any, z: Any, pitch: Any, rows: Any, units: Any, vectors: Any, room: Any
) -> Any:
    """Set z -= log(sum(exp(z))) in up to V rows, over their units, if the output is a softmax.

    Each lane holds a row: the rows, `pitch` apart, are transposed into ``room``, which has V
    elements for each unit, with the units rounded up to whole vectors. V rows are always read.
    """
    signature = types.void(spec, z, *[types.int64] * 4, room)
    kernel = read_spec(spec)
    vector = vector_of(z, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.normalises:
            return context.get_dummy_value()
        _, z, pitch, rows, units, vectors, room = arguments
        xp, wide = VecSpace(), int64(vector.count)
        _transpose_rows(builder, z, pitch, vectors, room, vector)

        def fold(start: float, combine: Callable[[Vec, Vec], Vec]) -> Vec:
            held = cgutils.alloca_once_value(builder, ir.Constant(vector, [start] * vector.count))
            builder.store(ir.Constant(vector, [start] * vector.count), held)
            with cgutils.for_range(builder, units) as loop:
                unit = load(builder, room, builder.mul(loop.index, wide), vector)
                value = combine(Vec(builder, builder.load(held)), Vec(builder, unit))
                builder.store(value.value, held)
            return Vec(builder, builder.load(held))

        largest = fold(-math.inf, xp.maximum)
        total = fold(0.0, lambda sum_, unit: sum_ + xp.exp(unit - largest))
        store(builder, (largest + xp.log(total)).value, room, int64(0))
        with cgutils.for_range(builder, rows) as row:
            shift = splat(builder, builder.load(builder.gep(room, [row.index])), vector)
            with cgutils.for_range(builder, vectors) as loop:
                place = builder.add(builder.mul(row.index, pitch), builder.mul(loop.index, wide))
                value = builder.fsub(load(builder, z, place, vector), shift)
                store(builder, value, z, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def find_largest(
    typing: Any, spec: Any, a: Any, pitch: Any, rows: Any, units: Any, vectors: Any, room: Any,
    out: Any,
) -> Any:  # fmt: skip
    """Set out[r] to the number of the first NaN in row r, or else of the first largest element.

    ``out`` is int64. There are up to V rows, each in a lane, as in `log_normalise`.
    """
    signature = types.void(spec, a, *[types.int64] * 4, room, out)
    vector = vector_of(a, read_spec(spec).lanes)
    integers = ir.VectorType(ir.IntType(8 * item_bytes(vector)), vector.count)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, a, pitch, rows, units, vectors, room, out = arguments
        wide = int64(vector.count)
        _transpose_rows(builder, a, pitch, vectors, room, vector)

        def compare(unit: Any, held: list[Any]) -> list[Any]:
            best, number = held
            here = load(builder, room, builder.mul(unit, wide), vector)
            is_number = builder.fcmp_ordered("ord", best, best)  # a NaN stays
            better = builder.and_(builder.fcmp_unordered(">", here, best), is_number)
            this = splat(builder, builder.trunc(unit, integers.element), integers)
            return [builder.select(better, *pair) for pair in ((here, best), (this, number))]

        first = [load(builder, room, int64(0), vector), ir.Constant(integers, [0] * vector.count)]
        _, numbers = carried_loop(builder, int64(1), units, 1, first, compare)
        held = cgutils.alloca_once(builder, integers)
        builder.store(numbers, held)
        lanes = builder.bitcast(held, integers.element.as_pointer())
        with cgutils.for_range(builder, rows) as row:
            number = builder.load(builder.gep(lanes, [row.index]))
            builder.store(builder.sext(number, I64), builder.gep(out, [row.index]))
        return context.get_dummy_value()

    return signature, generate


def _transpose_rows(builder: Any, a: Any, pitch: Any, vectors: Any, room: Any, vector: Any) -> None:
    """Set room[u * V + r] = a[r * pitch + u] for V rows of some vectors each."""
    wide = int64(vector.count)
    with cgutils.for_range(builder, vectors) as loop:
        first = builder.mul(loop.index, wide)
        source, out = builder.gep(a, [first]), builder.gep(room, [builder.mul(first, wide)])
        emit_transpose(builder, source, pitch, out, wide, vector)


@intrinsic(prefer_literal=True)
def widen(typing: Any, spec: Any, row: Any, x: Any, scale: Any) -> Any:
    """Set x[:V] = row[:V] * scale; ``row`` is uint8 or either float type."""
    signature = types.void(spec, row, x, scale)
    vector = vector_of(x, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, row, x, scale = arguments
        stored = ir.VectorType(context.get_value_type(signature.args[1].dtype), vector.count)
        values = builder.load(builder.bitcast(row, stored.as_pointer()), align=1)
        if isinstance(stored.element, ir.IntType):
            values = builder.uitofp(values, vector)
        elif stored != vector:
            convert = builder.fpext if item_bytes(vector) == 8 else builder.fptrunc
            values = convert(values, vector)
        store(builder, builder.fmul(values, splat(builder, scale, vector)), x, int64(0))
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def multiply(typing: Any, spec: Any, w: Any, begin: Any, end: Any, factor: Any) -> Any:
    """Set w[begin * V : end * V] *= factor; `factor` is a float64."""
    signature = types.void(spec, w, types.int64, types.int64, types.float64)
    vector = vector_of(w, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, w, begin, end, factor = arguments
        by = _spread(builder, factor, vector)
        with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
            place = builder.mul(builder.add(begin, loop.index), int64(vector.count))
            store(builder, builder.fmul(load(builder, w, place, vector), by), w, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def scale_rows(
    typing: Any, spec: Any, z: Any, pitch: Any, rows: Any, vectors: Any, factor: Any, start: Any
) -> Any:
    """Set z[r] = start + factor * z[r] for r < rows, in rows of `vectors` vectors.

    `factor` is a float64.
    """
    signature = types.void(spec, z, types.int64, types.int64, types.int64, types.float64, start)
    vector = vector_of(z, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, z, pitch, rows, vectors, factor, start = arguments
        by = _spread(builder, factor, vector)
        with cgutils.for_range(builder, vectors) as column:
            at = builder.mul(column.index, int64(vector.count))
            first = load(builder, start, at, vector)
            with cgutils.for_range(builder, rows) as row:
                place = builder.add(builder.mul(row.index, pitch), at)
                value = builder.fmul(load(builder, z, place, vector), by)
                store(builder, builder.fadd(first, value), z, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def add_rows(
    typing: Any, spec: Any, delta: Any, pitch: Any, rows: Any, vectors: Any, factor: Any, b: Any
) -> Any:
    """Set b += factor * the sum of delta's rows, which have `vectors` vectors each.

    `factor` is a float64.
    """
    signature = types.void(spec, delta, types.int64, types.int64, types.int64, types.float64, b)
    vector = vector_of(b, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, delta, pitch, rows, vectors, factor, b = arguments
        by, zero = _spread(builder, factor, vector), ir.Constant(vector, [0.0] * vector.count)
        total = cgutils.alloca_once_value(builder, zero)
        with cgutils.for_range(builder, vectors) as column:
            at = builder.mul(column.index, int64(vector.count))
            builder.store(zero, total)
            with cgutils.for_range(builder, rows) as row:
                place = builder.add(builder.mul(row.index, pitch), at)
                value = builder.fadd(builder.load(total), load(builder, delta, place, vector))
                builder.store(value, total)
            value = builder.fmul(by, builder.load(total))
            store(builder, builder.fadd(load(builder, b, at, vector), value), b, at)
        return context.get_dummy_value()

    return signature, generate


def _spread(builder: Any, number: Any, vector: Any) -> Any:
    """Return a vector with a float64, rounded to the vector's type, in every lane."""
    if number.type != vector.element:
        number = builder.fptrunc(number, vector.element)
    return splat(builder, number, vector)


@intrinsic(prefer_literal=True)
def divide(typing: Any, spec: Any, x: Any, divisor: Any, vectors: Any) -> Any:
    """Set x[:vectors * V] /= divisor, rounded as a division."""
    signature = types.void(spec, x, divisor, types.int64)
    vector = vector_of(x, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, x, divisor, vectors = arguments
        by = splat(builder, divisor, vector)
        with cgutils.for_range(builder, vectors) as loop:
            place = builder.mul(loop.index, int64(vector.count))
            # Numba adds its fast-math flags, which allow x * (1/y), only where there are none.
            quotient = builder.fdiv(load(builder, x, place, vector), by, flags=["nsz"])
            store(builder, quotient, x, place)
        return context.get_dummy_value()

    return signature, generate
