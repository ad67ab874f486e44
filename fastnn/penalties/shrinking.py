"""Penalties that act on each weight separately and need no memory of earlier steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, one_of, real
from fastnn.penalties.base import L1Like, Penalty, Shrinking, soft
from fastnn.penalties.over_time import CumulativeL1

__all__ = ["L1", "L2", "ElasticNet", "ProximalL1"]

# The least absolute value used for log(1-kappa): a smaller one could underflow in float32, or a
# quotient by it overflow.
TINY = 1e-30


@dataclass(frozen=True)
class L1(L1Like):
    """lmbda/n times the sum of abs(w): every step subtracts kappa*sign(w), and sign(0) is 0.

    The book, chapter 3, equation 95 and the exercise that follows it; kappa = eta*lmbda/n.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    method : {"book", "proximal", "cumulative"}
        "proximal" stands for `ProximalL1`, "cumulative" for `CumulativeL1`; both leave exact zeros.
    biases : bool, default False
        Whether the biases are penalised too. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "l1"
    method: str = "book"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, ("book", *_METHODS))

    def simplified(self) -> Penalty | None:
        if self.method in _METHODS:
            return _METHODS[self.method](self.lmbda, biases=self.biases).simplified()
        return super().simplified()

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa, 1 / kappa if kappa else math.inf

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, inverse: Any) -> Any:
        return w - kappa * xp.sign(w)

    @staticmethod
    def slope(xp: Any, w: Any, kappa: Any, inverse: Any) -> Any:
        return kappa * xp.sign(w)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, inverse: Any) -> Any:
        """Take one kappa per step from abs(w), or only as many as bring it nearest to 0.

        The latter applies once the sign turns: from then on w alternates between two values within
        -kappa and kappa, and the number of kappas is even or odd as `steps` is. A w that reaches 0
        stays there. The kappas are counted in pairs and from abs(w), so that many steps cost no
        precision.
        """
        most = xp.floor(0.5 * steps)
        odd = 0.5 * steps - most
        place = abs(w) * (0.5 * inverse) + (0.5 - odd)
        pairs = xp.floor(place)
        pairs = xp.where(pairs < most, pairs, most)
        left = w - xp.copysign(pairs + odd, w) * (2 * kappa)
        return xp.where(place <= pairs, 0.0, left)  # a tie: w is a whole number of kappas


class ProximalL1(L1Like):
    """L1 after the gradient: sign(v)*max(0, abs(v)-kappa), which leaves exact zeros.

    Duchi and Singer, "Efficient online and batch learning using forward backward splitting", 2009;
    v is the weight after the gradient step, kappa = eta*lmbda/n.
    """

    name = "l1_proximal"
    leaves_zeros = True
    after_gradient = True
    per_weight_steps = True

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda,)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any) -> Any:
        return soft(xp, w, kappa)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any) -> Any:
        return soft(xp, w, steps * kappa)


class L2(Shrinking):
    """lmbda/(2n) times the sum of w**2: every step multiplies by 1 - kappa (weight decay).

    The book, chapter 3, equations 87 and 93; kappa = eta*lmbda/n.
    """

    name = "l2"
    decays = True

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda,)

    def lazy(self, step: float) -> bool:
        return step * self.lmbda <= 0.5  # beyond that, the factor kept would soon be too small

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any) -> Any:
        return w - kappa * w

    @staticmethod
    def slope(xp: Any, w: Any, kappa: Any) -> Any:
        return kappa * w

    def value(self, w: np.ndarray) -> float:
        return 0.5 * self.lmbda * float(np.square(w).sum(dtype=np.float64))

    def strengths(self, step: float) -> tuple[float, float]:
        return 0.0, step * self.lmbda


@dataclass(frozen=True)
class ElasticNet(Shrinking):
    """L1 with the strength l1_ratio*lmbda and L2 with (1-l1_ratio)*lmbda, in one step.

    Zou and Hastie, "Regularization and variable selection via the elastic net", 2005. A step leaves
    w - kappa1*sign(w) - kappa2*w.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    l1_ratio : float, default 0.5
        The share of L1, from 0 to 1.
    biases : bool, default False
        Whether the biases are penalised too. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "elasticnet"
    one_by_one = 24
    l1_ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "l1_ratio", real, maximum=1)

    def simplified(self) -> Penalty | None:
        if self.l1_ratio in (0, 1):
            part = L1 if self.l1_ratio else L2
            return part(self.lmbda, biases=self.biases).simplified()
        return super().simplified()

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa1, kappa2 = step * self.lmbda * self.l1_ratio, step * self.lmbda * (1 - self.l1_ratio)
        far = self.l1_ratio / (1 - self.l1_ratio) if self.l1_ratio < 1 else math.inf
        return kappa1, kappa2, min(_log_kept(kappa2), -TINY), far

    def lazy(self, step: float) -> bool:
        return step * self.lmbda * (1 - self.l1_ratio) < 1

    @staticmethod
    def shrink(xp: Any, w: Any, kappa1: Any, kappa2: Any, log_kept: Any, far: Any) -> Any:
        return w - kappa1 * xp.sign(w) - kappa2 * w

    @staticmethod
    def slope(xp: Any, w: Any, kappa1: Any, kappa2: Any, log_kept: Any, far: Any) -> Any:
        return kappa2 * w + kappa1 * xp.sign(w)

    @staticmethod
    def caught_up(
        xp: Any, w: Any, steps: Any, kappa1: Any, kappa2: Any, log_kept: Any, far: Any
    ) -> Any:
        """Return the sum of a geometric series until the sign turns, then of an alternating one.

        With far = kappa1/kappa2, each step multiplies abs(w)+far by 1-kappa2 until the sign turns.
        From then on, each step turns what is left, rest, into kappa1-(1-kappa2)*rest and flips the
        sign; this settles at kappa1/(2-kappa2).
        """
        size, kept = abs(w), 1 - kappa2
        whole = xp.floor(-xp.log1p(size / far) / log_kept)
        rest = size + xp.expm1(whole * log_kept) * (size + far)
        whole = xp.where(rest < 0, whole - 1, whole)  # undo rounding of the quotient, either way
        rest = xp.where(rest < 0, (rest + kappa1) / kept, rest)
        further = kept * rest - kappa1
        whole = xp.where(further < 0, whole, whole + 1)
        rest = xp.where(further < 0, rest, further)
        beyond = steps - whole
        turned, settled = 1 - 2 * _odd(xp, beyond), kappa1 / (2 - kappa2)
        after = turned * settled + xp.exp(beyond * log_kept) * (rest - settled)
        after = xp.where(rest > 0, after, rest)
        before = size + xp.expm1(steps * log_kept) * (size + far)
        return xp.where(beyond > 0, after, before) * xp.sign(w)

    def value(self, w: np.ndarray) -> float:
        l1, l2 = L1(self.lmbda * self.l1_ratio), L2(self.lmbda * (1 - self.l1_ratio))
        return l1.value(w) + l2.value(w)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda * self.l1_ratio, step * self.lmbda * (1 - self.l1_ratio)


def _log_kept(kappa: float) -> float:
    """Return log(1-kappa), for the share that weight decay keeps; 0 where `lazy` rules it out."""
    return math.log1p(-kappa) if kappa < 1 else 0.0


def _odd(xp: Any, count: Any) -> Any:
    """Return 1 where `count` is odd, else 0."""
    return count - 2 * xp.floor(0.5 * count)


_METHODS: dict[str, type[Shrinking]] = {"proximal": ProximalL1, "cumulative": CumulativeL1}
