"""Optimisers: how a batch's gradient becomes a step, each rule one small class.

The contract, for a class listed in `ALL`:

* ``step(xp, w, g, *memories, *numbers)`` returns the weight after a step and its new memories: so
  many numbers beside each weight as ``memories`` says. g is the gradient of the batch's mean cost,
  with that of a penalty that has one (``slope``);
* ``numbers(rate, count, of_biases)`` are the numbers that it takes, with the learning rate `rate`,
  in the step that makes `count` steps; a penalty of the optimiser's own is not of biases;
* ``start(w)`` are the memories of a weight before the first step;
* ``pace(xp, *memories, *numbers)``, where there is one, is the size of each weight's own step by
  that of plain descent: a proximal penalty that follows the step shrinks the weight by so much more
  or less.

In all formulas g is the gradient, w a weight, t the number of the step from 1 on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import one_of, real
from fastnn.penalties import Penalty
from fastnn.schedules import Schedule

__all__ = [
    "ALL",
    "FTRL",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "check_penalties",
    "named",
]

Numbers = tuple["float | np.ndarray", ...]


@dataclass(frozen=True)
class Optimizer:
    """A rule for the step, with its learning rate: a number, or a schedule for the epochs."""

    name: ClassVar[str]
    memories: ClassVar[int] = 0
    pace: ClassVar[Callable[..., Any] | None] = None

    learning_rate: float | Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            rate = real("learning_rate", self.learning_rate)
            object.__setattr__(self, "learning_rate", rate)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        """Return what `step` takes in the step that makes `count` steps."""
        return (rate,)

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        """Return the memories of the weights or biases `w` before the first step."""
        return [np.zeros_like(w) for _ in range(self.memories)]

    @staticmethod
    def step(xp: Any, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        """Return the new weight and its new memories."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """w - rate*g: plain descent (the book, chapter 1, equation 20).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.5
        The book's eta.
    """

    name = "sgd"
    learning_rate: float | Schedule = 0.5

    @staticmethod
    def step(xp: Any, w: Any, g: Any, rate: Any) -> tuple[Any, ...]:
        return (w - rate * g,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v = momentum*v - rate*g; w + v (the book, chapter 3, equations 107 and 108).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.1
    momentum : float, default 0.9
        The share of the last step that goes on, from 0 and below 1 (the book's mu).
    """

    name = "momentum"
    memories = 1
    learning_rate: float | Schedule = 0.1
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _share(self, "momentum")

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.momentum

    @staticmethod
    def step(xp: Any, w: Any, g: Any, v: Any, rate: Any, momentum: Any) -> tuple[Any, ...]:
        v = momentum * v - rate * g
        return w + v, v


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v = momentum*v - rate*g; w + momentum*v - rate*g (Sutskever et al. 2013).

    The gradient is that at the place where momentum alone would lead, and w is that place.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.1
    momentum : float, default 0.9
        The share of the last step that goes on, from 0 and below 1.
    """

    name = "nesterov"

    @staticmethod
    def step(xp: Any, w: Any, g: Any, v: Any, rate: Any, momentum: Any) -> tuple[Any, ...]:
        v = momentum * v - rate * g
        return w + (momentum * v - rate * g), v


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """s = decay*s + (1-decay)*g**2; w - rate*g/(sqrt(s)+epsilon) (Hinton's lecture 6e, 2012).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    decay : float, default 0.9
        The share of s that stays, from 0 and below 1.
    epsilon : float, default 1e-8
        Above 0.
    """

    name = "rmsprop"
    memories = 1
    learning_rate: float | Schedule = 0.001
    decay: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _share(self, "decay")
        _above_0(self, "epsilon")

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.decay, 1 - self.decay, self.epsilon

    @staticmethod
    def step(
        xp: Any, w: Any, g: Any, s: Any, rate: Any, decay: Any, new: Any, epsilon: Any
    ) -> tuple[Any, ...]:
        s = decay * s + new * (g * g)
        return w - rate * g / (xp.sqrt(s) + epsilon), s

    @staticmethod
    def pace(xp: Any, s: Any, rate: Any, decay: Any, new: Any, epsilon: Any) -> Any:
        return 1 / (xp.sqrt(s) + epsilon)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """s = s + g**2; w - rate*g/(sqrt(s)+epsilon) (Duchi, Hazan and Singer 2011).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    epsilon : float, default 1e-10
        Above 0.
    """

    name = "adagrad"
    memories = 1
    learning_rate: float | Schedule = 0.01
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        _above_0(self, "epsilon")

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        return rate, self.epsilon

    @staticmethod
    def step(xp: Any, w: Any, g: Any, s: Any, rate: Any, epsilon: Any) -> tuple[Any, ...]:
        s = s + g * g
        return w - rate * g / (xp.sqrt(s) + epsilon), s

    @staticmethod
    def pace(xp: Any, s: Any, rate: Any, epsilon: Any) -> Any:
        return 1 / (xp.sqrt(s) + epsilon)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Means of g and g**2, both without bias: w - rate*mean/(sqrt(square)+epsilon).

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1: m = beta1*m +
    (1-beta1)*g and s = beta2*s + (1-beta2)*g**2; mean = m/(1-beta1**t), square = s/(1-beta2**t).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        The shares of m and s that stay, from 0 and below 1.
    epsilon : float, default 1e-8
        Above 0.
    """

    name = "adam"
    memories = 2
    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _share(self, "beta1")
        _share(self, "beta2")
        _above_0(self, "epsilon")

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
    def pace(
        xp: Any, m: Any, s: Any, rate: Any, root: Any, beta1: Any, new1: Any, beta2: Any,
        new2: Any, epsilon: Any, kept: Any,
    ) -> Any:  # fmt: skip
        return 1 / (xp.sqrt(s) * root + epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam, and of every weight rate*weight_decay*w besides (Loshchilov and Hutter 2019).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        As in `Adam`.
    epsilon : float, default 1e-8
        Above 0.
    weight_decay : float, default 0.01
        At least 0. Biases do not decay.
    """

    name = "adamw"
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight_decay", real("weight_decay", self.weight_decay))

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        decay = 0.0 if of_biases else self.weight_decay
        return *super().numbers(rate, count, of_biases)[:-1], 1 - rate * decay


@dataclass(frozen=True)
class FTRL(Optimizer):
    """Follow the proximal regularised leader, with L1 and L2 of its own (McMahan et al. 2013).

    McMahan et al., "Ad click prediction: a view from the trenches", 2013, algorithm 1, weight by
    weight: s grows by g**2, z by g - (sqrt(new s)-sqrt(s))/alpha*w; then w is 0 where abs(z) <=
    l1, else -(z-l1*sign(z))/((beta+sqrt(s))/alpha+l2). z starts so that this gives the weights that
    the network starts with. It leaves exact zeros.

    Parameters
    ----------
    alpha : float, default 0.1
        The learning rate of the paper, above 0.
    beta : float, default 1.0
        Above 0.
    l1, l2 : float, default 0.0
        Strengths as in the paper, at least 0; of weights, not of biases.
    """

    name = "ftrl"
    memories = 2
    learning_rate: float | Schedule
    alpha: float
    beta: float
    l1: float
    l2: float

    def __init__(
        self, alpha: float = 0.1, beta: float = 1.0, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta), ("l1", l1), ("l2", l2)):
            object.__setattr__(self, name, real(name, value))
        _above_0(self, "alpha")
        _above_0(self, "beta")
        object.__setattr__(self, "learning_rate", self.alpha)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        l1, l2 = (0.0, 0.0) if of_biases else (self.l1, self.l2)
        return 1 / self.alpha, self.beta, l1, l2

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        l1, l2 = (self.l1, self.l2) if w.ndim == 2 else (0.0, 0.0)
        z = -w * (self.beta / self.alpha + l2) - l1 * np.sign(w)
        return [z.astype(w.dtype), np.zeros_like(w)]

    @staticmethod
    def step(
        xp: Any, w: Any, g: Any, z: Any, s: Any, inverse: Any, beta: Any, l1: Any, l2: Any
    ) -> tuple[Any, ...]:
        grown = s + g * g
        root = xp.sqrt(grown)
        z = z + (g - (root - xp.sqrt(s)) * inverse * w)
        moved = (xp.copysign(l1, z) - z) / ((beta + root) * inverse + l2)
        return xp.where(abs(z) > l1, moved, z * 0), z, grown


ALL: tuple[type[Optimizer], ...] = (
    SGD,
    Momentum,
    Nesterov,
    RMSprop,
    Adagrad,
    Adam,
    AdamW,
    FTRL,
)
"""All optimisers, in the order of the documents."""


def named(parameter: str, name: object, learning_rate: float | None = None) -> Optimizer:
    """Return the optimizer with this name, all but its learning rate by default.

    Raises
    ------
    ValueError
        If there is none; the message begins with `parameter` and names the nearest.
    TypeError, ValueError
        If the learning rate is not one.
    """
    known: dict[str, Any] = {optimizer.name: optimizer for optimizer in ALL}
    chosen: Optimizer = known[one_of(parameter, name, known)](
        *([] if learning_rate is None else [learning_rate])
    )
    return chosen


def check_penalties(optimizer: Optimizer, penalties: Sequence[Penalty | None]) -> None:
    """Raise a `ValueError` where a penalty cannot be had with this optimiser."""
    for penalty in (p.simplified() for p in penalties if p is not None):
        if penalty is None:
            continue
        what = f"penalty {penalty!r} cannot be had with {optimizer!r}"
        if isinstance(optimizer, FTRL):
            raise ValueError(f"{what}, which has an l1 and an l2 of its own")
        if optimizer.pace is not None and not (penalty.slope or penalty.by_weight):
            raise ValueError(
                f"{what}: its rule is for steps of one size, and this optimiser's differ from "
                "weight to weight. Use SGD, Momentum or Nesterov, or L1, L2, ElasticNet, proximal "
                "L1 or MaxNorm"
            )


def _share(optimizer: Optimizer, name: str) -> None:
    """Check that a field is from 0 and below 1."""
    share = real(name, getattr(optimizer, name))
    if share >= 1:
        raise ValueError(f"{name} must be from 0 and below 1, not {share!r}")
    object.__setattr__(optimizer, name, share)


def _above_0(optimizer: Optimizer, name: str) -> None:
    """Check that a field is above 0."""
    value = real(name, getattr(optimizer, name))
    if value == 0:
        raise ValueError(f"{name} must be above 0")
    object.__setattr__(optimizer, name, value)
