"""scikit-learn's `MLPClassifier`, plain gradient descent. It has L2, and no other penalty."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from fastnn.bench.cases import Case
from fastnn.bench.problem import Problem

__all__ = ["Sgd"]

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


class Sgd:
    """``partial_fit``, one call an epoch."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        # One-hot rows make the outputs independent sigmoids, labels a softmax.
        self._x = problem.floats(case.dtype)
        self._y = problem.labels if case.output == "softmax" else problem.targets("int64")
        # Its penalty is alpha/2 * w**2 over the rows of a batch, where ours is over all rows.
        _, kappa2 = case.shrinks()
        self._model = MLPClassifier(
            hidden_layer_sizes=case.sizes[1:-1],
            activation=ACTIVATIONS[case.hidden],
            solver="sgd",
            alpha=kappa2 / case.learning_rate * case.batch_size,
            batch_size=min(case.batch_size, case.n),
            learning_rate_init=case.learning_rate,
            momentum=0,
            shuffle=False,  # the order of an epoch is given
        )
        first = slice(0, min(case.batch_size, case.n))
        self._model.partial_fit(self._x[first], self._y[first], classes=self._classes(case))
        for own, given in zip(
            self._model.coefs_ + self._model.intercepts_,
            [w.T for w in problem.start(case.dtype)[0]] + problem.start(case.dtype)[1],
            strict=True,
        ):
            own[...] = given

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        self._model.partial_fit(self._x[order], self._y[order])

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return [w.T for w in self._model.coefs_]

    @staticmethod
    def _classes(case: Case) -> np.ndarray:
        return np.arange(case.sizes[-1])
