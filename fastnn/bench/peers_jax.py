"""JAX on the CPU, a whole epoch in one compiled call: with `grad`, and backprop by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fastnn.bench.cases import BETA1, BETA2, EPSILON, Case
from fastnn.bench.problem import Problem

__all__ = ["ByHand", "Grad"]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "softmax": jax.nn.softmax,
}


class _Jax:
    """What both peers share: arrays on the device, and the scan over the batches."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        jax.config.update("jax_enable_x64", case.dtype == "float64")
        self._case = case
        self._x = jnp.asarray(problem.floats(case.dtype))
        self._y = jnp.asarray(problem.targets(case.dtype))
        self._labels = jnp.asarray(problem.labels)
        weights, biases = problem.start(case.dtype)
        self._parameters = [
            (jnp.asarray(self._laid(w)), jnp.asarray(b))
            for w, b in zip(weights, biases, strict=True)
        ]
        # What gradients are multiplied by; Adam's means of g and of g**2, and its steps so far.
        self._rate, self._moments = case.learning_rate, None
        if not case.is_plain:
            means = (jax.tree.map(jnp.zeros_like, self._parameters) for _ in range(2))
            self._rate, self._moments = 1.0, (*means, jnp.zeros(()))
        self._train = jax.jit(self._epoch, donate_argnums=0)

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        rows = jnp.asarray(order.astype(np.int32))
        state = self._parameters, self._moments
        self._parameters, self._moments = self._train(state, self._x, self._y, rows)
        jax.block_until_ready(self._parameters)

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return [self._laid(np.asarray(w)) for w, _ in self._parameters]

    def _epoch(self, state: Any, x: Any, y: Any, order: Any) -> Any:
        m = self._case.batch_size
        whole = len(order) // m * m

        def one(state: Any, rows: Any) -> tuple[Any, None]:
            parameters, moments = state
            steps = self._steps(parameters, x[rows], y[rows])
            if moments is not None:
                steps, moments = self._adapted(steps, moments)
            return (jax.tree.map(jnp.subtract, self._shrunk(parameters), steps), moments), None

        state, _ = lax.scan(one, state, order[:whole].reshape(-1, m))
        if whole < len(order):
            state, _ = one(state, order[whole:])
        return state

    def _adapted(self, gradients: Any, moments: Any) -> tuple[Any, Any]:
        """Return Adam's steps for the gradients, and the new moments."""
        mean, square, count = moments
        count += 1
        mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradients)
        square = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g * g, square, gradients)
        rate, root = self._case.learning_rate / (1 - BETA1**count), 1 - BETA2**count
        steps = jax.tree.map(lambda m, s: rate * m / (jnp.sqrt(s / root) + EPSILON), mean, square)
        return steps, (mean, square, count)

    def _laid(self, w: np.ndarray) -> np.ndarray:
        """Convert weights (out, in) to this peer's layout, or back."""
        raise NotImplementedError

    def _steps(self, parameters: Any, x: Any, y: Any) -> Any:
        """Return the gradients on a batch, times `_rate`."""
        raise NotImplementedError

    def _shrunk(self, parameters: Any) -> Any:
        """Return the parameters after a penalty that is not in the gradients."""
        return parameters


class Grad(_Jax):
    """JAX as people write it: weights (in, out), the penalty in the loss, `jax.grad`."""

    def __init__(self, case: Case, problem: Problem) -> None:
        super().__init__(case, problem)
        self._count = jax.jit(
            lambda parameters, x, labels: jnp.sum(
                self._weighted(parameters, x).argmax(axis=1) == labels
            )
        )

    def accuracy(self) -> float:
        """Return the share of rows that are classified correctly."""
        return int(self._count(self._parameters, self._x, self._labels)) / len(self._x)

    def _laid(self, w: np.ndarray) -> np.ndarray:
        return w.T

    def _weighted(self, parameters: Any, x: Any) -> Any:
        *hidden, (w, b) = parameters
        for w_hidden, b_hidden in hidden:
            x = ACTIVATIONS[self._case.hidden](x @ w_hidden + b_hidden)
        return x @ w + b

    def _loss(self, parameters: Any, x: Any, y: Any) -> Any:
        z = self._weighted(parameters, x)
        if self._case.output == "softmax":
            cost = -jnp.sum(y * jax.nn.log_softmax(z)) / len(x)
        else:
            cost = jnp.sum(jax.nn.softplus(z) - y * z) / len(x)
        kappa1, kappa2 = (kappa / self._case.learning_rate for kappa in self._case.shrinks())
        if kappa1:
            cost += kappa1 * sum(jnp.sum(jnp.abs(w)) for w, _ in parameters)
        if kappa2:
            cost += kappa2 / 2 * sum(jnp.sum(w * w) for w, _ in parameters)
        return cost

    def _steps(self, parameters: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(self._loss)(parameters, x, y)
        return jax.tree.map(lambda g: self._rate * g, gradients)


class ByHand(_Jax):
    """Backprop written out, weights (out, in)."""

    def _laid(self, w: np.ndarray) -> np.ndarray:
        return w

    def _steps(self, parameters: Any, x: Any, y: Any) -> Any:
        case, layers = self._case, [x]
        for (w, b), name in zip(parameters, case.activations, strict=True):
            layers.append(ACTIVATIONS[name](layers[-1] @ w.T + b))
        delta = (layers[-1] - y) * (self._rate / len(x))
        steps = []
        for i in reversed(range(len(parameters))):
            steps.append((delta.T @ layers[i], delta.sum(axis=0)))
            if i:
                delta = (delta @ parameters[i][0]) * _slope(layers[i], case.hidden)
        return steps[::-1]

    def _shrunk(self, parameters: Any) -> Any:
        kappa1, kappa2 = self._case.shrinks()

        def shrunk(w: Any) -> Any:
            less = (1 - kappa2) * w if kappa2 else w
            return less - kappa1 * jnp.sign(w) if kappa1 else less

        return [(shrunk(w), b) for w, b in parameters]


def _slope(a: Any, name: str) -> Any:
    if name == "sigmoid":
        return a * (1 - a)
    return 1 - a * a if name == "tanh" else (a > 0).astype(a.dtype)
