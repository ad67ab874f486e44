"""Optimizers whose step size differs from weight to weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, real
from fastnn.optimizers.base import Numbers, Optimizer
from fastnn.schedules import Schedule

__all__ = ["Adagrad", "Adam", "AdamW", "RMSprop"]


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """s = decay*s + (1-decay)*g**2; w -= rate*g/(sqrt(s)+epsilon) (Hinton's lecture 6e, 2012).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    decay : float, default 0.9
        The share of s that is kept; at least 0 and below 1.
    epsilon : float, default 1e-8
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "rmsprop"
    memories = 1
    learning_rate: float | Schedule = 0.001
    decay: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "decay", real, below=1)
        check_field(self, "epsilon", real, above=0)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.decay, 1 - self.decay, self.epsilon

    @staticmethod
    def step(
        xp: Any, w: Any, g: Any, s: Any, rate: Any, decay: Any, new: Any, epsilon: Any
    ) -> tuple[Any, ...]:
        s = decay * s + new * (g * g)
        return w - rate * g / (xp.sqrt(s) + epsilon), s

    @staticmethod
    def step_size(xp: Any, s: Any, rate: Any, decay: Any, new: Any, epsilon: Any) -> Any:
        return 1 / (xp.sqrt(s) + epsilon)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """s += g**2; w -= rate*g/(sqrt(s)+epsilon) (Duchi, Hazan and Singer 2011).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    epsilon : float, default 1e-10
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "adagrad"
    memories = 1
    learning_rate: float | Schedule = 0.01
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "epsilon", real, above=0)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.epsilon

    @staticmethod
    def step(xp: Any, w: Any, g: Any, s: Any, rate: Any, epsilon: Any) -> tuple[Any, ...]:
        s = s + g * g
        return w - rate * g / (xp.sqrt(s) + epsilon), s

    @staticmethod
    def step_size(xp: Any, s: Any, rate: Any, epsilon: Any) -> Any:
        return 1 / (xp.sqrt(s) + epsilon)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Bias-corrected means of g and g**2: w -= rate*mean/(sqrt(square)+epsilon).

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1: m = beta1*m +
    (1-beta1)*g and s = beta2*s + (1-beta2)*g**2; mean = m/(1-beta1**t), square = s/(1-beta2**t).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        The shares of m and s that are kept; at least 0 and below 1.
    epsilon : float, default 1e-8
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "adam"
    memories = 2
    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "beta1", real, below=1)
        check_field(self, "beta2", real, below=1)
        check_field(self, "epsilon", real, above=0)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        rates, root = rate / (1 - self.beta1**count), 1 / np.sqrt(1 - self.beta2**count)
        return (
            rates,
            root,
            self.beta1,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            self.epsilon,
            1.0,
        )

    @staticmethod
    def step(
        xp: Any, w: Any, g: Any, m: Any, s: Any, rate: Any, root: Any, beta1: Any, new1: Any,
        beta2: Any, new2: Any, epsilon: Any, kept: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        m, s = beta1 * m + new1 * g, beta2 * s + new2 * (g * g)
        return kept * w - rate * m / (xp.sqrt(s) * root + epsilon), m, s

    @staticmethod
    def step_size(
        xp: Any, m: Any, s: Any, rate: Any, root: Any, beta1: Any, new1: Any, beta2: Any,
        new2: Any, epsilon: Any, kept: Any,
    ) -> Any:  # fmt: skip
        return 1 / (xp.sqrt(s) * root + epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam that also subtracts rate*weight_decay*w from each weight (Loshchilov and Hutter 2019).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        As in `Adam`.
    epsilon : float, default 1e-8
        Above 0.
    weight_decay : float, default 0.01
        At least 0. Biases do not decay.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "adamw"
    separate_biases = True
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "weight_decay", real)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        decay = 0.0 if of_biases else self.weight_decay
        return *super().numbers(rate, count, of_biases)[:-1], 1 - rate * decay
