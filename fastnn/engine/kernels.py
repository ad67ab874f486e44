"""The hot loop: mini-batch after mini-batch in one compiled call.

Symbols, as in the book: z weighted inputs, a outputs, delta the cost's derivative by z; here delta
carries the factor -learning_rate/m from the output on, so that every product below adds straight
into the weights. m rows of a batch, D input columns, V elements of a vector.

For a batch: `gather` its rows, go `forward`, take the `output_delta`, then, layer by layer from
the top, go `backward` and `update`: one pass over the weights that applies the penalty in registers
while the gradient is added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.columns import append_bits, nonzero_bits
from fastnn.engine.jit import jit
from fastnn.engine.layout import (
    A_AT,
    ACTIVATION,
    B_AT,
    DELTA_AT,
    PANEL_VECTORS,
    PITCH,
    UNITS,
    VECTORS,
    W_AT,
    WT_AT,
    Z_AT,
)
from fastnn.engine.rows import after, at, each, prefetch, sum_cost, transpose, widen
from fastnn.engine.simd import (
    catch_up_row,
    is_lazy,
    lanes,
    most_rows,
    tile_forward,
    tile_update,
)

__all__ = ["build_outputs", "build_settle", "build_train"]


def build_train(spec: str) -> Any:
    """Return the compiled function that trains over the rows in `order`, batch by batch."""

    @jit
    def train(arrays, X, scale, targets, order, batch_size, rate, coefficients, skip_zeros):
        total = 0.0
        top = len(arrays.table) - 1
        for start in range(0, len(order), batch_size):
            m = min(batch_size, len(order) - start)
            count, entering = gather(
                spec, arrays, X, scale, order, start, m, batch_size, skip_zeros
            )
            set_targets(arrays, targets, order, start, m)
            if is_lazy(spec):
                catch_up(spec, arrays, coefficients, arrays.entering, entering)
            forward(spec, arrays, m, count)
            total += output_delta(spec, arrays, m, -rate / m)
            for layer in range(top, 0, -1):
                if layer > 1:
                    backward(spec, arrays, layer, m)
                update(spec, arrays, layer, m, coefficients, count)
            arrays.steps[0] += 1
        return total

    return train


def build_outputs(spec: str) -> Any:
    """Return the compiled function that writes the output layer's z for every row of X."""

    @jit
    def outputs(arrays, X, scale, order, batch_size, skip_zeros, out):
        top = arrays.table[-1]
        for start in range(0, len(order), batch_size):
            m = min(batch_size, len(order) - start)
            count, _ = gather(spec, arrays, X, scale, order, start, m, batch_size, skip_zeros)
            forward(spec, arrays, m, count)
            for i in range(m):
                row = top[Z_AT] + i * top[PITCH]
                for o in range(top[UNITS]):
                    out[start + i, o] = arrays.work[row + o]

    return outputs


def build_settle(spec: str) -> Any:
    """Return the compiled function that gives every input column the steps it still misses."""

    @jit
    def settle(arrays, coefficients):
        count = 0
        for j in range(arrays.table[0, UNITS]):
            if not (arrays.in_use[j // 64] >> np.uint64(j % 64)) & np.uint64(1):
                arrays.idle[count] = j
                count += 1
        catch_up(spec, arrays, coefficients, arrays.idle, count)
        for t in range(count):
            arrays.left_at[arrays.idle[t]] = arrays.steps[0]

    return settle


@jit
def gather(spec, arrays, X, scale, order, start, m, batch_size, skip_zeros):
    """Copy a batch's rows, scaled; list the columns it uses, and those that begin to be used.

    Returns how many they are, of each kind.
    """
    columns, v = X.shape[1], lanes(spec)
    pitch, first = arrays.table[0, PITCH], arrays.table[0, A_AT]
    for i in range(start + batch_size, min(start + 2 * batch_size, len(order))):
        for j in range(0, columns, 64 // X.itemsize):
            prefetch(X, order[i] * columns + j)
    for i in range(m):
        row, x = order[start + i] * columns, first + i * pitch
        if columns < v:
            for j in range(columns):
                arrays.work[x + j] = X[order[start + i], j] * scale
        else:
            for j in range(0, columns - v, v):
                widen(spec, at(X, row + j), at(arrays.work, x + j), scale)
            last = columns - v  # overlaps the vector before, and never reads past the row
            widen(spec, at(X, row + last), at(arrays.work, x + last), scale)
    if not skip_zeros:
        return columns, 0
    return list_columns(spec, arrays, at(X, 0), at(order, start), m, columns)


@jit
def list_columns(spec, arrays, X, rows, m, columns):
    """List the columns in use, and those that begin or cease to be; there are at least 64."""
    count = entering = leaving = idle = 0
    lazy = is_lazy(spec)
    for word in range(len(arrays.in_use)):
        first = 64 * word
        overlap = max(0, first + 64 - columns)
        now = nonzero_bits(X, rows, m, columns, first - overlap) >> np.uint64(overlap)
        before = arrays.in_use[word]
        arrays.in_use[word] = now
        count = append_bits(spec, at(arrays.used, 0), count, first, now)
        if lazy:
            entering = append_bits(spec, at(arrays.entering, 0), entering, first, now & ~before)
            leaving = append_bits(spec, at(arrays.leaving, 0), leaving, first, before & ~now)
        else:
            rest = ~now & (~np.uint64(0) >> np.uint64(overlap))
            idle = append_bits(spec, at(arrays.idle, 0), idle, first, rest)
    for t in range(leaving):
        arrays.left_at[arrays.leaving[t]] = arrays.steps[0]
    return count, entering


@jit
def catch_up(spec, arrays, coefficients, columns, count):
    """Give the weights of the listed input columns the steps of the penalty they missed."""
    here, inputs = arrays.table[1], arrays.table[0, VECTORS] * lanes(spec)
    for first in range(0, here[VECTORS], PANEL_VECTORS):
        vectors = min(PANEL_VECTORS, here[VECTORS] - first)
        panel = here[W_AT] + inputs * first * lanes(spec)
        for t in range(count):
            j = columns[t]
            row = at(arrays.weights, panel + j * vectors * lanes(spec))
            missed = arrays.steps[0] - arrays.left_at[j]
            catch_up_row(spec, row, vectors, missed, at(coefficients, 0))


@jit
def set_targets(arrays, targets, order, start, m):
    """Write a batch's targets, from class indices or from rows."""
    pitch = arrays.table[-1, PITCH]
    if targets.ndim == 1:
        arrays.targets[: m * pitch] = 0
        for i in range(m):
            arrays.targets[i * pitch + targets[order[start + i]]] = 1
    else:
        for i in range(m):
            row = order[start + i]
            for o in range(targets.shape[1]):
                arrays.targets[i * pitch + o] = targets[row, o]


@jit
def forward(spec, arrays, m, count):
    """Fill z and a of every layer; `count` of the input columns are in use."""
    table, work = arrays.table, arrays.work
    for layer in range(1, len(table)):
        here, below = table[layer], table[layer - 1]
        used = at(arrays.used, 0) if layer == 1 else at(arrays.every, 0)
        k = count if layer == 1 else below[UNITS]
        x, w = at(work, below[A_AT]), at(arrays.weights, here[W_AT])
        z, a = at(work, here[Z_AT]), at(work, here[A_AT])
        b, inputs = at(arrays.biases, here[B_AT]), below[VECTORS] * lanes(spec)
        product(spec, m, k, used, x, below[PITCH], w, inputs, here[VECTORS], b, z, here[PITCH])
        each(spec, "values", here[ACTIVATION], a, (z,), 1.0, m * here[PITCH])


@jit
def output_delta(spec, arrays, m, factor):
    """Fill the output layer's delta, times `factor`; return the sum of the batch's costs."""
    top = arrays.table[-1]
    n = m * top[PITCH]
    z, a = at(arrays.work, top[Z_AT]), at(arrays.work, top[A_AT])
    inputs = (z, a, at(arrays.targets, 0), at(arrays.real, 0))
    each(spec, "delta", 0, at(arrays.work, top[DELTA_AT]), inputs, factor, n)
    return sum_cost(spec, inputs, n)


@jit
def backward(spec, arrays, layer, m):
    """Fill the delta of the layer below: delta times the weights, times the slope there."""
    here, below, work = arrays.table[layer], arrays.table[layer - 1], arrays.work
    transpose_weights(spec, arrays, here, below)
    delta, out = at(work, here[DELTA_AT]), at(work, below[DELTA_AT])
    z, a = at(work, below[Z_AT]), at(work, below[A_AT])
    wt, units = at(arrays.transposed, here[WT_AT]), here[VECTORS] * lanes(spec)
    product(
        spec, m, here[UNITS], at(arrays.every, 0), delta, here[PITCH],
        wt, units, below[VECTORS], at(arrays.zeros, 0), out, below[PITCH],
    )  # fmt: skip
    n = m * below[PITCH]
    each(spec, "slopes", below[ACTIVATION], out, (out, z, a), 1.0, n)


@jit
def update(spec, arrays, layer, m, coefficients, count):
    """Shrink a layer's weights and add its gradient; add the biases' gradient."""
    here, below, work = arrays.table[layer], arrays.table[layer - 1], arrays.work
    used = at(arrays.used, 0) if layer == 1 else at(arrays.every, 0)
    count = count if layer == 1 else below[UNITS]
    inputs, x, pitch = below[VECTORS] * lanes(spec), at(work, below[A_AT]), below[PITCH]
    numbers = at(coefficients, 0)
    for first in range(0, here[VECTORS], PANEL_VECTORS):
        vectors, column = min(PANEL_VECTORS, here[VECTORS] - first), first * lanes(spec)
        w = at(arrays.weights, here[W_AT] + inputs * column)
        delta = at(work, here[DELTA_AT] + column)
        add_gradient(spec, vectors, numbers, x, pitch, used, count, delta, here[PITCH], w, m)
        if layer == 1 and not is_lazy(spec) and len(coefficients) > 0:
            idle = at(arrays.idle, 0)
            rest = below[UNITS] - count
            add_gradient(spec, vectors, numbers, x, pitch, idle, rest, delta, here[PITCH], w, 0)
        ones, b = at(arrays.ones, 0), at(arrays.biases, here[B_AT] + column)
        first_row = at(arrays.every, 0)
        tile_update(spec, 0, 1, vectors, numbers, ones, 1, first_row, delta, here[PITCH], b, m)


@jit
def add_gradient(spec, vectors, numbers, x, x_k, used, count, delta, delta_k, w, m):
    """Shrink the rows `used` of one weight panel and add x.T @ delta to them; no product if m=0."""
    most = most_rows(spec, "update_rows", vectors)
    for t in range(0, count, most):
        rows, some = min(most, count - t), after(used, t)
        tile_update(spec, 1, rows, vectors, numbers, x, x_k, some, delta, delta_k, w, m)


@jit
def product(spec, m, k, used, a, a_row, panels, panel_rows, vectors, start, out, out_row):
    """Out = start + a[:, used] @ panels[used], for m rows; k entries of `used`."""
    for first in range(0, vectors, PANEL_VECTORS):
        width, column = min(PANEL_VECTORS, vectors - first), first * lanes(spec)
        most = most_rows(spec, "forward_rows", width)
        blocks = (m + most - 1) // most
        rows = (m + blocks - 1) // blocks
        panel, from_here = after(panels, panel_rows * column), after(start, column)
        for i in range(0, m, rows):
            here, to = after(a, i * a_row), after(out, i * out_row + column)
            some = min(rows, m - i)
            tile_forward(spec, some, width, from_here, here, a_row, used, panel, to, out_row, k)


@jit
def transpose_weights(spec, arrays, here, below):
    """Copy a layer's weight panels into panels of the transposed weights, block by block."""
    v = lanes(spec)
    for row in range(0, below[VECTORS]):
        panel_in = row // PANEL_VECTORS * PANEL_VECTORS
        width_in = min(PANEL_VECTORS, below[VECTORS] - panel_in) * v
        to = here[WT_AT] + panel_in * v * here[VECTORS] * v + (row - panel_in) * v
        for column in range(0, here[VECTORS]):
            panel = column // PANEL_VECTORS * PANEL_VECTORS
            width = min(PANEL_VECTORS, here[VECTORS] - panel) * v
            source = here[W_AT] + panel * v * below[VECTORS] * v + (column - panel) * v
            block = at(arrays.weights, source + row * v * width)
            transposed = at(arrays.transposed, to + column * v * width_in)
            transpose(spec, block, width, transposed, width_in)
