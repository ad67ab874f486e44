"""Exact zeros: counting them, setting small weights to zero, and removing the dead part.

Pure functions on the arrays of a network: one weights (out, in) and one biases (out,) for each
layer after the input. A unit can be removed without changing the outputs in two cases, an input in
one:

* all weights into a unit are zero: its output is the constant act(bias), and what that contributes
  to the next layer is added to that layer's biases;
* all weights out of a unit are zero: nothing reads it;
* all weights out of an input are zero: nothing reads it.

A removal may leave another unit, before or after it, with nothing but zeros. So removal is repeated
until nothing changes. The weights are assumed to be finite.
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
        C-contiguous, of the original dtype; always copies.
    biases : list of ndarray, shape (out,)
        Of the original dtype; always copies.
    kept : list of ndarray of int64
        For the inputs and each hidden layer, the ascending numbers of those that stay.
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
        How many of these weights were not 0 before.
    """
    pruned = 0
    with np.errstate(over="ignore"):  # a threshold beyond float32 is above every weight
        for w in weights:
            small = np.abs(w) <= threshold
            pruned += int(np.count_nonzero(w[small]))
            w[small] = 0
    return pruned


def with_all_columns(w: np.ndarray, kept: np.ndarray, width: int) -> np.ndarray:
    """Return `w` (out, in) widened to `width` columns: its own at `kept`, and zeros elsewhere."""
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
        One per layer, the output's last.

    Returns
    -------
    Compacted
        Its outputs equal the network's up to rounding: each constant is added in float64 and
        rounded once. At least one input stays, and one unit in each hidden layer: the first if all
        could be removed.
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
                # A unit that nothing reads adds 0 here.
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
    """Add to `bias`, in place, what the units in `gone` contribute through the weights `w`."""
    with np.errstate(over="ignore"):  # exp of a saturated unit: 1/(1+inf) is the right 0
        constant = act.value(np, bias_before[gone].astype(np.float64))
    bias[:] = bias + w[:, gone].astype(np.float64) @ constant
