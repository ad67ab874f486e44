"""A batch's forward and backward pass through a network, layer by layer.

Symbols as in `kernels.py`: z weighted inputs, a outputs, delta the cost's derivative with respect
to z, which carries a factor from the output layer on; m rows of a batch, V elements of a vector.
"""

from __future__ import annotations

from fastnn.engine.constants import by_layout, decays, lanes
from fastnn.engine.dropout import mask, unmasked_outputs
from fastnn.engine.jit import jit
from fastnn.engine.parts import block_rows, is_empty, part_back, part_of
from fastnn.engine.pointers import after, get, layer_of, put
from fastnn.engine.products import layer_product, product
from fastnn.engine.rows import each, log_normalise, scale_rows, sum_cost
from fastnn.engine.team import meet_all

__all__ = ["forward", "go_backward", "go_forward", "output_delta", "sum_of_costs"]


@jit
def go_forward(spec, net, batch, dropout, decay):
    """Fill every layer's z and a; `decay` is the factor of the first layer's weights."""
    for layer in range(1, net.layers + 1):
        forward(spec, net, layer, batch, decay)
        if dropout is not None and layer < net.layers:
            for which in range(2):
                part = part_of(spec, net, layer, batch.m, which)
                mask(spec, net, dropout, layer, layer_of(net, layer).a, batch.start, part)
        meet_all(net)


@jit
def go_backward(spec, net, batch, dropout, decay):
    """Fill the delta of every layer below the output, once all threads have filled the output's."""
    meet_all(net)
    for layer in range(net.layers, 1, -1):
        backward(spec, net, layer, batch, dropout, decay)
        meet_all(net)


@jit
def forward(spec, net, layer, batch, decay):
    """Fill this thread's parts of a layer's z and a; `decay` is as in `go_forward`."""
    for which in range(2):
        part = part_of(spec, net, layer, batch.m, which)
        if not is_empty(part):
            forward_part(spec, net, layer, batch, decay, part)


@jit
def forward_part(spec, net, layer, batch, decay, part):
    """Fill a part of a layer's z and a."""
    here = layer_of(net, layer)
    layer_product(spec, net, layer, batch, part)
    if decays(spec) and layer == 1:
        column = part.first * lanes(spec)
        z, b = after(here.z, part.low * here.pitch + column), after(here.b, column)
        rows_here, vectors = part.high - part.low, part.last - part.first
        scale_rows(spec, z, here.pitch, rows_here, vectors, decay, b)
    if layer == net.layers:
        for i in range(part.low, part.high, lanes(spec)):
            z, some = after(here.z, i * here.pitch), min(lanes(spec), part.high - i)
            log_normalise(spec, z, here.pitch, some, here.units, here.vectors, net.room)
    runs, run, first = runs_of(spec, here, part)
    for i in range(runs):
        place = first + i * here.pitch
        z, a = after(here.z, place), after(here.a, place)
        each(spec, "values", here.activation, a, (z,), 1.0, run)


@by_layout
@jit
def runs_of(spec, here, part):
    """Return the runs of a part of a layer's z, a pitch apart: their number, length and start."""
    first = part.low * here.pitch + part.first * lanes(spec)
    if part.last - part.first == here.vectors:
        return 1, (part.high - part.low) * here.pitch, first
    return part.high - part.low, (part.last - part.first) * lanes(spec), first


@jit
def output_delta(spec, net, row_weights, m, low, high, factor):
    """Fill the output layer's delta, times `factor`, and each block's sum of costs."""
    top, rows = layer_of(net, net.layers), block_rows(spec, m)
    for i in range(low, high, rows):
        place, n = i * top.pitch, min(rows, high - i) * top.pitch
        z, a, y = after(top.z, place), after(top.a, place), after(net.targets, place)
        real = net.real
        if row_weights is not None:
            real = after(real, place)
        inputs = (z, a, y, real)
        each(spec, "delta", 0, after(top.delta, place), inputs, factor, n)
        put(net.costs, i // rows, sum_cost(spec, inputs, n))


@jit
def backward(spec, net, layer, batch, dropout, decay):
    """Fill the delta of the layer below: delta times the weights, times the slope there.

    The first layer's delta is divided by `decay`, so that its gradient fits the panels as it is.
    """
    for which in range(2):
        part = part_back(spec, net, layer, batch.m, which)
        if not is_empty(part):
            backward_part(spec, net, layer, batch, dropout, decay, part)


@jit
def backward_part(spec, net, layer, batch, dropout, decay, part):
    """Fill a part of the delta of the layer below."""
    here, below, v = layer_of(net, layer), layer_of(net, layer - 1), lanes(spec)
    product(
        spec, net, part, batch.m, here.units, here.delta, here.pitch, here.wt,
        here.vectors * v, below.vectors, here.back_panel, net.zeros, below.delta, below.pitch,
    )  # fmt: skip
    a, factor = below.a, 1.0 / decay if layer == 2 else 1.0
    if dropout is not None:
        a = unmasked_outputs(spec, net, dropout, layer - 1, part)
    runs, run, first = runs_of(spec, below, part)
    for i in range(runs):
        place = first + i * below.pitch
        delta = after(below.delta, place)
        inputs = (delta, after(below.z, place), after(a, place))
        each(spec, "slopes", below.activation, delta, inputs, factor, run)
    if dropout is not None:
        mask(spec, net, dropout, layer - 1, below.delta, batch.start, part)


@by_layout
@jit
def sum_of_costs(spec, net, m):
    """Return the batch's cost, summed in the same order for any number of threads."""
    rows, total = block_rows(spec, m), 0.0
    for block in range((m + rows - 1) // rows):
        total += get(net.costs, block)
    return total
