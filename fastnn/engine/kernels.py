"""The hot loop: mini-batch after mini-batch in one compiled call.

Symbols, as in the book: z weighted inputs, a outputs, delta the cost's derivative by z; here delta
carries the factor -learning_rate/m from the output on, so that every product below adds straight
into the weights. m rows of a batch, D input columns, V elements of a vector.

For a batch: `gather` its rows, go `forward`, take the `output_delta` and go `backward`; threads
share the rows of a batch in that. Then `update` every layer: one pass over the weights that applies
the penalty in registers while the gradient is added; threads share the weights in that. In no sum
does it matter how many threads there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.columns import append_bits, nonzero_bits
from fastnn.engine.denormals import flush_denormals, restore_denormals
from fastnn.engine.jit import jit, kernel
from fastnn.engine.layout import BLOCKS, ENTERING, PANEL_VECTORS, USED
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
from fastnn.engine.team import meet, share

__all__ = ["build_outputs", "build_settle", "build_train"]


def build_train(spec: str) -> Any:
    """Return the compiled function that trains over the rows in `order`, batch by batch."""

    @kernel
    def train(arrays, X, scale, labels, targets, order, batch_size, rate, coefficients,
              skip_zeros, thread, threads):  # fmt: skip
        net, columns, numbers = net_of(arrays), X.shape[1], at(coefficients, 0)
        total, met, first_step = 0.0, 0, get(net.steps, 0)
        before = flush_denormals()
        for start in range(0, len(order), batch_size):
            m, rows = min(batch_size, len(order) - start), at(order, start)
            step = first_step + start // batch_size
            low, high = rows_of(spec, m, thread, threads)
            ask_ahead(at(X, 0), columns, order, start + batch_size, low, high)
            gather(spec, net, at(X, 0), columns, scale, rows, low, high)
            if len(labels):
                set_labels(net, at(labels, 0), rows, low, high)
            else:
                set_targets(net, at(targets, 0), rows, low, high)
            list_blocks(spec, net, at(X, 0), columns, rows, m, low, high, skip_zeros)
            for number in range(2, net.layers + 1):
                transpose_weights(spec, net, number, thread, threads)
            met = meet_all(net, met, threads)

            if thread == 0:
                list_columns(spec, net, m, columns, step, skip_zeros)
            met = meet_all(net, met, threads)

            if is_lazy(spec) and get(net.counts, ENTERING):
                begin, end = share(get(net.counts, ENTERING), thread, threads)
                catch_up(spec, net, numbers, after(net.entering, begin), end - begin, step)
                met = meet_all(net, met, threads)

            forward(spec, net, m, low, high, skip_zeros)
            output_delta(spec, net, m, low, high, -rate / m)
            for number in range(net.layers, 1, -1):
                backward(spec, net, number, m, low, high)
            met = meet_all(net, met, threads)

            for number in range(net.layers, 0, -1):
                update(spec, net, number, m, numbers, skip_zeros, thread, threads)
            if not is_lazy(spec):
                shrink_idle(spec, net, numbers, thread, threads)
            total += sum_of_costs(spec, net, m)
            met = meet_all(net, met, threads)
        restore_denormals(before)
        if thread == 0:
            put(net.steps, 0, first_step + (len(order) + batch_size - 1) // batch_size)
        return total

    return train


def build_outputs(spec: str) -> Any:
    """Return the compiled function that writes the output layer's z for every row of X."""

    @kernel
    def outputs(arrays, X, scale, order, batch_size, skip_zeros, out):
        net, columns = net_of(arrays), X.shape[1]
        top, before = layer_of(net, net.layers), flush_denormals()
        for start in range(0, len(order), batch_size):
            m, rows = min(batch_size, len(order) - start), at(order, start)
            ask_ahead(at(X, 0), columns, order, start + batch_size, 0, batch_size)
            gather(spec, net, at(X, 0), columns, scale, rows, 0, m)
            list_blocks(spec, net, at(X, 0), columns, rows, m, 0, m, skip_zeros)
            forward(spec, net, m, 0, m, skip_zeros)
            for i in range(m):
                for o in range(top.units):
                    out[start + i, o] = get(top.z, i * top.pitch + o)
        restore_denormals(before)

    return outputs


def build_settle(spec: str) -> Any:
    """Return the compiled function that gives every input column the steps it still misses."""

    @kernel
    def settle(arrays, coefficients):
        count, net = 0, net_of(arrays)
        for j in range(layer_of(net, 0).units):
            if not (arrays.in_use[j // 64] >> np.uint64(j % 64)) & np.uint64(1):
                arrays.idle[count] = j
                count += 1
        catch_up(spec, net, at(coefficients, 0), net.idle, count, arrays.steps[0])
        for t in range(count):
            arrays.left_at[arrays.idle[t]] = arrays.steps[0]

    return settle


@jit
def rows_of(spec, m, thread, threads):
    """Return where this thread's rows of the batch begin and end: whole blocks."""
    rows = block_rows(spec, m)
    low, high = share((m + rows - 1) // rows, thread, threads)
    return low * rows, min(high * rows, m)


@jit
def block_rows(spec, m):
    """Return how many rows the products take at once: as even a division of m as there is."""
    most = most_rows(spec, "forward_rows", 1)
    blocks = (m + most - 1) // most
    return (m + blocks - 1) // blocks


@jit
def meet_all(net, met, threads):
    """Wait for the other threads; return how often that was."""
    if threads > 1:
        meet(net.arrived, (met + 1) * threads)
    return met + 1


@jit
def ask_ahead(X, columns, order, start, low, high):
    """Ask for rows of the next batch to be brought into the cache."""
    for i in range(start + low, min(start + high, len(order))):
        for j in range(0, columns, 64):
            prefetch(X, order[i] * columns + j)


@jit
def gather(spec, net, X, columns, scale, rows, low, high):
    """Copy rows of a batch, scaled."""
    v, inputs = lanes(spec), layer_of(net, 0)
    for i in range(low, high):
        row, x = after(X, get(rows, i) * columns), after(inputs.a, i * inputs.pitch)
        if columns < v:
            for j in range(columns):
                put(x, j, get(row, j) * scale)
        else:
            for j in range(0, columns - v, v):
                widen(spec, after(row, j), after(x, j), scale)
            last = columns - v  # overlaps the vector before, and never reads past the row
            widen(spec, after(row, last), after(x, last), scale)


@jit
def list_blocks(spec, net, X, columns, rows, m, low, high, skip_zeros):
    """List the columns that each block of rows uses; there are at least 64 columns."""
    words, most = (columns + 63) // 64, block_rows(spec, m)
    for begin in range(low, high if skip_zeros else low, most):
        block, count, some = begin // most, 0, min(most, high - begin)
        used = after(net.block_used, block * net.list_room)
        for word in range(words):
            first = 64 * word
            overlap = max(0, first + 64 - columns)
            bits = nonzero_bits(X, after(rows, begin), some, columns, first - overlap)
            bits >>= np.uint64(overlap)
            put(net.block_bits, block * words + word, bits)
            count = append_bits(spec, used, count, first, bits)
        put(net.counts, BLOCKS + block, count)


@jit
def list_columns(spec, net, m, columns, step, skip_zeros):
    """List the columns that the batch uses, and those that begin or cease to be used.

    Without `skip_zeros` all are in use, and `used` lists them since it was allocated.
    """
    put(net.counts, USED, columns)
    if not skip_zeros:
        return
    count = entering = leaving = idle = 0
    words, rows = (columns + 63) // 64, block_rows(spec, m)
    for word in range(words):
        first = 64 * word
        overlap = max(0, first + 64 - columns)
        now = np.uint64(0)
        for block in range((m + rows - 1) // rows):
            now |= get(net.block_bits, block * words + word)
        before = get(net.in_use, word)
        put(net.in_use, word, now)
        if m > rows:
            count = append_bits(spec, net.used, count, first, now)
        if is_lazy(spec):
            entering = append_bits(spec, net.entering, entering, first, now & ~before)
            leaving = append_bits(spec, net.leaving, leaving, first, before & ~now)
        else:
            rest = ~now & (~np.uint64(0) >> np.uint64(overlap))
            idle = append_bits(spec, net.idle, idle, first, rest)
    for t in range(leaving):
        put(net.left_at, get(net.leaving, t), step)
    put(net.counts, USED, count if m > rows else get(net.counts, BLOCKS))
    put(net.counts, ENTERING, entering)


@jit
def used_by_all(spec, net, m, skip_zeros):
    """Return the list of the columns that the batch uses; that of its block if it has only one."""
    return net.block_used if skip_zeros and m <= block_rows(spec, m) else net.used


@jit
def catch_up(spec, net, numbers, columns, count, step):
    """Give the weights of the listed input columns the steps of the penalty they missed."""
    here, inputs, v = layer_of(net, 1), layer_of(net, 0).vectors * lanes(spec), lanes(spec)
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors = min(PANEL_VECTORS, here.vectors - first)
        panel = after(here.w, inputs * first * v)
        for t in range(count):
            j = get(columns, t)
            row = after(panel, j * vectors * v)
            shrink_row(spec, row, vectors, step - get(net.left_at, j), numbers)


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


@jit
def forward(spec, net, m, low, high, skip_zeros):
    """Fill z and a of every layer, for the rows from `low` to `high` of a batch of m."""
    rows = block_rows(spec, m)
    for number in range(1, net.layers + 1):
        here, below = layer_of(net, number), layer_of(net, number - 1)
        inputs = below.vectors * lanes(spec)
        own_lists = number == 1 and skip_zeros
        product(
            spec, net, rows, low, high, below.units, own_lists, below.a, below.pitch,
            here.w, inputs, here.vectors, here.b, here.z, here.pitch,
        )  # fmt: skip
        if number == net.layers:
            for i in range(low, high):
                log_normalise(spec, after(here.z, i * here.pitch), net.real, here.vectors)
        place, n = low * here.pitch, (high - low) * here.pitch
        z, a = after(here.z, place), after(here.a, place)
        each(spec, "values", here.activation, a, (z,), 1.0, n)


@jit
def output_delta(spec, net, m, low, high, factor):
    """Fill the output layer's delta, times `factor`, and each block's sum of costs."""
    top, rows = layer_of(net, net.layers), block_rows(spec, m)
    for i in range(low, high, rows):
        place, n = i * top.pitch, min(rows, high - i) * top.pitch
        z, a, y = after(top.z, place), after(top.a, place), after(net.targets, place)
        inputs = (z, a, y, net.real)
        each(spec, "delta", 0, after(top.delta, place), inputs, factor, n)
        put(net.costs, i // rows, sum_cost(spec, inputs, n))


@jit
def sum_of_costs(spec, net, m):
    """Return the batch's cost, added up in the same order however many threads there are."""
    rows, total = block_rows(spec, m), 0.0
    for block in range((m + rows - 1) // rows):
        total += get(net.costs, block)
    return total


@jit
def backward(spec, net, number, m, low, high):
    """Fill the delta of the layer below: delta times the weights, times the slope there."""
    here, below, v = layer_of(net, number), layer_of(net, number - 1), lanes(spec)
    product(
        spec, net, block_rows(spec, m), low, high, here.units, False, here.delta, here.pitch,
        here.wt, here.vectors * v, below.vectors, net.zeros, below.delta, below.pitch,
    )  # fmt: skip
    place, n = low * below.pitch, (high - low) * below.pitch
    delta = after(below.delta, place)
    inputs = (delta, after(below.z, place), after(below.a, place))
    each(spec, "slopes", below.activation, delta, inputs, 1.0, n)


@jit
def update(spec, net, number, m, numbers, skip_zeros, thread, threads):
    """Shrink a layer's weights and add its gradient; add the biases' gradient."""
    here, below = layer_of(net, number), layer_of(net, number - 1)
    used, some = net.every, below.units
    if number == 1:
        used, some = used_by_all(spec, net, m, skip_zeros), get(net.counts, USED)
    inputs, x, pitch, d_pitch = below.vectors * lanes(spec), below.a, below.pitch, here.pitch
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors, column = min(PANEL_VECTORS, here.vectors - first), first * lanes(spec)
        w, delta = after(here.w, inputs * column), after(here.delta, column)
        most = most_rows(spec, "update_rows", vectors)
        begin, end = share((some + most - 1) // most, thread, threads)
        for t in range(begin * most, min(end * most, some), most):
            rows, part = min(most, some - t), after(used, t)
            tile_update(spec, 1, rows, vectors, numbers, x, pitch, part, delta, d_pitch, w, m)
        if thread == 0:
            b, row = after(here.b, column), net.every
            tile_update(spec, 0, 1, vectors, numbers, net.ones, 1, row, delta, d_pitch, b, m)


@jit
def shrink_idle(spec, net, numbers, thread, threads):
    """Shrink the weights of the input columns that the batch does not use."""
    here, below, v = layer_of(net, 1), layer_of(net, 0), lanes(spec)
    begin, end = share(below.units - get(net.counts, USED), thread, threads)
    for first in range(0, here.vectors, PANEL_VECTORS):
        vectors = min(PANEL_VECTORS, here.vectors - first)
        panel = after(here.w, below.vectors * v * first * v)
        for t in range(begin, end):
            row = after(panel, get(net.idle, t) * vectors * v)
            shrink_row(spec, row, vectors, 1, numbers)


@jit
def product(
    spec, net, rows, low, high, k, own_lists, a, a_row, panels, panel_rows, vectors, start, out,
    out_row,
):  # fmt: skip
    """out = start + a @ panels, for the rows from `low` to `high`, in blocks.

    The products are over the first k columns of a, or over those that a block has in its own list.
    """
    for first in range(0, vectors, PANEL_VECTORS):
        width, column = min(PANEL_VECTORS, vectors - first), first * lanes(spec)
        panel, from_here = after(panels, panel_rows * column), after(start, column)
        for i in range(low, high, rows):
            here, to = after(a, i * a_row), after(out, i * out_row + column)
            some, used = min(rows, high - i), net.every
            if own_lists:
                used = after(net.block_used, i // rows * net.list_room)
                k = get(net.counts, BLOCKS + i // rows)
            tile_forward(spec, some, width, from_here, here, a_row, used, panel, to, out_row, k)


@jit
def transpose_weights(spec, net, number, thread, threads):
    """Copy a layer's weight panels into panels of the transposed weights, block by block."""
    here, below, v = layer_of(net, number), layer_of(net, number - 1), lanes(spec)
    begin, end = share(below.vectors, thread, threads)
    for row in range(begin, end):
        panel_in = row // PANEL_VECTORS * PANEL_VECTORS
        width_in = min(PANEL_VECTORS, below.vectors - panel_in) * v
        to = after(here.wt, panel_in * v * here.vectors * v + (row - panel_in) * v)
        for column in range(0, here.vectors):
            panel = column // PANEL_VECTORS * PANEL_VECTORS
            width = min(PANEL_VECTORS, here.vectors - panel) * v
            source = after(here.w, panel * v * below.vectors * v + (column - panel) * v)
            block = after(source, row * v * width)
            transpose(spec, block, width, after(to, column * v * width_in), width_in)
