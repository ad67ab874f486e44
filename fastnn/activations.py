"""Activations: each is one small class whose mathematics is written once.

A formula takes its functions from ``xp``. With ``xp=numpy`` it runs on floats and arrays; the
engine calls the same formula once, at compile time, to emit vector instructions.

The contract, for a class listed in `ALL`:

* ``value(xp, z)`` is the output a of a unit with the weighted input z;
* ``derivative(xp, z, a)`` is da/dz, from whichever of z and a is cheaper;
* both are elementwise, and finite at 0, which fills the lanes of a vector beyond the last unit;
* ``normalises`` says that z is first replaced by z - log(sum(exp(z))) over the layer's units
  (`log_normalised`); such an activation is for the output layer only.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import one_named

__all__ = [
    "ALL",
    "ELU",
    "GELU",
    "Activation",
    "Exponential",
    "Identity",
    "LeakyReLU",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "log_normalised",
    "named",
]


class Activation:
    """What the engine needs to know about an activation."""

    name: ClassVar[str]
    normalises: ClassVar[bool] = False

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        """Return the output for the weighted input `z`."""
        raise NotImplementedError

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        """Return da/dz at the weighted input `z`, where the output is `a`."""
        raise NotImplementedError


class Sigmoid(Activation):
    """The logistic function 1/(1+exp(-z)) (the book, chapter 1, equation 3)."""

    name = "sigmoid"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return 1 / (1 + xp.exp(-z))

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return a * (1 - a)


class Tanh(Activation):
    """The hyperbolic tangent (the book, chapter 3, equation 109)."""

    name = "tanh"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.tanh(z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return 1 - a * a


class ReLU(Activation):
    """max(0, z), with the derivative 0 at 0 (the book, chapter 3, equation 112)."""

    name = "relu"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.maximum(z, 0.0)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return xp.where(a > 0, a * 0 + 1, a * 0)


class Softmax(Activation):
    """exp(z) divided by its sum over the layer (the book, chapter 3, equation 78).

    The formulas take the normalised z, which is the logarithm of the output.
    """

    name = "softmax"
    normalises = True

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.exp(z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return a


class LeakyReLU(Activation):
    """z above 0 and 0.01*z below, with the derivative 0.01 at 0 (Maas, Hannun and Ng 2013)."""

    name = "leaky_relu"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.maximum(z, 0.01 * z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return xp.where(z > 0, z * 0 + 1, z * 0 + 0.01)


class ELU(Activation):
    """z above 0 and exp(z)-1 below (Clevert, Unterthiner and Hochreiter 2016; alpha is 1)."""

    name = "elu"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.where(z > 0, z, xp.expm1(xp.minimum(z, 0.0)))

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return xp.where(z > 0, z * 0 + 1, a + 1)


class GELU(Activation):
    """z/(1+exp(-2u)), u = sqrt(2/pi)*(z+0.044715*z**3) (Hendrycks and Gimpel 2016, with tanh).

    This is their approximation 0.5*z*(1+tanh(u)), PyTorch's ``gelu(approximate="tanh")``. It is
    within 0.0005 of z*Phi(z), where Phi is the normal distribution function.
    """

    name = "gelu"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return z * _gate(xp, z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        gate = _gate(xp, z)
        slope = _TWICE_ROOT * (1 + 3 * _CUBIC * _square(xp, z))
        return gate + z * slope * (gate * (1 - gate))


class Softplus(Activation):
    """log(1+exp(z)), a smooth ReLU (Dugas et al. 2001)."""

    name = "softplus"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.logaddexp(z, 0.0)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return -xp.expm1(-a)


class Identity(Activation):
    """z itself: the output for real targets."""

    name = "identity"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return z

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return z * 0 + 1


class Exponential(Activation):
    """exp(z): the mean of a count, as the output for the cost "poisson"."""

    name = "exponential"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.exp(z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return a


ALL: tuple[type[Activation], ...] = (
    Sigmoid, Tanh, ReLU, LeakyReLU, ELU, GELU, Softplus, Identity, Exponential, Softmax,
)  # fmt: skip
"""All activations, in the order of the documents."""

_TWICE_ROOT, _CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


def _square(xp: Any, z: Any) -> Any:
    """Return z**2, capped at 1000 to avoid overflow; the gate is 0 or 1 there already."""
    return xp.minimum(z * z, 1000.0)


def _gate(xp: Any, z: Any) -> Any:
    """Return the factor by which GELU multiplies z."""
    return 1 / (1 + xp.exp(z * (-_TWICE_ROOT - _TWICE_ROOT * _CUBIC * _square(xp, z))))


def log_normalised(z: np.ndarray) -> np.ndarray:
    """Return z - log(sum(exp(z))), with the sum over the last axis."""
    centred = z - z.max(axis=-1, keepdims=True)
    normalised: np.ndarray = centred - np.log(np.exp(centred).sum(axis=-1, keepdims=True))
    return normalised


def named(parameter: str, name: object) -> Activation:
    """Return the activation called `name`, or raise a `ValueError` that lists the known ones."""
    return one_named(parameter, name, ALL, registered=True)()
