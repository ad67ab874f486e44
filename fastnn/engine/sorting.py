"""Lists of the columns that a block of rows uses, sorted by which of the rows use them.

A column's key has a bit for each group of the block's rows, the first group's lowest: it is set if
one of these rows uses the column.
"""

from __future__ import annotations

import numpy as np

from fastnn.engine.by_key import append_of_key
from fastnn.engine.columns import append_bits
from fastnn.engine.constants import by_layout, key_bits, list_parts, packs
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.layout import ROOM_MORE, STREAMS
from fastnn.engine.pointers import after, get, put, words_to
from fastnn.engine.radix import ITEM_BITS, append_items, find_runs, split_items

__all__ = ["sort_columns"]

# Up to so many bits of a key, a pass for each key takes less time than sorting by bits.
FEW_BITS = 3


@by_layout
@jit
def sort_columns(spec, net, columns, bits, keys, used, ends):
    """List the columns that a block of rows uses, sorted by their keys."""
    if packs(spec) and key_bits(spec) <= FEW_BITS:
        list_by_key(spec, words_to(columns), keys, used, ends)
    elif packs(spec) and columns <= 1 << key_at(spec):
        sort_by_bits(spec, net, words_to(columns), bits, keys, used, ends)
    else:
        sort_by_counting(spec, net, words_to(columns), bits, keys, used, ends)


@by_layout
@jit_outlined
def list_by_key(spec, words, keys, used, ends):
    """List the columns of each key in turn. The keys after the last column's are 0."""
    count = 0
    put(ends, 0, np.int32(0))
    for key in range(1, list_parts(spec)):
        for word in range(words):
            count = append_of_key(used, count, 64 * word, keys, key)
        put(ends, key, np.int32(count))


@by_layout
@jit
def key_at(spec):
    """Return the position of the key's lowest bit in an item."""
    return ITEM_BITS - key_bits(spec)


@by_layout
@jit_outlined
def sort_by_bits(spec, net, words, bits, keys, used, ends):
    """List columns sorted by their keys, one bit after another.

    The room for items has four quarters. Before each bit, the items whose previous bit is 0 are at
    the start of one quarter, the others at the start of another; the split fills the remaining two.
    """
    first, count, size = key_at(spec), 0, words * 64 + ROOM_MORE
    items = net.items
    for word in range(words):
        count = append_items(items, count, 64 * word, get(bits, word), keys, first)
    zeros, ones = items, after(items, size)
    to_zeros, to_ones = after(items, 2 * size), after(items, 3 * size)
    without = count
    for bit in range(first, ITEM_BITS):
        some = split_items(zeros, without, bit, to_zeros, to_ones)
        here = after(to_ones, without - some)
        others = split_items(ones, count - without, bit, after(to_zeros, some), here)
        without = some + others
        zeros, to_zeros = to_zeros, zeros
        ones, to_ones = to_ones, ones
    for k in range(count - without):
        put(zeros, without + k, get(ones, k))
    for key in range(list_parts(spec)):
        put(ends, key, np.int32(0))
    for run in range(find_runs(zeros, count, first, to_zeros)):
        place = np.int32(get(to_zeros, run))
        put(ends, get(zeros, place) >> first, place + 1)
    if count:
        put(ends, get(zeros, count - 1) >> first, np.int32(count))
    end = np.int32(0)
    for key in range(list_parts(spec)):
        end = max(end, get(ends, key))
        put(ends, key, end)
    for k in range(count):
        put(used, k, np.int32(get(zeros, k) & ((1 << first) - 1)))


@by_layout
@jit_outlined
def sort_by_counting(spec, net, words, bits, keys, used, ends):
    """List columns sorted by their keys, with a counting sort.

    STREAMS sections of the list are processed side by side, each with its own count for every key.
    Neighbouring columns often have the same key, and an increment would wait for the one before.
    """
    count, parts, listed, tallies = 0, list_parts(spec), net.listed, net.tallies
    for word in range(words):
        count = append_bits(spec, listed, count, 64 * word, get(bits, word))
    run = count // STREAMS
    for key in range(STREAMS * parts):
        put(tallies, key, np.int32(0))
    for k in range(run):
        for stream in range(STREAMS):
            count_up(after(tallies, stream * parts), keys, get(listed, stream * run + k))
    last = after(tallies, (STREAMS - 1) * parts)
    for k in range(STREAMS * run, count):
        count_up(last, keys, get(listed, k))
    for key in range(parts):
        total = np.int32(0)
        for stream in range(STREAMS):
            total += get(tallies, stream * parts + key)
        put(ends, key, total)
    place = np.int32(0)
    for key in range(parts):
        place += get(ends, key)
        put(ends, key, place)
    for key in range(parts):
        place = get(ends, key)
        for stream in range(STREAMS - 1, -1, -1):
            place -= get(tallies, stream * parts + key)
            put(tallies, stream * parts + key, place)
    for k in range(run):
        for stream in range(STREAMS):
            set_down(after(tallies, stream * parts), keys, get(listed, stream * run + k), used)
    for k in range(STREAMS * run, count):
        set_down(last, keys, get(listed, k), used)


@jit
def count_up(tallies, keys, column):
    """Count a column under its key."""
    key = get(keys, column)
    put(tallies, key, get(tallies, key) + 1)


@jit
def set_down(tallies, keys, column, used):
    """Write a column to the next free place of its key, and advance that place."""
    key = get(keys, column)
    place = get(tallies, key)
    put(used, place, column)
    put(tallies, key, place + 1)
