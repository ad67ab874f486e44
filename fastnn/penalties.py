"""Penalties: each one small class whose mathematics is written once.

One convention, the book's: lmbda is the strength over the whole training set, so a step of
gradient descent with the learning rate eta shrinks by eta*lmbda/n, n being the number of training
rows (never the size of a mini-batch). Biases are not penalised.

The contract, for a class listed in `ALL`:

* ``coefficients(step)`` gives the numbers the formulas take, for ``step`` = eta/n;
* ``shrink(xp, w, *coefficients)`` is the weight that one step leaves; it comes before the gradient
  is added, or after that where ``follows`` is true;
* ``caught_up(xp, w, steps, *coefficients)`` is what `steps` >= 1 steps without a gradient leave,
  in closed form: an input column that a batch does not use has no gradient, and its weights wait
  until they are next used. None where there is no closed form, and `waits` says for which
  step it holds. Up to ``one_by_one`` steps take less time one by one;
* ``value(weights)`` is the penalty times n, as `total_cost` divides it by n;
* ``strengths(step)`` is what one step takes: the L1 part of every weight's size, and the L2 part's
  share of every weight.

Other libraries' strengths become these, and back, by `from_sklearn`, `to_sklearn` and their like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import one_of, real, whole

__all__ = [
    "ALL",
    "L1",
    "L2",
    "ElasticNet",
    "Penalty",
    "ProximalL1",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "to_keras",
    "to_sklearn",
    "to_torch",
]


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
    one_by_one: ClassVar[int] = 0
    follows: ClassVar[bool] = False
    lmbda: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lmbda", real("lmbda", self.lmbda))

    def coefficients(self, step: float) -> tuple[float, ...]:
        """Return what the formulas take, for `step` = learning_rate / n."""
        raise NotImplementedError

    def waits(self, step: float) -> bool:
        """Return whether `caught_up` may be used, for `step` = learning_rate / n."""
        return self.caught_up is not None

    def simplified(self) -> Penalty | None:
        """Return the simplest penalty that is the same, or None where it does nothing."""
        return self if self.lmbda > 0 else None

    @staticmethod
    def shrink(xp: Any, w: Any, *coefficients: Any) -> Any:
        """Return the weight that one step leaves of `w`."""
        raise NotImplementedError

    def value(self, weights: Sequence[np.ndarray]) -> float:
        """Return the penalty of all layers, times n."""
        raise NotImplementedError

    def strengths(self, step: float) -> tuple[float, float]:
        """Return what one step's L1 and L2 parts take, for `step` = learning_rate / n."""
        raise NotImplementedError


@dataclass(frozen=True)
class L1(Penalty):
    """lmbda/n times the sum of abs(w): every step subtracts kappa*sign(w), and sign(0) is 0.

    The book, chapter 3, equation 95 and the exercise that follows it; kappa = eta*lmbda/n.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    method : {"book", "proximal"}
        "proximal" is `ProximalL1`, which leaves exact zeros.
    """

    name = "l1"
    method: str = "book"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, ("book", "proximal"))

    def simplified(self) -> Penalty | None:
        if self.method == "proximal":
            return ProximalL1(self.lmbda).simplified()
        return super().simplified()

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa, 1 / kappa

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, inverse: Any) -> Any:
        return w - kappa * xp.sign(w)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, inverse: Any) -> Any:
        """abs(w) = whole*kappa + rest shrinks `whole` times; rest, rest-kappa, rest, ... follow."""
        size = abs(w)
        whole = xp.floor(size * inverse)
        rest = size - whole * kappa  # just below 0 where size*inverse was rounded up
        beyond = steps - whole
        turned = rest - _odd(xp, beyond) * kappa * xp.sign(rest)
        return xp.where(beyond > 0, turned, size - steps * kappa) * xp.sign(w)

    def value(self, weights: Sequence[np.ndarray]) -> float:
        return self.lmbda * sum(float(np.abs(w).sum(dtype=np.float64)) for w in weights)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda, 0.0


class ProximalL1(Penalty):
    """L1 after the gradient: sign(v)*max(0, abs(v)-kappa), which leaves exact zeros.

    Duchi and Singer, "Efficient online and batch learning using forward backward splitting", 2009;
    v is the weight after the gradient step, kappa = eta*lmbda/n.
    """

    name = "l1_proximal"
    follows = True

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda,)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any) -> Any:
        return _soft(xp, w, kappa)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any) -> Any:
        return _soft(xp, w, steps * kappa)

    def value(self, weights: Sequence[np.ndarray]) -> float:
        return L1(self.lmbda).value(weights)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda, 0.0


class L2(Penalty):
    """lmbda/(2n) times the sum of w**2: every step multiplies by 1 - kappa (weight decay).

    The book, chapter 3, equations 87 and 93; kappa = eta*lmbda/n.
    """

    name = "l2"

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa, _log_kept(kappa)

    def waits(self, step: float) -> bool:
        return step * self.lmbda < 1

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, log_kept: Any) -> Any:
        return w - kappa * w

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, log_kept: Any) -> Any:
        """w*(1-kappa)**steps."""
        return w * xp.exp(steps * log_kept)

    def value(self, weights: Sequence[np.ndarray]) -> float:
        return 0.5 * self.lmbda * sum(float(np.square(w).sum(dtype=np.float64)) for w in weights)

    def strengths(self, step: float) -> tuple[float, float]:
        return 0.0, step * self.lmbda


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """L1 with the strength l1_ratio*lmbda and L2 with (1-l1_ratio)*lmbda, in one step.

    Zou and Hastie, "Regularization and variable selection via the elastic net", 2005. A step leaves
    w - kappa2*w - kappa1*sign(w).

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    l1_ratio : float, default 0.5
        The share of L1, 0 to 1.
    """

    name = "elasticnet"
    one_by_one = 24
    l1_ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "l1_ratio", real("l1_ratio", self.l1_ratio))
        if self.l1_ratio > 1:
            raise ValueError(f"l1_ratio must be from 0 to 1, not {self.l1_ratio!r}")

    def simplified(self) -> Penalty | None:
        if self.l1_ratio in (0, 1):
            return (L1 if self.l1_ratio else L2)(self.lmbda).simplified()
        return super().simplified()

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa1, kappa2 = step * self.lmbda * self.l1_ratio, step * self.lmbda * (1 - self.l1_ratio)
        return kappa1, kappa2, _log_kept(kappa2)

    def waits(self, step: float) -> bool:
        return step * self.lmbda * (1 - self.l1_ratio) < 1

    @staticmethod
    def shrink(xp: Any, w: Any, kappa1: Any, kappa2: Any, log_kept: Any) -> Any:
        return w - kappa2 * w - kappa1 * xp.sign(w)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa1: Any, kappa2: Any, log_kept: Any) -> Any:
        """Return the sum of a geometric series until the sign turns, then of an alternating one.

        With far = kappa1/kappa2, abs(w)+far shrinks by 1-kappa2 a step as long as the sign stays.
        What is left then, rest, becomes kappa1-(1-kappa2)*rest with every further step, and the
        sign turns each time; that settles at kappa1/(2-kappa2).
        """
        size, far, kept = abs(w), kappa1 / kappa2, 1 - kappa2
        whole = xp.floor(-xp.log1p(size / far) / log_kept)
        rest = size + xp.expm1(whole * log_kept) * (size + far)
        whole = xp.where(rest < 0, whole - 1, whole)  # the quotient was rounded up, or down
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

    def value(self, weights: Sequence[np.ndarray]) -> float:
        l1, l2 = L1(self.lmbda * self.l1_ratio), L2(self.lmbda * (1 - self.l1_ratio))
        return l1.value(weights) + l2.value(weights)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda * self.l1_ratio, step * self.lmbda * (1 - self.l1_ratio)


ALL: tuple[type[Penalty], ...] = (L1, ProximalL1, L2, ElasticNet)


def from_sklearn(alpha: float, n: int, batch_size: int) -> L2:
    """Return the penalty of scikit-learn's ``MLPClassifier(alpha=alpha)``.

    It adds alpha*w to the gradient's sum over a batch of m rows and divides by m, so that a step
    shrinks by eta*alpha/m: lmbda = alpha*n/m.

    Parameters
    ----------
    alpha : float
    n : int
        Training rows: those of ``fit``, without the ones kept for early stopping.
    batch_size : int
        scikit-learn's own default is ``min(200, n)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    n, m = whole("n", n, minimum=1), whole("batch_size", batch_size, minimum=1)
    return L2(real("alpha", alpha) * n / m)


def to_sklearn(penalty: L2, n: int, batch_size: int) -> float:
    """Return the ``alpha`` that gives scikit-learn's MLP this penalty, the way back."""
    n, m = whole("n", n, minimum=1), whole("batch_size", batch_size, minimum=1)
    return _parts(penalty, "scikit-learn's MLP has L2 alone", l1=False)[1] * m / n


def from_keras(l1: float, l2: float, n: int) -> Penalty:
    """Return the penalty of Keras's ``kernel_regularizer=L1L2(l1, l2)`` on every layer.

    It adds l1*sum(abs(w)) + l2*sum(w**2) to the mean cost of a batch
    (https://keras.io/api/layers/regularizers/): a step shrinks by eta*l1 and eta*2*l2*w.

    Parameters
    ----------
    l1, l2 : float
    n : int
        Training rows.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    n = whole("n", n, minimum=1)
    return _penalty_of(real("l1", l1) * n, 2 * real("l2", l2) * n)


def to_keras(penalty: Penalty, n: int) -> tuple[float, float]:
    """Return the ``l1`` and ``l2`` that give a Keras layer this penalty, the way back."""
    n = whole("n", n, minimum=1)
    l1, l2 = _parts(penalty, "Keras has L1 and L2 alone")
    return l1 / n, l2 / (2 * n)


def from_torch(weight_decay: float, n: int) -> L2:
    """Return the penalty of ``torch.optim.SGD(weight_decay=weight_decay)``.

    It adds weight_decay*w to the mean gradient: a step shrinks by eta*weight_decay*w. PyTorch
    applies it to the biases too, unless they are in a parameter group without it.

    Parameters
    ----------
    weight_decay : float
    n : int
        Training rows.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    return L2(real("weight_decay", weight_decay) * whole("n", n, minimum=1))


def to_torch(penalty: L2, n: int) -> float:
    """Return the ``weight_decay`` that gives PyTorch's SGD this penalty, the way back."""
    n = whole("n", n, minimum=1)
    return _parts(penalty, "PyTorch's weight_decay is L2 alone", l1=False)[1] / n


def _penalty_of(l1: float, l2: float) -> Penalty:
    """Return the simplest penalty with these two strengths."""
    if l1 and l2:
        return ElasticNet(l1 + l2, l1 / (l1 + l2))
    return L1(l1) if l1 else L2(l2)


def _parts(penalty: Penalty, reason: str, *, l1: bool = True) -> tuple[float, float]:
    """Return the strengths of L1 and L2 in a penalty; a `ValueError` says why it has no equal."""
    kind = type(penalty.simplified() or penalty)
    if kind not in ((L1, L2, ElasticNet) if l1 else (L2,)):
        raise ValueError(f"no equal there for {penalty!r}: {reason}")
    return penalty.strengths(1.0)


def _log_kept(kappa: float) -> float:
    """Return log(1-kappa), of what a step of weight decay keeps, where `waits` lets it be used."""
    return math.log1p(-kappa) if kappa < 1 else 0.0


def _soft(xp: Any, w: Any, most: Any) -> Any:
    """Return `w` moved towards 0 by `most`, and not past it."""
    return xp.where(abs(w) > most, w - xp.copysign(most, w), w * 0)


def _odd(xp: Any, count: Any) -> Any:
    """Return 1 where `count` is odd, else 0."""
    return count - 2 * xp.floor(0.5 * count)
