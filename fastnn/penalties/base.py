"""What a penalty is, to the engine and to the tests: its contract.

One convention, the book's: lmbda is the strength over the whole training set, so a step of
gradient descent with the learning rate eta shrinks by eta*lmbda/n, n being the number of training
rows (never the size of a mini-batch).

A class in `penalties.ALL` has one of these, or both:

* ``shrink(xp, w, *numbers)`` is the weight that one step leaves; it comes before the gradient is
  added, or after that where ``after_gradient`` is true. Where ``stateful`` is true, it is
  ``shrink(xp, w, q, *numbers)`` and returns the weight and the new q, a number beside each weight
  that starts at 0.
* ``scale(xp, norm, size, steps, *numbers)`` is the factor by which `steps` steps multiply a group
  of `size` weights with the Euclidean `norm`, after gradient and shrink; ``grouping`` says what
  is a group. Where it takes from the norm, ``norm_number`` is the place among the numbers of what
  one step takes, by the root of the size.

A penalty whose shrink comes before the gradient is a part of it: ``slope(xp, w, *numbers)`` is what
shrink subtracts, and with the numbers of a step of 1/n its derivative, for optimizers that make
their own step from the gradient. Where ``by_weight`` is true, one after the gradient may be of
steps whose size differs from weight to weight: its numbers are multiplied by these sizes, or do not
depend on them. One with a ``norm_number`` may, too, as `fastnn.penalties.groups.shortened` says.

numbers are ``coefficients(step)``, for ``step`` = eta/n (times the ``reach`` of an optimizer whose
steps it follows), and after them ``moving(...)``, which change from step to step. Where ``rests``
is true, a step whose last number is above 0 does nothing.

An input column that a batch does not use has no gradient, and its weights may be lazy: wait until
they are next used. For this ``caught_up(xp, w, steps, *numbers)`` (or ``(xp, w, q, steps,
*numbers)``) is what `steps` >= 1 steps without a gradient leave, in closed form; the numbers are
those of the last of these steps. `lazy` says for which step the closed form, of shrink or of scale,
holds; by default any, but none where there are both shrink and scale, as a group's norm is that of
weights up to date. Up to ``one_by_one`` steps take less time one by one.

Where ``decays`` is true, shrink multiplies a weight by 1 minus the first number: then no weight is
touched for it where columns may wait, as one factor is kept beside all of them (Shalev-Shwartz,
Singer and Srebro, "Pegasos", 2007, section 2.3), and `lazy` says for which step that stays large
enough.

``leaves_zeros`` says whether weights become exactly 0. ``value(w)`` is the penalty of a layer's
weights times n, as `total_cost` divides it by n; ``strengths(step)`` is what one step takes: the L1
part of every weight's size, and the L2 part's share of every weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import check_field, flag, real

__all__ = ["OfSizes", "Penalty", "Shrinking", "between", "soft", "sum_of_sizes"]


@dataclass(frozen=True)
class Penalty:
    """A rule that keeps weights small, with its strength."""

    name: ClassVar[str]
    after_gradient: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    rests: ClassVar[bool] = False
    leaves_zeros: ClassVar[bool] = False
    one_by_one: ClassVar[int] = 0
    by_weight: ClassVar[bool] = False
    norm_number: ClassVar[int | None] = None
    decays: ClassVar[bool] = False
    shrink: ClassVar[Callable[..., Any] | None] = None
    slope: ClassVar[Callable[..., Any] | None] = None
    caught_up: ClassVar[Callable[..., Any] | None] = None
    scale: ClassVar[Callable[..., Any] | None] = None

    @property
    def grouping(self) -> str:
        """What `scale` takes as a group: an input's or a unit's weights; empty without `scale`."""
        return ""

    @property
    def on_biases(self) -> bool:
        """Whether biases are shrunk too."""
        return False

    def acts_on(self, number: int, layers: int) -> bool:
        """Return whether it acts on layer `number`, from 1 on, when it is given for all layers."""
        return True

    def coefficients(self, step: float) -> tuple[float, ...]:
        """Return what the formulas take, for `step` = learning_rate / n."""
        return ()

    def moving(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what the formulas take besides, as it is in step number `count`, counted from 1.

        `total` is the sum of these steps' learning_rate / n.
        """
        return ()

    def lazy(self, step: float) -> bool:
        """Return whether unused columns may wait, for `step` = learning_rate / n."""
        return self.caught_up is not None and self.scale is None

    def simplified(self) -> Penalty | None:
        """Return the simplest penalty that is the same, or None where it does nothing."""
        return self

    def value(self, w: np.ndarray) -> float:
        """Return the penalty of one layer's weights, times n."""
        raise NotImplementedError(f"{type(self).__name__} has no value(w)")

    def strengths(self, step: float) -> tuple[float, float]:
        """Return (l1, l2): one step, `step` = learning_rate / n, takes l1*sign(w) + l2*w."""
        raise NotImplementedError(f"{type(self).__name__} has no strengths(step)")


@dataclass(frozen=True)
class Shrinking(Penalty):
    """A penalty of every weight for itself.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set, the book's lambda; finite and at least 0.
    biases : bool, default False
        Whether the biases are penalised too, as if they were weights. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If `lmbda` is not such a number.
    """

    lmbda: float
    biases: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_field(self, "lmbda", real)
        check_field(self, "biases", flag)

    @property
    def on_biases(self) -> bool:
        return self.biases

    def simplified(self) -> Penalty | None:
        return self if self.lmbda > 0 else None


class OfSizes(Shrinking):
    """A penalty of the sum of abs(w): every step takes as much from each weight's size."""

    def value(self, w: np.ndarray) -> float:
        return self.lmbda * sum_of_sizes(w)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda, 0.0


def soft(xp: Any, w: Any, most: Any) -> Any:
    """Return `w` moved towards 0 by `most`, and not past it."""
    return w - between(xp, w, -most, most)


def between(xp: Any, w: Any, least: Any, most: Any) -> Any:
    """Return `w`, but at least `least` and at most `most`; two instructions of a vector."""
    below = xp.where(w > most, most, w)
    return xp.where(below < least, least, below)


def sum_of_sizes(w: np.ndarray) -> float:
    """Return the sum of abs(w), added up in float64."""
    return float(np.abs(w).sum(dtype=np.float64))
