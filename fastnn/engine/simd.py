"""The micro-kernel: matrix products on tiles of vector registers, and their few companions.

Each function here is a Numba intrinsic: it is called from kernels like any function, and emits
LLVM vector instructions in its place. Symbols: V lanes of a vector, R rows and C vectors of a
tile, k the length of a product. A tile's R*C sums stay in registers for the whole of k.

R and C are known when a kernel runs, not when it is compiled: one switch leads to straight code
for each pair. The rows of a weight panel that is C vectors wide are C*V elements apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import I1, I64, int64, load, read_spec, store, vector_of
from fastnn.engine.spec import Spec
from fastnn.engine.trace import Vec, VecSpace, formula, splat

__all__ = ["is_lazy", "lanes", "most_rows", "shrink_row", "tile_forward", "tile_update"]

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


def _switch(builder: Any, rows: Any, vectors: Any, most: tuple[int, ...], emit: Any) -> None:
    """Emit ``emit(R, C)`` for C = 1, 2, ... and R = 1 .. most[C-1], and a jump to the right one."""
    code = builder.add(builder.mul(vectors, int64(256)), rows)
    done = builder.append_basic_block("done")
    nowhere = builder.append_basic_block("nowhere")
    switch = builder.switch(code, nowhere)
    for c, most_rows in enumerate(most, 1):
        for r in range(1, most_rows + 1):
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

        _switch(builder, rows, vectors, kernel.forward_rows, tile)
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
    a_k: Any,
    used: Any,
    b: Any,
    b_k: Any,
    w: Any,
    k: Any,
) -> Any:
    """w[j] = shrink(w[j], *coefficients) + sum over i < k of a[i, j] * b[i], for j in used[:rows].

    ``w`` is a panel of `vectors` vectors; ``a`` and ``b`` have rows `a_k` and `b_k` apart. Where
    there is no penalty, or for the biases, the one row for which `shrinks` is a literal 0, w[j] is
    left as it is before the sum.
    """
    signature = types.void(spec, shrinks, rows, vectors, coefficients, a, a_k, used, b, b_k, w, k)
    kernel = read_spec(spec)
    vector, key = vector_of(w, kernel.lanes), kernel.shrink if shrinks.literal_value else ""
    most = kernel.update_rows if shrinks.literal_value else (1, 1)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, _, rows, vectors, coefficients, a, a_k, used, b, b_k, w, k = arguments

        def tile(r_count: int, c_count: int) -> None:
            width = c_count * vector.count
            numbers = [
                builder.sext(builder.load(builder.gep(used, [int64(r)])), I64)
                for r in range(r_count)
            ]
            places = [
                builder.add(builder.mul(j, int64(width)), int64(c * vector.count))
                for j in numbers
                for c in range(c_count)
            ]
            a_columns = [builder.gep(a, [j]) for j in numbers]

            def operands(i: Any) -> Any:
                row, a_row = builder.mul(i, b_k), builder.mul(i, a_k)
                offsets = [builder.add(row, int64(c * vector.count)) for c in range(c_count)]
                return (
                    [builder.load(builder.gep(column, [a_row])) for column in a_columns],
                    [load(builder, b, offset, vector) for offset in offsets],
                )

            first = [load(builder, w, p, vector) for p in places]
            if key:
                spread = _coefficients(builder, key, coefficients, vector)
                first = [formula(key)(VecSpace(), Vec(builder, v), *spread).value for v in first]
            sums = _sum_products(builder, first, r_count, k, operands)
            for p, value in zip(places, sums, strict=True):
                store(builder, value, w, p)

        _switch(builder, rows, vectors, most, tile)
        return context.get_dummy_value()

    return signature, generate


def _coefficients(builder: Any, key: str, pointer: Any, vector: Any) -> list[Vec]:
    """Return the formula's coefficients, spread over vectors; xp and w come before them."""
    count = formula(key).__code__.co_argcount - 2
    scalars = [builder.load(builder.gep(pointer, [int64(c)])) for c in range(count)]
    return [Vec(builder, splat(builder, scalar, vector)) for scalar in scalars]


@intrinsic(prefer_literal=True)
def shrink_row(typing: Any, spec: Any, w: Any, vectors: Any, steps: Any, coefficients: Any) -> Any:
    """Give one row of a weight panel `steps` steps of the penalty; 1 step if it does not wait."""
    signature = types.void(spec, w, types.int64, types.int64, coefficients)
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.shrink:
            return context.get_dummy_value()
        _, w, vectors, steps, coefficients = arguments
        numbers = _coefficients(builder, kernel.shrink, coefficients, vector)
        if not kernel.caught_up:
            _each_vector(builder, w, vectors, vector, lambda v: _shrunk(kernel, v, numbers))
        elif not kernel.one_by_one:
            _each_vector(builder, w, vectors, vector, lambda v: _at_once(kernel, v, steps, numbers))
        else:
            few = builder.icmp_signed("<=", steps, int64(kernel.one_by_one))
            with builder.if_else(few) as (then, otherwise):
                with then, cgutils.for_range(builder, steps):
                    _each_vector(builder, w, vectors, vector, lambda v: _shrunk(kernel, v, numbers))
                with otherwise:
                    _each_vector(
                        builder, w, vectors, vector, lambda v: _at_once(kernel, v, steps, numbers)
                    )
        return context.get_dummy_value()

    return signature, generate


def _each_vector(
    builder: Any, w: Any, vectors: Any, vector: Any, rule: Callable[[Vec], Vec]
) -> None:
    """Replace each of the `vectors` at ``w`` by what `rule` makes of it."""
    with cgutils.for_range(builder, vectors) as loop:
        place = builder.mul(loop.index, int64(vector.count))
        value = Vec(builder, load(builder, w, place, vector))
        store(builder, rule(value).value, w, place)


def _shrunk(kernel: Spec, w: Vec, numbers: list[Vec]) -> Vec:
    result: Vec = formula(kernel.shrink)(VecSpace(), w, *numbers)
    return result


def _at_once(kernel: Spec, w: Vec, steps: Any, numbers: list[Vec]) -> Vec:
    vector = w.value.type
    count = splat(w.builder, w.builder.sitofp(steps, vector.element), vector)
    result: Vec = formula(kernel.caught_up)(VecSpace(), w, Vec(w.builder, count), *numbers)
    return result


@intrinsic(prefer_literal=True)
def is_lazy(typing: Any, spec: Any) -> Any:
    """Return whether the penalty of columns that a batch does not use waits until they are."""
    lazy = bool(read_spec(spec).caught_up)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(lazy))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def lanes(typing: Any, spec: Any) -> Any:
    """Return V."""
    value = read_spec(spec).lanes

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(value)

    return types.int64(spec), generate


@intrinsic(prefer_literal=True)
def most_rows(typing: Any, spec: Any, field: Any, vectors: Any) -> Any:
    """Return the most rows of a tile `vectors` wide; `field` is forward_rows or update_rows."""
    narrow, wide = getattr(read_spec(spec), field.literal_value)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.select(
            builder.icmp_signed("==", arguments[2], int64(1)), int64(narrow), int64(wide)
        )

    return types.int64(spec, field, types.int64), generate
