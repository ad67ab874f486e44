"""The micro-kernel: matrix products and weight updates on tiles of vector registers.

`tile_forward` and `tile_update` are Numba intrinsics: kernels call them like any function, and they
emit LLVM vector instructions in place of the call. Symbols: V lanes of a vector, R rows and C
vectors of a tile, k the length of a product. A tile's R*C sums stay in registers for all of k.

R and C are known when a kernel runs, not when it is compiled: one switch leads to straight-line
code for each pair. The rows of a weight panel that is C vectors wide are C*V elements apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import (
    I64,
    carried_loop,
    int64,
    load,
    read_spec,
    store,
    switch,
    vector_of,
)
from fastnn.engine.shrink import shrunk, spread
from fastnn.engine.spec import Rule, Spec
from fastnn.engine.trace import splat

__all__ = ["add_rows_to", "fused", "sum_loop", "sum_products", "tile_forward", "tile_update"]

# Enough independent sums to hide the latency of a fused multiply-add (4 cycles, 2 per cycle).
_INDEPENDENT_SUMS = 8


def fused(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x*y + z by `fmuladd`; `fma` is a library call on a CPU without the instruction."""
    vector = x.type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    function = builder.module.declare_intrinsic(
        f"llvm.fmuladd.v{vector.count}{suffix}", (), ir.FunctionType(vector, [vector] * 3)
    )
    return builder.call(function, [x, y, z])


def sum_products(
    builder: Any, sums: list[Any], rows: int, begin: Any, end: Any, operands: Callable[[Any], Any]
) -> list[Any]:
    """Add the outer products of ``operands(i)``, begin <= i < end, to `sums`, a row-major tile.

    ``operands(i)`` returns the R scalars and the C vectors of step i. A tile with few sums takes
    several steps at a time, each with its own sums.
    """
    vector, columns = sums[0].type, len(sums) // rows
    steps = max(1, _INDEPENDENT_SUMS // len(sums))
    zeros = [ir.Constant(vector, [0.0] * vector.count)] * (len(sums) * (steps - 1))
    over = builder.srem(builder.sub(end, begin), int64(steps))
    whole = builder.sub(end, over)
    parts = sum_loop(builder, begin, whole, steps, sums + zeros, rows, columns, operands)
    while len(parts) > len(sums):
        half = len(parts) // 2
        parts = [builder.fadd(x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
    if steps == 1:
        return parts
    return sum_loop(builder, whole, end, 1, parts, rows, columns, operands)


def sum_loop(
    builder: Any,
    start: Any,
    stop: Any,
    steps: int,
    sums: list[Any],
    rows: int,
    columns: int,
    operands: Callable[[Any], Any],
    short: bool = False,
) -> list[Any]:
    """Emit a loop that adds the products of `steps` steps per iteration; return the sums."""

    def add(i: Any, sums: list[Any]) -> list[Any]:
        for step in range(steps):
            scalars, vectors = operands(builder.add(i, int64(step)))
            for r, scalar in enumerate(scalars):
                spread = splat(builder, scalar, sums[0].type)
                for c, row in enumerate(vectors):
                    place = (step * rows + r) * columns + c
                    sums[place] = fused(builder, spread, row, sums[place])
        return sums

    return carried_loop(builder, start, stop, steps, sums, add, short=short)


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
    """Set out[r] = start + sum over i < k of a[r, used[i]] * b[used[i]], for r < rows.

    The rows of ``a`` are `a_row` elements apart, those of ``out`` `out_row`; ``b`` is a panel of
    `vectors` vectors; ``used`` holds int32 numbers. In a kernel for sparse rows ``a`` has the
    listed columns only, and a[r, i] takes the place of a[r, used[i]].
    """
    signature = types.void(
        spec, types.int64, vectors, start, a, types.int64, used, b, out, out_row, k
    )
    kernel = read_spec(spec)
    vector, shapes = vector_of(out, kernel.lanes), _tiles(kernel, rows)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, rows, vectors, start, a, a_row, used, b, out, out_row, k = arguments

        def tile(r_count: int, c_count: int) -> None:
            places = [int64(c * vector.count) for c in range(c_count)]
            a_rows = [builder.mul(a_row, int64(r)) for r in range(r_count)]

            def operands(i: Any) -> Any:
                column = builder.sext(builder.load(builder.gep(used, [i])), I64)
                row = builder.mul(column, int64(c_count * vector.count))
                panel = [load(builder, b, builder.add(row, p), vector) for p in places]
                at_column = builder.gep(a, [i if kernel.sparse else column])
                return [builder.load(builder.gep(at_column, [r])) for r in a_rows], panel

            first = [load(builder, start, p, vector) for p in places]
            sums = sum_products(builder, first * r_count, r_count, int64(0), k, operands)
            for r in range(r_count):
                row = builder.mul(out_row, int64(r))
                for p, value in zip(places, sums[r * c_count :], strict=False):
                    store(builder, value, out, builder.add(row, p))

        switch(builder, (rows, vectors), shapes, tile)
        return context.get_dummy_value()

    return signature, generate


def add_rows_to(builder: Any, b: Any, places: list[Any], rows: list[list[Any]]) -> None:
    """Add rows of vectors to ``b``; the vectors of a row belong at the offsets `places`."""
    for c, p in enumerate(places):
        total = load(builder, b, p, rows[0][c].type)
        for row in rows:
            total = builder.fadd(total, row[c])
        store(builder, total, b, p)


def _tiles(kernel: Spec, rows: Any) -> list[tuple[int, int]]:
    """Return every (R, C) that a kernel may need: those of a literal R, or of dense panels."""
    if isinstance(rows, types.IntegerLiteral):
        return [(rows.literal_value, vectors) for vectors in range(1, kernel.panel + 1)]
    of_dense = enumerate(kernel.rows[: kernel.dense_panel], 1)
    return [(count, vectors) for vectors, most in of_dense for count in range(1, most + 1)]


@intrinsic(prefer_literal=True)
def tile_update(
    typing: Any,
    spec: Any,
    rule: Any,
    rows: Any,
    vectors: Any,
    numbers: Any,
    a: Any,
    a_row: Any,
    used: Any,
    count: Any,
    delta: Any,
    delta_row: Any,
    w: Any,
    q: Any,
    b: Any,
    with_b: Any,
) -> Any:
    """Set w[j] = shrink(w[j], *numbers) + sum over r < rows of a[r, j] * delta[r].

    This is done for every j in used[:count]. In a kernel for sparse rows ``a`` has the listed
    columns only, and a[r, i] takes the place of a[r, j] for j = used[i]. If `with_b` is true, the
    sum of delta's rows is added to b. ``w`` is a panel of `vectors` vectors, ``q`` what the penalty
    keeps for it; the rows of ``a`` and ``delta`` are `a_row` and `delta_row` elements apart. The
    penalty is the one numbered `rule`, or none if that is 0; one that follows the gradient shrinks
    the result instead. delta stays in registers, and each w[j] passes through them once.
    """
    signature = types.void(
        spec, types.int64, types.int64, vectors, numbers, a, types.int64, used, count, delta,
        delta_row, w, q, b, with_b,
    )  # fmt: skip
    kernel = read_spec(spec)
    vector, shapes = vector_of(w, kernel.lanes), _tiles(kernel, rows)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        (
            _, chosen, rows, vectors, coefficients, a, a_row, used, count, delta, delta_row, w, q,
            b, with_b,
        ) = arguments  # fmt: skip

        def tile(number: int, r_count: int, c_count: int) -> None:
            rule = kernel.rules[number - 1] if number else None
            a_rows = [builder.gep(a, [builder.mul(a_row, int64(r))]) for r in range(r_count)]
            at_row = [builder.mul(delta_row, int64(r)) for r in range(r_count)]
            places = [int64(c * vector.count) for c in range(c_count)]
            deltas = [
                [load(builder, delta, builder.add(row, p), vector) for p in places]
                for row in at_row
            ]
            with builder.if_then(with_b):
                add_rows_to(builder, b, places, deltas)
            add_products(rule, int64(c_count * vector.count), places, a_rows, deltas)

        def add_products(
            rule: Rule | None,
            width: Any,
            places: list[Any],
            a_rows: list[Any],
            deltas: list[list[Any]],
        ) -> None:
            numbers = spread(builder, rule.numbers, coefficients, vector) if rule else []
            with cgutils.for_range(builder, count) as loop:
                j = builder.sext(builder.load(builder.gep(used, [loop.index])), I64)
                at = builder.mul(j, width)
                row, states = builder.gep(w, [at]), builder.gep(q, [at])
                sums = [load(builder, row, p, vector) for p in places]
                if rule and not rule.after_gradient:
                    sums = shrunk(builder, rule, sums, states, places, numbers)
                for a_row, delta_r in zip(a_rows, deltas, strict=True):
                    place = loop.index if kernel.sparse else j
                    scalar = splat(builder, builder.load(builder.gep(a_row, [place])), vector)
                    pairs = zip(delta_r, sums, strict=True)
                    sums = [fused(builder, scalar, d, x) for d, x in pairs]
                if rule and rule.after_gradient:
                    sums = shrunk(builder, rule, sums, states, places, numbers)
                for p, value in zip(places, sums, strict=True):
                    store(builder, value, row, p)

        numbers = [0, *(n for n, rule in enumerate(kernel.rules, 1) if rule.shrink)]
        tiles = [(n, *shape) for n in numbers for shape in shapes]
        switch(builder, (chosen, rows, vectors), tiles, tile)
        return context.get_dummy_value()

    return signature, generate
