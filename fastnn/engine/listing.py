"""Lists of the input columns that a batch uses, and the penalty of those that it does not."""

from __future__ import annotations

import numpy as np

from fastnn.engine.columns import append_bits, mark_users, nonzero_bits, raise_bits
from fastnn.engine.constants import (
    after_gradient,
    by_layout,
    by_rules,
    lanes,
    lazy,
    lazy_groups,
    shrinks,
    sorts,
)
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.layout import ENTERING, IN_BATCH, LEFT_OUT, SEEN
from fastnn.engine.parts import acting, panel_at, skips
from fastnn.engine.pointers import after, get, layer_of, put, words_to
from fastnn.engine.shrink import catch_up_columns, catch_up_run, run_lanes, shrink_columns
from fastnn.engine.sorting import sort_columns
from fastnn.engine.team import share

__all__ = [
    "catch_up",
    "end_list",
    "list_blocks",
    "list_columns",
    "list_used",
    "settle_run",
    "shrink_listed",
]


@by_layout
@jit
def list_blocks(spec, net, X, columns, rows, low, high, block):
    """List the columns that each block of rows uses; there must be at least 64 columns."""
    words = words_to(columns)
    for begin in range(low, high, block):
        number, some, chosen = begin // block, min(block, high - begin), after(rows, begin)
        bits = after(net.block_bits, number * words)
        used = after(net.block_used, number * net.list_room)
        ends = after(net.block_ends, number * net.end_room)
        if sorts(spec):
            keys = after(net.block_keys, number * words * 64)
            mark_users(spec, X, chosen, some, columns, keys, bits)
            sort_columns(spec, net, columns, bits, keys, used, ends)
            continue
        count = 0
        put(ends, 0, np.int32(0))
        for word in range(words):
            overlap = max(0, 64 * (word + 1) - columns)
            found = nonzero_bits(X, chosen, some, columns, 64 * word - overlap)
            put(bits, word, found >> np.uint64(overlap))
            count = append_bits(spec, used, count, 64 * word, get(bits, word))
            put(ends, word + 1, np.int32(count))


@by_rules
@jit
def list_columns(spec, net, m, columns, step, block, numbers):
    """List the columns that come into use, and those left out; note the step at which others cease.

    The update of one block of rows includes the penalty's step for the columns that this block
    uses. The other columns are left out: their step takes a pass of its own. If the penalty of
    unused columns is deferred, these are only columns that another block of the batch uses.
    `numbers` are the penalty's coefficients.
    """
    entering = left_out = used = 0
    words, blocks = words_to(columns), (m + block - 1) // block
    its_block = blocks - 1 if after_gradient(spec) else 0
    acts = shrinks(spec) and not skips(layer_of(net, 1), numbers)
    for word in range(words):
        now, before = np.uint64(0), get(net.in_use, word)
        for number in range(blocks):
            now |= get(net.block_bits, number * words + word)
        put(net.in_use, word, now)
        if lazy_groups(spec):
            used = append_bits(spec, net.in_batch, used, 64 * word, now)
        due = now
        if lazy(spec):
            entering = append_bits(spec, net.entering, entering, 64 * word, now & ~before)
            raise_bits(net.left_at, 64 * word, before & ~now, step)
        else:
            due = ~np.uint64(0) >> np.uint64(max(0, 64 * (word + 1) - columns))
        if acts and (blocks > 1 or not lazy(spec)):
            due &= ~get(net.block_bits, its_block * words + word)
            left_out = append_bits(spec, net.left_out, left_out, 64 * word, due)
    put(net.counts, ENTERING, entering)
    if lazy_groups(spec):
        end_list(spec, net.entering, entering)
        end_list(spec, net.in_batch, used)
    put(net.counts, IN_BATCH, used)
    put(net.counts, LEFT_OUT, left_out)


@by_layout
@jit_outlined
def list_used(spec, net, csr, rows, m, step):
    """List the columns that sparse rows use, and those of them that have missed a step.

    First, note for the columns of the batch before at which step they ceased to be used. `left_at`
    of a listed column is raised by SEEN until the next batch.
    """
    for k in range(get(net.counts, IN_BATCH)):
        put(net.left_at, get(net.in_batch, k), np.int32(step))
    used = entering = 0
    for i in range(m):
        row = get(rows, i)
        for k in range(get(csr.starts, row), get(csr.starts, row + 1)):
            j = get(csr.columns, k)
            left = get(net.left_at, j)
            put(net.left_at, j, np.int32(left | SEEN))
            put(net.in_batch, used, j)  # no branch: it would be mispredicted
            put(net.entering, entering, j)
            used += left < SEEN
            entering += left < step
    end_list(spec, net.in_batch, used)
    end_list(spec, net.entering, entering)
    put(net.counts, IN_BATCH, used)
    put(net.counts, ENTERING, entering)


@by_layout
@jit
def end_list(spec, columns, count):
    """Write a vector of zeros after a list, because lists are read in whole vectors."""
    for lane in range(lanes(spec)):
        put(columns, count + lane, np.int32(0))


@jit
def catch_up(spec, net, numbers, columns, count, step):
    """Apply to the listed input columns' weights the penalty steps that they missed.

    `numbers` are the penalties' coefficients in the last of these steps.
    """
    here = layer_of(net, 1)
    for first in range(0, here.vectors, here.panel):
        vectors, place = panel_at(spec, net, 1, first)
        w, q, of_layer = after(here.w, place), after(here.q, place), after(numbers, here.numbers)
        catch_up_columns(spec, vectors, of_layer, columns, count, w, q, net.left_at, step)


@by_rules
@jit
def settle_run(spec, net, numbers, step):
    """Make as many columns as fill whole vectors catch up, without a list; return how many.

    This is possible if each column of sparse rows has a single weight and is not a group; otherwise
    the number is 0.
    """
    here, count = layer_of(net, 1), layer_of(net, 0).units // run_lanes() * run_lanes()
    if here.vectors * lanes(spec) > 1 or (here.scaled and here.by_inputs):
        return 0
    catch_up_run(spec, after(numbers, here.numbers), count, here.w, here.q, net.left_at, step)
    return count


@jit
def shrink_listed(spec, net, numbers, columns, count):
    """Shrink the weights of the listed input columns, this thread's share of them."""
    here, (begin, end) = layer_of(net, 1), share(net, count)
    shrunk, some = acting(here, numbers), after(columns, begin)
    for first in range(0, here.vectors, here.panel):
        vectors, place = panel_at(spec, net, 1, first)
        w, q, of_layer = after(here.w, place), after(here.q, place), after(numbers, here.numbers)
        shrink_columns(spec, shrunk, vectors, of_layer, some, end - begin, w, q)
