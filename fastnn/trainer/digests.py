"""Digests by which a checkpoint recognizes data, and lists of row or column numbers, checked."""

from __future__ import annotations

import hashlib

import numpy as np

from fastnn.arrays import Inputs

__all__ = ["digest_of", "digest_of_arrays", "distinct_numbers"]

# About how many rows go into the digest by which data are recognized.
SAMPLED_ROWS = 256


def digest_of(inputs: Inputs, *others: np.ndarray | None) -> str:
    """Return a digest of the inputs' scale and a sample of their rows, and of all of `others`."""
    held = [array[:: max(1, len(array) // SAMPLED_ROWS)] for array in inputs.arrays()]
    shapes = [array.shape for array in inputs.arrays()]
    ours = [array for array in others if array is not None]
    return digest_of_arrays(*held, *ours, start=f"{inputs.scale!r}/{inputs.divisor!r}{shapes}")


def digest_of_arrays(*arrays: np.ndarray, start: str = "") -> str:
    """Return a digest of a text and of some arrays: dtypes, shapes and all numbers."""
    digest = hashlib.blake2b(start.encode(), digest_size=8)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def distinct_numbers(name: str, array: np.ndarray, count: int, below: int) -> np.ndarray:
    """Return `array` as int64; raise unless it is `count` different numbers in [0, `below`)."""
    numbers = array.astype(np.int64, casting="safe")
    inside = numbers.ndim == 1 and numbers.size and 0 <= numbers.min() <= numbers.max() < below
    if numbers.shape != (count,) or not inside or len(np.unique(numbers)) != count:
        raise ValueError(f"its {name!r} is not a list of {count} different numbers below {below}")
    return numbers
