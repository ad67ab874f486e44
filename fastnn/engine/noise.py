"""Noise on the inputs: normally distributed numbers, drawn row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.engine.draws import Draws

__all__ = ["Noise"]


class Noise(Draws):
    """Draws the noise that is added to each scaled input: normal, with mean 0.

    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995. As with
    `Masks`, the draws are in the order of training and do not depend on the path or the threads.

    Parameters
    ----------
    deviation : float
        The standard deviation, above 0.
    columns : int
        The number of inputs.
    dtype : dtype
        float32 or float64.
    seed : int
    """

    def __init__(self, deviation: float, columns: int, dtype: np.dtype[Any], seed: int) -> None:
        self._deviation, self._columns = dtype.type(deviation), columns
        super().__init__(seed)

    def draw(self, rows: int) -> np.ndarray:
        """Return the noise of the next `rows` rows, (rows, columns)."""
        shape, dtype = (rows, self._columns), self._deviation.dtype
        drawn: np.ndarray = self._rng.standard_normal(shape, dtype)
        drawn *= self._deviation
        return drawn
