"""scikit-learn's log losses, with outputs kept eps away from 0 and 1, and its Poisson loss.

eps is the distance from 1 to the next number of the dtype. So a wrong output costs no more than
-log(eps), where fastnn's own costs go on growing; the deltas are the same.
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
    """Return -log of an output in float32, kept within its bounds."""
    return xp.minimum(xp.maximum(cost, LEAST_32), MOST_32)


def within_64(xp: Any, cost: Any) -> Any:
    """Return -log of an output in float64, kept within its bounds."""
    return xp.minimum(xp.maximum(cost, LEAST_64), MOST_64)


class CrossEntropy32(CrossEntropy):
    """Of targets 0 and 1 and independent outputs, in float32."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return within_32(xp, CrossEntropy.value(xp, z, a, y))


class CrossEntropy64(CrossEntropy):
    """Likewise in float64."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return within_64(xp, CrossEntropy.value(xp, z, a, y))


class LogLikelihood32(LogLikelihood):
    """Of a class and softmax outputs, in float32."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return y * within_32(xp, -z)


class LogLikelihood64(LogLikelihood):
    """Likewise in float64."""

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return y * within_64(xp, -z)


class PoissonOfCounts(Poisson):
    """NaN where a target is below 0, which has no deviance."""

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
