"""Penalties: each one small class whose mathematics is written once.

One convention, the book's: lmbda is the strength over the whole training set, so a step of
gradient descent with the learning rate eta shrinks by eta*lmbda/n, n being the number of training
rows (never the size of a mini-batch). Biases are not penalised.

The contract, for a class listed in `ALL`:

* ``coefficients(step)`` gives the numbers the formulas take, for ``step`` = eta/n;
* ``shrink(xp, w, *coefficients)`` is the weight that one step leaves, before the gradient;
* ``caught_up(xp, w, steps, *coefficients)`` is what `steps` >= 1 steps without a gradient leave,
  in closed form: an input column that a batch does not use has no gradient, and its weights wait
  until they are next used. None where there is no closed form;
* ``value(weights)`` is the penalty times n, as `total_cost` divides it by n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import real

__all__ = ["ALL", "L1", "L2", "Penalty"]


@dataclass(frozen=True)
class Penalty:
    """A penalty with its strength.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set, the book's lambda; finite and at least 0.

    Raises
    ------
    TypeError, ValueError
        If `lmbda` is not such a number.
    """

    name: ClassVar[str]
    caught_up: ClassVar[Callable[..., Any] | None] = None
    lmbda: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lmbda", real("lmbda", self.lmbda))

    def coefficients(self, step: float) -> tuple[float, ...]:
        """Return what the formulas take, for `step` = learning_rate / n."""
        raise NotImplementedError

    @staticmethod
    def shrink(xp: Any, w: Any, *coefficients: Any) -> Any:
        """Return the weight that one step leaves of `w`, before the gradient."""
        raise NotImplementedError

    def value(self, weights: Sequence[np.ndarray]) -> float:
        """Return the penalty of all layers, times n."""
        raise NotImplementedError


class L1(Penalty):
    """lmbda/n times the sum of abs(w): every step subtracts kappa*sign(w), and sign(0) is 0.

    The book, chapter 3, equation 95 and the exercise that follows it; kappa = eta*lmbda/n.
    """

    name = "l1"

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa, 1 / kappa

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, inverse: Any) -> Any:
        return w - kappa * xp.sign(w)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, inverse: Any) -> Any:
        """abs(w) = whole*kappa + rest shrinks `whole` times; then come rest, rest-kappa, rest, ..."""
        size = abs(w)
        whole = xp.floor(size * inverse)
        rest = size - whole * kappa
        whole = xp.where(rest < 0, whole - 1, whole)  # size*inverse was rounded up
        rest = xp.where(rest < 0, rest + kappa, rest)
        beyond = steps - whole
        odd = beyond - 2 * xp.floor(0.5 * beyond)
        turned = xp.where(rest > 0, rest - odd * kappa, rest)
        return xp.where(beyond > 0, turned, size - steps * kappa) * xp.sign(w)

    def value(self, weights: Sequence[np.ndarray]) -> float:
        return self.lmbda * sum(float(np.abs(w).sum(dtype=np.float64)) for w in weights)


class L2(Penalty):
    """lmbda/(2n) times the sum of w**2: every step multiplies by 1 - kappa (weight decay).

    The book, chapter 3, equations 87 and 93; kappa = eta*lmbda/n.
    """

    name = "l2"

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa, math.log1p(-kappa)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, log_kept: Any) -> Any:
        return w - kappa * w

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, log_kept: Any) -> Any:
        return w * xp.exp(steps * log_kept)

    def value(self, weights: Sequence[np.ndarray]) -> float:
        return 0.5 * self.lmbda * sum(float(np.square(w).sum(dtype=np.float64)) for w in weights)


ALL: tuple[type[Penalty], ...] = (L1, L2)
