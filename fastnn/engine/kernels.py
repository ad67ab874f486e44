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
from fastnn.engine.layout import PANEL_VECTORS
from fastnn.engine.pointers import after, at, get, layer_of, net_of, prefetch, put
from fastnn.engine.rows import each, log_normalise, sum_cost, transpose, widen
from fastnn.engine.simd import (
    is_lazy,
    lanes,
    most_rows,
    shrink_row,
    tile_forward,
    tile_update,
)

__all__ = ["build_outputs", "build_settle", "build_train"]


def build_train(spec: str) -> Any:
    """Return the compiled function that trains over the rows in `order`, batch by batch."""

    @jit
    def train(arrays, X, scale, labels, targets, order, batch_size, rate, coefficients, skip_zeros):
        net, columns, numbers, total = net_of(arrays), X.shape[1], at(coefficients, 0), 0.0
        for start in range(0, len(order), batch_size):
            m, rows = min(batch_size, len(order) - start), at(order, start)
            ask_ahead(at(X, 0), columns, order, start + batch_size, batch_size)
            count, entering = gather(spec, net, at(X, 0), columns, scale, rows, m, skip_zeros)
            if len(labels):
                set_labels(net, at(labels, 0), rows, m)
            else:
                set_targets(net, at(targets, 0), rows, m)
            if is_lazy(spec):
                catch_up(spec, net, numbers, net.entering, entering)
            forward(spec, net, m, count)
            total += output_delta(spec, net, m, -rate / m)
            for number in range(net.layers, 0, -1):
                if number > 1:
                    backward(spec, net, number, m)
                update(spec, net, number, m, numbers, count)
            if not is_lazy(spec):
                shrink_idle(spec, net, numbers, columns - count)
            put(net.steps, 0, get(net.steps, 0) + 1)
        return total

    return train


def build_outputs(spec: str) -> Any:
    """Return the compiled function that writes the output layer's z for every row of X."""

    @jit
    def outputs(arrays, X, scale, order, batch_size, skip_zeros, out):
        net, columns = net_of(arrays), X.shape[1]
        top = layer_of(net, net.layers)
        for start in range(0, len(order), batch_size):
            m, rows = min(batch_size, len(order) - start), at(order, start)
            count, _ = gather(spec, net, at(X, 0), columns, scale, rows, m, skip_zeros)
            forward(spec, net, m, count)
            for i in range(m):
                for o in range(top.units):
                    out[start + i, o] = get(top.z, i * top.pitch + o)

    return outputs


def build_settle(spec: str) -> Any:
    """Return the compiled function that gives every input column the steps it still misses."""

    @jit
    def settle(arrays, coefficients):
        count, net = 0, net_of(arrays)
        for j in range(layer_of(net, 0).units):
            if not (arrays.in_use[j // 64] >> np.uint64(j % 64)) & np.uint64(1):
                arrays.idle[count] = j
                count += 1
        catch_up(spec, net, at(coefficients, 0), net.idle, count)
        for t in range(count):
            arrays.left_at[arrays.idle[t]] = arrays.steps[0]

    return settle


@jit
def ask_ahead(X, columns, order, start, batch_size):
    """Ask for the rows of the next batch to be brought into the cache."""
    for i in range(start, min(start + batch_size, len(order))):
        for j in range(0, columns, 64):
            prefetch(X, order[i] * columns + j)


@jit
def gather(spec, net, X, columns, scale, rows, m, skip_zeros):
    """Copy a batch's rows, scaled; list the columns it uses, and those that begin to be used.

    Returns how many they are, of each kind.
    """
    v, inputs = lanes(spec), layer_of(net, 0)
    for i in range(m):
        row, x = after(X, get(rows, i) * columns), after(inputs.a, i * inputs.pitch)
        if columns < v:
            for j in range(columns):
                put(x, j, get(row, j) * scale)
        else:
            for j in range(0, columns - v, v):
                widen(spec, after(row, j), after(x, j), scale)
            last = columns - v  # overlaps the vector before, and never reads past the row
            widen(spec, after(row, last), after(x, last), scale)
    if not skip_zeros:
        return columns, 0
    return list_columns(spec, net, X, rows, m, columns)


@jit
def list_columns(spec, net, X, rows, m, columns):
    """List the columns in use, and those that begin or cease to be; there are at least 64."""
    count = entering = leaving = idle = 0
    for word in range((columns + 63) // 64):
        first = 64 * word
        overlap = max(0, first + 64 - columns)
        now = nonzero_bits(X, rows, m, columns, first - overlap) >> np.uint64(overlap)
        before = get(net.in_use, word)
        put(net.in_use, word, now)
        count = append_bits(spec, net.used, count, first, now)
        if is_lazy(spec):
            entering = append_bits(spec, net.entering, entering, first, now & ~before)
            leaving = append_bits(spec, net.leaving, leaving, first, before & ~now)
        else:
            rest = ~now & (~np.uint64(0) >> np.uint64(overlap))
            idle = append_bits(spec, net.idle, idle, first, rest)
    for t in range(leaving):
        put(net.left_at, get(net.leaving, t), get(net.steps, 0))
    return count, entering


@jit
def catch_up(spec, net, numbers, columns, count):
    """Give the weights of the listed input columns the steps of the penalty they missed."""
    here, inputs, v = layer_of(net, 1), layer_of(net, 0).vectors * lanes(spec), lanes(spec)
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors = min(PANEL_VECTORS, here.vectors - first)
        panel = after(here.w, inputs * first * v)
        for t in range(count):
            j = get(columns, t)
            missed = get(net.steps, 0) - get(net.left_at, j)
            shrink_row(spec, after(panel, j * vectors * v), vectors, missed, numbers)


@jit
def set_labels(net, labels, rows, m):
    """Write a batch's targets from class indices."""
    pitch = layer_of(net, net.layers).pitch
    for i in range(m):
        for o in range(pitch):
            put(net.targets, i * pitch + o, get(net.zeros, 0))
        put(net.targets, i * pitch + get(labels, get(rows, i)), get(net.ones, 0))


@jit
def set_targets(net, targets, rows, m):
    """Write a batch's targets from rows of targets."""
    top = layer_of(net, net.layers)
    for i in range(m):
        for o in range(top.units):
            put(net.targets, i * top.pitch + o, get(targets, get(rows, i) * top.units + o))


@jit
def forward(spec, net, m, count):
    """Fill z and a of every layer; `count` of the input columns are in use."""
    for number in range(1, net.layers + 1):
        here, below = layer_of(net, number), layer_of(net, number - 1)
        used, k = (net.used, count) if number == 1 else (net.every, below.units)
        inputs = below.vectors * lanes(spec)
        product(
            spec, m, k, used, below.a, below.pitch,
            here.w, inputs, here.vectors, here.b, here.z, here.pitch,
        )  # fmt: skip
        if number == net.layers:
            for i in range(m):
                log_normalise(spec, after(here.z, i * here.pitch), net.real, here.vectors)
        each(spec, "values", here.activation, here.a, (here.z,), 1.0, m * here.pitch)


@jit
def output_delta(spec, net, m, factor):
    """Fill the output layer's delta, times `factor`; return the sum of the batch's costs."""
    top = layer_of(net, net.layers)
    inputs = (top.z, top.a, net.targets, net.real)
    each(spec, "delta", 0, top.delta, inputs, factor, m * top.pitch)
    return sum_cost(spec, inputs, m * top.pitch)


@jit
def backward(spec, net, number, m):
    """Fill the delta of the layer below: delta times the weights, times the slope there."""
    here, below = layer_of(net, number), layer_of(net, number - 1)
    transpose_weights(spec, here, below)
    units = here.vectors * lanes(spec)
    product(
        spec, m, here.units, net.every, here.delta, here.pitch,
        here.wt, units, below.vectors, net.zeros, below.delta, below.pitch,
    )  # fmt: skip
    inputs = (below.delta, below.z, below.a)
    each(spec, "slopes", below.activation, below.delta, inputs, 1.0, m * below.pitch)


@jit
def update(spec, net, number, m, numbers, count):
    """Shrink a layer's weights and add its gradient; add the biases' gradient."""
    here, below = layer_of(net, number), layer_of(net, number - 1)
    used, some = (net.used, count) if number == 1 else (net.every, below.units)
    inputs, x, pitch, d_pitch = below.vectors * lanes(spec), below.a, below.pitch, here.pitch
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors, column = min(PANEL_VECTORS, here.vectors - first), first * lanes(spec)
        w, delta = after(here.w, inputs * column), after(here.delta, column)
        add_gradient(spec, vectors, numbers, x, pitch, used, some, delta, d_pitch, w, m)
        b, row = after(here.b, column), net.every
        tile_update(spec, 0, 1, vectors, numbers, net.ones, 1, row, delta, d_pitch, b, m)


@jit
def shrink_idle(spec, net, numbers, count):
    """Shrink the weights of the `count` input columns that the batch does not use."""
    here, inputs, v = layer_of(net, 1), layer_of(net, 0).vectors * lanes(spec), lanes(spec)
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors = min(PANEL_VECTORS, here.vectors - first)
        panel = after(here.w, inputs * first * v)
        for t in range(count):
            row = after(panel, get(net.idle, t) * vectors * v)
            shrink_row(spec, row, vectors, 1, numbers)


@jit
def add_gradient(spec, vectors, numbers, x, x_k, used, count, delta, delta_k, w, m):
    """Shrink the rows `used` of one weight panel and add x.T @ delta to them."""
    most = most_rows(spec, "update_rows", vectors)
    for t in range(0, count, most):
        rows, some = min(most, count - t), after(used, t)
        tile_update(spec, 1, rows, vectors, numbers, x, x_k, some, delta, delta_k, w, m)


@jit
def product(spec, m, k, used, a, a_row, panels, panel_rows, vectors, start, out, out_row):
    """out = start + a[:, used] @ panels[used], for m rows; k entries of `used`."""
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
def transpose_weights(spec, here, below):
    """Copy a layer's weight panels into panels of the transposed weights, block by block."""
    v = lanes(spec)
    for row in range(0, below.vectors):
        panel_in = row // PANEL_VECTORS * PANEL_VECTORS
        width_in = min(PANEL_VECTORS, below.vectors - panel_in) * v
        to = after(here.wt, panel_in * v * here.vectors * v + (row - panel_in) * v)
        for column in range(0, here.vectors):
            panel = column // PANEL_VECTORS * PANEL_VECTORS
            width = min(PANEL_VECTORS, here.vectors - panel) * v
            source = after(here.w, panel * v * below.vectors * v + (column - panel) * v)
            block = after(source, row * v * width)
            transpose(spec, block, width, after(to, column * v * width_in), width_in)
