"""scikit-learn's log losses, with outputs clipped to [eps, 1-eps], and its Poisson loss.

eps is the distance from 1 to the next larger number of the dtype. A wrong output therefore costs at
most -log(eps), whereas fastnn's own costs keep growing; the deltas are the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.costs import Cost, CrossEntropy, LogLikelihood, Poisson

__all__ = ["cross_entropy", "log_likelihood", "poisson"]


@functools.cache
def cross_entropy(dtype: np.dtype[Any]) -> Cost:
    """Return the clipped cross-entropy of independent outputs and targets 0 or 1 in this dtype."""
    within = _bounds(dtype)

    class Clipped(CrossEntropy):
        @staticmethod
        def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
            return within(xp, CrossEntropy.value(xp, z, a, y))

    return Clipped()


@functools.cache
def log_likelihood(dtype: np.dtype[Any]) -> Cost:
    """Return the clipped log-likelihood of a class under softmax outputs in this dtype."""
    within = _bounds(dtype)

    class Clipped(LogLikelihood):
        @staticmethod
        def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
            return y * within(xp, -z)

    return Clipped()


def _bounds(dtype: np.dtype[Any]) -> Callable[[Any, Any], Any]:
    """Return a formula that clips the -log of an output in this dtype."""
    bits = int(np.finfo(dtype).nmant)
    least, most = 2.0**-bits, bits * math.log(2)

    def within(xp: Any, cost: Any) -> Any:
        return xp.minimum(xp.maximum(cost, least), most)

    return within


class _PoissonOfCounts(Poisson):
    """Half the Poisson deviance, NaN for a target below 0, which has none."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return xp.where(y < 0, y * math.nan, Poisson.value(xp, z, a, y))


def poisson() -> Cost:
    """Return the cost of counts."""
    return _PoissonOfCounts()
