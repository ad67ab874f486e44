"""How a batch and a layer are divided: blocks of rows, panels of units, and each thread's parts.

Symbols: m rows of a batch; V elements of a vector; a panel is a layer's weights for some vectors of
its units. A thread has two parts of a layer, of which one may be empty. With two threads, five
panels and `which` as in `part_of`:

    panels          0 1 | 2 3 | 4
    which = 0       thread 0 has panels 0 and 1, thread 1 has 2 and 3: for all rows
    which = 1       both have panel 4: each for its rows of the batch (in the update, its inputs)

So weights stay in the cache of the core that changes them, and no two threads add to one sum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.engine.constants import by_layout, lanes, listed_rows, lists, sorts, tile_rows
from fastnn.engine.jit import jit
from fastnn.engine.pointers import get, layer_of, words_to
from fastnn.engine.team import share

__all__ = [
    "Part",
    "acting",
    "block_rows",
    "has_all_rows",
    "inputs_of",
    "is_empty",
    "panel_at",
    "part_back",
    "part_of",
    "rows_at_once",
    "rows_of",
    "skips",
]


class Part(NamedTuple):
    """A thread's part of a layer: its vectors `first` to `last`, for the rows `low` to `high`.

    In the update, the rows are those of the weight panels, and thus inputs.
    """

    first: Any
    last: Any
    low: Any
    high: Any


@by_layout
@jit
def panel_at(spec, net, layer, first):
    """Return how many vectors the panel of a layer at vector `first` has, and its offset.

    This is the layout of the weights: panel after panel, each with a row for every input.
    """
    here, inputs = layer_of(net, layer), layer_of(net, layer - 1).vectors * lanes(spec)
    return min(here.panel, here.vectors - first), inputs * first * lanes(spec)


@jit
def skips(here, numbers):
    """Return whether the penalty of a layer does nothing in this step."""
    return here.skips > 0 and get(numbers, here.numbers + here.skips - 1) > 0


@jit
def acting(here, numbers):
    """Return the number of the penalty that shrinks a layer's weights in this step, 0 for none."""
    return 0 if skips(here, numbers) else here.shrunk


@by_layout
@jit
def block_rows(spec, m):
    """Return how many rows share a list; the last ones of a batch may be fewer."""
    if sorts(spec):  # fewer lists, of more columns, take less time
        return min(m, listed_rows(spec))
    return even_rows(m, listed_rows(spec))


@by_layout
@jit
def rows_at_once(spec, m, vectors):
    """Return how many rows a product without lists takes at once: a block's parts, or blocks."""
    rows = tile_rows(spec, vectors)
    return rows if listed_rows(spec) < rows else even_rows(block_rows(spec, m), rows)


@jit
def even_rows(m, most):
    """Return the rows of a part if m rows are divided evenly into parts of at most `most`."""
    parts = (m + most - 1) // most
    return (m + parts - 1) // parts


@by_layout
@jit
def rows_of(spec, net, m):
    """Return where this thread's rows of the batch begin and end, in whole tiles and blocks.

    Either a block consists of whole tiles or a tile of whole blocks, or all rows are in one block.
    """
    block, tile = block_rows(spec, m), rows_at_once(spec, m, 1)
    rows = block * ((tile + block - 1) // block)
    low, high = share(net, (m + rows - 1) // rows)
    return low * rows, min(high * rows, m)


@jit
def whole_vectors(net, vectors, panel):
    """Return how many of a layer's vectors are in panels of which each thread gets equally many."""
    if net.threads == 1:
        return vectors
    panels = (vectors + panel - 1) // panel
    return min(vectors, panels // net.threads * net.threads * panel)


@jit
def whole_of(net, layer):
    """Return `whole_vectors` of a layer; 0 for the output: softmax is over all units of a row."""
    here = layer_of(net, layer)
    return whole_vectors(net, here.vectors if layer < net.layers else 0, here.panel)


@jit
def own_vectors(net, whole, panel):
    """Return the range of the first `whole` vectors that is in this thread's panels."""
    if net.threads == 1:
        return 0, whole
    begin, end = share(net, (whole + panel - 1) // panel)
    return begin * panel, min(end * panel, whole)


@by_layout
@jit
def part_of(spec, net, layer, m, which):
    """Return one of this thread's parts of a layer: 0 for its whole panels, 1 for the others."""
    here = layer_of(net, layer)
    return part_in(spec, net, here.vectors, here.panel, whole_of(net, layer), m, which)


@by_layout
@jit
def part_back(spec, net, layer, m, which):
    """Return one of this thread's two parts of the layer below, for the backward pass."""
    vectors, panel = layer_of(net, layer - 1).vectors, layer_of(net, layer).back_panel
    return part_in(spec, net, vectors, panel, whole_vectors(net, vectors, panel), m, which)


@by_layout
@jit
def part_in(spec, net, vectors, panel, whole, m, which):
    """Return a part of some vectors: panels of the first `whole`, or some rows of the others."""
    if which == 0:
        first, last = own_vectors(net, whole, panel)
        return Part(first, last, 0, m)
    low, high = rows_of(spec, net, m)
    return Part(whole, vectors, low, high)


@jit
def is_empty(part):
    """Return whether a part of a layer is empty."""
    return part.first >= part.last or part.low >= part.high


@by_layout
@jit
def has_all_rows(spec, net, m):
    """Return whether this thread takes all rows of a batch through the first layer."""
    return net.threads == 1 or not is_empty(part_of(spec, net, 1, m, 0))


@by_layout
@jit
def inputs_of(spec, net, layer, which):
    """Return a part of a layer's weights: 0 for its whole panels, 1 for its inputs of others."""
    here, units = layer_of(net, layer), layer_of(net, layer - 1).units
    whole = whole_of(net, layer)
    if which == 0:
        first, last = own_vectors(net, whole, here.panel)
        return Part(first, last, 0, units)
    low, high = share(net, units)
    if lists(spec) and layer == 1:  # whole parts of the lists
        begin, end = share(net, words_to(units))
        low, high = 64 * begin, min(64 * end, units)
    return Part(whole, here.vectors, low, high)
