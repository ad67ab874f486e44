"""Rows and their targets, checked once for a fit."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn.activations import Activation
from fastnn.arrays import BYTE_SCALE, FEW_ROWS, Inputs, MatrixLike
from fastnn.checks import FileFormatError, pair, warn
from fastnn.costs import MeanSquared
from fastnn.network import Network
from fastnn.tasks import Classes

__all__ = [
    "Extremes",
    "Rows",
    "extremes_of",
    "largest_byte",
    "rows_of",
    "validation_of",
    "warn_of_flags",
    "warn_of_misfits",
]

# A weighted input at which an activation is at its limit or, if it has none, beyond all targets.
FAR = 1e30


class Rows(NamedTuple):
    """Rows, their targets in the engine's form, and the values that predictions should equal.

    `wanted` is None if there will be no predictions.
    """

    inputs: Inputs
    targets: np.ndarray
    wanted: Any = None

    @property
    def total(self) -> int:
        """The number of rows."""
        return self.inputs.n


class Extremes(NamedTuple):
    """The `largest_byte` of some rows, and their least and largest target."""

    byte: float
    low: float
    high: float


def rows_of(
    network: Network, X: MatrixLike, y: ArrayLike, *, predicted: bool, all_columns: bool = False
) -> Rows:
    """Check rows and targets and return them, ready for the engine.

    `predicted` says whether predictions for these rows will be scored, `all_columns` whether to
    keep the columns that `compact` has dropped.
    """
    inputs = network._inputs(X, all_columns=all_columns)
    n, outputs = inputs.n, network.sizes[-1]
    targets = network._task.targets(y, n, outputs, network.dtype)
    return Rows(inputs, targets, network._task.wanted(y, n, outputs) if predicted else None)


def validation_of(network: Network, validation_data: object, *, all_columns: bool = False) -> Rows:
    """Check a pair (X, y) of validation data and return it, ready to be evaluated."""
    X, y = pair("validation_data", validation_data)
    try:
        X, y = network._opened(X, y, with_targets=True)
        return rows_of(network, X, y, predicted=True, all_columns=all_columns)
    except FileFormatError:  # it names the file already
        raise
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"validation_data: {error}") from error


def largest_byte(inputs: Inputs) -> float:
    """Return the largest value, scaled, of rows that the caller gave as uint8, dense or sparse.

    It is infinity for all other rows, and where the first rows already have a value that no flag
    has.
    """
    if not inputs.of_bytes:
        return math.inf
    values = inputs.arrays()[0]
    for part in (values[:FEW_ROWS], values):
        largest = float(part.max(initial=0)) * inputs.scale
        if largest > BYTE_SCALE:
            return math.inf
    return largest


def extremes_of(rows: Rows) -> Extremes:
    """Return what `warn_of_misfits` must know of some rows."""
    targets = rows.targets
    return Extremes(largest_byte(rows.inputs), float(targets.min()), float(targets.max()))


def warn_of_misfits(network: Network, *parts: Extremes, flags: bool = True) -> None:
    """Warn of rows and targets that do not suit the network, from the extremes of their parts.

    Without `flags` nothing is said of the rows.
    """
    if flags:
        warn_of_flags(network.input_scale, max(part.byte for part in parts))
    _warn_of_targets(network, min(part.low for part in parts), max(part.high for part in parts))


def warn_of_flags(input_scale: float | None, largest: float) -> None:
    """Warn of bytes that look like no pixels, from the `largest_byte` of all rows.

    Without `input_scale`, bytes are multiplied by 1/256, so that flags or small counts vanish.
    """
    if input_scale is None and largest == BYTE_SCALE:
        warn(
            f"X is uint8 with no value above 1, and is multiplied by {BYTE_SCALE} as pixels are: "
            "give the network input_scale=1.0 if it holds flags or counts"
        )


def _warn_of_targets(network: Network, low: float, high: float) -> None:
    """Warn of targets that the network cannot learn."""
    is_one_class = isinstance(network._task, Classes) and network.sizes[-1] == 1
    if is_one_class and not -1 <= low <= high <= 1:
        warn(
            f"y has values from {low:g} to {high:g}, and the cost {network.cost!r} is for classes, "
            f"as numbers from 0 to 1: give cost={MeanSquared.name!r} for real targets"
        )
    elif network._cost.regression and not _reaches(network._activations[-1], low, high):
        warn(
            f"y has values from {low:g} to {high:g}, which no unit with the activation "
            f"{network._activations[-1].name!r} reaches: scale y, or give one activation for each "
            "layer, the last one 'identity'"
        )


def _reaches(activation: Activation, low: float, high: float) -> bool:
    """Return whether an activation reaches both numbers; true if its range cannot be found."""
    z = np.r_[-FAR, np.linspace(-10, 10, 2001), FAR][:, np.newaxis]
    with np.errstate(all="ignore"):
        reached = activation.value(np, z)
    return not (low < reached.min() or high > reached.max())  # NaN is no range
