"""The rows of a data set as kernels read them: where and how they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.arrays import Inputs
from fastnn.engine.csr import SparseRows

__all__ = [
    "MASK_COLUMNS",
    "as_stored",
    "has_many_zeros",
    "places_in",
    "read_only",
    "values_of_bytes",
]

# Below this share of zeros, listing the used columns costs more than it saves.
WORTHWHILE_ZEROS = 0.25

# The share is measured on at least this many rows, spread evenly over all, or on all if fewer.
SAMPLED_ROWS = 64

# The kernel looks at this many columns at once, so a row must have as many.
MASK_COLUMNS = 64


def has_many_zeros(inputs: Inputs) -> bool:
    """Return whether a sample of the rows has enough zeros to skip unused columns.

    It is False for sparse rows, which have their column lists already.
    """
    if inputs.is_sparse:
        return False
    matrix = inputs.matrix
    some = matrix[:: max(1, len(matrix) // SAMPLED_ROWS)]
    zeros = 1 - float(np.count_nonzero(some) / some.size)
    return matrix.shape[1] >= MASK_COLUMNS and zeros > WORTHWHILE_ZEROS


def places_in(order: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Return each column's position in `order`, 0 for those that are not in it."""
    places = np.zeros(inputs.matrix.shape[1], np.int32)
    places[order] = np.arange(len(order))
    return places


def as_stored(
    inputs: Inputs, dtype: np.dtype[Any], places: np.ndarray | None = None
) -> tuple[np.ndarray | None, SparseRows | None]:
    """Return the rows as a kernel takes them: a matrix, or the three arrays of sparse rows.

    The columns of sparse rows are numbered by their `places`, if these are given.
    """
    if not inputs.is_sparse:
        return read_only(inputs.matrix), None
    csr, numbers = inputs.matrix, inputs.matrix.indices
    if places is not None:
        numbers = places[numbers]
    values = csr.data.astype(dtype, copy=False)
    arrays = [csr.indptr.astype(np.int64), numbers.astype(np.int32, copy=False), values]
    return None, SparseRows(*map(read_only, arrays))


def read_only(array: Any) -> Any:
    """Return a read-only view of an array; None stays None.

    Writability is part of an array's Numba type, and a kernel would be compiled for both types.
    """
    if array is None or not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def values_of_bytes(inputs: Inputs, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the number that each byte stands for, rounded as when rows are gathered."""
    scaled = np.arange(256, dtype=dtype) * dtype.type(inputs.scale)
    values: np.ndarray = scaled / dtype.type(inputs.divisor)
    return values
