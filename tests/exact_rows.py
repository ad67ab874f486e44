"""Rows of exact multiples, what they mean when they are stored, and the memory of a conversion."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from fastnn.arrays import Inputs

FLOATS = [np.float32, np.float64]


def grid(n: int = 6, width: int = 5, seed: int = 0) -> np.ndarray:
    """Return integers 0..255 with a 255 and a 1, so that only the intended scale fits them."""
    k = np.random.default_rng(seed).integers(0, 256, (n, width))
    k[0, :2] = 255, 1
    return k


def meant(inputs: Inputs) -> np.ndarray:
    return inputs.matrix.astype(np.float64) * inputs.scale


def extra_bytes(convert: Any) -> int:
    """Return by how many bytes a conversion's peak memory exceeds the memory of its result."""
    tracemalloc.start()
    try:
        result = convert()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result is not None
    return peak - kept
