"""The hot loop: one compiled call trains on mini-batch after mini-batch.

Symbols, as in the book: z weighted inputs, a outputs, delta the cost's derivative with respect to
z. Here delta carries the factor -learning_rate/m from the output layer on, so that every product
below is added straight to the weights (1/m with an optimizer, which takes the gradient). m is the
rows of a batch, D the input columns, V the elements of a vector.

For each batch, with the innermost loops marked by an asterisk:

    take_rows, take_targets                             gather
    list_batch: list_blocks, list_columns               listing -> columns, sorting, radix
        or list_used (sparse rows)                      listing
    transpose_all                                       products -> transpose
    catch_up_entering (a deferred penalty)              listing -> shrink
    go_forward -> forward -> layer_product, one of      passes -> products
        product (dense rows)          -> * tile_forward     simd
        product_of_listed             -> * listed_forward   listed_products -> listed_tiles
        product_of_rows (sparse)      -> * tile_forward     csr -> simd
    output_delta, go_backward -> product                passes -> products
    change_weights -> update -> update_part, one of     products
        update_panel (dense rows)     -> * tile_update      simd
        update_listed                 -> * listed_update    listed_products -> listed_tiles
        update_from_rows (sparse)     -> * tile_update      csr -> simd
      next to it, the penalty of columns that it leaves out:
        shrink_left_out (listed)                        products -> shrink
        shrink_sparse_first (sparse)                    listing -> shrink
      then, for each panel, step_panel (an optimizer)   products -> steps
      and scale_layers, shorten_layers (groups)         groups, shorten

The update is one pass over the weights: it applies the penalty in registers while it adds the
gradient. With an optimizer other than plain descent, it adds a panel's gradient to zeroed memory
instead, and a second pass over the panel makes the step.

Threads share the rows of a batch or the panels of a layer, and never a sum. If threads are few and
batches small, each thread gathers and lists the whole batch for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine import phases
from fastnn.engine.by_class import LEAST_ROWS, order_buffer, rows_by_class
from fastnn.engine.constants import (
    after_gradient,
    by_layout,
    by_rules,
    decays,
    has_groups,
    is_sparse,
    lanes,
    lazy,
    lazy_groups,
    lists,
    reads_rows,
    shortens,
    shrinks,
)
from fastnn.engine.csr import pointers_of, prefetch_sparse_rows
from fastnn.engine.decay import LEAST, fold_factor, sizes_of
from fastnn.engine.denormals import flush_denormals, restore_denormals
from fastnn.engine.gather import (
    Batch,
    add_noise,
    gather,
    next_batch_of,
    pieces_of,
    prefetch_labels,
    prefetch_rows,
    set_labels,
    set_row_weights,
    set_targets,
)
from fastnn.engine.groups import scale_columns, scale_groups, share_vectors
from fastnn.engine.jit import jit, kernel
from fastnn.engine.layout import ENTERING, IN_BATCH, SEEN
from fastnn.engine.listing import (
    catch_up,
    end_list,
    list_blocks,
    list_columns,
    list_used,
    settle_run,
    shrink_listed,
)
from fastnn.engine.parts import block_rows, has_all_rows, rows_of
from fastnn.engine.passes import forward, go_backward, go_forward, output_delta, sum_of_costs
from fastnn.engine.pointers import after, at, get, layer_of, matrix_of, net_of, put, words_to
from fastnn.engine.products import fuses, transpose_weights, update
from fastnn.engine.rows import find_largest
from fastnn.engine.shorten import shorten_layers
from fastnn.engine.team import meet_all

__all__ = ["build_outputs", "build_settle", "build_train"]


def build_train(spec: str) -> Any:
    """Return the compiled function that trains batch by batch and returns the sum of the costs.

    These are its arguments; a floating type that is not named is the network's.

    records : int64 (threads, numbers of a network's record), laid out by `records.py`
    X : uint8 or floats (n, D), or None; csr : `SparseRows`, or None; one of the two is given
    scale, divisor : the network computes with X * scale / divisor
    labels : int64 (n,), empty if there are targets
    targets : (n, outputs), empty if there are labels
    row_weights : (n,), or None
    order : int64 (rows,), the numbers of the rows to train on, in training order
    batch_size : int
    factor : float, -learning_rate; 1 with an optimizer, which takes the gradient itself
    coefficients : (batches + 1, width), the numbers that the formulas of the optimizer and the
        penalties take: a row for the step before, then one for each step; or one row for all
    dropout : `Dropout`, or None
    noise : (rows, D), or None
    batches : float64 (batches, 3), filled as `Training.epoch` says, or None
    thread : int, the number of the calling thread
    """

    @kernel
    def train(records, X, csr, scale, divisor, labels, targets, row_weights, order, batch_size,
              factor, coefficients, dropout, noise, batches, thread):  # fmt: skip
        net, last = net_of(records, thread, scale), at(coefficients, 0)
        matrix, nonzeros = matrix_of(X), pointers_of(csr)
        next_numbers = coefficients.shape[1] if len(coefficients) > 1 else 0
        total, first_step = 0.0, get(net.steps, 0)
        decay = before_step = 1.0  # the first layer's weight factor, if its penalty decays
        mode = flush_denormals()
        phases.start_laps(spec, net.ticks)
        by_class = lists(spec) and len(labels) > 0 and batch_size >= LEAST_ROWS and dropout is None
        if by_class:
            room, count = order_buffer(net, batch_size, 0), min(batch_size, len(order))
            rows_by_class(net, at(labels, 0), at(order, 0), count, room)
        for start in range(0, len(order), batch_size):
            m, number = min(batch_size, len(order) - start), start // batch_size
            rows = order_buffer(net, batch_size, number) if by_class else at(order, start)
            step, (low, high) = first_step + number, rows_of(spec, net, m)
            begin, end = (0, m) if net.owns_inputs else (low, high)
            if X is not None:  # decided when the kernel is compiled
                take_rows(spec, net, X, scale, divisor, noise, rows, start, begin, end)
            if csr is not None:
                prefetch_sparse_rows(nonzeros, order, start + batch_size, low, high)
            counted = take_targets(net, labels, targets, row_weights, rows, m, low, high)
            if decays(spec) and decay < LEAST:
                fold_factor(spec, net, decay)
                decay = 1.0
            if batches is not None and net.thread == 0:  # before any thread changes the weights
                batches[number, 1], batches[number, 2] = sizes_of(spec, net, decay)
            phases.lap(spec, net.ticks, phases.GATHER)

            numbers, later = after(last, next_numbers), start + batch_size
            list_batch(spec, net, X, nonzeros, rows, m, begin, end, step, numbers)
            phases.lap(spec, net.ticks, phases.LIST)
            transpose_all(spec, net)
            phases.lap(spec, net.ticks, phases.DELTA)
            coming = next_batch(
                spec, net, X, labels, order, later, m, begin, end, batch_size, by_class
            )  # fmt: skip
            batch = Batch(m, start, matrix, nonzeros, rows, coming)
            phases.lap(spec, net.ticks, phases.LIST)

            if lazy(spec) and number > 0 and get(net.counts, ENTERING):  # none missed before
                catch_up_entering(spec, net, last, step)
            last, before_step = numbers, decay
            if decays(spec):
                decay *= 1.0 - get(numbers, layer_of(net, 1).numbers)
            phases.lap(spec, net.ticks, phases.CATCH_UP)

            go_forward(spec, net, batch, dropout, before_step)
            phases.lap(spec, net.ticks, phases.FORWARD)
            of_delta = factor / counted if net.layers > 1 else factor / counted / decay
            output_delta(spec, net, row_weights, m, low, high, of_delta)
            go_backward(spec, net, batch, dropout, decay)
            phases.lap(spec, net.ticks, phases.DELTA)

            change_weights(spec, net, batch, numbers, decay)
            phases.lap(spec, net.ticks, phases.UPDATE)
            cost = sum_of_costs(spec, net, m)
            total += cost
            if batches is not None and net.thread == 0:
                batches[number, 0] = cost
            meet_all(net)
            phases.lap(spec, net.ticks, phases.DELTA)
        if decays(spec):
            fold_factor(spec, net, decay)
        restore_denormals(mode)
        if net.thread == 0:
            put(net.steps, 0, first_step + (len(order) + batch_size - 1) // batch_size)
        return total

    return train


def build_outputs(spec: str) -> Any:
    """Return the compiled function that writes the output layer's values for every row."""

    @kernel
    def outputs(records, X, csr, scale, divisor, order, batch_size, z, a, largest):
        net, matrix, nonzeros = net_of(records, 0, scale), matrix_of(X), pointers_of(csr)
        columns = layer_of(net, 0).units
        top, before = layer_of(net, net.layers), flush_denormals()
        for start in range(0, len(order), batch_size):
            m, rows = min(batch_size, len(order) - start), at(order, start)
            if csr is not None:
                prefetch_sparse_rows(nonzeros, order, start + batch_size, 0, batch_size)
            later, block = start + batch_size, block_rows(spec, m)
            count = min(batch_size, len(order) - later)
            coming = next_batch_of(X, columns, at(order, later), 0, count, pieces_of(columns))
            batch = Batch(m, start, matrix, nonzeros, rows, coming)
            if X is not None:
                if not reads_rows(spec, X):
                    gather(spec, net, X, columns, scale, divisor, rows, 0, m)
                for begin in range(0, m, block):  # all requests at once would queue
                    end = min(begin + block, m)
                    if lists(spec):
                        list_blocks(spec, net, at(X, 0), columns, rows, begin, end, block)
                    else:
                        prefetch_rows(coming, begin, end)
            for layer in range(1, net.layers + 1):
                forward(spec, net, layer, batch, 1.0)
            for i in range(m):
                for o in range(top.units):
                    z[start + i, o] = get(top.z, i * top.pitch + o)
                    a[start + i, o] = get(top.a, i * top.pitch + o)
            find_largest_outputs(spec, net, m, at(largest, start))
        restore_denormals(before)

    return outputs


def build_settle(spec: str) -> Any:
    """Return the compiled function that makes every input column catch up.

    Steps are then counted from 0 again.
    """

    @kernel
    def settle(records, coefficients):
        count, net = 0, net_of(records, 0, coefficients[0, 0])
        numbers, until, columns = at(coefficients, 0), get(net.steps, 0), layer_of(net, 0).units
        for j in range(settle_run(spec, net, numbers, until), columns):
            in_use = (get(net.in_use, j // 64) >> np.uint64(j % 64)) & np.uint64(1)
            if not in_use and get(net.left_at, j) < SEEN:
                put(net.left_out, count, np.int32(j))
                count += 1
        end_list(spec, net.left_out, count)
        catch_up(spec, net, numbers, net.left_out, count, until)
        if lazy_groups(spec):
            scale_columns(spec, net, 1, numbers, net.left_out, count, until)
        words = words_to(columns)
        for word in range(words):
            put(net.in_use, word, np.uint64(0))
        for j in range(64 * words):
            put(net.left_at, j, np.int32(0))
        put(net.steps, 0, 0)

    return settle


@by_layout
@jit
def find_largest_outputs(spec, net, m, out):
    """Set out[i] to the number of row i's largest output, the first if there are several."""
    top = layer_of(net, net.layers)
    for i in range(0, m, lanes(spec)):
        a, some = after(top.a, i * top.pitch), min(lanes(spec), m - i)
        find_largest(spec, a, top.pitch, some, top.units, top.vectors, net.room, after(out, i))


@by_layout
@jit
def take_rows(spec, net, X, scale, divisor, noise, rows, start, begin, end):
    """Gather rows `begin` to `end` of a batch, unless products read X itself, and add noise."""
    columns = layer_of(net, 0).units
    if not reads_rows(spec, X):
        gather(spec, net, X, columns, scale, divisor, rows, begin, end)
    if noise is not None:
        add_noise(net, noise, start, columns, begin, end)


@jit
def take_targets(net, labels, targets, row_weights, rows, m, low, high):
    """Set the targets of rows `low` to `high`; return the total weight of the batch's rows."""
    if len(labels):
        set_labels(net, at(labels, 0), rows, low, high)
    else:
        set_targets(net, at(targets, 0), rows, low, high)
    if row_weights is None:
        return float(m)
    return set_row_weights(net, at(row_weights, 0), rows, m, low, high)


@jit
def next_batch(spec, net, X, labels, order, start, m, begin, end, batch_size, by_class):
    """Return the batch that begins at `start`; its rows `begin` to `end` are to be prefetched.

    m is the rows of the current batch. The next batch's rows are sorted by class if `by_class` is
    true. The labels of the batch after it are prefetched.
    """
    columns, rows = layer_of(net, 0).units, at(order, start)
    count, on_way = max(0, min(batch_size, len(order) - start)), 0
    if by_class:
        room = order_buffer(net, batch_size, start // batch_size)
        rows = rows_by_class(net, at(labels, 0), rows, count, room)
    if lists(spec) and has_all_rows(spec, net, m):
        on_way = pieces_of(columns) // 2
    if len(labels):
        prefetch_labels(at(labels, 0), order, start + batch_size, batch_size)
    return next_batch_of(X, columns, rows, begin, min(end, count), on_way)


@jit
def list_batch(spec, net, X, csr, rows, m, begin, end, step, numbers):
    """List the columns that a batch uses."""
    columns, block = layer_of(net, 0).units, block_rows(spec, m)
    if lists(spec):
        list_blocks(spec, net, at(X, 0), columns, rows, begin, end, block)
    if csr is not None and lazy(spec) and net.thread == 0:
        list_used(spec, net, csr, rows, m, step)
    if not net.owns_inputs:
        meet_all(net)
    if lists(spec) and net.thread == 0:
        list_columns(spec, net, m, columns, step, block, numbers)
    if lists(spec) or lazy(spec):
        meet_all(net)


@jit
def transpose_all(spec, net):
    """Transpose the weights of all layers but the first, for the backward pass."""
    for layer in range(2, net.layers + 1):
        transpose_weights(spec, net, layer)


@by_rules
@jit
def catch_up_entering(spec, net, numbers, step):
    """Make the columns that come into use catch up with the penalty steps they have missed."""
    first, last = share_vectors(spec, net, get(net.counts, ENTERING))
    listed, count = after(net.entering, first), last - first
    until = step + SEEN if is_sparse(spec) else step
    catch_up(spec, net, numbers, listed, count, until)
    if lazy_groups(spec):
        scale_columns(spec, net, 1, numbers, listed, count, until)
    meet_all(net)


@by_rules
@jit
def change_weights(spec, net, batch, numbers, decay):
    """Make the step in all layers: penalties, gradients and the optimizer's step, if any."""
    if is_sparse(spec) and shrinks(spec) and not after_gradient(spec):
        shrink_sparse_first(spec, net, batch.m, numbers)
    for layer in range(net.layers, 0, -1):
        update(spec, net, layer, batch, numbers, decay)
    if is_sparse(spec) and shrinks(spec) and after_gradient(spec):
        shrink_sparse_first(spec, net, batch.m, numbers)
    if has_groups(spec) or shortens(spec):
        meet_all(net)
    if has_groups(spec):
        scale_layers(spec, net, numbers)
    if shortens(spec):
        shorten_layers(spec, net, numbers)


@jit
def shrink_sparse_first(spec, net, m, numbers):
    """Shrink the first layer if the update of sparse rows does not.

    Only the columns that the batch uses are shrunk, or all of them if the penalty is not deferred.
    """
    if layer_of(net, 1).shrunk and not fuses(spec, m):
        columns, count = net.every, layer_of(net, 0).units
        if lazy(spec):
            columns, count = net.in_batch, get(net.counts, IN_BATCH)
        if after_gradient(spec):
            meet_all(net)
        shrink_listed(spec, net, numbers, columns, count)
        if not after_gradient(spec):
            meet_all(net)


@jit
def scale_layers(spec, net, numbers):
    """Scale the groups of every layer after a step."""
    for layer in range(1, net.layers + 1):
        inputs, count = net.every, layer_of(net, layer - 1).units
        if layer == 1 and lazy(spec):
            inputs, count = net.in_batch, get(net.counts, IN_BATCH)
        scale_groups(spec, net, layer, numbers, inputs, count)
