"""scikit-learn's log losses, with outputs clipped to [eps, 1-eps], and its Poisson loss.

eps is the distance from 1 to the next larger number of the dtype. A wrong output therefore costs at
most -log(eps), whereas fastnn's own costs keep growing; the deltas are the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.costs import Cost, CrossEntropy, LogLikelihood, Poisson

__all__ = ["cross_entropy", "log_likelihood", "poisson"]

LEAST_32, MOST_32 = 2.0**-23, 23 * math.log(2)
LEAST_64, MOST_64 = 2.0**-52, 52 * math.log(2)


def within_32(xp: Any, cost: Any) -> Any:
    """Return `cost`, the -log of a float32 output, clipped to its bounds."""
    return xp.minimum(xp.maximum(cost, LEAST_32), MOST_32)


def within_64(xp: Any, cost: Any) -> Any:
    """Return `cost`, the -log of a float64 output, clipped to its bounds."""
    return xp.minimum(xp.maximum(cost, LEAST_64), MOST_64)


class CrossEntropy32(CrossEntropy):
    """The clipped cross-entropy of independent outputs and targets 0 or 1, in float32."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return within_32(xp, CrossEntropy.value(xp, z, a, y))


class CrossEntropy64(CrossEntropy):
    """The clipped cross-entropy of independent outputs and targets 0 or 1, in float64."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return within_64(xp, CrossEntropy.value(xp, z, a, y))


class LogLikelihood32(LogLikelihood):
    """The clipped log-likelihood of a class under softmax outputs, in float32."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return y * within_32(xp, -z)


class LogLikelihood64(LogLikelihood):
    """The clipped log-likelihood of a class under softmax outputs, in float64."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return y * within_64(xp, -z)


class PoissonOfCounts(Poisson):
    """Half the Poisson deviance, NaN for a target below 0, which has none."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return xp.where(y < 0, y * math.nan, Poisson.value(xp, z, a, y))


def cross_entropy(dtype: np.dtype[Any]) -> Cost:
    """Return the cost of independent outputs in this dtype."""
    return CrossEntropy32() if dtype.itemsize == 4 else CrossEntropy64()


def log_likelihood(dtype: np.dtype[Any]) -> Cost:
    """Return the cost of softmax outputs in this dtype."""
    return LogLikelihood32() if dtype.itemsize == 4 else LogLikelihood64()


def poisson() -> Cost:
    """Return the cost of counts."""
    return PoissonOfCounts()
