"""What a fit leaves in addition to the weights, for a warm start of the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["OptimizerState"]


class OptimizerState(NamedTuple):
    """The state of the optimizer, and of penalties that depend on earlier steps, after a fit.

    Attributes
    ----------
    optimizer : str
        The optimizer's name.
    penalties : list of str or None
        The repr of each layer's penalty in its simplest form, with a digest if it is user-defined.
    steps : int
        The number of steps so far.
    total : float
        The sum of learning_rate / n over the steps with these penalties, times the optimizer's
        ``gain``.
    memories : list of lists of ndarray
        For each number that the optimizer keeps per weight, the arrays of all layers: first those
        for the weights, (out, in), then those for the biases, (out,). Adam keeps two numbers, the
        moments m and v.
    kept : list of ndarray
        The numbers that penalties keep, as arrays in the same order; empty if they keep none.
    """

    optimizer: str
    penalties: list[str | None]
    steps: int
    total: float
    memories: list[list[np.ndarray]]
    kept: list[np.ndarray]

    def fits(self, arrays: Sequence[np.ndarray]) -> bool:
        """Return whether it is of `arrays`, weights and then biases, by their shapes."""
        shapes = [array.shape for array in arrays]
        held = [one for one in (*self.memories, self.kept) if one]
        return all([array.shape for array in one] == shapes for one in held)
