"""How much each row counts in a fit: `sample_weight` and `class_weight`, checked and combined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arrays import real_array
from fastnn.checks import real
from fastnn.tasks import Classes, Task

__all__ = ["checked_weights", "row_weights", "scaled_near_one"]


def row_weights(
    sample_weight: ArrayLike | None,
    class_weight: Mapping[int, float] | str | None,
    *,
    task: Task,
    y: ArrayLike,
    n: int,
    outputs: int,
    chosen: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the product of both weights for each of the `n` rows, or None if neither is given.

    Parameters
    ----------
    sample_weight : array_like, shape (n,), or None
        Finite, at least 0, and not all of them 0.
    class_weight : mapping, "balanced" or None
        The weight of each class, 1 for those not named. "balanced" is n/(k*count): each of the k
        classes that occur has the same total weight (scikit-learn's rule). The `chosen` rows count.
    task : Task
    y : array_like
        The targets.
    n, outputs : int
        Rows, and units of the output layer.
    chosen : ndarray of int, optional
        The rows that are trained on, by default all; the others get the weight 0.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        Scaled as by `scaled_near_one`.

    Raises
    ------
    TypeError, ValueError
        If a weight is none of these, or classes are weighted but the task has none, or all `chosen`
        rows have the weight 0.
    """
    rows: Any = slice(None) if chosen is None else chosen
    parts = [] if sample_weight is None else [checked_weights(sample_weight, n)[rows]]
    if class_weight is not None:
        parts.append(_of_classes(class_weight, task, y, n, outputs, rows))
    if not parts:
        return None
    weights = np.zeros(n)
    weights[rows] = np.prod([scaled_near_one(part)[0] for part in parts], axis=0)
    _check_any(weights, "row" if chosen is None else "row that is not held out")
    return scaled_near_one(weights)[0]


def scaled_near_one(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """Return row weights times 2**k, and k, so that the largest is at least 1/2 and below 1.

    A batch's weighted means stay the same bit for bit. In float32 no weight becomes infinite, and
    none that matters next to the largest becomes 0.
    """
    exponent = -int(np.frexp(weights.max(initial=0.0))[1])
    return np.ldexp(weights, exponent), exponent


def checked_weights(sample_weight: ArrayLike, n: int) -> np.ndarray:
    """Return the weights of `n` rows as float64.

    Raises
    ------
    TypeError, ValueError
        Unless they are `n` numbers, finite and at least 0, and not all of them 0.
    """
    array = real_array("sample_weight", sample_weight)
    if array.shape != (n,):
        raise ValueError(f"sample_weight must have the shape ({n},), not {array.shape}")
    array = array.astype(np.float64)
    good = np.isfinite(array) & (array >= 0)
    if not good.all():
        row = int((~good).argmax())
        raise ValueError(f"sample_weight must be finite and at least 0; row {row} is {array[row]}")
    _check_any(array, "row")
    return array


def _check_any(weights: np.ndarray, which: str) -> None:
    if not weights.any():
        raise ValueError(f"every {which} has the weight 0: there is nothing to train on")


def _of_classes(
    class_weight: Any, task: Task, y: ArrayLike, n: int, outputs: int, rows: Any
) -> np.ndarray:
    """Return the weight of the class of each of `rows`, an index of the `n` rows."""
    if not isinstance(task, Classes):
        raise ValueError("class_weight is for one class a row; use sample_weight")
    labels, classes = task.wanted(y, n, outputs)[rows], max(2, outputs)
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(labels, minlength=classes)
        table = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping):
        unknown = [key for key in class_weight if key not in range(classes)]
        if unknown:
            raise ValueError(
                f"class_weight must name classes from 0 to {classes - 1}, not {unknown[0]!r}"
            )
        table = np.ones(classes)
        for key, value in class_weight.items():
            table[int(key)] = real(f"class_weight[{key}]", value)
    else:
        raise TypeError(
            f"class_weight must be a dict such as {{0: 1.0, 1: 5.0}} or 'balanced', "
            f"not {class_weight!r}"
        )
    weights: np.ndarray = table[labels]
    return weights
