"""The numpy path: the same formulas on whole batches, without the compiler.

It runs where the JIT is off and where a cost is the user's own code. m is the rows of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.activations import Activation, log_normalised
from fastnn.arrays import Inputs
from fastnn.engine import blas
from fastnn.penalties import Penalty

__all__ = ["Path", "outputs"]

BLOCK_ROWS = 1024


class Path:
    """Trains with matrix products of numpy; the parameters are those of `engine.Training`.

    Here every column is shrunk at every step, so whether the penalty of unused ones `waits` makes
    no difference; and `threads` is a limit for numpy's BLAS.
    """

    def __init__(
        self,
        weights: list[np.ndarray],
        biases: list[np.ndarray],
        *,
        activations: Sequence[Activation],
        cost: Any,
        penalty: Penalty | None,
        shrink: tuple[float, ...],
        waits: bool,
        inputs: Inputs,
        targets: np.ndarray,
        batch_size: int,
        learning_rate: float,
        track_cost: bool,
        threads: int,
    ) -> None:
        self._weights, self._biases, self._activations = weights, biases, activations
        self._cost, self._penalty, self._shrink = cost, penalty, shrink
        self._inputs, self._targets = inputs, targets
        self._batch_size, self._learning_rate = batch_size, learning_rate
        self._track_cost, self._threads = track_cost, threads

    def run(self, order: np.ndarray) -> float:
        """Train over the rows in `order`; return the sum of their costs."""
        total = 0.0
        # exp of a saturated unit: 1/(1+inf) is the right 0
        with np.errstate(over="ignore"), blas.limited(self._threads):
            for start in range(0, len(order), self._batch_size):
                total += self._step(order[start : start + self._batch_size])
        return total

    def write_back(self) -> None:
        """Nothing to do: the caller's arrays are what this path computes on."""

    def _step(self, rows: np.ndarray) -> float:
        zs, layers = _forward(
            self._weights, self._biases, self._activations, _rows(self._inputs, rows, self._dtype)
        )
        z, a, y = zs[-1], layers[-1], self._batch_targets(rows)
        if hasattr(self._cost, "delta_rows"):
            delta, total = self._cost.delta_rows(z, a, y), 0.0
        else:
            derivative = self._activations[-1].derivative(np, z, a)
            delta = self._cost.delta(np, z, a, y, derivative)
            total = float(self._cost.value(np, z, a, y).sum()) if self._track_cost else 0.0
        delta = delta * self._dtype.type(-self._learning_rate / len(rows))
        for layer in reversed(range(len(self._weights))):
            w, below = self._weights[layer], layers[layer]
            step, delta_here = delta.T @ below, delta
            if layer:
                slope = self._activations[layer - 1].derivative(np, zs[layer - 1], below)
                delta = (delta @ w) * slope
            if self._penalty is not None:
                coefficients = map(self._dtype.type, self._shrink)
                w[...] = self._penalty.shrink(np, w, *coefficients)
            w += step
            self._biases[layer] += delta_here.sum(axis=0)
        return total

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self._weights[0].dtype

    def _batch_targets(self, rows: np.ndarray) -> np.ndarray:
        if self._targets.ndim == 2:
            return np.asarray(self._targets[rows])
        y = np.zeros((len(rows), len(self._biases[-1])), self._dtype)
        y[np.arange(len(rows)), self._targets[rows]] = 1
        return y


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> np.ndarray:
    """Return z, the weighted input of the output layer, for every row."""
    n, dtype = len(inputs.matrix), weights[0].dtype
    z = np.empty((n, len(biases[-1])), dtype)
    with np.errstate(over="ignore"):
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            x = _rows(inputs, block, dtype)
            z[block] = _forward(weights, biases, activations, x)[0][-1]
    return z


def _rows(inputs: Inputs, rows: Any, dtype: np.dtype[Any]) -> np.ndarray:
    x: np.ndarray = inputs.matrix[rows].astype(dtype) * dtype.type(inputs.scale)
    return x


def _forward(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    x: np.ndarray,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return every layer's weighted inputs, and the layers' outputs with `x` in front."""
    zs, layers = [], [x]
    for w, b, activation in zip(weights, biases, activations, strict=True):
        zs.append(layers[-1] @ w.T + b)
        if activation.normalises:
            zs[-1] = log_normalised(zs[-1])
        layers.append(activation.value(np, zs[-1]))
    return zs, layers
