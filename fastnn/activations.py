"""Activations: each one small class whose mathematics is written once.

A formula takes ``xp``, the functions it may use. With ``xp=numpy`` it runs on floats and arrays;
the engine calls the same formula once, at compile time, and gets vector instructions.

The contract, for a class listed in `ALL`:

* ``value(xp, z)`` is the output a of a unit with the weighted input z;
* ``derivative(xp, z, a)`` is da/dz, from whichever of z and a is cheaper;
* both are elementwise, and ``value(xp, 0)`` is finite.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastnn.checks import one_of

__all__ = ["ALL", "Activation", "Sigmoid", "named"]


class Activation:
    """What the engine needs to know of an activation."""

    name: ClassVar[str]

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


ALL: tuple[type[Activation], ...] = (Sigmoid,)


def named(parameter: str, name: object) -> Activation:
    """Return the activation called `name`; a `ValueError` names the known ones otherwise."""
    known = {activation.name: activation for activation in ALL}
    return known[one_of(parameter, name, known)]()
