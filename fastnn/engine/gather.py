"""Preparing a batch: its rows as floats, their targets, and their weights.

Symbols: m rows of a batch, V elements of a vector. The rows from `low` to `high` are this thread's
share, or all rows if each thread prepares the batch for itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.emit import PREFETCH_STRIDE
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.pointers import after, at, get, layer_of, prefetch, put
from fastnn.engine.rows import divide, widen

__all__ = [
    "Batch",
    "add_noise",
    "gather",
    "next_batch_of",
    "pieces_of",
    "prefetch_labels",
    "prefetch_rows",
    "set_labels",
    "set_row_weights",
    "set_targets",
]

# This many bytes of the next batch are prefetched while the current one is computed, so that they
# are in the cache when they are gathered. More would be evicted before that: the other rows are
# prefetched while the batch is gathered, each this many rows before its turn.
BYTES_OF_NEXT = 1 << 18
ROWS_AHEAD = 16


class NextBatch(NamedTuple):
    """The next batch, which is prefetched while the current one is computed.

    matrix : pointer to all rows, of `columns` numbers each
    rows : pointer to the numbers of its rows; those from `low` to `high` are prefetched
    on_way : how many pieces of a row the forward pass prefetches; the update prefetches the others
    """

    matrix: Any
    columns: Any
    rows: Any
    low: Any
    high: Any
    on_way: Any


class Batch(NamedTuple):
    """The rows of one mini-batch.

    m : how many there are
    start : the position of the first one in the order of the call
    matrix : pointer to all rows if they are an array, else None
    csr : pointers to all rows if they are sparse, else None
    rows : pointer to the numbers of the batch's rows
    coming : the next batch, or None if rows are sparse
    """

    m: Any
    start: Any
    matrix: Any
    csr: Any
    rows: Any
    coming: Any


@by_layout
@jit
def gather(spec, net, X, columns, scale, divisor, rows, low, high):
    """Copy rows of a batch as scaled floats."""
    v, inputs, matrix = lanes(spec), layer_of(net, 0), at(X, 0)
    in_time = low + rows_in_time(X, columns)
    for i in range(low, high):
        if in_time <= i + ROWS_AHEAD < high:
            prefetch_row(matrix, columns, get(rows, i + ROWS_AHEAD))
        row, x = after(matrix, get(rows, i) * columns), after(inputs.a, i * inputs.pitch)
        if columns < v:
            for j in range(columns):
                put(x, j, get(row, j) * scale)
        else:
            for j in range(0, columns - v, v):
                widen(spec, after(row, j), after(x, j), scale)
            last = columns - v  # overlaps the vector before, to never read past the row
            widen(spec, after(row, last), after(x, last), scale)
        if divisor != 1:
            divide(spec, x, divisor, inputs.vectors)


@jit
def next_batch_of(X, columns, rows, low, high, on_way):
    """Return the next batch and which of its rows are prefetched; None for sparse rows."""
    if X is None:  # decided when the kernel is compiled
        return None
    high = min(high, low + rows_in_time(X, columns))
    return NextBatch(at(X, 0), columns, rows, low, high, on_way)


@jit
def pieces_of(columns):
    """Return the number of pieces in which a row is prefetched."""
    return (columns + PREFETCH_STRIDE - 1) // PREFETCH_STRIDE


@jit
def rows_in_time(X, columns):
    """Return how many rows of the next batch are prefetched while the current one is computed."""
    return max(1, BYTES_OF_NEXT // (columns * X.itemsize))


@jit
def prefetch_rows(coming, begin, end):
    """Prefetch the rows from `begin` to `end` of the next batch, if they are this thread's."""
    if coming is None:  # decided when the kernel is compiled
        return
    for i in range(max(begin, coming.low), min(end, coming.high)):
        prefetch_row(coming.matrix, coming.columns, get(coming.rows, i))


@jit
def prefetch_row(matrix, columns, row):
    """Prefetch a row into the second-level cache."""
    for j in range(0, columns, PREFETCH_STRIDE):
        prefetch(matrix, row * columns + j)


@jit
def prefetch_labels(labels, order, start, m):
    """Prefetch the class indices of a later batch."""
    for i in range(start, min(start + m, len(order))):
        prefetch(labels, order[i])


@jit
def add_noise(net, noise, start, columns, low, high):
    """Add the noise that was drawn for them to rows of a batch."""
    inputs = layer_of(net, 0)
    for i in range(low, high):
        for j in range(columns):
            place = i * inputs.pitch + j
            put(inputs.a, place, get(inputs.a, place) + noise[start + i, j])


@jit
def set_labels(net, labels, rows, low, high):
    """Set the targets of rows of a batch from class indices."""
    pitch = layer_of(net, net.layers).pitch
    for i in range(low, high):
        for o in range(pitch):
            put(net.targets, i * pitch + o, get(net.zeros, 0))
        put(net.targets, i * pitch + get(labels, get(rows, i)), 1.0)


@jit
def set_targets(net, targets, rows, low, high):
    """Set the targets of rows of a batch from rows of targets."""
    top = layer_of(net, net.layers)
    for i in range(low, high):
        for o in range(top.units):
            put(net.targets, i * top.pitch + o, get(targets, get(rows, i) * top.units + o))


@jit_outlined
def set_row_weights(net, row_weights, rows, m, low, high):
    """Write the weights of a batch's rows over the ones in `real`; return the whole batch's sum.

    The sum is infinite if all weights are 0, so that such a batch has no gradient.
    """
    top, total = layer_of(net, net.layers), 0.0
    for i in range(m):
        weight = get(row_weights, get(rows, i))
        total += weight
        if low <= i < high:
            for o in range(top.units):
                put(net.real, i * top.pitch + o, weight)
    return total if total > 0.0 else np.inf
