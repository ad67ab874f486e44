"""Which input columns a batch uses, listed; and the penalty of those that it does not."""

from __future__ import annotations

import numpy as np

from fastnn.engine.columns import append_bits, mark_bits, nonzero_bits
from fastnn.engine.jit import jit
from fastnn.engine.layout import BLOCKS, ENTERING, IDLE
from fastnn.engine.pointers import after, get, layer_of, put
from fastnn.engine.simd import catch_up_columns, is_lazy, lanes, shrink_columns
from fastnn.engine.team import share

__all__ = ["catch_up", "list_bits", "list_blocks", "list_columns", "shrink_idle"]


@jit
def list_bits(spec, net, X, columns, rows, low, high, block):
    """Set a bit for each column that a block of rows uses; there are at least 64 columns."""
    words = (columns + 63) // 64
    for begin in range(low, high, block):
        bits = after(net.block_bits, begin // block * words)
        for word in range(words):
            overlap = max(0, 64 * (word + 1) - columns)
            first, some = 64 * word - overlap, min(block, high - begin)
            found = nonzero_bits(X, after(rows, begin), some, columns, first)
            put(bits, word, found >> np.uint64(overlap))


@jit
def list_blocks(spec, net, columns, low, high, block):
    """List the columns that each block of rows uses, first those that no block before it does."""
    words = (columns + 63) // 64
    for word in range(words):
        seen = np.uint64(0)
        for number in range(low // block):
            seen |= get(net.block_bits, number * words + word)
        for number in range(low // block, (high + block - 1) // block):
            put(net.block_seen, number * words + word, seen)
            seen |= get(net.block_bits, number * words + word)
    for number in range(low // block, (high + block - 1) // block):
        used = after(net.block_used, number * net.list_room)
        bits, seen = after(net.block_bits, number * words), after(net.block_seen, number * words)
        count = 0
        for word in range(words):
            count = append_bits(spec, used, count, 64 * word, get(bits, word) & ~get(seen, word))
        put(net.counts, BLOCKS + 2 * number, count)
        for word in range(words if number else 0):
            count = append_bits(spec, used, count, 64 * word, get(bits, word) & get(seen, word))
        put(net.counts, BLOCKS + 2 * number + 1, count)


@jit
def list_columns(spec, net, m, columns, step, block):
    """List the columns that begin to be used, or those that are not; note when others cease."""
    entering = idle = 0
    words = (columns + 63) // 64
    last = (m + block - 1) // block - 1
    for word in range(words):
        place = last * words + word
        now, before = get(net.block_seen, place) | get(net.block_bits, place), get(net.in_use, word)
        put(net.in_use, word, now)
        if is_lazy(spec):
            entering = append_bits(spec, net.entering, entering, 64 * word, now & ~before)
            mark_bits(net.left_at, 64 * word, before & ~now, step)
        else:
            beyond = np.uint64(max(0, 64 * (word + 1) - columns))
            rest = ~now & (~np.uint64(0) >> beyond)
            idle = append_bits(spec, net.idle, idle, 64 * word, rest)
    put(net.counts, ENTERING, entering)
    put(net.counts, IDLE, idle)


@jit
def catch_up(spec, net, numbers, columns, count, step):
    """Give the weights of the listed input columns the steps of the penalty they missed."""
    here, inputs, v = layer_of(net, 1), layer_of(net, 0).vectors * lanes(spec), lanes(spec)
    for first in range(0, here.vectors, here.panel):
        vectors = min(here.panel, here.vectors - first)
        panel = after(here.w, inputs * first * v)
        catch_up_columns(spec, vectors, numbers, columns, count, panel, net.left_at, step)


@jit
def shrink_idle(spec, net, numbers, thread, threads):
    """Shrink the weights of the input columns that the batch does not use."""
    here, below, v = layer_of(net, 1), layer_of(net, 0), lanes(spec)
    begin, end = share(get(net.counts, IDLE), thread, threads)
    for first in range(0, here.vectors, here.panel):
        vectors = min(here.panel, here.vectors - first)
        panel = after(here.w, below.vectors * v * first * v)
        shrink_columns(spec, vectors, numbers, after(net.idle, begin), end - begin, panel)
