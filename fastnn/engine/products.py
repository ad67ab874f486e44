"""The products of a layer, tile by tile: forward, backward, and the update of the weights.

Symbols: m rows of a batch, in blocks of a tile's rows; V elements of a vector; a panel is a layer's
weights for some vectors of its units. `parts` divides the work among threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.engine.constants import (
    after_gradient,
    by_layout,
    by_rules,
    decays,
    has_stepper,
    is_sparse,
    lanes,
    lazy,
    lists,
    shrinks,
)
from fastnn.engine.csr import product_of_rows, update_from_rows
from fastnn.engine.gather import prefetch_rows
from fastnn.engine.jit import jit, jit_outlined, never_inline
from fastnn.engine.layout import LEFT_OUT
from fastnn.engine.listed_products import product_of_listed, update_listed
from fastnn.engine.parts import (
    acting,
    block_rows,
    inputs_of,
    is_empty,
    panel_at,
    rows_at_once,
    skips,
)
from fastnn.engine.pointers import after, get, layer_of, place_of
from fastnn.engine.rows import add_rows
from fastnn.engine.shrink import shrink_columns
from fastnn.engine.simd import tile_forward, tile_update
from fastnn.engine.steps import step_panel
from fastnn.engine.team import nth_part, share
from fastnn.engine.transpose import transpose

__all__ = ["fuses", "layer_product", "product", "transpose_weights", "update"]

# This many inputs of a panel (4 to 16 KiB with AVX-512) are updated from all rows before the next.
CHUNK = 64


class Panel(NamedTuple):
    """Some vectors of a layer's units, to be updated for its inputs `low` to `high`.

    vectors : how many there are
    delta : pointer to their delta for the batch's first row
    w, q, b : pointers to their weights, what the penalty stores for these, and their biases; with
        an optimizer, w and b point to room for the gradients instead
    """

    vectors: Any
    delta: Any
    w: Any
    q: Any
    b: Any
    low: Any
    high: Any


@by_rules
@jit
def layer_product(spec, net, layer, batch, part):
    """Fill a part of a layer's z: the biases plus the outputs below times the weights.

    For a first layer whose penalty decays, it is only the product: factor and biases follow.
    """
    here, below = layer_of(net, layer), layer_of(net, layer - 1)
    start, m = net.zeros if decays(spec) and layer == 1 else here.b, batch.m
    if is_sparse(spec) and layer == 1:
        product_of_rows(spec, net, batch.csr, batch.rows, part, start)
        return
    if lists(spec) and layer == 1:
        product_of_listed(spec, net, batch, part, block_rows(spec, m), start)
        return
    product(
        spec, net, part, m, below.units, below.a, below.pitch, here.w, below.vectors * lanes(spec),
        here.vectors, here.panel, start, here.z, here.pitch,
    )  # fmt: skip


@by_layout
@jit_outlined
def product(
    spec, net, part, m, k, a, a_row, panels, panel_rows, vectors, panel, start, out, out_row
):  # fmt: skip
    """out = start + a @ panels, for a part of the layer and of the batch, tile by tile.

    m : the rows of the batch, by which tiles are chosen; k : the columns of a that are multiplied
    a, out : pointers to the batch's first row; rows are `a_row` and `out_row` elements apart
    panels : pointer to the weights of `vectors` vectors of units, in panels of at most `panel`
        vectors and `panel_rows` rows
    start : pointer to the initial value of each unit's sums
    """
    for first in range(part.first, part.last, panel):
        width, column = min(panel, vectors - first), first * lanes(spec)
        weights, from_here = after(panels, panel_rows * column), after(start, column)
        rows = rows_at_once(spec, m, width)
        for i in range(part.low, part.high, rows):
            here, to = after(a, i * a_row), after(out, i * out_row + column)
            some = min(rows, part.high - i)
            tile_forward(
                spec, some, width, from_here, here, a_row, net.every, weights, to, out_row, k
            )  # fmt: skip


@jit
def update(spec, net, layer, batch, numbers, decay):
    """Make a layer's step: shrink its weights and biases and add their gradient.

    A thread updates its whole panels, and its inputs of the others. `numbers` are the penalties'
    coefficients in this step, after the optimizer's if there is one: a panel's gradient is then
    added to zeroed memory, and the optimizer makes the panel's step.
    With sparse rows, the first layer is shrunk here only if the batch is a single row. If the first
    layer's penalty decays, its delta is divided by the factor `decay`, which suits its panels but
    not its biases. While the first layer is updated, rows of the next batch are prefetched.
    """
    asks = layer == 1
    for which in range(2):
        part = inputs_of(spec, net, layer, which)
        if not is_empty(part):
            update_part(spec, net, layer, batch, numbers, decay, part, asks)
            asks = False


@jit
def update_part(spec, net, layer, batch, numbers, decay, part, asks):
    """Update a part of a layer: its vectors, for its inputs."""
    here, m = layer_of(net, layer), batch.m
    biases = part.low == 0 and not has_stepper(spec)
    with_biases = biases and here.on_biases and not skips(here, numbers)
    if with_biases and not here.after_gradient:
        shrink_biases(spec, net, layer, numbers, part.first, part.last)
    of_layer = after(numbers, here.numbers)
    for start in range(part.first, part.last, here.panel):
        panel, ask = panel_of(spec, net, layer, start, part), asks and start == part.first
        if is_sparse(spec) and layer == 1:
            rule = acting(here, numbers) if fuses(spec, m) else 0
            update_from_rows(spec, net, batch.csr, batch.rows, m, rule, of_layer, panel)
        elif lists(spec) and layer == 1:
            if shrinks(spec) and not after_gradient(spec):
                shrink_left_out(spec, net, numbers, panel)
            rule, block = acting(here, numbers) if shrinks(spec) else 0, block_rows(spec, m)
            update_listed(spec, net, batch, block, rule, of_layer, ask, panel)
            if shrinks(spec) and after_gradient(spec):
                shrink_left_out(spec, net, numbers, panel)
        else:
            update_panel(spec, net, layer, batch, numbers, ask, panel)
        if has_stepper(spec):
            step_panel(spec, net, layer, start, panel.low, panel.high, numbers)
        if decays(spec) and layer == 1 and biases:
            add_rows(spec, panel.delta, here.pitch, m, panel.vectors, decay, panel.b)
    if with_biases and here.after_gradient:
        shrink_biases(spec, net, layer, numbers, part.first, part.last)


@jit
def panel_of(spec, net, layer, first, part):
    """Return the panel of a layer that begins at vector `first`, for the inputs of `part`."""
    here, v = layer_of(net, layer), lanes(spec)
    vectors, place = panel_at(spec, net, layer, first)
    w, b = after(here.w, place), after(here.b, first * v)
    if has_stepper(spec):
        w, b = net.gradient, net.bias_gradient
    return Panel(
        vectors, after(here.delta, first * v), w, after(here.q, place), b, part.low, part.high
    )


@jit
def shrink_left_out(spec, net, numbers, panel):
    """Shrink the inputs of a panel whose penalty step is in no block's update."""
    here, count = layer_of(net, 1), get(net.counts, LEFT_OUT)  # none in a step that is skipped
    first = place_of(net.left_out, 0, count, panel.low)
    some = place_of(net.left_out, first, count, panel.high) - first
    listed, of_layer = after(net.left_out, first), after(numbers, here.numbers)
    shrink_columns(
        spec, here.shrunk, panel.vectors, of_layer, listed, some, panel.w, panel.q
    )  # fmt: skip


@jit
def fuses(spec, m):
    """Return whether the penalty's whole step is fused into the update of sparse rows."""
    return lazy(spec) and m == 1


@jit
def shrink_biases(spec, net, layer, numbers, first, last):
    """Apply one step of the penalty to the biases of some vectors of a layer."""
    here, v = layer_of(net, layer), lanes(spec)
    b, q = after(here.b, first * v), after(here.bias_q, first * v)
    of_layer = after(numbers, here.numbers)
    shrink_columns(spec, here.shrunk, last - first, of_layer, net.every, 1, b, q)


@jit_outlined
def update_panel(spec, net, layer, batch, numbers, asks, panel):
    """Update a panel for its inputs, and the biases if these begin at 0.

    Inputs are taken CHUNK at a time; with each chunk, if `asks` is true, some rows of the next
    batch are prefetched. The penalty acts with the first rows, or with the last ones if it follows
    the gradient.
    """
    never_inline()
    here, below, m = layer_of(net, layer), layer_of(net, layer - 1), batch.m
    rows, of_layer = rows_at_once(spec, m, panel.vectors), after(numbers, here.numbers)
    pitch, d_row = below.pitch, here.pitch
    shrunk = 0 if has_stepper(spec) else acting(here, numbers)
    low, high = panel.low, panel.high
    for begin in range(low, high, CHUNK):
        if asks:
            some = nth_part(m, (begin - low) // CHUNK, (high - low + CHUNK - 1) // CHUNK)
            prefetch_rows(batch.coming, some[0], some[1])
        used, count, with_b = after(net.every, begin), min(CHUNK, high - begin), begin == 0
        for i in range(0, m, rows):
            some, a, d = min(rows, m - i), after(below.a, i * pitch), after(panel.delta, i * d_row)
            if is_sparse(spec):
                a = after(a, begin)
            acts = i + rows >= m if here.after_gradient else i == 0
            tile_update(
                spec, shrunk if acts else 0, some, panel.vectors, of_layer, a, pitch, used, count,
                d, d_row, panel.w, panel.q, panel.b, with_b,
            )  # fmt: skip


@by_layout
@jit
def transpose_weights(spec, net, layer):
    """Copy a layer's weight panels into panels of the transposed weights, block by block.

    A panel's blocks go to one place, so that cache lines are read and written whole while cached.
    """
    here, below, v = layer_of(net, layer), layer_of(net, layer - 1), lanes(spec)
    most = here.back_panel
    begin, end = share(net, (below.vectors + most - 1) // most)
    for first_in in range(begin * most, min(end * most, below.vectors), most):
        width_in = min(most, below.vectors - first_in)
        for first in range(0, here.vectors, here.panel):
            width = min(here.panel, here.vectors - first)
            panel = after(here.w, (first * below.vectors * v + first_in * width * v) * v)
            back = after(here.wt, (first_in * here.vectors * v + first * width_in * v) * v)
            for column in range(width):
                for row in range(width_in):
                    source = after(panel, (row * v * width + column) * v)
                    to = after(back, (column * v * width_in + row) * v)
                    transpose(spec, source, width * v, to, width_in * v)
