"""Rows and their targets, checked once for a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arrays import Inputs, MatrixLike
from fastnn.checks import FileFormatError, pair
from fastnn.network import Network

__all__ = ["Rows", "rows_of", "validation_of"]


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
