"""The contract of a penalty, for the engine and the tests.

One convention, the book's: lmbda is the strength over the whole training set, so a step of
gradient descent with the learning rate eta shrinks by eta*lmbda/n, n being the number of training
rows (never the size of a mini-batch).

A class in `penalties.ALL` has one of these formulas, or both:

* ``shrink(xp, w, *numbers)`` returns the weight after one step. It is applied before the gradient
  is added, or afterwards where ``after_gradient`` is true. Where ``stateful`` is true, it is
  ``shrink(xp, w, q, *numbers)`` and returns the weight and the new q, a number kept for each
  weight, which starts at 0.
* ``scale(xp, norm, size, steps, *numbers)`` returns the factor by which `steps` steps multiply a
  group of `size` weights with the Euclidean norm `norm`, after gradient and shrink; ``grouping``
  says what a group is. Where one step subtracts one of the numbers, times sqrt(size), from the
  norm, ``norm_index`` is the index of that number.

A shrink that comes before the gradient can also be a part of it: ``slope(xp, w, *numbers)`` is what
shrink subtracts. With the numbers of a step of 1/n it is the penalty's derivative, for optimizers
that make their own step from the gradient. A penalty after the gradient can follow an optimizer
whose step size differs from weight to weight if ``per_weight_steps`` is true: the numbers of shrink
are then multiplied by these sizes, those of scale are not. A penalty with ``norm_index`` can do so
too, as `fastnn.penalties.groups.shortened` describes.

The numbers are ``coefficients(step)``, where ``step`` is eta/n (times the ``gain`` of an optimizer
whose steps the penalty follows), followed by ``step_coefficients(...)``, which change from step to
step. Where ``skips`` is true, a step whose last number is above 0 does nothing.

The weights of an input column that a batch does not use have no gradient, and their penalty may be
deferred until the column is next used. For this, ``caught_up(xp, w, steps, *numbers)``, or
``caught_up(xp, w, q, steps, *numbers)``, returns in closed form what `steps` >= 1 steps without a
gradient leave; the numbers are those of the last of these steps. `lazy` says for which ``step`` the
closed form, of shrink or of scale, holds: by default for any if there is a ``caught_up`` and no
``scale``, else for none, since a group's norm must be that of up-to-date weights. Up to
``one_by_one`` steps take less time one at a time.

Where ``decays`` is true, shrink multiplies a weight by 1 minus the first number. If the penalty may
be deferred, no weight is touched for it: one factor is kept for all columns (Shalev-Shwartz, Singer
and Srebro, "Pegasos", 2007, section 2.3), and `lazy` says for which ``step`` this factor stays
large enough.

``leaves_zeros`` says whether weights become exactly 0. ``value(w)`` is the penalty of a layer's
weights times n (`total_cost` divides it by n). ``strengths(step)`` is what one step subtracts: for
L1 an amount from the size of every weight, for L2 a share of every weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import check_field, flag, real

__all__ = ["L1Like", "Penalty", "Shrinking", "between", "soft", "sum_of_sizes"]


@dataclass(frozen=True)
class Penalty:
    """A rule that keeps weights small, with its strength."""

    name: ClassVar[str]
    after_gradient: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    skips: ClassVar[bool] = False
    leaves_zeros: ClassVar[bool] = False
    one_by_one: ClassVar[int] = 0
    per_weight_steps: ClassVar[bool] = False
    norm_index: ClassVar[int | None] = None
    decays: ClassVar[bool] = False
    shrink: ClassVar[Callable[..., Any] | None] = None
    slope: ClassVar[Callable[..., Any] | None] = None
    caught_up: ClassVar[Callable[..., Any] | None] = None
    scale: ClassVar[Callable[..., Any] | None] = None

    @property
    def grouping(self) -> str:
        """What `scale` takes as a group: "inputs" or "neurons"; empty without `scale`."""
        return ""

    @property
    def on_biases(self) -> bool:
        """Whether biases are penalised too."""
        return False

    def acts_on(self, number: int, layers: int) -> bool:
        """Return whether it acts on layer `number`, counted from 1, when given for all layers."""
        return True

    def coefficients(self, step: float) -> tuple[float, ...]:
        """Return the numbers that the formulas take, for `step` = learning_rate / n."""
        return ()

    def step_coefficients(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the formulas' further numbers for step number `count`, counted from 1.

        `total` is the sum of learning_rate / n over the steps up to and including that one.
        """
        return ()

    def lazy(self, step: float) -> bool:
        """Return whether unused columns may be deferred, for `step` = learning_rate / n."""
        return self.caught_up is not None and self.scale is None

    def simplified(self) -> Penalty | None:
        """Return the simplest equivalent penalty, or None if it does nothing."""
        return self

    def value(self, w: np.ndarray) -> float:
        """Return the penalty of one layer's weights, times n."""
        raise NotImplementedError(f"{type(self).__name__} has no value(w)")

    def strengths(self, step: float) -> tuple[float, float]:
        """Return (l1, l2): one step subtracts l1*sign(w) + l2*w, for `step` = learning_rate / n."""
        raise NotImplementedError(f"{type(self).__name__} has no strengths(step)")


@dataclass(frozen=True)
class Shrinking(Penalty):
    """A penalty that acts on each weight separately.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set, the book's lambda; finite and at least 0.
    biases : bool, default False
        Whether the biases are penalised too, as if they were weights. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
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


class L1Like(Shrinking):
    """A penalty on the sum of abs(w): a step takes the same amount from every weight's size."""

    def value(self, w: np.ndarray) -> float:
        return self.lmbda * sum_of_sizes(w)

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda, 0.0


def soft(xp: Any, w: Any, most: Any) -> Any:
    """Return `w` moved towards 0 by `most`, but not past it."""
    return w - between(xp, w, -most, most)


def between(xp: Any, w: Any, least: Any, most: Any) -> Any:
    """Return `w` clipped to [least, most], in two vector instructions."""
    below = xp.where(w > most, most, w)
    return xp.where(below < least, least, below)


def sum_of_sizes(w: np.ndarray) -> float:
    """Return the sum of abs(w), added up in float64."""
    return float(np.abs(w).sum(dtype=np.float64))
