"""The first layer's products over the columns that are listed for each block of rows.

Symbols: m rows of a batch, in blocks that share a list of the columns they use.
"""

from __future__ import annotations

import numpy as np

from fastnn.engine.constants import after_gradient, by_layout, decays, lanes, list_parts, sorts
from fastnn.engine.gather import pieces_of
from fastnn.engine.jit import jit, jit_outlined, never_inline
from fastnn.engine.listed_tiles import Block, Prefetch, listed_forward, listed_update
from fastnn.engine.parts import panel_at
from fastnn.engine.pointers import after, get, layer_of, put, words_to

__all__ = ["product_of_listed", "update_listed"]


@by_layout
@jit
def block_of(spec, net, batch, number, begin, end, word, words):
    """Return the block of a batch's rows from `begin` to `end`.

    If columns are not sorted, its list is that of `words` groups of 64 columns, from group `word`
    on.
    """
    inputs = layer_of(net, 0)
    return Block(
        end - begin,
        batch.matrix,
        inputs.units,
        after(batch.rows, begin),
        net.values,
        after(inputs.a, begin * inputs.pitch),
        inputs.pitch,
        after(net.block_used, number * net.list_room),
        after(net.block_ends, number * net.end_room + (0 if sorts(spec) else word)),
        words,
    )


@jit
def prefetch_of(coming, begin, end, on_way):
    """Return what to prefetch of the next batch's rows from `begin` to `end`, if there are any.

    If `on_way` is true it is the part of each row for the forward pass, else the other part.
    """
    low, high = max(begin, coming.low), min(end, coming.high)
    first, last = coming.on_way, pieces_of(coming.columns)
    if on_way:
        first, last = 0, coming.on_way
    return Prefetch(coming.rows, low, high, first, last)


@by_layout
@jit_outlined
def product_of_listed(spec, net, batch, part, block, start):
    """Fill a part of the first layer's z: `start` plus the rows times the weights.

    Each block prefetches as many rows of the next batch, of each the part for the forward pass.
    """
    never_inline()
    here, words = layer_of(net, 1), words_to(layer_of(net, 0).units)
    all_rows = part.low == 0 and part.high == batch.m
    low, blocks = part.low // block, (part.high - part.low + block - 1) // block
    for first in range(part.first, part.last, here.panel):
        width, place = panel_at(spec, net, 1, first)
        column = first * lanes(spec)
        weights = after(here.w, place)
        for word in range(0, words, net.span_words):
            span = min(net.span_words, words - word)
            for number in range(low, low + blocks):
                i = number * block
                end = min(i + block, part.high)
                some = block_of(spec, net, batch, number, i, end, word, span)
                to = after(here.z, i * here.pitch + column)
                asked = end if first == part.first and word == 0 and all_rows else i
                ask = prefetch_of(batch.coming, i, asked, True)
                begin, begin_row = after(start, column), 0
                if word > 0:  # continue the sums so far
                    begin, begin_row = to, here.pitch
                listed_forward(
                    spec, some, width, begin, begin_row, weights, to, here.pitch, ask
                )  # fmt: skip


@jit_outlined
def update_listed(spec, net, batch, block, rule, numbers, asks, panel):
    """Update a panel of the first layer for its inputs, and the biases if these begin at 0.

    The penalty numbered `rule` acts with the first block of rows, or with the last one if it
    follows the gradient. If `asks` is true, each block prefetches as many rows of the next batch,
    of each the part that the forward pass did not.
    """
    never_inline()
    m, pitch, low, high = batch.m, layer_of(net, 1).pitch, panel.low, panel.high
    whole = low == 0 and high == layer_of(net, 0).units
    with_b = low == 0 and not decays(spec)
    lowest, words = low // 64, words_to(high) - low // 64
    spans = (words + net.span_words - 1) // net.span_words
    for span in range(spans - 1, -1, -1):  # begin with what the forward pass left in cache
        word = span * net.span_words
        for number in range((m + block - 1) // block):
            i = number * block
            end = min(i + block, m)
            ask = prefetch_of(batch.coming, i, end if asks and span == 0 else i, False)
            some = block_of(
                spec, net, batch, number, i, end, lowest + word, min(net.span_words, words - word)
            )
            acts = end == m if after_gradient(spec) else i == 0
            if sorts(spec) and not whole:
                some = part_of_block(spec, net, some, low, high)
            listed_update(
                spec, rule if acts else 0, some, panel.vectors, numbers,
                after(panel.delta, i * pitch), pitch, panel.w, panel.q, panel.b,
                with_b and span == 0, ask,
            )  # fmt: skip


@by_layout
@jit_outlined
def part_of_block(spec, net, some, low, high):
    """Return a block whose sorted list is restricted to the columns from `low` to `high`."""
    count = k = 0
    for key in range(list_parts(spec)):
        while k < get(some.ends, key):
            j = get(some.used, k)
            put(net.listed, count, j)  # no branch: it would be mispredicted
            count += low <= j < high
            k += 1
        put(net.tallies, key, np.int32(count))
    return Block(
        some.rows, some.matrix, some.columns, some.order, some.values, some.a, some.pitch,
        net.listed, net.tallies, some.words,
    )  # fmt: skip
