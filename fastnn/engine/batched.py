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
from fastnn.engine.coefficients import Coefficients, width_of
from fastnn.engine.problem import Problem
from fastnn.penalties import Penalty

__all__ = ["Path", "outputs"]

BLOCK_ROWS = 1024


class Path:
    """Trains with matrix products of numpy.

    Every column is shrunk at every step, and `threads` is a limit for numpy's BLAS.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._coefficients = Coefficients(problem.penalties)
        stateful = any(p is not None and p.stateful for p in problem.penalties)
        arrays = (*problem.weights, *problem.biases)
        self._state = [np.zeros_like(a) if stateful else np.empty(0) for a in arrays]

    def run(self, order: np.ndarray) -> float:
        """Train over the rows in `order`; return the sum of their costs."""
        p, total = self._problem, 0.0
        # exp of a saturated unit: 1/(1+inf) is the right 0
        with np.errstate(over="ignore"), blas.limited(p.threads):
            starts = range(0, len(order), p.batch_size)
            for start, numbers in zip(starts, self._numbers(len(starts)), strict=True):
                total += self._step(order[start : start + p.batch_size], numbers)
        return total

    def change(self, problem: Problem) -> None:
        """Go on with the learning rate of `problem`, which is the same in all else."""
        self._problem = problem

    def write_back(self) -> None:
        """Nothing to do: the caller's arrays are what this path computes on."""

    def penalise(self, steps: int) -> None:
        """Give the weights so many steps of the penalty, a pass for each, without a gradient."""
        p = self._problem
        for numbers in self._numbers(steps):
            for layer, (penalty, w) in enumerate(zip(p.penalties, p.weights, strict=True)):
                if penalty is not None:
                    at = self._coefficients.places[layer]
                    self._shrink(penalty, layer, numbers[at:])
                    scale_groups(penalty, w, numbers[at:])

    def _numbers(self, steps: int) -> np.ndarray:
        """Return the penalties' coefficients in each of the next steps, a row a step."""
        table = self._coefficients.rows(self._problem.step, steps).astype(self._problem.dtype)
        return np.broadcast_to(table, (steps + 1, table.shape[1]))[1:]

    def _step(self, rows: np.ndarray, numbers: np.ndarray) -> float:
        p = self._problem
        masks = None
        if p.masks is not None:
            drawn = p.masks.draw(len(rows))
            masks = [p.masks.layer(drawn, layer) for layer in range(len(p.weights) - 1)]
        zs, layers = _forward(
            p.weights, p.biases, p.activations, _rows(p.inputs, rows, p.dtype), masks
        )
        z, a, y = zs[-1], layers[-1], self._batch_targets(rows)
        if hasattr(p.cost, "delta_rows"):
            delta, total = p.cost.delta_rows(z, a, y), 0.0
        else:
            derivative = p.activations[-1].derivative(np, z, a)
            delta = p.cost.delta(np, z, a, y, derivative)
            total = self._cost(z, a, y, rows) if p.track_cost else 0.0
        delta = delta * self._factor(rows)
        for layer in reversed(range(len(p.weights))):
            w, below = p.weights[layer], layers[layer]
            step, delta_here = delta.T @ below, delta
            if layer:
                z, activation = zs[layer - 1], p.activations[layer - 1]
                a = below if masks is None else activation.value(np, z)
                slope = activation.derivative(np, z, a)
                delta = (delta @ w) * slope
                if masks is not None:
                    delta = delta * masks[layer - 1]
            penalty, at = p.penalties[layer], self._coefficients.places[layer]
            if penalty is not None and not penalty.follows:
                self._shrink(penalty, layer, numbers[at:])
            w += step
            p.biases[layer] += delta_here.sum(axis=0)
            if penalty is not None:
                if penalty.follows:
                    self._shrink(penalty, layer, numbers[at:])
                scale_groups(penalty, w, numbers[at:])
        return total

    def _factor(self, rows: np.ndarray) -> Any:
        """Return what a batch's deltas are multiplied by: -learning_rate/m, or a number a row."""
        p = self._problem
        if p.row_weights is None:
            return p.dtype.type(-p.learning_rate / len(rows))
        weights = p.row_weights[rows]
        total = float(weights.sum(dtype=np.float64)) or np.inf
        return weights[:, np.newaxis] * p.dtype.type(-p.learning_rate / total)

    def _cost(self, z: np.ndarray, a: np.ndarray, y: np.ndarray, rows: np.ndarray) -> float:
        p = self._problem
        costs = p.cost.value(np, z, a, y)
        return float((costs if p.row_weights is None else p.row_weights[rows] @ costs).sum())

    def _shrink(self, penalty: Penalty, layer: int, numbers: np.ndarray) -> None:
        p = self._problem
        shrink_layer(penalty, p.weights[layer], self._state[layer], numbers)
        if penalty.on_biases:
            shrink_layer(penalty, p.biases[layer], self._state[len(p.weights) + layer], numbers)

    def _batch_targets(self, rows: np.ndarray) -> np.ndarray:
        p = self._problem
        if p.targets.ndim == 2:
            return np.asarray(p.targets[rows])
        y = np.zeros((len(rows), len(p.biases[-1])), p.dtype)
        y[np.arange(len(rows)), p.targets[rows]] = 1
        return y


def shrink_layer(penalty: Penalty, w: np.ndarray, q: np.ndarray, numbers: np.ndarray) -> None:
    """Give weights one step of a penalty, in place; `q` is what it keeps beside them.

    `numbers` begins with the penalty's coefficients.
    """
    own = numbers[: width_of(penalty)]
    if penalty.shrink is None or (penalty.rests and own[-1] > 0):
        return
    if penalty.stateful:
        w[...], q[...] = penalty.shrink(np, w, q, *own)
    else:
        w[...] = penalty.shrink(np, w, *own)


def scale_groups(penalty: Penalty, w: np.ndarray, numbers: np.ndarray) -> None:
    """Scale the groups of a layer's weights, (out, in), by one step of a penalty, in place."""
    if penalty.scale is None:
        return
    axis = 0 if penalty.grouping == "inputs" else 1
    norm = np.sqrt(np.square(w).sum(axis=axis, keepdims=True))
    size, one = w.dtype.type(w.shape[axis]), w.dtype.type(1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a norm of 0, which stays 0
        w *= penalty.scale(np, norm, size, one, *numbers[: width_of(penalty)])


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted inputs z and the outputs a of the output layer, for every row."""
    n, dtype = inputs.n, weights[0].dtype
    z, a = (np.empty((n, len(biases[-1])), dtype) for _ in range(2))
    with np.errstate(over="ignore"):
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            x = _rows(inputs, block, dtype)
            zs, layers = _forward(weights, biases, activations, x)
            z[block], a[block] = zs[-1], layers[-1]
    return z, a


def _rows(inputs: Inputs, rows: Any, dtype: np.dtype[Any]) -> Any:
    """Return some rows, scaled: an array, or a sparse one."""
    return inputs.matrix[rows].astype(dtype) * dtype.type(inputs.scale)


def _forward(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    x: np.ndarray,
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return every layer's weighted inputs, and the layers' outputs with `x` in front.

    `masks`, one for each hidden layer, multiply its outputs.
    """
    zs, layers = [], [x]
    for w, b, activation in zip(weights, biases, activations, strict=True):
        zs.append(layers[-1] @ w.T + b)
        if activation.normalises:
            zs[-1] = log_normalised(zs[-1])
        layers.append(activation.value(np, zs[-1]))
        if masks is not None and len(zs) <= len(masks):
            layers[-1] = layers[-1] * masks[len(zs) - 1]
    return zs, layers
