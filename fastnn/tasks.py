"""What a network's outputs mean: one class per row, several labels per row, or real values.

A task reads the targets y, turns outputs into predictions, and scores them. The cost decides which
task it is; ``Network(multilabel=True)`` makes the outputs labels.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn.arrays import as_targets, labels_of
from fastnn.costs import Cost

__all__ = ["Classes", "Labels", "Task", "Values", "task_of"]

_CLASSES = "class indices (n,)"
_SUM_ERROR = 1e-3  # well above float32's rounding of shares of 1


class Task:
    """The interface of a task, for n rows and O output units.

    Attributes
    ----------
    score_name : str
        What `score` returns: "accuracy" or "r2". `fastnn.History` has that of the validation rows
        as ``val_accuracy`` or ``val_r2``.
    """

    score_name: ClassVar[str] = "accuracy"

    @property
    def history_name(self) -> str:
        """The list of `fastnn.History` that receives the scores of the validation rows."""
        return f"val_{self.score_name}"

    def targets(self, y: ArrayLike, n: int, outputs: int, dtype: DTypeLike) -> np.ndarray:
        """Return what the engine trains on: class indices, int64 (n,), or targets (n, O).

        Raises
        ------
        TypeError, ValueError
            If `y` does not fit; the message says what is expected.
        """
        raise NotImplementedError

    def wanted(self, y: ArrayLike, n: int, outputs: int) -> np.ndarray:
        """Return what predictions are compared with; `y` is checked as by `targets`."""
        raise NotImplementedError

    def predictions(self, a: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Return the predictions of outputs `a`, (n, O); `largest`, (n,), is each row's argmax."""
        raise NotImplementedError

    def score(self, predictions: np.ndarray, wanted: np.ndarray) -> float:
        """Return how good predictions are; 1 is perfect."""
        raise NotImplementedError


class Classes(Task):
    """One class per row: that of the largest output or, with one output, 1 if it is above 0.5."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    def targets(self, y: ArrayLike, n: int, outputs: int, dtype: DTypeLike) -> np.ndarray:
        """Return class indices, or rows of targets if these were given."""
        targets = as_targets(y, n, outputs, dtype)
        if targets.ndim == 2:
            _check_targets(targets, self._cost, or_classes=True)
        return targets

    def wanted(self, y: ArrayLike, n: int, outputs: int) -> np.ndarray:
        """Return class indices, int64 (n,)."""
        return labels_of(self.targets(y, n, outputs, np.float64))

    def predictions(self, a: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Return class indices, int64 (n,)."""
        return _above_half(a[:, 0]) if a.shape[1] == 1 else largest

    def score(self, predictions: np.ndarray, wanted: np.ndarray) -> float:
        """Return the accuracy: the share of rows, 0 to 1, with the right class."""
        return float(np.count_nonzero(predictions == wanted) / len(wanted))


class Labels(Task):
    """Each output unit is a separate label, which a row has if the output is above 0.5."""

    def targets(self, y: ArrayLike, n: int, outputs: int, dtype: DTypeLike) -> np.ndarray:
        """Return rows of targets, each from 0 to 1."""
        targets = as_targets(y, n, outputs, dtype, classes=False)
        outside = ((targets < 0) | (targets > 1)).any(axis=1)
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(f"y must hold labels, 0 or 1; row {row} is {targets[row].tolist()}")
        return targets

    def wanted(self, y: ArrayLike, n: int, outputs: int) -> np.ndarray:
        """Return rows of 0 and 1, int64 (n, O)."""
        return _above_half(self.targets(y, n, outputs, np.float64))

    def predictions(self, a: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Return rows of 0 and 1, int64 (n, O)."""
        return _above_half(a)

    def score(self, predictions: np.ndarray, wanted: np.ndarray) -> float:
        """Return the subset accuracy: the share of rows with every label right."""
        return float((predictions == wanted).all(axis=1).mean())


class Values(Task):
    """Real numbers within the cost's bounds; the outputs are the predictions."""

    score_name = "r2"

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    def targets(self, y: ArrayLike, n: int, outputs: int, dtype: DTypeLike) -> np.ndarray:
        """Return rows of targets; whole numbers are values, not classes."""
        targets = as_targets(y, n, outputs, dtype, classes=False)
        _check_targets(targets, self._cost, or_classes=False)
        return targets

    def wanted(self, y: ArrayLike, n: int, outputs: int) -> np.ndarray:
        """Return y in the shape of the predictions, float64."""
        return _squeezed(self.targets(y, n, outputs, np.float64))

    def predictions(self, a: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Return the outputs, (n,) if there is one unit, else (n, O)."""
        return _squeezed(a)

    def score(self, predictions: np.ndarray, wanted: np.ndarray) -> float:
        """Return R**2 = 1 - sum((y-a)**2)/sum((y-mean(y))**2), averaged over the outputs.

        If all y of an output are the same, it is 1 if they are predicted exactly, else 0.
        """
        with np.errstate(over="ignore"):  # a diverged network
            missed = np.square(wanted - predictions.astype(np.float64)).sum(axis=0)
            spread = np.square(wanted - wanted.mean(axis=0)).sum(axis=0)
            exact = np.where(missed == 0, 0.0, 1.0)
            varies = (wanted != wanted[0]).any(axis=0)  # the mean of equals may differ from them
            share = np.divide(missed, spread, out=exact, where=varies & (spread > 0))
        return float(np.mean(1 - share))


def _check_targets(targets: np.ndarray, cost: Cost, *, or_classes: bool) -> None:
    """Raise a `ValueError` if the cost of a row of targets, (n, O), would be meaningless.

    `or_classes` says whether the message suggests classes instead.
    """
    outside = (targets < cost.least) | (targets > cost.most)
    if outside.any():
        row, unit = map(int, np.unravel_index(outside.argmax(), outside.shape))
        few = targets.shape[1] == 1
        instead = "classes as 0 and 1, or a network with a unit for each" if few else _CLASSES
        raise ValueError(
            f"targets y must be {_bounds(cost)} for the cost {cost.name!r}; row {row} has "
            f"{targets[row, unit]:g}{f'. Give {instead}' if or_classes else ''}"
        )
    if not cost.sums_to_1:
        return
    sums = targets.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > _SUM_ERROR
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"the targets y of a row must sum to 1 for the cost {cost.name!r}; those of row {row} "
            f"sum to {sums[row]:g}. Divide each row by its sum"
            f"{f', or give {_CLASSES}' if or_classes else ''}"
        )


def _bounds(cost: Cost) -> str:
    """Return the range of a cost's targets, in words."""
    if math.isinf(cost.most):
        return f"at least {cost.least:g}"
    low = "at most" if math.isinf(cost.least) else f"from {cost.least:g} to"
    return f"{low} {cost.most:g}"


def _above_half(a: np.ndarray) -> np.ndarray:
    return (a > 0.5).astype(np.int64)


def _squeezed(a: np.ndarray) -> np.ndarray:
    """Return `a` without its axis of units if there is a single unit."""
    return a[:, 0] if a.shape[1] == 1 else a


def task_of(cost: Cost, output: str, *, multilabel: bool) -> Task:
    """Return the task of a network with this cost and output activation.

    Raises
    ------
    ValueError
        If `multilabel` is true and the outputs are not independent probabilities.
    """
    if multilabel and (cost.regression or output != "sigmoid"):
        raise ValueError(
            "multilabel=True needs sigmoid outputs and the cost 'cross_entropy' or 'quadratic', "
            f"not {output!r} outputs and the cost {cost.name!r}"
        )
    if cost.regression:
        return Values(cost)
    return Labels() if multilabel else Classes(cost)
