"""numpy as people write it, with whole batches; and the book's algorithm, sample by sample."""

from __future__ import annotations

import numpy as np

from fastnn import reference
from fastnn.bench.cases import BETA1, BETA2, EPSILON, Case
from fastnn.bench.problem import Problem, book_order

__all__ = ["Batched", "PerSample"]


class Batched:
    """Backprop on whole batches as matrices, with the weights updated in place."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        self._case = case
        self._x, self._y = problem.floats(case.dtype), problem.targets(case.dtype)
        self._labels = problem.labels
        self._weights, self._biases = problem.start(case.dtype)
        self._steps = 0
        if not case.is_plain:
            self._moments = [
                [[np.zeros_like(x), np.zeros_like(x)] for x in layer]
                for layer in zip(self._weights, self._biases, strict=True)
            ]

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        m = self._case.batch_size
        with np.errstate(over="ignore"):  # exp of a saturated unit; 1/(1+inf) is the correct 0
            for start in range(0, len(order), m):
                self._step(order[start : start + m])

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return self._weights

    def accuracy(self) -> float:
        """Return the share of rows that are classified correctly."""
        with np.errstate(over="ignore"):
            return float((self._forward(self._x)[-1].argmax(axis=1) == self._labels).mean())

    def _forward(self, x: np.ndarray) -> list[np.ndarray]:
        layers = [x]
        names = self._case.activations
        for w, b, name in zip(self._weights, self._biases, names, strict=True):
            layers.append(_activated(layers[-1] @ w.T + b, name))
        return layers

    def _step(self, rows: np.ndarray) -> None:
        kappa1, kappa2 = self._case.shrinks()
        layers = self._forward(self._x[rows])
        factor = self._case.learning_rate if self._case.is_plain else 1.0
        delta = (layers[-1] - self._y[rows]) * (factor / len(rows))
        self._steps += 1
        for i in reversed(range(len(self._weights))):
            w, step, step_b = self._weights[i], delta.T @ layers[i], delta.sum(axis=0)
            if i:
                delta = (delta @ w) * _slope(layers[i], self._case.hidden)
            if not self._case.is_plain:
                step, step_b = map(self._adapted, (step, step_b), self._moments[i])
            if kappa2:
                w *= 1 - kappa2
            if kappa1:
                w -= kappa1 * np.sign(w)
            w -= step
            self._biases[i] -= step_b

    def _adapted(self, g: np.ndarray, moments: list[np.ndarray]) -> np.ndarray:
        """Return Adam's step for a gradient, and update its moments."""
        m, s = moments
        m += (1 - BETA1) * (g - m)
        s += (1 - BETA2) * (g * g - s)
        rate = self._case.learning_rate / (1 - BETA1**self._steps)
        step: np.ndarray = rate * m / (np.sqrt(s / (1 - BETA2**self._steps)) + EPSILON)
        return step


class PerSample:
    """The oracle, `fastnn.reference`, on the book's lists."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        self._case, self._pairs = case, problem.pairs()
        weights, biases = problem.start("float64")
        self._weights, self._biases = weights, [b[:, None] for b in biases]

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order` or, for `work` "book", in the book's order."""
        case = self._case
        self._weights, self._biases = reference.epoch(
            self._weights,
            self._biases,
            self._pairs,
            book_order(len(self._pairs)) if case.work == "book" else order,
            case.batch_size,
            case.learning_rate,
            case.lmbda,
            cost=case.cost,
            penalty=case.penalty,
        )

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return self._weights


def _activated(z: np.ndarray, name: str) -> np.ndarray:
    result: np.ndarray
    if name == "sigmoid":
        result = 1 / (1 + np.exp(-z))
    elif name == "tanh":
        result = np.tanh(z)
    elif name == "relu":
        result = np.maximum(z, 0)
    else:
        powers = np.exp(z - z.max(axis=1, keepdims=True))
        result = powers / powers.sum(axis=1, keepdims=True)
    return result


def _slope(a: np.ndarray, name: str) -> np.ndarray:
    result: np.ndarray
    if name == "sigmoid":
        result = a * (1 - a)
    elif name == "tanh":
        result = 1 - a * a
    else:
        result = (a > 0).astype(a.dtype)
    return result
