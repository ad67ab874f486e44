"""scikit-learn's `MLPClassifier` with plain gradient descent. Its only penalty is L2."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from fastnn.bench.cases import Case
from fastnn.bench.problem import Problem

__all__ = ["Sgd"]

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


class Sgd:
    """``partial_fit``, called once per epoch."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        # One-hot rows give independent sigmoid outputs; labels give a softmax.
        self._x = problem.floats(case.dtype)
        self._y = problem.labels if case.output == "softmax" else problem.targets("int64")
        # Its penalty alpha/2 * w**2 is divided by the rows of a batch, ours by all rows.
        _, kappa2 = case.shrinks()
        batch_size = min(case.batch_size, case.n)
        self._model = MLPClassifier(
            hidden_layer_sizes=case.sizes[1:-1],
            activation=ACTIVATIONS[case.hidden],
            solver="sgd",
            alpha=kappa2 / case.learning_rate * batch_size,
            batch_size=batch_size,
            learning_rate_init=case.learning_rate,
            momentum=0,
            shuffle=False,  # the order of an epoch is given
        )
        # The first call creates the weights, which the common start then replaces.
        classes = np.arange(case.sizes[-1])
        self._model.partial_fit(self._x[:batch_size], self._y[:batch_size], classes=classes)
        weights, biases = problem.start(case.dtype)
        for own, start in zip(self._model.coefs_, weights, strict=True):
            own[...] = start.T
        for own, start in zip(self._model.intercepts_, biases, strict=True):
            own[...] = start

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        self._model.partial_fit(self._x[order], self._y[order])

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return [w.T for w in self._model.coefs_]
