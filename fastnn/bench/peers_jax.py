"""JAX on the CPU, a whole epoch in one compiled call: with `grad`, and backprop by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fastnn.bench.cases import Case
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
        self._train = jax.jit(self._epoch, donate_argnums=0)

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        rows = jnp.asarray(order.astype(np.int32))
        self._parameters = self._train(self._parameters, self._x, self._y, rows)
        jax.block_until_ready(self._parameters)

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return [self._laid(np.asarray(w)) for w, _ in self._parameters]

    def _epoch(self, parameters: Any, x: Any, y: Any, order: Any) -> Any:
        m = self._case.batch_size
        whole = len(order) // m * m

        def one(parameters: Any, rows: Any) -> tuple[Any, None]:
            return self._step(parameters, x[rows], y[rows]), None

        parameters, _ = lax.scan(one, parameters, order[:whole].reshape(-1, m))
        if whole < len(order):
            parameters, _ = one(parameters, order[whole:])
        return parameters

    def _laid(self, w: np.ndarray) -> np.ndarray:
        """Convert weights (out, in) to this peer's layout, or back."""
        raise NotImplementedError

    def _step(self, parameters: Any, x: Any, y: Any) -> Any:
        raise NotImplementedError


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

    def _step(self, parameters: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(self._loss)(parameters, x, y)
        rate = self._case.learning_rate
        return jax.tree.map(lambda p, g: p - rate * g, parameters, gradients)


class ByHand(_Jax):
    """Backprop written out, weights (out, in)."""

    def _laid(self, w: np.ndarray) -> np.ndarray:
        return w

    def _step(self, parameters: Any, x: Any, y: Any) -> Any:
        case, layers = self._case, [x]
        for (w, b), name in zip(parameters, case.activations, strict=True):
            layers.append(ACTIVATIONS[name](layers[-1] @ w.T + b))
        delta = (layers[-1] - y) * (case.learning_rate / len(x))
        kappa1, kappa2 = case.shrinks()
        stepped = []
        for i in reversed(range(len(parameters))):
            (w, b), here = parameters[i], delta
            if i:
                delta = (delta @ w) * _slope(layers[i], case.hidden)
            shrunk = (1 - kappa2) * w if kappa2 else w
            if kappa1:
                shrunk -= kappa1 * jnp.sign(w)
            stepped.append((shrunk - here.T @ layers[i], b - here.sum(axis=0)))
        return stepped[::-1]


def _slope(a: Any, name: str) -> Any:
    if name == "sigmoid":
        return a * (1 - a)
    return 1 - a * a if name == "tanh" else (a > 0).astype(a.dtype)
