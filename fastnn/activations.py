"""Activations: each one small class whose mathematics is written once.

A formula takes ``xp``, the functions it may use. With ``xp=numpy`` it runs on floats and arrays;
the engine calls the same formula once, at compile time, and gets vector instructions.

The contract, for a class listed in `ALL`:

* ``value(xp, z)`` is the output a of a unit with the weighted input z;
* ``derivative(xp, z, a)`` is da/dz, from whichever of z and a is cheaper;
* both are elementwise, and ``value(xp, 0)`` is finite;
* ``normalises`` says that z first becomes z - log(sum(exp(z))) over the layer's units, with
  `log_normalised`; such an activation is for the output layer only.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnn.checks import one_of

__all__ = [
    "ALL",
    "Activation",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "log_normalised",
    "named",
]


class Activation:
    """What the engine needs to know of an activation."""

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
    """exp(z) over its sum in the layer (the book, chapter 3, equation 78).

    The formulas take the normalised z, the logarithm of the output.
    """

    name = "softmax"
    normalises = True

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        return xp.exp(z)

    @staticmethod
    def derivative(xp: Any, z: Any, a: Any) -> Any:
        return a


ALL: tuple[type[Activation], ...] = (Sigmoid, Tanh, ReLU, Softmax)


def log_normalised(z: np.ndarray) -> np.ndarray:
    """Return z - log(sum(exp(z))), the sum over the last axis."""
    centred = z - z.max(axis=-1, keepdims=True)
    normalised: np.ndarray = centred - np.log(np.exp(centred).sum(axis=-1, keepdims=True))
    return normalised


def named(parameter: str, name: object) -> Activation:
    """Return the activation called `name`; a `ValueError` names the known ones otherwise."""
    known = {activation.name: activation for activation in ALL}
    return known[one_of(parameter, name, known)]()
