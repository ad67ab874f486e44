"""The book's costs of many outputs at once."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SATURATED", "cross_entropies", "cross_entropy_rows", "quadratic_rows"]

# `numpy.nan_to_num` handles the logarithm of a saturated output; a sum of these may overflow.
SATURATED: dict[str, Any] = {"divide": "ignore", "invalid": "ignore", "over": "ignore"}


def quadratic_rows(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the quadratic cost of each row of outputs `a`, in float64."""
    rows: np.ndarray = 0.5 * np.square(a - y).sum(axis=1, dtype=np.float64)
    return rows


def cross_entropy_rows(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each row of outputs `a`, in float64."""
    with np.errstate(**SATURATED):
        rows: np.ndarray = cross_entropies(a, y).sum(axis=1, dtype=np.float64)
    return rows


def cross_entropies(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each output; call it with the warnings in `SATURATED` off."""
    found: np.ndarray = np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))
    return found
