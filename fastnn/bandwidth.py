"""The bytes per second that this machine moves, in its caches and from memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

__all__ = ["MEMORY_BYTES", "read_bandwidth", "seconds_of", "update_bandwidth"]

MEMORY_BYTES = 1 << 28
"""The size of an array that is in no cache."""

LEAST_CACHE_BYTES = 1 << 18  # for smaller arrays the call itself takes too much of the time
REPEATS = 15


def seconds_of(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = perf_counter()
    run()
    return perf_counter() - start


def read_bandwidth(size: int, dtype: np.dtype[np.floating]) -> float:
    """Return the bytes per second that a dot product of an array of `size` bytes with itself reads.

    Sizes below 256 KiB are measured with 256 KiB, which fit in the same cache or the next one.
    """
    a = np.ones(max(size, LEAST_CACHE_BYTES) // dtype.itemsize, dtype)
    return a.nbytes / _least_seconds(lambda: a.dot(a), a.nbytes)


def update_bandwidth(size: int, dtype: np.dtype[np.floating]) -> float:
    """Return the bytes per second read and written by an in-place update of `size` bytes.

    Sizes below 256 KiB are measured with 256 KiB, as in `read_bandwidth`.
    """
    a = np.ones(max(size, LEAST_CACHE_BYTES) // dtype.itemsize, dtype)
    return 2 * a.nbytes / _least_seconds(lambda: np.negative(a, out=a), a.nbytes)


def _least_seconds(run: Callable[[], object], size: int) -> float:
    """Return the shortest time of at least 15 runs; fewer bytes get more runs, up to 20."""
    return min(seconds_of(run) for _ in range(max(REPEATS, 20 * LEAST_CACHE_BYTES // size)))
