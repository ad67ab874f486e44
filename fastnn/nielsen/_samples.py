"""The book's pairs (x, y), and user-defined costs in the book's form, adapted to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import one_hot
from fastnn.engine import outputs
from fastnn.nielsen._base import BookNetwork, as_list, sigmoid
from fastnn.pairs import from_pairs

__all__ = ["SampleDeltas", "Samples"]


class Samples:
    """A list of pairs (x, y), converted once for the engine.

    Attributes
    ----------
    pairs : list
        The caller's list itself, if a list was given.
    inputs : Inputs
        One row for each pair.
    targets : ndarray
        Class indices, int64 (n,), or vectors (n, outputs).
    """

    def __init__(self, parameter: str, data: Iterable[Any], network: BookNetwork) -> None:
        self.pairs = as_list(parameter, data)
        self._in_row_order = list(self.pairs)  # SGD reorders the caller's list, not the rows
        self._network = network
        self.inputs: Inputs
        self.inputs, self.targets = from_pairs(
            self.pairs, network.sizes[0], network.sizes[-1], network.dtype
        )

    def __len__(self) -> int:
        return len(self.targets)

    def reorder(self, order: np.ndarray) -> None:
        """Reorder the pairs, in place in their list, and the rows."""
        self._in_row_order = [self._in_row_order[i] for i in order.tolist()]
        self.pairs[:] = self._in_row_order
        self.inputs, self.targets = self.inputs.rows(order), self.targets[order]

    def activations(self) -> np.ndarray:
        """Return the network's output for every row, (n, outputs).

        If `feedforward` is user-defined, it is called for this.
        """
        if self._network._is_overridden("feedforward"):
            return self._fed_forward()
        weights, biases = self._network._arrays()
        flat, sigmoids = [b.reshape(-1) for b in biases], [Sigmoid()] * len(biases)
        weights = [np.ascontiguousarray(w) for w in weights]
        z = outputs(weights, flat, sigmoids, self.inputs).z
        a: np.ndarray = sigmoid(z)
        return a

    def _fed_forward(self) -> np.ndarray:
        """Return the outputs of a user-defined `feedforward`, called pair by pair."""
        outputs = self._network.sizes[-1]
        a = np.empty((len(self), outputs), self._network.dtype)
        for i, (x, _) in enumerate(self._in_row_order):
            output = np.asarray(self._network.feedforward(x))
            if output.shape != (outputs, 1):
                raise ValueError(
                    f"feedforward must return the shape {(outputs, 1)}, not {output.shape}"
                )
            a[i] = output[:, 0]
        return a

    def correct(self, a: np.ndarray, *, convert: bool) -> int:
        """Return the number of rows in which the largest of the outputs `a` is the desired one.

        With one output, the largest is always the first, as in the book; `convert` then says
        whether a target is a vector or a number to compare with 0.
        """
        labels = self.targets
        if labels.ndim == 2:
            labels = labels.argmax(axis=1) if convert or labels.shape[1] > 1 else labels[:, 0]
        return int(np.count_nonzero(a.argmax(axis=1) == labels))

    def vectors(self) -> np.ndarray:
        """Return the targets as vectors, (n, outputs)."""
        if self.targets.ndim == 2:
            return self.targets
        return one_hot(self.targets, self._network.sizes[-1], self._network.dtype)


class SampleDeltas:
    """A user-defined cost, adapted to the engine's numpy path.

    Parameters
    ----------
    delta : callable
        ``delta(z, a, y)`` as in the book's costs: it takes and returns columns (outputs, 1).
    """

    def __init__(self, delta: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]) -> None:
        self._delta = delta

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the deltas of a batch; every array is (m, outputs)."""
        deltas = np.empty_like(a)
        for i in range(len(a)):
            delta = np.asarray(self._delta(z[i, :, None], a[i, :, None], y[i, :, None]))
            if delta.shape != (a.shape[1], 1):
                raise ValueError(
                    f"the cost's delta must return the shape {(a.shape[1], 1)}, not {delta.shape}"
                )
            deltas[i] = delta[:, 0]
        return deltas
