"""Optimizers whose step size is the same for all weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, real
from fastnn.optimizers.base import Numbers, Optimizer
from fastnn.schedules import Schedule

__all__ = ["SGD", "Momentum", "Nesterov"]


@dataclass(frozen=True)
class SGD(Optimizer):
    """w -= rate*g: plain gradient descent (the book, chapter 1, equation 20).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.5
        The book's eta.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "sgd"
    learning_rate: float | Schedule = 0.5

    @staticmethod
    def step(xp: Any, w: Any, g: Any, rate: Any) -> tuple[Any, ...]:
        return (w - rate * g,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v = momentum*v - rate*g; w += v (the book, chapter 3, equations 107 and 108).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.1
    momentum : float, default 0.9
        The share of the last step that is kept (the book's mu); at least 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "momentum"
    memories = 1
    learning_rate: float | Schedule = 0.1
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "momentum", real, below=1)

    @property
    def gain(self) -> float:
        """1/(1-momentum), the sum of momentum**k for k >= 0.

        It is infinite at momentum 1, which scikit-learn allows.
        """
        return 1 / (1 - self.momentum) if self.momentum < 1 else math.inf

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.momentum

    @staticmethod
    def step(xp: Any, w: Any, g: Any, v: Any, rate: Any, momentum: Any) -> tuple[Any, ...]:
        v = momentum * v - rate * g
        return w + v, v


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v = momentum*v - rate*g; w += momentum*v - rate*g (Sutskever et al. 2013).

    w is the point to which momentum alone would lead; the gradient is the one at this point.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.1
    momentum : float, default 0.9
        The share of the last step that is kept; at least 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "nesterov"

    @staticmethod
    def step(xp: Any, w: Any, g: Any, v: Any, rate: Any, momentum: Any) -> tuple[Any, ...]:
        v = momentum * v - rate * g
        return w + (momentum * v - rate * g), v
