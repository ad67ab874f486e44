"""What is trained on what: the one thing that `Training` hands to either path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.activations import Activation
from fastnn.arrays import Inputs
from fastnn.engine.masks import Masks
from fastnn.penalties import Penalty

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """A network's arrays, its formulas, the rows, and how they are stepped through.

    The attributes are the parameters of `engine.Training`, checked and completed: `penalties` has
    one for each layer, and None where it would do nothing; `batch_size` is at most the number of
    rows, and `step` is learning_rate/n, with the n of lmbda/n.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activations: Sequence[Activation]
    cost: Any
    penalties: Sequence[Penalty | None]
    inputs: Inputs
    targets: np.ndarray
    batch_size: int
    learning_rate: float
    step: float
    track_cost: bool
    threads: int
    row_weights: np.ndarray | None = None
    masks: Masks | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights, and of all that is computed."""
        return self.weights[0].dtype
