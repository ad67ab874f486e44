"""Sparse rows in the kernels: the first layer's products over the nonzeros that a row lists.

Each row's own column list is used instead of a block's: rows of text share few columns, and a block
of rows would load the weights of every column that any of its rows uses, and multiply them by
zeros. Nothing here takes time in proportion to the number of columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types
from numba.extending import overload

from fastnn.engine.constants import by_layout, decays, lanes
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.parts import panel_at
from fastnn.engine.pointers import after, at, get, layer_of, place_of, prefetch
from fastnn.engine.simd import tile_forward, tile_update

__all__ = [
    "SparseRows",
    "pointers_of",
    "prefetch_sparse_rows",
    "product_of_rows",
    "update_from_rows",
]

# The column numbers in a cache line.
LINE = 16


class SparseRows(NamedTuple):
    """Rows in compressed form, as arrays and, in a kernel, as pointers.

    starts : int64 (n + 1,)
        Where in the other two each row begins.
    columns : int32 (nonzeros,)
        Ascending in each row, and no column twice.
    values : the network's dtype (nonzeros,)
    """

    starts: Any
    columns: Any
    values: Any


def pointers_of(csr):
    """Return pointers to the arrays, which the caller keeps alive; None for None. Kernels only."""
    raise NotImplementedError("it is for compiled code")


@overload(pointers_of)
def _pointers_of(csr):
    if isinstance(csr, types.NoneType):
        return lambda csr: None
    return lambda csr: SparseRows(at(csr.starts, 0), at(csr.columns, 0), at(csr.values, 0))


@jit
def prefetch_sparse_rows(csr, order, start, low, high):
    """Prefetch the rows `low` to `high` of the batch that begins at `start`."""
    for i in range(start + low, min(start + high, len(order))):
        for k in range(get(csr.starts, order[i]), get(csr.starts, order[i] + 1), LINE):
            prefetch(csr.columns, k)
            prefetch(csr.values, k)


@by_layout
@jit_outlined
def product_of_rows(spec, net, csr, rows, part, start):
    """Fill a part of the first layer's z: `start` + x @ w, over the columns that each row lists."""
    here = layer_of(net, 1)
    for first in range(part.first, part.last, here.panel):
        width, place = panel_at(spec, net, 1, first)
        column = first * lanes(spec)
        weights, b = after(here.w, place), after(start, column)
        for i in range(part.low, part.high):
            begin, end = get(csr.starts, get(rows, i)), get(csr.starts, get(rows, i) + 1)
            values, used = after(csr.values, begin), after(csr.columns, begin)
            to = after(here.z, i * here.pitch + column)
            tile_forward(
                spec, 1, width, b, values, 0, used, weights, to, here.pitch, end - begin
            )  # fmt: skip


@jit_outlined
def update_from_rows(spec, net, csr, rows, m, rule, numbers, panel):
    """Add the gradient to the inputs of a panel of the first layer, and with input 0 to the biases.

    The penalty numbered `rule` is applied with every row.
    """
    pitch, low, high = layer_of(net, 1).pitch, panel.low, panel.high
    for i in range(m):
        row = get(rows, i)
        begin, end = get(csr.starts, row), get(csr.starts, row + 1)
        first = place_of(csr.columns, begin, end, low)
        count = place_of(csr.columns, first, end, high) - first
        values, used, d = (
            after(csr.values, first),
            after(csr.columns, first),
            after(panel.delta, i * pitch),
        )
        tile_update(
            spec, rule, 1, panel.vectors, numbers, values, 0, used, count, d, pitch, panel.w,
            panel.q, panel.b,
            low == 0 and not decays(spec),
        )  # fmt: skip
