"""Products of a block's rows with the columns they use, which are listed.

If five rows share a list, half of their values in its columns are zeros. In a sorted list, columns
that the same rows use are adjacent. Each such run is straight code for just these rows, with no
branch but the loop's. Rows may be in groups, which count as one row: fewer runs, but some zeros.
Symbols as in `simd.py`. The kind of a column is the set of the block's groups that use it, as bits;
in an unsorted list, all columns are of one kind, which all rows use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import (
    I64,
    PREFETCH_STRIDE,
    int64,
    load,
    prefetch_line,
    read_spec,
    short_loop,
    store,
    switch,
    vector_of,
)
from fastnn.engine.shrink import shrunk, spread
from fastnn.engine.simd import add_rows_to, fused, sum_loop, sum_products
from fastnn.engine.spec import Rule, Spec
from fastnn.engine.trace import splat

__all__ = ["Block", "Prefetch", "listed_forward", "listed_update"]


class Block(NamedTuple):
    """Rows that share a list of the columns they use.

    rows : how many rows there are
    matrix, columns, order : all stored rows, the columns of each, and the numbers of these rows
    values : the float that each byte stands for
    a, pitch : the rows as floats, `pitch` elements apart; not read if the stored rows are bytes
    used : the listed columns, those of each kind together
    ends : where the first kind begins, then where each kind ends; if columns are not sorted, where
        each group of 64 columns ends
    words : if columns are not sorted, how many groups of 64 columns to take
    """

    rows: Any
    matrix: Any
    columns: Any
    order: Any
    values: Any
    a: Any
    pitch: Any
    used: Any
    ends: Any
    words: Any


class Prefetch(NamedTuple):
    """What to prefetch of the next batch while a block is processed, a share with each kind.

    order : the numbers of the next batch's rows
    low, high : the range of these to prefetch, at most as many as a block has
    first, last : the range of pieces to prefetch of each row, each of PREFETCH_STRIDE elements
    """

    order: Any
    low: Any
    high: Any
    first: Any
    last: Any


def _prefetcher(builder: Any, kernel: Spec, block: Block, packed: Any) -> Callable[[int], None]:
    """Return a function that emits a kind's prefetches, given the number of kinds before it.

    A CPU handles few requests at a time; if all were made at once, the products would wait for
    them. With a single kind, all are made before it, which cost nothing on the AVX2 machine
    measured.
    """
    ask = Prefetch(*cgutils.unpack_tuple(builder, packed))
    kinds = max(1, kernel.list_parts - 1)
    turns = max(1, kinds // kernel.listed)
    pieces = builder.sub(ask.last, ask.first)

    def emit(kind: int) -> None:
        parts = kernel.listed * turns  # divided among the kinds as evenly as possible
        begin, end = (-(-k * parts // kinds) for k in (kind, kind + 1))
        for number in range(begin, end):
            ask_part(*divmod(number, turns))

    def ask_part(row: int, turn: int) -> None:
        place = builder.add(ask.low, int64(row))
        with builder.if_then(builder.icmp_signed("<", place, ask.high)):
            number = builder.load(builder.gep(ask.order, [place]))
            first, last = (
                builder.add(ask.first, builder.sdiv(builder.mul(pieces, int64(t)), int64(turns)))
                for t in (turn, turn + 1)
            )
            start = builder.gep(block.matrix, [builder.mul(number, block.columns)])

            def one(piece: Any) -> None:
                prefetch_line(
                    builder, builder.gep(start, [builder.mul(piece, int64(PREFETCH_STRIDE))])
                )

            short_loop(builder, first, last, one)

    return emit


def _unpacked(builder: Any, block: Any) -> Block:
    """Return a block with its fields unpacked, to emit code with."""
    return Block(*cgutils.unpack_tuple(builder, block))


def _reader(
    builder: Any, kernel: Spec, kind: Any, block: Block, most: int
) -> Callable[[list[int], Any], list[Any]]:
    """Return a function that loads some rows' values in a column; `kind` is the block's type."""
    stored = kind.types[Block._fields.index("matrix")]
    in_bytes = stored.dtype == types.uint8
    starts = []
    for r in range(most):
        place = int64(r)
        if kernel.sorts:  # there may be nothing, or nothing finite, after the last row
            is_row = builder.icmp_signed("<", place, block.rows)
            place = builder.select(is_row, place, int64(0))
        if in_bytes:
            row = builder.mul(builder.load(builder.gep(block.order, [place])), block.columns)
            starts.append(builder.gep(block.matrix, [row]))
        else:
            starts.append(builder.gep(block.a, [builder.mul(block.pitch, place)]))

    def read(users: list[int], column: Any) -> list[Any]:
        values = [builder.load(builder.gep(starts[r], [column])) for r in users]
        if in_bytes:
            places = [builder.zext(value, I64) for value in values]
            values = [builder.load(builder.gep(block.values, [place])) for place in places]
        return values

    return read


def _counts(kernel: Spec, block: Block) -> tuple[Any, list[int]]:
    """Return the row count that selects the code when a kernel runs, and its possible values.

    With sorted columns, one code serves all blocks, also those with fewer rows.
    """
    if kernel.sorts:
        return int64(kernel.listed), [kernel.listed]
    return block.rows, list(range(1, kernel.listed + 1))


def _kinds(
    builder: Any, kernel: Spec, block: Block, rows: int, *, backwards: bool = False
) -> Iterator[tuple[list[int], Any, Any]]:
    """Yield each kind's rows, and where its columns begin and end in the list."""

    def place(number: Any) -> Any:
        return builder.sext(builder.load(builder.gep(block.ends, [number])), I64)

    if not kernel.sorts:
        yield list(range(rows)), place(int64(0)), place(block.words)
        return
    kinds = range(1, kernel.list_parts)
    for kind in reversed(kinds) if backwards else kinds:
        users = [r for r, bit in enumerate(kernel.bit_of_row) if kind >> bit & 1]
        yield users, place(int64(kind - 1)), place(int64(kind))


@intrinsic(prefer_literal=True)
def listed_forward(
    typing: Any,
    spec: Any,
    block: Any,
    vectors: Any,
    start: Any,
    start_row: Any,
    b: Any,
    out: Any,
    out_row: Any,
    ask: Any,
) -> Any:
    """out[r] = start[r] + the sum of a[r, j] * b[j] over the columns j that row r of a block uses.

    ``b`` is a panel of `vectors` vectors. The rows of ``start`` and ``out`` are `start_row` and
    `out_row` elements apart; a `start_row` of 0 means a single row. `block` is a `Block`, `ask` an
    `Prefetch`.
    """
    signature = types.void(spec, block, types.int64, start, types.int64, b, out, types.int64, ask)
    kernel = read_spec(spec)
    vector = vector_of(out, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.lists:
            return context.get_dummy_value()
        _, packed, vectors, start, start_row, b, out, out_row, asked = arguments
        rows = _unpacked(builder, packed)
        prefetch, (count, counts) = (
            _prefetcher(builder, kernel, rows, asked),
            _counts(kernel, rows),
        )

        def tile(most: int, c_count: int) -> None:
            read = _reader(builder, kernel, block, rows, most)
            places = [int64(c * vector.count) for c in range(c_count)]
            begins = [builder.gep(start, [builder.mul(start_row, int64(r))]) for r in range(most)]
            sums = [[load(builder, begin, p, vector) for p in places] for begin in begins]
            for kind, (users, begin, end) in enumerate(_kinds(builder, kernel, rows, most)):
                if kernel.sorts:
                    prefetch(kind)

                def operands(i: Any, users: list[int] = users) -> Any:
                    column = builder.sext(builder.load(builder.gep(rows.used, [i])), I64)
                    row = builder.mul(column, int64(c_count * vector.count))
                    panel = [load(builder, b, builder.add(row, p), vector) for p in places]
                    return read(users, column), panel

                flat = [value for r in users for value in sums[r]]
                if kernel.sorts:
                    flat = sum_loop(
                        builder, begin, end, 1, flat, len(users), c_count, operands, short=True
                    )
                else:
                    flat = sum_products(builder, flat, len(users), begin, end, operands)
                for number, r in enumerate(users):
                    sums[r] = flat[number * c_count : (number + 1) * c_count]
            for r in range(most):
                is_row = builder.icmp_signed("<", int64(r), rows.rows)
                with builder.if_then(is_row) if kernel.sorts else nullcontext():
                    row = builder.mul(out_row, int64(r))
                    for p, value in zip(places, sums[r], strict=True):
                        store(builder, value, out, builder.add(row, p))

        if not kernel.sorts:
            prefetch(0)
        tiles = [(n, width) for n in counts for width in kernel.listed_widths]
        switch(builder, (count, vectors), tiles, tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def listed_update(
    typing: Any,
    spec: Any,
    rule: Any,
    block: Any,
    vectors: Any,
    numbers: Any,
    delta: Any,
    delta_row: Any,
    w: Any,
    q: Any,
    b: Any,
    with_b: Any,
    ask: Any,
) -> Any:
    """w[j] = shrink(w[j], *numbers) + the sum over the rows r that use j, of a[r, j] * delta[r].

    This is done for the columns of a `Block`, the last kind first, which speeds up L1
    (docs/performance.md). `ask` is a `Prefetch`; all else is as in `simd.tile_update`.
    """
    signature = types.void(
        spec, types.int64, block, types.int64, numbers, delta, types.int64, w, q, b, types.boolean,
        ask,
    )  # fmt: skip
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)
    zeros = ir.Constant(vector, [0.0] * vector.count)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.lists:
            return context.get_dummy_value()
        _, chosen, packed, vectors, coefficients, delta, delta_row, w, q, b, with_b, asked = (
            arguments
        )
        rows = _unpacked(builder, packed)
        prefetch, (count, counts) = (
            _prefetcher(builder, kernel, rows, asked),
            _counts(kernel, rows),
        )

        def tile(number: int, most: int, c_count: int) -> None:
            read = _reader(builder, kernel, block, rows, most)
            places = [int64(c * vector.count) for c in range(c_count)]
            deltas = []
            for r in range(most):
                row = builder.mul(delta_row, int64(r))
                values = [load(builder, delta, builder.add(row, p), vector) for p in places]
                if kernel.sorts:  # a block may have fewer rows, but there is room for all
                    is_row = builder.icmp_signed("<", int64(r), rows.rows)
                    values = [builder.select(is_row, value, zeros) for value in values]
                deltas.append(values)
            with builder.if_then(with_b):
                add_rows_to(builder, b, places, deltas)
            rule = kernel.rules[number - 1] if number else None
            numbers = spread(builder, rule.numbers, coefficients, vector) if rule else []
            kinds = _kinds(builder, kernel, rows, most, backwards=True)
            for kind, (users, begin, end) in enumerate(kinds):
                if kernel.sorts:
                    prefetch(kind)
                add_products(rule, numbers, places, users, deltas, read, begin, end)

        def add_products(
            rule: Rule | None,
            numbers: list[Any],
            places: list[Any],
            users: list[int],
            deltas: list[list[Any]],
            read: Any,
            begin: Any,
            end: Any,
        ) -> None:
            width = int64(len(places) * vector.count)

            def body(index: Any) -> None:
                j = builder.sext(builder.load(builder.gep(rows.used, [index])), I64)
                at = builder.mul(j, width)
                row, states = builder.gep(w, [at]), builder.gep(q, [at])
                scalars = [splat(builder, value, vector) for value in read(users, j)]
                # An unsorted list usually means few registers: take one vector at a time.
                every = list(enumerate(places))
                for some in [every] if kernel.sorts else [[one] for one in every]:
                    here = [p for _, p in some]
                    sums = [load(builder, row, p, vector) for p in here]
                    if rule and not rule.after_gradient:
                        sums = shrunk(builder, rule, sums, states, here, numbers)
                    for r, scalar in zip(users, scalars, strict=True):
                        pairs = [(deltas[r][c], x) for (c, _), x in zip(some, sums, strict=True)]
                        sums = [fused(builder, scalar, d, x) for d, x in pairs]
                    if rule and rule.after_gradient:
                        sums = shrunk(builder, rule, sums, states, here, numbers)
                    for p, value in zip(here, sums, strict=True):
                        store(builder, value, row, p)

            if kernel.sorts:
                short_loop(builder, begin, end, body)
                return
            with cgutils.for_range_slice(builder, begin, end, int64(1)) as (index, _):
                body(index)

        if not kernel.sorts:
            prefetch(0)
        numbers = [0, kernel.first] if kernel.shrinks else [0]
        tiles = [(n, r, width) for n in numbers for r in counts for width in kernel.listed_widths]
        switch(builder, (chosen, count, vectors), tiles, tile)
        return context.get_dummy_value()

    return signature, generate
