"""Costs: each is one small class whose mathematics is written once.

The contract, for a class listed in `ALL` (z, a and y are the weighted input, the output and the
target of an output unit):

* ``value(xp, z, a, y)`` is the unit's share of the cost of one sample;
* ``delta(xp, z, a, y, derivative)`` is the derivative of that share with respect to z;
  ``derivative`` is da/dz of the output activation, already evaluated;
* ``outputs`` names the output activations for which both are correct;
* ``regression`` says that the targets are real numbers to approximate, never classes;
* ``least`` and ``most`` are the smallest and the largest target allowed;
* ``sums_to_1`` says that the targets of a row must sum to 1.

The cost of a sample is the sum over its output units; the cost of a batch is the mean over its
samples.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from fastnn.checks import one_named

__all__ = [
    "ALL",
    "Absolute",
    "Cost",
    "CrossEntropy",
    "Huber",
    "LogLikelihood",
    "MeanSquared",
    "Poisson",
    "Quadratic",
    "RowCost",
    "named",
    "one_hot",
]

_ELEMENTWISE = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "softplus", "identity")


class Cost:
    """What the engine needs to know about a cost."""

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    regression: ClassVar[bool] = False
    least: ClassVar[float] = -math.inf
    most: ClassVar[float] = math.inf
    sums_to_1: ClassVar[bool] = False

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        """Return an output unit's share of the cost of one sample."""
        raise NotImplementedError

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        """Return the derivative of that share with respect to the weighted input z."""
        raise NotImplementedError

    def mean(self, z: np.ndarray, a: np.ndarray, targets: np.ndarray) -> float:
        """Return the mean cost of n rows; `targets` are class indices (n,) or values (n, O)."""
        y = one_hot(targets, z.shape[1], z.dtype) if targets.ndim == 1 else targets
        return float(self.value(np, z, a, y).sum(dtype=np.float64)) / len(z)


class Quadratic(Cost):
    """Half the squared error, (a-y)**2/2 (the book, chapter 1, equation 6)."""

    name = "quadratic"
    outputs = _ELEMENTWISE

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return 0.5 * (a - y) * (a - y)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return (a - y) * derivative


class CrossEntropy(Cost):
    """Cross-entropy of independent sigmoid outputs (the book, chapter 3, equation 63).

    -y*log(a) - (1-y)*log(1-a) is written in terms of z, as log(1+exp(z)) - y*z, so that the cost of
    a saturated output is finite in any precision.
    """

    name = "cross_entropy"
    outputs = ("sigmoid",)
    least, most = 0.0, 1.0

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return xp.logaddexp(z, 0.0) - y * z

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return a - y


class LogLikelihood(Cost):
    """-log of the softmax output of the right class (the book, chapter 3, equation 80).

    z is normalised and equals log(a). With targets instead of a class, this is the cross-entropy
    -sum(y*log(a)); the delta is correct where a row's targets sum to 1.
    """

    name = "log_likelihood"
    outputs = ("softmax",)
    least, most = 0.0, 1.0
    sums_to_1 = True

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return -(y * z)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return a - y


class MeanSquared(Cost):
    """The squared error (a-y)**2 for real targets: PyTorch's ``MSELoss`` for one output.

    Its steps are twice those of `Quadratic`, which is the cost that scikit-learn uses.
    """

    name = "mean_squared"
    outputs = _ELEMENTWISE
    regression = True

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return (a - y) * (a - y)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return 2 * (a - y) * derivative


class Absolute(Cost):
    """The absolute error abs(a-y) for real targets: PyTorch's ``L1Loss`` for one output."""

    name = "absolute"
    outputs = _ELEMENTWISE
    regression = True

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return abs(a - y)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return xp.sign(a - y) * derivative


class Huber(Cost):
    """Half the squared error up to an error of 1, the absolute error minus 1/2 beyond (Huber 1964).

    This is PyTorch's ``HuberLoss`` with delta = 1, for one output.
    """

    name = "huber"
    outputs = _ELEMENTWISE
    regression = True

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        within = _within_1(xp, a - y)
        return within * (a - y - 0.5 * within)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return _within_1(xp, a - y) * derivative


class Poisson(Cost):
    """Half the Poisson deviance y*log(y/a) - y + a, for counts and other targets of at least 0.

    z is log(a) (McCullagh and Nelder, "Generalized linear models", 1989, section 2.3). This is the
    cost of scikit-learn's ``MLPRegressor(loss="poisson")``.
    """

    name = "poisson"
    outputs = ("exponential",)
    regression = True
    least = 0.0

    @staticmethod
    def value(xp: Any, z: Any, a: Any, y: Any) -> Any:
        return y * (xp.log(xp.where(y > 0, y, y * 0 + 1)) - z) + (a - y)

    @staticmethod
    def delta(xp: Any, z: Any, a: Any, y: Any, derivative: Any) -> Any:
        return a - y


ALL: tuple[type[Cost], ...] = (
    Quadratic, CrossEntropy, LogLikelihood, MeanSquared, Absolute, Huber, Poisson,
)  # fmt: skip
"""All costs, in the order of the documents."""


def _within_1(xp: Any, error: Any) -> Any:
    """Return `error` clipped to [-1, 1]."""
    return xp.maximum(xp.minimum(error, 1.0), -1.0)


@runtime_checkable
class RowCost(Protocol):
    """A user-defined cost, which only the numpy path accepts."""

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the derivatives of each row's cost with respect to z; arrays are (m, outputs)."""


def one_hot(labels: np.ndarray, outputs: int, dtype: DTypeLike) -> np.ndarray:
    """Return targets (n, outputs) for class indices (n,): 1 for the class, 0 elsewhere."""
    targets = np.zeros((len(labels), outputs), dtype)
    targets[np.arange(len(labels)), labels] = 1
    return targets


def named(parameter: str, name: object) -> Cost:
    """Return the cost called `name`, or raise a `ValueError` that lists the known ones."""
    return one_named(parameter, name, ALL, registered=True)()
