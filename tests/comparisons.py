"""Comparisons of what two fits have made."""

from __future__ import annotations

from typing import Any

import numpy as np


def same(one: Any, other: Any) -> bool:
    """Return whether two networks have equal weights and biases."""
    pairs = zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def snapshot(net: Any) -> list[np.ndarray]:
    """Return copies of a network's weights and biases."""
    return [array.copy() for array in (*net.weights, *net.biases)]


def assert_equal(came: list[np.ndarray], wanted: list[np.ndarray], tolerance: float = 0) -> None:
    for a, b in zip(came, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same_weights(ours: Any, theirs: Any) -> None:
    """Compare the weights and biases of two estimators, and their types."""
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)
