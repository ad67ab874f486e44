"""Exact zeros: how many there are, how weights become zeros, and the network without the dead part.

Pure functions on the arrays of a network, one weights (out, in) and one biases (out,) for each
layer after the input. A unit can go without a change of the outputs in two cases, and an input in
one:

* all weights into it are zero: its output is the constant act(bias), and what the next layer gets
  of it is added to that layer's biases;
* all weights out of it are zero: nobody reads it;
* all weights out of an input are zero: likewise.

A removal may empty another unit, before it or after it. So the removal is repeated until nothing
changes. The weights are taken to be finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastnn.activations import Activation

__all__ = ["Compacted", "compact", "prune", "with_all_columns", "zero_shares"]


class Compacted(NamedTuple):
    """What is left of a network.

    Attributes
    ----------
    weights : list of ndarray, shape (out, in)
        C-contiguous, of the dtype they came in; never the arrays that came.
    biases : list of ndarray, shape (out,)
        Likewise.
    kept : list of ndarray of int64
        For the inputs and each hidden layer the numbers of those that stay, increasing.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    kept: list[np.ndarray]


def zero_shares(weights: Sequence[np.ndarray]) -> list[float]:
    """Return the share of exact zeros, 0 to 1, in each layer's weights."""
    return [float(np.mean(w == 0)) for w in weights]


def prune(weights: Sequence[np.ndarray], threshold: float) -> int:
    """Set each weight with abs(w) <= `threshold` to 0, in place.

    Returns
    -------
    int
        How many of them were not 0 before.
    """
    pruned = 0
    with np.errstate(over="ignore"):  # a threshold beyond float32 is above every weight
        for w in weights:
            small = np.abs(w) <= threshold
            pruned += int(np.count_nonzero(w[small]))
            w[small] = 0
    return pruned


def with_all_columns(w: np.ndarray, kept: np.ndarray, width: int) -> np.ndarray:
    """Return `w` (out, in) with its columns at the numbers `kept` of `width`, and zeros between."""
    whole = np.zeros((len(w), width), w.dtype)
    whole[:, kept] = w
    return whole


def compact(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], activations: Sequence[Activation]
) -> Compacted:
    """Return the network without the inputs and hidden units that its outputs do not need.

    Parameters
    ----------
    weights : sequence of ndarray, shape (out, in)
    biases : sequence of ndarray, shape (out,)
    activations : sequence of Activation
        One a layer, the output's last.

    Returns
    -------
    Compacted
        Its outputs are those of the network to rounding: each constant is added in float64 and
        rounded once. At least one input stays, and one unit in each hidden layer, the first where
        all of them are empty.
    """
    weights, biases = [w.copy() for w in weights], [b.copy() for b in biases]
    kept = [np.arange(w.shape[1], dtype=np.int64) for w in weights]
    changed = True
    while changed:
        changed = False
        for layer, w in enumerate(weights):
            gone = np.logical_not(w.any(axis=0))
            if layer:
                gone |= np.logical_not(weights[layer - 1].any(axis=1))
            if gone.all():
                gone[0] = False
            if not gone.any():
                continue
            if layer:
                # A unit that nobody reads adds 0 here.
                _fold(w, biases[layer], biases[layer - 1], gone, activations[layer - 1])
                weights[layer - 1] = weights[layer - 1][~gone]
                biases[layer - 1] = biases[layer - 1][~gone]
            weights[layer] = np.ascontiguousarray(w[:, ~gone])
            kept[layer] = kept[layer][~gone]
            changed = True
    return Compacted(weights, biases, kept)


def _fold(
    w: np.ndarray, bias: np.ndarray, bias_before: np.ndarray, gone: np.ndarray, act: Activation
) -> None:
    """Add to `bias`, in place, what the units in `gone` give through the weights `w`."""
    with np.errstate(over="ignore"):  # exp of a saturated unit: 1/(1+inf) is the right 0
        constant = act.value(np, bias_before[gone].astype(np.float64))
    bias[:] = bias + w[:, gone].astype(np.float64) @ constant
