"""What a batch consists of: its rows as floats, what they should give, and what each counts.

Symbols: m rows of a batch, V elements of a vector; the rows from `low` to `high` are this thread's,
or all of them where it has them for itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.emit import ASKED_APART
from fastnn.engine.jit import jit, jit_apart
from fastnn.engine.pointers import after, at, get, layer_of, prefetch, put
from fastnn.engine.rows import divide, widen

__all__ = [
    "Batch",
    "add_noise",
    "ask_for_labels",
    "ask_for_rows",
    "coming_of",
    "gather",
    "pieces_of",
    "set_labels",
    "set_row_weights",
    "set_targets",
]

# So many bytes of the next batch are asked for while this one's update runs: they are in the cache
# then before they are gathered. More would have left it again, and is asked for so many rows before
# its turn.
BYTES_OF_NEXT = 1 << 18
ROWS_AHEAD = 16


class Coming(NamedTuple):
    """The next batch, asked for while this one is computed with.

    matrix : pointer to all rows, of `columns` numbers each
    rows : pointer to the numbers of its rows, of which those from `low` to `high` are asked for
    on_way : how many of a row's pieces are asked for on the way forward; the update asks for others
    """

    matrix: Any
    columns: Any
    rows: Any
    low: Any
    high: Any
    on_way: Any


class Batch(NamedTuple):
    """The rows that are computed with together.

    m : how many they are
    start : the place of the first one among those of the call
    matrix : pointer to all rows, where these are an array
    csr : pointers to all rows, where these are sparse, else None
    rows : pointer to the numbers of the batch's
    coming : the next batch, or None where rows are sparse
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
    """Copy rows of a batch, scaled."""
    v, inputs, matrix = lanes(spec), layer_of(net, 0), at(X, 0)
    in_time = low + rows_in_time(X, columns)
    for i in range(low, high):
        if in_time <= i + ROWS_AHEAD < high:
            ask_for_row(matrix, columns, get(rows, i + ROWS_AHEAD))
        row, x = after(matrix, get(rows, i) * columns), after(inputs.a, i * inputs.pitch)
        if columns < v:
            for j in range(columns):
                put(x, j, get(row, j) * scale)
        else:
            for j in range(0, columns - v, v):
                widen(spec, after(row, j), after(x, j), scale)
            last = columns - v  # overlaps the vector before, and never reads past the row
            widen(spec, after(row, last), after(x, last), scale)
        if divisor != 1:
            divide(spec, x, divisor, inputs.vectors)


@jit
def coming_of(X, columns, rows, low, high, on_way):
    """Return the next batch, or what there is of it; of sparse rows None."""
    if X is None:  # decided when the kernel is compiled
        return None
    high = min(high, low + rows_in_time(X, columns))
    return Coming(at(X, 0), columns, rows, low, high, on_way)


@jit
def pieces_of(columns):
    """Return in how many pieces a row is asked for."""
    return (columns + ASKED_APART - 1) // ASKED_APART


@jit
def rows_in_time(X, columns):
    """Return how many rows of the next batch are asked for while this one's update runs."""
    return max(1, BYTES_OF_NEXT // (columns * X.itemsize))


@jit
def ask_for_rows(coming, begin, end):
    """Ask for those of some rows of the next batch that are this thread's, if there are any."""
    if coming is None:  # decided when the kernel is compiled
        return
    for i in range(max(begin, coming.low), min(end, coming.high)):
        ask_for_row(coming.matrix, coming.columns, get(coming.rows, i))


@jit
def ask_for_row(matrix, columns, row):
    """Ask for a row to be brought into the second-level cache."""
    for j in range(0, columns, ASKED_APART):
        prefetch(matrix, row * columns + j)


@jit
def ask_for_labels(labels, order, start, m):
    """Ask for the class indices of a batch to come to be brought into the cache."""
    for i in range(start, min(start + m, len(order))):
        prefetch(labels, order[i])


@jit
def add_noise(net, noise, start, columns, low, high):
    """Add to rows of a batch what was drawn for them."""
    inputs = layer_of(net, 0)
    for i in range(low, high):
        for j in range(columns):
            place = i * inputs.pitch + j
            put(inputs.a, place, get(inputs.a, place) + noise[start + i, j])


@jit
def set_labels(net, labels, rows, low, high):
    """Write the targets of rows of a batch from class indices."""
    pitch = layer_of(net, net.layers).pitch
    for i in range(low, high):
        for o in range(pitch):
            put(net.targets, i * pitch + o, get(net.zeros, 0))
        put(net.targets, i * pitch + get(labels, get(rows, i)), get(net.ones, 0))


@jit
def set_targets(net, targets, rows, low, high):
    """Write the targets of rows of a batch from rows of targets."""
    top = layer_of(net, net.layers)
    for i in range(low, high):
        for o in range(top.units):
            put(net.targets, i * top.pitch + o, get(targets, get(rows, i) * top.units + o))


@jit_apart
def set_row_weights(net, row_weights, rows, m, low, high):
    """Write the weights of rows of a batch where ones stand else; return the whole batch's sum.

    It is infinite where all are 0, so that such a batch has no gradient.
    """
    top, total = layer_of(net, net.layers), 0.0
    for i in range(m):
        weight = get(row_weights, get(rows, i))
        total += weight
        if low <= i < high:
            for o in range(top.units):
                put(net.real, i * top.pitch + o, weight)
    return total if total > 0.0 else np.inf
