"""fastnn as a contestant: the engine under `Network.fit`, `Network.accuracy`, and network2."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np

from fastnn import optimizers, penalties
from fastnn.bench.cases import Case
from fastnn.bench.problem import Problem
from fastnn.network import Network
from fastnn.nielsen import network2
from fastnn.trainer.options import options_for
from fastnn.trainer.rows import rows_of

__all__ = ["Book", "Fused"]


class Fused:
    """What `Network.fit` does in an epoch, and `Network.accuracy`."""

    epochs = 1

    def __init__(self, case: Case, problem: Problem) -> None:
        self._network = Network(
            case.sizes,
            activation=case.activations,
            cost=case.cost,
            dtype=case.dtype,
            input_scale=problem.scale,
        )
        self._network.weights, self._network.biases = problem.start(case.dtype)
        self._rows, self._labels = problem.rows, problem.labels
        options = options_for(
            self._network,
            batch_size=case.batch_size,
            learning_rate=None,
            optimizer=optimizers.named("optimizer", case.optimizer, case.learning_rate),
            penalty=_penalty(case),
            dropout=None,
            input_noise=0.0,
            shuffle=True,
        )
        rows = rows_of(self._network, problem.rows, problem.labels, predicted=False)
        self._training = options.training(
            self._network,
            self._network.weights,
            self._network.biases,
            rows,
            n=rows.total,
            threads=case.threads,
            state=None,
            seed=0,
        )

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        self._training.epoch(order)

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return self._network.weights

    def accuracy(self) -> float:
        """Return the share of rows that are classified correctly."""
        return self._network.accuracy(self._rows, self._labels)


class Book:
    """``network2.SGD`` on the book's lists, including their conversion."""

    def __init__(self, case: Case, problem: Problem) -> None:
        self._case, self._pairs = case, problem.pairs()
        self.epochs = case.epochs
        self._network = network2.Network(list(case.sizes))
        weights, biases = problem.start("float64")
        self._network.weights, self._network.biases = weights, [b[:, None] for b in biases]

    def epoch(self, order: np.ndarray) -> None:
        """Train for `epochs` epochs in the book's orders, which are drawn from `random`."""
        case = self._case
        random.seed(1)
        with contextlib.redirect_stdout(io.StringIO()):
            self._network.SGD(
                list(self._pairs),
                case.epochs,
                case.batch_size,
                case.learning_rate,
                lmbda=case.lmbda,
                penalty=case.penalty,
            )

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return self._network.weights


def _penalty(case: Case) -> penalties.Penalty | None:
    if case.penalty == "none":
        return None
    return penalties.named("penalty", case.penalty, case.lmbda)
