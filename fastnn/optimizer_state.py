"""What a fit leaves behind beside the weights, for the next one to go on from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["OptimizerState"]


class OptimizerState(NamedTuple):
    """What an optimizer, and penalties that depend on earlier steps, remember after a fit.

    Attributes
    ----------
    optimizer : str
        The optimizer's name.
    penalties : list of str or None
        What each layer's penalty was, in its simplest form, as Python shows it.
    steps : int
        The steps so far.
    total : float
        The sum of their learning_rate / n, times the optimizer's reach.
    memories : list of lists of ndarray
        For each number that the optimizer keeps beside a weight, the arrays of all layers: for the
        weights, (out, in), then for the biases, (out,). Adam has two, the moments m and v.
    kept : list of ndarray
        What penalties keep, likewise; empty where they keep nothing.
    """

    optimizer: str
    penalties: list[str | None]
    steps: int
    total: float
    memories: list[list[np.ndarray]]
    kept: list[np.ndarray]
