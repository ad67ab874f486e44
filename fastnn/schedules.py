"""Schedules of the learning rate from epoch to epoch: each is one small class.

The contract, for a class listed in `ALL`:

* ``rate(epoch, epochs, scores)`` is the learning rate of `epoch`, counted from 0, in a fit of
  `epochs` epochs; None, or a rate that has fallen to 0, ends training before that epoch.
  ``scores`` has the validation score (accuracy, or R**2) of every earlier epoch; it is empty
  without validation rows;
* ``largest`` is an upper bound on all rates, a finite number of at least 0; the check of the
  penalty's strength uses it;
* ``needs_scores`` says that there must be validation rows;
* a schedule keeps no state, so that several fits can use it.

A plain number given to a fit stands for `ConstantRate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fastnn.checks import check_field, real, whole

__all__ = [
    "ALL",
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "HalveOnPlateau",
    "InverseScaling",
    "LinearWarmup",
    "Schedule",
    "StepDecay",
    "as_schedule",
    "constant_rate",
]


class Schedule:
    """A learning rate that may change from epoch to epoch."""

    name: ClassVar[str]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({values})"

    @property
    def needs_scores(self) -> bool:
        """Whether there must be validation rows."""
        return False

    @property
    def largest(self) -> float:
        """An upper bound on all rates."""
        raise NotImplementedError(
            f"{type(self).__name__} needs `largest`, a number that none of its rates is above"
        )

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        """Return the learning rate of an epoch; None, or a fall to 0, ends training before it."""
        raise NotImplementedError(
            f"{type(self).__name__} needs `rate(epoch, epochs, scores)`, the rate of an epoch"
        )


@dataclass(frozen=True)
class _FromTheTop(Schedule):
    """A schedule whose largest rate is the one that it is given."""

    learning_rate: float

    def __post_init__(self) -> None:
        check_field(self, "learning_rate", real)

    @property
    def largest(self) -> float:
        return self.learning_rate


class ConstantRate(_FromTheTop):
    """The same rate for all epochs."""

    name = "constant"

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay(_FromTheTop):
    """The rate is multiplied by `factor` after every `every` epochs.

    Parameters
    ----------
    learning_rate : float
    every : int, default 10
        The number of epochs with the same rate.
    factor : float, default 0.1
        Above 0, at most 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "step"
    every: int = 10
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "every", whole, minimum=1)
        check_field(self, "factor", real, above=0, maximum=1)

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        return self.learning_rate * self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class ExponentialDecay(_FromTheTop):
    """The rate is multiplied by `factor` after every epoch.

    Parameters
    ----------
    learning_rate : float
    factor : float, default 0.95
        Above 0, at most 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "exponential"
    factor: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "factor", real, above=0, maximum=1)

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        return self.learning_rate * self.factor**epoch


@dataclass(frozen=True)
class CosineDecay(_FromTheTop):
    """The rate falls towards 0 along half a cosine (Loshchilov and Hutter 2017).

    Epoch t of T has the rate learning_rate * (1 + cos(pi*t/T))/2.

    Parameters
    ----------
    learning_rate : float
    period : int, optional
        The number of epochs after which the cosine starts again (their warm restarts); by default
        one cosine spans all epochs of the fit.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "cosine"
    period: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is not None:
            check_field(self, "period", whole, minimum=1)

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        length = self.period or epochs
        return self.learning_rate * (1 + math.cos(math.pi * (epoch % length) / length)) / 2


@dataclass(frozen=True)
class InverseScaling(_FromTheTop):
    """learning_rate / (t+1)**power for epoch t, counted from 0.

    Robbins and Monro, "A stochastic approximation method", 1951, require a power above 1/2 and at
    most 1.

    Parameters
    ----------
    learning_rate : float
    power : float, default 0.5
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "inverse_scaling"
    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "power", real)

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        try:
            return self.learning_rate / math.pow(epoch + 1, self.power)
        except OverflowError:  # the divisor is too large for a float
            return 0.0


@dataclass(frozen=True)
class HalveOnPlateau(_FromTheTop):
    """The rate is halved when the validation score stops improving (the book, chapter 3).

    This is the exercise on learning rate schedules. Training ends when the rate would fall to
    `stop_at` times its first value.

    Parameters
    ----------
    learning_rate : float
    patience : int, default 10
        The number of epochs without a new best score before the rate is halved.
    stop_at : float, default 1/128
        From 0 to 1; with 0 the rate never ends training.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "halve_on_plateau"
    patience: int = 10
    stop_at: float = 1 / 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "patience", whole, minimum=1)
        check_field(self, "stop_at", real, maximum=1)

    @property
    def needs_scores(self) -> bool:
        return True

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        best, waited, share = -math.inf, 0, 1.0
        for score in scores:
            best, waited = (score, 0) if score > best else (best, waited + 1)
            if waited == self.patience:
                waited, share = 0, share / 2
        return None if share <= self.stop_at else self.learning_rate * share


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """The rate rises in equal steps to another schedule's first rate, then follows that schedule.

    Goyal et al., "Accurate, large minibatch SGD", 2017. Epoch t of the first `epochs` epochs has
    (t+1)/(epochs+1) times that first rate.

    Parameters
    ----------
    then : Schedule or float
        The schedule that follows; its first epoch is the one after the warm-up.
    epochs : int, default 5
        The number of warm-up epochs.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "linear_warmup"
    then: Schedule | float
    epochs: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", as_schedule("then", self.then))
        check_field(self, "epochs", whole, minimum=1)

    @property
    def _rest(self) -> Schedule:
        """The field `then` with its type after `__post_init__`, for type checkers."""
        return as_schedule("then", self.then)

    @property
    def needs_scores(self) -> bool:
        return self._rest.needs_scores

    @property
    def largest(self) -> float:
        return self._rest.largest

    def rate(self, epoch: int, epochs: int, scores: Sequence[float]) -> float | None:
        left = max(1, epochs - self.epochs)
        if epoch >= self.epochs:
            return self._rest.rate(epoch - self.epochs, left, scores[self.epochs :])
        first = self._rest.rate(0, left, ())
        return None if first is None else first * (epoch + 1) / (self.epochs + 1)


ALL: tuple[type[Schedule], ...] = (
    ConstantRate, StepDecay, ExponentialDecay, CosineDecay, InverseScaling, HalveOnPlateau,
    LinearWarmup,
)  # fmt: skip
"""All schedules, in the order of the documents."""


def as_schedule(parameter: str, value: object) -> Schedule:
    """Return `value` if it is a schedule, or a constant schedule if it is a number.

    Raises
    ------
    TypeError, ValueError
        If it is neither a schedule nor a finite number of at least 0.
    """
    return value if isinstance(value, Schedule) else ConstantRate(constant_rate(parameter, value))


def constant_rate(parameter: str, value: object) -> float:
    """Return `value`, a number, as a rate; raise the same errors as `as_schedule`."""
    try:
        return real(parameter, value)
    except TypeError:
        raise TypeError(
            f"{parameter} must be a number or a fastnn.Schedule, "
            f"not {value!r} ({type(value).__name__})"
        ) from None
