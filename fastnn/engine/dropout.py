"""Dropout in the kernels: outputs times a mask on the way forward, deltas on the way back.

A dropped output is gone once it is multiplied by 0, but its delta is 0 too, so that the slope there
does not matter; that of another is taken at the output as it was before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.jit import jit, jit_apart
from fastnn.engine.pointers import after, at, get, layer_of, put

__all__ = ["Dropout", "mask", "unmasked_outputs"]


class Dropout(NamedTuple):
    """What a training kernel with dropout is given beside the rest.

    masks : the network's dtype (rows of the call, units of all hidden layers)
        0 or 1/keep.
    keeps : the network's dtype, one for each hidden layer
        The share of units that stay.
    unmasked : 1-D, the network's dtype
        Room for the outputs of a layer, with its pitch.
    """

    masks: Any
    keeps: Any
    unmasked: Any


@jit
def mask_of(net, dropout, number, row):
    """Return where the mask of a row of a hidden layer begins."""
    column = 0
    for layer in range(1, number):
        column += layer_of(net, layer).units
    return after(at(dropout.masks, 0), row * dropout.masks.shape[1] + column)


@by_layout
@jit_apart
def mask(spec, net, dropout, number, values, start, part):
    """Multiply ``values``, a hidden layer's a or delta, by the masks of rows from `start` on.

    This thread's part of them.
    """
    here = layer_of(net, number)
    first, last = part.first * lanes(spec), min(part.last * lanes(spec), here.units)
    for i in range(part.low, part.high):
        factors, row = mask_of(net, dropout, number, start + i), after(values, i * here.pitch)
        for o in range(first, last):
            put(row, o, get(row, o) * get(factors, o))


@by_layout
@jit_apart
def unmasked_outputs(spec, net, dropout, number, part):
    """Return a hidden layer's a without the masks, this thread's part of it filled."""
    here = layer_of(net, number)
    first, last = part.first * lanes(spec), part.last * lanes(spec)
    keep, unmasked = dropout.keeps[number - 1], at(dropout.unmasked, 0)
    for i in range(part.low, part.high):
        for o in range(i * here.pitch + first, i * here.pitch + last):
            put(unmasked, o, get(here.a, o) * keep)
    return unmasked
