"""What every contestant of a case is given: rows, labels and starting weights."""

from __future__ import annotations

import functools
import random
from typing import NamedTuple

import numpy as np

from fastnn import data
from fastnn.arrays import BYTE_SCALE
from fastnn.bench.cases import Case
from fastnn.synthetic import like_mnist

__all__ = ["Digits", "Problem", "book_order", "digits", "problem", "used_share"]

STAND_IN = "synthetic digits with the zeros of MNIST"
STAND_IN_ROWS = 10_000


class Problem(NamedTuple):
    """The data of a case and its starting weights.

    rows : uint8 or float, (n, D)
        In their smallest exact type; training uses ``rows * scale``.
    labels : int64, (n,)
    weights : list of float64 arrays, (out, in)
    biases : list of float64 arrays, (out,)
    origin : str
        Where the rows come from.
    """

    rows: np.ndarray
    scale: float
    labels: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    origin: str

    def floats(self, dtype: str) -> np.ndarray:
        """Return the rows as most programs keep them: scaled, in the network's dtype."""
        kind = np.dtype(dtype)
        result: np.ndarray = np.multiply(self.rows, kind.type(self.scale), dtype=kind)
        return result

    def targets(self, dtype: str) -> np.ndarray:
        """Return the one-hot targets, (n, outputs)."""
        one_hot: np.ndarray = np.eye(len(self.biases[-1]), dtype=dtype)[self.labels]
        return one_hot

    def start(self, dtype: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return copies of the starting weights and biases."""
        return [w.astype(dtype) for w in self.weights], [b.astype(dtype) for b in self.biases]

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the rows in the book's form: a list of pairs (x, y) of columns."""
        x, y = self.floats("float64")[:, :, None], self.targets("float64")[:, :, None]
        return list(zip(x, y, strict=True))

    def head(self, n: int) -> Problem:
        """Return the problem with its first `n` rows only."""
        return self._replace(rows=self.rows[:n], labels=self.labels[:n])


def problem(case: Case) -> Problem:
    """Return the problem of `case`, the same one at every call."""
    rng = np.random.default_rng(1)
    weights = [
        rng.standard_normal((units, inputs)) / np.sqrt(inputs)
        for inputs, units in zip(case.sizes, case.sizes[1:], strict=False)
    ]
    biases = [rng.standard_normal(units) for units in case.sizes[1:]]
    if case.data == "mnist":
        found = digits(evaluated=case.work == "evaluate")
        rows, labels = _repeated(found.rows, case.n), _repeated(found.labels, case.n)
        return Problem(rows, found.scale, labels, weights, biases, found.origin)
    rows = rng.standard_normal((case.n, case.sizes[0])).astype(case.dtype)
    teacher = rng.standard_normal((case.sizes[0], case.sizes[-1]))
    labels = (rows @ teacher).argmax(axis=1).astype(np.int64)
    return Problem(rows, 1.0, labels, weights, biases, "normal random numbers")


def book_order(n: int) -> list[int]:
    """Return the order into which the book's code brings `n` samples after ``random.seed(1)``."""
    order = list(range(n))
    random.Random(1).shuffle(order)
    return order


def used_share(rows: np.ndarray, batch_size: int) -> float:
    """Return the mean share of columns that a batch uses: those not all zero in it."""
    order = np.random.default_rng(2).permutation(len(rows))
    starts = range(0, min(len(rows), 200 * batch_size), batch_size)
    shares = [float(rows[order[k : k + batch_size]].any(axis=0).mean()) for k in starts]
    return sum(shares) / len(shares)


class Digits(NamedTuple):
    """Images as rows, their labels, the scale of the pixels, and where they come from."""

    rows: np.ndarray
    labels: np.ndarray
    scale: float
    origin: str


@functools.cache
def digits(*, evaluated: bool) -> Digits:
    """Return MNIST's training or test part if it is in a known folder, else the stand-in."""
    if data.available("mnist") is None:
        rows, labels = like_mnist(STAND_IN_ROWS)
        return Digits(rows, labels, BYTE_SCALE, STAND_IN)
    mnist = data.load("mnist", download=False)
    if evaluated:
        return Digits(mnist.test_images, mnist.test_labels, mnist.input_scale, "MNIST, test part")
    rows, labels = (
        mnist.train_images[: data.TRAINING_IMAGES],
        mnist.train_labels[: data.TRAINING_IMAGES],
    )
    return Digits(rows, labels, mnist.input_scale, "MNIST")


def _repeated(array: np.ndarray, n: int) -> np.ndarray:
    """Return the first `n` rows, starting over if there are fewer."""
    return array[:n] if n <= len(array) else array[np.arange(n) % len(array)]
