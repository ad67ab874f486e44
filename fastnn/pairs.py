"""Convert the book's data, a list of pairs (x, y) of column vectors, for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.arrays import Inputs, as_bytes, as_floats, check_rows_finite, real_array, working_type

__all__ = ["from_pairs"]

_Array = np.ndarray[Any, Any]


def from_pairs(
    pairs: Sequence[tuple[Any, Any]], width: int, outputs: int, dtype: DTypeLike
) -> tuple[Inputs, _Array]:
    """Convert the book's list of ``(x, y)``.

    Parameters
    ----------
    pairs : sequence of (x, y)
        x of shape (width, 1), any real dtype; y of shape (outputs, 1), or an int (Python's or
        numpy's) in every pair.
    width, outputs : int
        The number of input and of output units.
    dtype : float32 or float64
        The type of values that are not stored as uint8 or class indices.

    Returns
    -------
    inputs : Inputs
        The scale is 1 if every x is uint8.
    targets : ndarray
        With several output units, ints and exact one-hot vectors become class indices, int64 (n,).
        All other targets are `dtype` (n, outputs).

    Raises
    ------
    TypeError, ValueError
        If the list is empty, a shape is wrong or ragged, a number is not real and finite, or a
        label is out of range; the message names the first bad pair.
    """
    if len(pairs) == 0:
        raise ValueError("the data must hold at least one pair (x, y), not none")
    try:
        xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    except (TypeError, ValueError):
        index = next(i for i, pair in enumerate(pairs) if not _is_pair(pair))
        kind = type(pairs[index]).__name__
        raise ValueError(f"pair {index} must be a tuple (x, y), not this {kind}") from None
    return _pair_inputs(xs, width, np.dtype(dtype)), _pair_targets(ys, outputs, np.dtype(dtype))


def _pair_inputs(values: list[Any], width: int, dtype: np.dtype[Any]) -> Inputs:
    xs = _columns("x", values, (width, 1))
    types = {x.dtype for x in xs}
    shape = (len(xs), width)
    if types == {np.dtype(np.uint8)}:
        return Inputs(np.concatenate(xs).reshape(shape), 1.0)

    def rows(start: int, stop: int) -> _Array:
        stacked: _Array = np.concatenate(xs[start:stop], dtype=working, casting="unsafe")
        return stacked.reshape(-1, width)

    working = working_type(types)
    codes = as_bytes(rows, shape, working, dtype, 1.0)
    return codes or Inputs(as_floats(rows, shape, dtype, "x of pair {}"), 1.0)


def _pair_targets(ys: list[Any], outputs: int, dtype: np.dtype[Any]) -> _Array:
    n = len(ys)
    integers = all(issubclass(kind, (int, np.integer)) for kind in set(map(type, ys)))
    if integers and outputs > 1:
        if min(ys) < 0 or max(ys) >= outputs:
            index = next(i for i, y in enumerate(ys) if not 0 <= y < outputs)
            raise ValueError(f"pair {index}: label {ys[index]} is not in 0..{outputs - 1}")
        return np.fromiter(ys, np.int64, n)
    if integers:
        ys = [np.array([[y]]) for y in ys]
    targets = np.empty((n, outputs), dtype)
    with np.errstate(over="ignore"):
        columns = _columns("y", ys, (outputs, 1), " or be an int in every pair")
        np.concatenate(columns, out=targets.reshape(-1, 1), casting="unsafe")
    if outputs > 1 and np.count_nonzero(targets) == n:
        labels: _Array = targets.argmax(axis=1)
        if (targets[np.arange(n), labels] == 1).all():
            return labels
    check_rows_finite(targets, "y of pair {}")
    return targets


def _columns(
    name: str, values: list[Any], shape: tuple[int, int], otherwise: str = ""
) -> list[_Array]:
    """Return the values as arrays of real numbers, all of the given shape."""
    if set(map(type, values)) != {np.ndarray}:
        values = [real_array(f"{name} of pair {i}", value) for i, value in enumerate(values)]
    if {value.shape for value in values} != {shape}:
        index = next(i for i, value in enumerate(values) if value.shape != shape)
        came = values[index].shape
        raise ValueError(f"{name} of pair {index} must have shape {shape}{otherwise}, not {came}")
    if any(dtype.kind not in "fiub" for dtype in {value.dtype for value in values}):
        for i, value in enumerate(values):
            real_array(f"{name} of pair {i}", value)
    return values


def _is_pair(value: Any) -> bool:
    try:
        _, _ = value
    except (TypeError, ValueError):
        return False
    return True
