"""Dropout masks, drawn row by row: which hidden units are dropped for a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.engine.draws import Draws

__all__ = ["Masks"]


class Masks(Draws):
    """Draws masks: 0 for a unit that is dropped, and 1/(1-rate) for one that stays.

    This is dropout (Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014) in its inverted form: the outputs keep their mean, so that nothing is scaled
    when the network predicts.

    All draws come from one generator, a row's together, in the order of training. They therefore do
    not depend on the path, the chunks or the threads.

    Parameters
    ----------
    rates : sequence of float
        The share of each hidden layer's units that is dropped, at least 0 and below 1.
    sizes : sequence of int
        The number of units of each hidden layer.
    dtype : dtype
        The dtype of the masks.
    seed : int
    """

    def __init__(
        self, rates: Sequence[float], sizes: Sequence[int], dtype: np.dtype[Any], seed: int
    ) -> None:
        self.keeps = tuple(1 - rate for rate in rates)
        self.ends = np.cumsum([0, *sizes])
        self._threshold = np.repeat(np.array(self.keeps, np.float32), sizes)
        self._kept = np.repeat(1 / np.array(self.keeps), sizes).astype(dtype)
        super().__init__(seed)

    def draw(self, rows: int) -> np.ndarray:
        """Return the masks of the next `rows` rows, (rows, units of all hidden layers)."""
        drawn = self._rng.random((rows, len(self._kept)), np.float32)
        masks: np.ndarray = (drawn < self._threshold) * self._kept
        return masks

    def layer(self, masks: np.ndarray, number: int) -> np.ndarray:
        """Return the part of `masks` for hidden layer `number`, counted from 0."""
        return masks[:, self.ends[number] : self.ends[number + 1]]
