"""What a batch consists of: its rows as floats, what they should give, and what each counts.

Symbols: m rows of a batch, V elements of a vector; this thread's rows are those from `low` to
`high`.
"""

from __future__ import annotations

import numpy as np

from fastnn.engine.constants import lanes
from fastnn.engine.jit import jit, jit_apart
from fastnn.engine.pointers import after, at, get, layer_of, prefetch, put
from fastnn.engine.rows import divide, widen

__all__ = ["add_noise", "gather", "set_labels", "set_row_weights", "set_targets"]

# So many rows before its turn a row is asked for: it comes in time, and has not left the cache.
ROWS_AHEAD = 16

# Of a row so many elements: a cache line of bytes. Between more distant lines the CPU goes ahead.
ASKED_APART = 64


@jit
def gather(spec, net, X, columns, scale, divisor, order, start, batch_size, low, high):
    """Copy rows of a batch, scaled; ask for rows that come later to be brought into the cache."""
    v, inputs, matrix = lanes(spec), layer_of(net, 0), at(X, 0)
    ahead = min(ROWS_AHEAD, high - low)
    for i in range(low, high):
        later = start + i + ahead
        if i + ahead >= high:  # this thread's rows of the next batch
            later += batch_size - (high - low)
        if later < len(order):
            for j in range(0, columns, ASKED_APART):
                prefetch(matrix, order[later] * columns + j)
        row, x = after(matrix, order[start + i] * columns), after(inputs.a, i * inputs.pitch)
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
