"""The training problem that `Training` hands to either path, and the result of `outputs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastnn.activations import Activation
from fastnn.arrays import Inputs
from fastnn.engine.masks import Masks
from fastnn.engine.noise import Noise
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty

__all__ = ["Outputs", "Problem"]


@dataclass(frozen=True)
class Problem:
    """A network's arrays, its formulas, the rows, and how training steps through them.

    The attributes are the parameters of `engine.Training`, checked and completed. `penalties` has
    one entry for each layer, None where a penalty would do nothing. `batch_size` is at most the
    number of rows. `n` is that of lmbda/n, None if each batch has its own. `stepper` is the
    optimizer, None if that is plain descent.
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
    n: int | None
    track_cost: bool
    threads: int
    row_weights: np.ndarray | None = None
    masks: Masks | None = None
    noise: Noise | None = None
    stepper: Optimizer | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights and of all computation."""
        return self.weights[0].dtype

    def steps(self, order: np.ndarray) -> float | np.ndarray:
        """Return learning_rate / n, one number for all batches of `order` or one for each."""
        if self.n is not None:
            return self.learning_rate / self.n
        starts = np.arange(0, len(order), self.batch_size)
        if self.row_weights is None:
            return self.learning_rate / np.minimum(len(order) - starts, self.batch_size)
        sums = np.add.reduceat(self.row_weights[order], starts, dtype=np.float64)
        with np.errstate(divide="ignore"):  # without weight, no gradient and no penalty
            return np.where(sums > 0, self.learning_rate / sums, 0.0)

    @property
    def lazy(self) -> bool:
        """Whether the first layer's penalty may be deferred for columns a batch does not use."""
        first = self.penalties[0]
        if first is None or self.stepper is not None:
            return False
        if self.n is None:  # at most the step of one row, unless rows weigh less than 1
            return first.decays and self.row_weights is None and first.lazy(self.learning_rate)
        return first.lazy(self.learning_rate / self.n)


class Outputs(NamedTuple):
    """The values of the output layer, which has O units, for n rows.

    Attributes
    ----------
    z, a : ndarray, (n, O)
        The weighted inputs and the outputs, in the network's dtype.
    largest : ndarray, int64 (n,)
        The unit with the largest output, or the first with NaN: ``a.argmax(axis=1)``.
    """

    z: np.ndarray
    a: np.ndarray
    largest: np.ndarray
