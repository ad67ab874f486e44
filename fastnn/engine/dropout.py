"""Dropout in the kernels: outputs times a mask in the forward pass, deltas in the backward pass.

The slope of a unit that stays is taken at its output before the mask. The output of a dropped unit
is lost, so the slope there may be any number, but its delta is 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.pointers import after, at, get, layer_of, put

__all__ = ["Dropout", "mask", "unmasked_outputs"]


class Dropout(NamedTuple):
    """The additional arguments of a training kernel with dropout.

    masks : the network's dtype (rows of the call, units of all hidden layers)
        0 or 1/keep.
    keeps : the network's dtype, one for each hidden layer
        The share of units that stay.
    unmasked : 1-D, the network's dtype
        Room for the outputs of one layer, with its pitch.
    """

    masks: Any
    keeps: Any
    unmasked: Any


@jit
def mask_of(net, dropout, number, row):
    """Return a pointer to the mask of a row in hidden layer `number`."""
    column = 0
    for layer in range(1, number):
        column += layer_of(net, layer).units
    return after(at(dropout.masks, 0), row * dropout.masks.shape[1] + column)


@by_layout
@jit_outlined
def mask(spec, net, dropout, number, values, start, part):
    """Multiply a part of ``values``, a hidden layer's a or delta, by the masks.

    The batch's first row is row `start` of the call.
    """
    here = layer_of(net, number)
    first, last = part.first * lanes(spec), min(part.last * lanes(spec), here.units)
    for i in range(part.low, part.high):
        factors, row = mask_of(net, dropout, number, start + i), after(values, i * here.pitch)
        for o in range(first, last):
            factor = get(factors, o)
            put(row, o, get(row, o) * factor if factor > 0 else factor)  # not 0 times infinity


@by_layout
@jit_outlined
def unmasked_outputs(spec, net, dropout, number, part):
    """Return a hidden layer's a as it was before the masks; only `part` of it is filled."""
    here = layer_of(net, number)
    first, last = part.first * lanes(spec), part.last * lanes(spec)
    keep, unmasked = dropout.keeps[number - 1], at(dropout.unmasked, 0)
    for i in range(part.low, part.high):
        for o in range(i * here.pitch + first, i * here.pitch + last):
            put(unmasked, o, get(here.a, o) * keep)
    return unmasked
