"""The numpy path: the same formulas on whole batches, without the compiler.

It runs when the JIT is off, for user-defined costs, and for the outputs of few rows or of a small
network. m is the number of rows of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.activations import Activation, log_normalised
from fastnn.arrays import Inputs
from fastnn.costs import RowCost, one_hot
from fastnn.engine import blas
from fastnn.engine.coefficients import Coefficients, in_dtype, width_of
from fastnn.engine.problem import Outputs, Problem
from fastnn.engine.state import State, fresh
from fastnn.penalties import Penalty, value_of
from fastnn.penalties.groups import shortened

__all__ = ["Path", "forward", "gradients", "outputs"]

BLOCK_ROWS = 1024


class Path:
    """Trains with numpy's matrix products.

    Every column is shrunk at every step. `threads` is the limit for numpy's BLAS.
    """

    def __init__(self, problem: Problem, state: State | None = None) -> None:
        self._problem, state = problem, state or fresh(problem)
        self._of_rows = isinstance(problem.cost, RowCost)  # once: the check is slow
        self._coefficients = Coefficients(problem.penalties, problem.stepper)
        self._coefficients.count, self._coefficients.total = state.steps, state.total
        self._memories = [[a.copy() for a in arrays] for arrays in state.memories]
        self._kept = [a.copy() for a in state.kept]
        self._marked = list(map(np.empty_like, self._of_network()))

    def run(self, order: np.ndarray, batches: np.ndarray | None = None) -> float:
        """Train over the rows in `order`; return the sum of their costs."""
        p, total = self._problem, 0.0
        # exp overflows for a saturated unit, and 1/(1+inf) is the right 0. Callers look for NaN.
        with np.errstate(over="ignore", invalid="ignore"), blas.limited(p.threads):
            starts = range(0, len(order), p.batch_size)
            numbered = self._numbers(p.steps(order), len(starts))
            for i, (start, numbers) in enumerate(zip(starts, numbered, strict=True)):
                if batches is not None:
                    batches[i, 1] = sum(np.abs(w).sum(dtype=np.float64) for w in p.weights)
                    batches[i, 2] = sum(np.square(w).sum(dtype=np.float64) for w in p.weights)
                cost = self._step(order[start : start + p.batch_size], numbers)
                if batches is not None:
                    batches[i, 0] = cost
                total += cost
        return total

    def change(self, problem: Problem) -> None:
        """Continue with the learning rate of `problem`, which is otherwise the same."""
        self._problem = problem

    def write_back(self) -> None:
        """Do nothing: this path computes on the caller's arrays."""

    def penalty_value(self, penalties: Sequence[Penalty | None]) -> Callable[[], float]:
        """Return a function that returns the penalties' value as it is now, times n."""
        value = value_of(penalties, self._problem.weights, self._problem.biases)
        return lambda: value

    def mark(self) -> None:
        """Copy the weights and biases for `go_back`."""
        for noted, now in zip(self._marked, self._of_network(), strict=True):
            noted[...] = now

    def go_back(self) -> None:
        """Return to the last `mark`."""
        for noted, now in zip(self._marked, self._of_network(), strict=True):
            now[...] = noted

    def _of_network(self) -> list[np.ndarray]:
        return [*self._problem.weights, *self._problem.biases]

    def is_finite(self) -> bool:
        """Return whether all weights, biases and optimizer memories are finite."""
        held = itertools.chain(self._of_network(), *self._memories)
        return all(bool(np.isfinite(array).all()) for array in held)

    def state(self) -> State:
        """Return a copy of what the optimizer and the penalties remember."""
        memories = [[a.copy() for a in arrays] for arrays in self._memories]
        kept = [a.copy() for a in self._kept]
        return State(self._coefficients.count, self._coefficients.total, memories, kept, {})

    def penalise(self, steps: int) -> None:
        """Apply `steps` steps of the penalty without a gradient, in one pass each."""
        p = self._problem
        for numbers in self._numbers(p.steps(np.empty(0, np.int64)), steps):
            for layer, (penalty, w) in enumerate(zip(p.penalties, p.weights, strict=True)):
                if penalty is not None:
                    at = self._coefficients.places[layer]
                    self._shrink(penalty, layer, numbers[at:])
                    scale_groups(penalty, w, numbers[at:])

    def _numbers(self, step: float | np.ndarray, steps: int) -> np.ndarray:
        """Return the coefficients of the next steps, one row for each step."""
        rate = self._problem.learning_rate
        table = in_dtype(self._coefficients.rows(step, steps, rate), self._problem.dtype)
        return np.broadcast_to(table, (steps + 1, table.shape[1]))[1:]

    def _step(self, rows: np.ndarray, numbers: np.ndarray) -> float:
        p = self._problem
        masks = None
        if p.masks is not None:
            drawn = p.masks.draw(len(rows))
            masks = [p.masks.layer(drawn, layer) for layer in range(len(p.weights) - 1)]
        x = _rows(p.inputs, rows, p.dtype)
        if p.noise is not None:
            x += p.noise.draw(len(rows))
        zs, layers = forward(p.weights, p.biases, p.activations, x, masks)
        z, a, y = zs[-1], layers[-1], self._batch_targets(rows)
        if self._of_rows:
            delta, total = p.cost.delta_rows(z, a, y), 0.0
        else:
            derivative = p.activations[-1].derivative(np, z, a)
            delta = p.cost.delta(np, z, a, y, derivative)
            total = self._cost(z, a, y, rows) if p.track_cost else 0.0
        delta = self._weighted(delta, rows)
        for layer, step, of_biases in gradients(p.weights, p.activations, zs, layers, delta, masks):
            self._take(layer, step, of_biases, numbers)
        return total

    def _take(
        self, layer: int, step: np.ndarray, of_biases: np.ndarray, numbers: np.ndarray
    ) -> None:
        """Update a layer: add `step`, or give it to the optimizer as the gradient."""
        p = self._problem
        penalty, w, b = p.penalties[layer], p.weights[layer], p.biases[layer]
        own = numbers[self._coefficients.places[layer] :]
        if p.stepper is not None:
            biased = penalty if penalty is not None and penalty.on_biases else None
            self._optimise(layer, w, step, penalty, own, numbers)
            self._optimise(
                len(p.weights) + layer, b, of_biases, biased, own, numbers[self._coefficients.own :]
            )
            step_size = self._step_size(layer, numbers)
            if penalty is not None and penalty.norm_index is not None and step_size is not None:
                shorten_groups(penalty, w, own, step_size)
                return
        else:
            if penalty is not None and not penalty.after_gradient:
                self._shrink(penalty, layer, own)
            w += step
            b += of_biases
            if penalty is not None and penalty.after_gradient:
                self._shrink(penalty, layer, own)
        if penalty is not None:
            scale_groups(penalty, w, own)

    def _optimise(
        self, place: int, w: np.ndarray, g: np.ndarray, penalty: Penalty | None,
        of_penalty: np.ndarray, numbers: np.ndarray,
    ) -> None:  # fmt: skip
        """Apply one optimizer step in place to array number `place` of the weights and biases.

        `numbers` begins with the optimizer's coefficients, `of_penalty` with the penalty's.
        """
        stepper, own = self._problem.stepper, numbers[: self._coefficients.own]
        assert stepper is not None
        if penalty is not None and penalty.slope is not None and not _skips(penalty, of_penalty):
            g = g + penalty.slope(np, w, *of_penalty[: width_of(penalty)])
        memories = [arrays[place] for arrays in self._memories]
        w[...], *now = stepper.step(np, w, g, *memories, *own)
        for memory, new in zip(memories, now, strict=True):
            memory[...] = new
        if penalty is not None and penalty.after_gradient:
            step_size = self._step_size(place, numbers)
            shrink_layer(penalty, w, self._kept[place], of_penalty, step_size)

    def _step_size(self, place: int, numbers: np.ndarray) -> np.ndarray | None:
        """Return the relative step size of each weight of an array; None if all are equal."""
        stepper = self._problem.stepper
        if stepper is None or stepper.step_size is None:
            return None
        memories = [arrays[place] for arrays in self._memories]
        step_size: np.ndarray = stepper.step_size(np, *memories, *numbers[: self._coefficients.own])
        return step_size

    def _weighted(self, delta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return a batch's deltas times -learning_rate/m, so that gradients become steps.

        With an optimizer the factor is 1/m. With row weights, m is their sum and each row's delta
        is multiplied by its weight; a weight of 0 gives 0, even for an infinite delta.
        """
        p = self._problem
        factor = -p.learning_rate if p.stepper is None else 1.0
        weighed: np.ndarray
        if p.row_weights is None:
            weighed = delta * p.dtype.type(factor / len(rows))
            return weighed
        weights = p.row_weights[rows][:, np.newaxis]
        total = float(weights.sum(dtype=np.float64)) or np.inf
        weighed = np.where(weights > 0, delta, 0) * (weights * p.dtype.type(factor / total))
        return weighed

    def _cost(self, z: np.ndarray, a: np.ndarray, y: np.ndarray, rows: np.ndarray) -> float:
        p = self._problem
        costs = p.cost.value(np, z, a, y)
        if p.row_weights is None:
            return float(costs.sum())
        weights = p.row_weights[rows]
        return float((weights @ np.where(weights[:, np.newaxis] > 0, costs, 0)).sum())

    def _shrink(self, penalty: Penalty, layer: int, numbers: np.ndarray) -> None:
        p = self._problem
        shrink_layer(penalty, p.weights[layer], self._kept[layer], numbers)
        if penalty.on_biases:
            shrink_layer(penalty, p.biases[layer], self._kept[len(p.weights) + layer], numbers)

    def _batch_targets(self, rows: np.ndarray) -> np.ndarray:
        p = self._problem
        if p.targets.ndim == 2:
            return np.asarray(p.targets[rows])
        return one_hot(p.targets[rows], len(p.biases[-1]), p.dtype)


def shrink_layer(
    penalty: Penalty,
    w: np.ndarray,
    q: np.ndarray,
    numbers: np.ndarray,
    step_size: np.ndarray | None = None,
) -> None:
    """Apply one step of a penalty to weights in place; `q` is what it keeps for each weight.

    `numbers` begins with the penalty's coefficients; `step_size` multiplies them, weight by weight.
    """
    own = list(numbers[: width_of(penalty)])
    if penalty.shrink is None or _skips(penalty, numbers):
        return
    if step_size is not None:
        own = [number * step_size for number in own]
    if penalty.stateful:
        w[...], q[...] = penalty.shrink(np, w, q, *own)
    else:
        w[...] = penalty.shrink(np, w, *own)


def _skips(penalty: Penalty, numbers: np.ndarray) -> bool:
    """Return whether a penalty, whose coefficients come first, does nothing in this step."""
    return penalty.skips and bool(numbers[width_of(penalty) - 1] > 0)


def scale_groups(penalty: Penalty, w: np.ndarray, numbers: np.ndarray) -> None:
    """Scale the groups of a layer's weights, (out, in), in place by one step of a penalty."""
    if penalty.scale is None:
        return
    axis = 0 if penalty.grouping == "inputs" else 1
    norm = np.sqrt(np.square(w).sum(axis=axis, keepdims=True))
    size, one = w.dtype.type(w.shape[axis]), w.dtype.type(1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a norm of 0, which stays 0
        w *= penalty.scale(np, norm, size, one, *numbers[: width_of(penalty)])


def shorten_groups(
    penalty: Penalty, w: np.ndarray, numbers: np.ndarray, step_size: np.ndarray
) -> None:
    """Shorten the groups of a layer's weights in place, with the step sizes `step_size`."""
    assert penalty.norm_index is not None
    axis = 0 if penalty.grouping == "inputs" else 1
    strength = numbers[penalty.norm_index] * w.dtype.type(w.shape[axis]) ** 0.5
    w[...] = shortened(w, strength * step_size, axis)


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> Outputs:
    """Return the network's outputs for every row."""
    n, dtype = inputs.n, weights[0].dtype
    z, a = (np.empty((n, len(biases[-1])), dtype) for _ in range(2))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            x = _rows(inputs, block, dtype)
            zs, layers = forward(weights, biases, activations, x)
            z[block], a[block] = zs[-1], layers[-1]
    return Outputs(z, a, a.argmax(axis=1).astype(np.int64, copy=False))


def _rows(inputs: Inputs, rows: Any, dtype: np.dtype[Any]) -> Any:
    """Return some rows, scaled: a dense or a sparse array."""
    x = inputs.matrix[rows].astype(dtype) * dtype.type(inputs.scale)
    return x if inputs.divisor == 1 else x / dtype.type(inputs.divisor)


def forward(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    x: np.ndarray,
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return each layer's weighted inputs, and `x` followed by each layer's outputs.

    `masks` has one mask for each hidden layer, which multiplies the layer's outputs.
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


def gradients(
    weights: Sequence[np.ndarray],
    activations: Sequence[Activation],
    zs: Sequence[np.ndarray],
    layers: Sequence[Any],
    delta: np.ndarray,
    masks: Sequence[np.ndarray] | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each layer's number and the gradients of its weights and biases, last layer first.

    `zs` and `layers` are from `forward`; `delta`, (m, outputs), is the cost's derivative by the
    last z. A layer's weights may be changed once its gradient has been yielded.
    """
    for layer in reversed(range(len(weights))):
        below, here = layers[layer], delta
        if layer:
            z, activation = zs[layer - 1], activations[layer - 1]
            a = below if masks is None else activation.value(np, z)
            delta = (delta @ weights[layer]) * activation.derivative(np, z, a)
            if masks is not None:
                delta = delta * masks[layer - 1]
        yield layer, here.T @ below, here.sum(axis=0)
