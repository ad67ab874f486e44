"""The micro-kernel: matrix products on tiles of vector registers, and their few companions.

Each function here is a Numba intrinsic: it is called from kernels like any function, and emits
LLVM vector instructions in its place. Symbols: V lanes of a vector, R rows and C vectors of a
tile, k the length of a product. A tile's R*C sums stay in registers for the whole of k.

R and C are known when a kernel runs, not when it is compiled: one switch leads to straight code
for each pair. The rows of a weight panel that is C vectors wide are C*V elements apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import I64, int64, load, read_spec, store, vector_of
from fastnn.engine.spec import Spec
from fastnn.engine.trace import Vec, VecSpace, formula, splat

__all__ = ["catch_up_columns", "shrink_columns", "tile_forward", "tile_update"]

# Enough independent sums to hide the latency of a fused multiply-add (4 cycles, 2 a cycle).
_INDEPENDENT_SUMS = 8


def _fused(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x*y + z; `fmuladd`, as `fma` is a library call on a CPU that has none."""
    vector = x.type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    function = builder.module.declare_intrinsic(
        f"llvm.fmuladd.v{vector.count}{suffix}", (), ir.FunctionType(vector, [vector] * 3)
    )
    return builder.call(function, [x, y, z])


def _switch(
    builder: Any, rows: Any, vectors: Any, most_rows: int, most_vectors: int, emit: Any
) -> None:
    """Emit ``emit(R, C)`` for each R and C up to the most, and a jump to the right one."""
    code = builder.add(builder.mul(vectors, int64(256)), rows)
    done = builder.append_basic_block("done")
    nowhere = builder.append_basic_block("nowhere")
    switch = builder.switch(code, nowhere)
    for r, c in itertools.product(range(1, most_rows + 1), range(1, most_vectors + 1)):
        block = builder.append_basic_block(f"tile{r}x{c}")
        switch.add_case(int64(256 * c + r), block)
        builder.position_at_end(block)
        emit(r, c)
        builder.branch(done)
    builder.position_at_end(nowhere)
    builder.unreachable()
    builder.position_at_end(done)


def _sum_products(
    builder: Any, sums: list[Any], rows: int, k: Any, operands: Callable[[Any], Any]
) -> list[Any]:
    """Add the outer products of ``operands(i)``, i < k, to the tile `sums`, row by row.

    ``operands(i)`` gives the R scalars and the C vectors of step i. A tile of few sums takes
    several steps at a time, each with sums of its own.
    """
    vector, columns = sums[0].type, len(sums) // rows
    steps = max(1, _INDEPENDENT_SUMS // len(sums))
    zeros = [ir.Constant(vector, [0.0] * vector.count)] * (len(sums) * (steps - 1))
    whole = builder.mul(builder.sdiv(k, int64(steps)), int64(steps))
    parts = _loop(builder, int64(0), whole, steps, sums + zeros, rows, columns, operands)
    while len(parts) > len(sums):
        half = len(parts) // 2
        parts = [builder.fadd(x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
    if steps == 1:
        return parts
    return _loop(builder, whole, k, 1, parts, rows, columns, operands)


def _loop(
    builder: Any,
    start: Any,
    stop: Any,
    steps: int,
    sums: list[Any],
    rows: int,
    columns: int,
    operands: Callable[[Any], Any],
) -> list[Any]:
    """Emit ``for i in range(start, stop, steps)`` around the products; return the sums after it."""
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(I64)
    i.add_incoming(start, before)
    carried = [builder.phi(value.type) for value in sums]
    for phi, value in zip(carried, sums, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), body, after)
    builder.position_at_end(body)
    new = list(carried)
    for step in range(steps):
        scalars, vectors = operands(builder.add(i, int64(step)))
        for r, scalar in enumerate(scalars):
            spread = splat(builder, scalar, sums[0].type)
            for c, row in enumerate(vectors):
                place = (step * rows + r) * columns + c
                new[place] = _fused(builder, spread, row, new[place])
    i.add_incoming(builder.add(i, int64(steps)), builder.block)
    for phi, value in zip(carried, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return carried


@intrinsic(prefer_literal=True)
def tile_forward(
    typing: Any,
    spec: Any,
    rows: Any,
    vectors: Any,
    start: Any,
    a: Any,
    a_row: Any,
    used: Any,
    b: Any,
    out: Any,
    out_row: Any,
    k: Any,
) -> Any:
    """out[r] = start + sum over i < k of a[r, used[i]] * b[used[i]], for r < rows.

    ``a`` has rows `a_row` apart, ``out`` rows `out_row` apart; ``b`` is a panel of `vectors`
    vectors; ``used`` holds int32 numbers.
    """
    signature = types.void(spec, rows, vectors, start, a, a_row, used, b, out, out_row, k)
    kernel = read_spec(spec)
    vector = vector_of(out, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, rows, vectors, start, a, a_row, used, b, out, out_row, k = arguments

        def tile(r_count: int, c_count: int) -> None:
            places = [int64(c * vector.count) for c in range(c_count)]
            a_rows = [builder.mul(a_row, int64(r)) for r in range(r_count)]

            def operands(i: Any) -> Any:
                column = builder.sext(builder.load(builder.gep(used, [i])), I64)
                row = builder.mul(column, int64(c_count * vector.count))
                panel = [load(builder, b, builder.add(row, p), vector) for p in places]
                at_column = builder.gep(a, [column])
                return [builder.load(builder.gep(at_column, [r])) for r in a_rows], panel

            first = [load(builder, start, p, vector) for p in places]
            sums = _sum_products(builder, first * r_count, r_count, k, operands)
            for r in range(r_count):
                row = builder.mul(out_row, int64(r))
                for p, value in zip(places, sums[r * c_count :], strict=False):
                    store(builder, value, out, builder.add(row, p))

        _switch(builder, rows, vectors, kernel.rows, kernel.panel, tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def tile_update(
    typing: Any,
    spec: Any,
    shrinks: Any,
    rows: Any,
    vectors: Any,
    coefficients: Any,
    a: Any,
    a_row: Any,
    used: Any,
    count: Any,
    delta: Any,
    delta_row: Any,
    w: Any,
    b: Any,
    with_b: Any,
) -> Any:
    """w[j] = shrink(w[j], *coefficients) + sum over r < rows of a[r, j] * delta[r].

    For every j in used[:count]; where `with_b` is true, b += the sum of delta's rows, too. ``w`` is
    a panel of `vectors` vectors; ``a`` and ``delta`` have rows `a_row` and `delta_row` apart. Where
    there is no penalty, or `shrinks` is a literal 0, nothing shrinks; a penalty that follows the
    gradient shrinks the result. delta stays in registers, and each w[j] passes through them once.
    """
    signature = types.void(
        spec, shrinks, rows, vectors, coefficients, a, a_row, used, count, delta, delta_row, w, b,
        with_b,
    )  # fmt: skip
    kernel = read_spec(spec)
    vector, key = vector_of(w, kernel.lanes), kernel.shrink if shrinks.literal_value else ""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, _, rows, vectors, coefficients, a, a_row, used, count, delta, delta_row, w, b, with_b = (
            arguments
        )

        def tile(r_count: int, c_count: int) -> None:
            a_rows = [builder.gep(a, [builder.mul(a_row, int64(r))]) for r in range(r_count)]
            at_row = [builder.mul(delta_row, int64(r)) for r in range(r_count)]
            together = min(kernel.updated_together, c_count)
            for first in range(0, c_count, together):
                some = range(first, min(first + together, c_count))
                places = [int64(c * vector.count) for c in some]
                deltas = [
                    [load(builder, delta, builder.add(row, p), vector) for p in places]
                    for row in at_row
                ]
                with builder.if_then(with_b):
                    add_biases(places, deltas)
                add_products(int64(c_count * vector.count), places, a_rows, deltas)

        def add_biases(places: list[Any], deltas: list[list[Any]]) -> None:
            for c, p in enumerate(places):
                total = load(builder, b, p, vector)
                for row in deltas:
                    total = builder.fadd(total, row[c])
                store(builder, total, b, p)

        def add_products(
            width: Any, places: list[Any], a_rows: list[Any], deltas: list[list[Any]]
        ) -> None:
            numbers = _coefficients(builder, key, coefficients, vector) if key else []
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(used, [loop.index])), I64)
                row = builder.gep(w, [builder.mul(j, width)])
                sums = [load(builder, row, p, vector) for p in places]
                if key and not kernel.follows:
                    sums = [_shrunk(kernel, Vec(builder, x), numbers).value for x in sums]
                for at, delta_r in zip(a_rows, deltas, strict=True):
                    scalar = splat(builder, builder.load(builder.gep(at, [j])), vector)
                    pairs = zip(delta_r, sums, strict=True)
                    sums = [_fused(builder, scalar, d, x) for d, x in pairs]
                if key and kernel.follows:
                    sums = [_shrunk(kernel, Vec(builder, x), numbers).value for x in sums]
                for p, value in zip(places, sums, strict=True):
                    store(builder, value, row, p)

        _switch(builder, rows, vectors, kernel.rows, kernel.panel, tile)
        return context.get_dummy_value()

    return signature, generate


def _coefficients(builder: Any, key: str, pointer: Any, vector: Any) -> list[Vec]:
    """Return the formula's coefficients, spread over vectors; xp and w come before them."""
    count = formula(key).__code__.co_argcount - 2
    scalars = [builder.load(builder.gep(pointer, [int64(c)])) for c in range(count)]
    return [Vec(builder, splat(builder, scalar, vector)) for scalar in scalars]


@intrinsic(prefer_literal=True)
def shrink_columns(
    typing: Any, spec: Any, vectors: Any, coefficients: Any, columns: Any, count: Any, w: Any
) -> Any:
    """Give the rows columns[:count] of a weight panel one step of the penalty."""
    signature = types.void(spec, types.int64, coefficients, columns, types.int64, w)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.shrink:
            return context.get_dummy_value()
        _, vectors, coefficients, columns, count, w = arguments
        numbers = _coefficients(builder, kernel.shrink, coefficients, vector)
        with cgutils.for_range(builder, count) as loop:
            j = builder.sext(builder.load(builder.gep(columns, [loop.index])), I64)
            with cgutils.for_range(builder, vectors) as inner:
                row = builder.add(builder.mul(j, vectors), inner.index)
                place = builder.mul(row, int64(vector.count))
                old = Vec(builder, load(builder, w, place, vector))
                store(builder, _shrunk(kernel, old, numbers).value, w, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def catch_up_columns(
    typing: Any,
    spec: Any,
    vectors: Any,
    coefficients: Any,
    columns: Any,
    count: Any,
    w: Any,
    left_at: Any,
    step: Any,
) -> Any:
    """Give the rows columns[:count] of a weight panel the steps they miss: step - left_at[j]."""
    signature = types.void(
        spec, types.int64, coefficients, columns, types.int64, w, left_at, types.int64
    )
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.caught_up:
            return context.get_dummy_value()
        _, vectors, coefficients, columns, count, w, left_at, step = arguments
        numbers = _coefficients(builder, kernel.shrink, coefficients, vector)

        def tile(_: int, c_count: int) -> None:
            width = int64(c_count * vector.count)
            places = [int64(c * vector.count) for c in range(c_count)]
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(columns, [loop.index])), I64)
                left = builder.sext(builder.load(builder.gep(left_at, [j])), I64)
                steps, row = builder.sub(step, left), builder.gep(w, [builder.mul(j, width)])
                values = [Vec(builder, load(builder, row, p, vector)) for p in places]
                for p, new in zip(places, _missed(kernel, values, steps, numbers), strict=True):
                    store(builder, new, row, p)

        _switch(builder, int64(1), vectors, 1, kernel.panel, tile)
        return context.get_dummy_value()

    return signature, generate


def _missed(kernel: Spec, values: list[Vec], steps: Any, numbers: list[Vec]) -> list[Any]:
    """Return what `steps` steps leave of some vectors: at once, or if they are few one by one."""
    builder = values[0].builder
    if not kernel.one_by_one:
        return [_at_once(kernel, v, steps, numbers).value for v in values]
    held = [cgutils.alloca_once_value(builder, v.value) for v in values]
    for place, v in zip(held, values, strict=True):
        builder.store(v.value, place)
    few = builder.icmp_signed("<=", steps, int64(kernel.one_by_one))
    with builder.if_else(few) as (then, otherwise):
        with then, cgutils.for_range(builder, steps):
            for place in held:
                value = Vec(builder, builder.load(place))
                builder.store(_shrunk(kernel, value, numbers).value, place)
        with otherwise:
            for place, v in zip(held, values, strict=True):
                builder.store(_at_once(kernel, v, steps, numbers).value, place)
    return [builder.load(place) for place in held]


def _shrunk(kernel: Spec, w: Vec, numbers: list[Vec]) -> Vec:
    result: Vec = formula(kernel.shrink)(VecSpace(), w, *numbers)
    return result


def _at_once(kernel: Spec, w: Vec, steps: Any, numbers: list[Vec]) -> Vec:
    vector = w.value.type
    count = splat(w.builder, w.builder.sitofp(steps, vector.element), vector)
    result: Vec = formula(kernel.caught_up)(VecSpace(), w, Vec(w.builder, count), *numbers)
    return result
