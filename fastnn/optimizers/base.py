"""The contract of an optimizer, for the engine.

A class in `optimizers.ALL` has these:

* ``name`` is a string that is not empty. A warm start goes on only with an optimizer of that name;
* ``step(xp, w, g, *memories, *numbers)`` returns the weight after a step and its new memories: the
  numbers kept for each weight, as many as ``memories`` says. g is the gradient of the batch's mean
  cost, plus that of a penalty that has one (``slope``);
* ``numbers(rate, count, of_biases)`` are the numbers that ``step`` takes in step number `count`,
  counted from 1, with the learning rate `rate`. If the optimizer has its own penalty, it does not
  act on biases, and ``separate_biases`` is true;
* ``start(w)`` are a weight's memories before the first step. ``resume(w, memories)`` are those with
  which training continues; the weight, or the optimizer's parameters, may have changed since;
* ``gain`` is the size that steps attain with a constant gradient, divided by that of plain
  descent. A penalty that follows the step takes steps of this size, so that training settles where
  the sum of cost and penalty is least;
* ``step_size(xp, *memories, *numbers)``, where there is one, is the size of each weight's own step
  divided by that of plain descent. A proximal penalty that follows the step multiplies its shrink
  of the weight by it.

In all formulas g is the gradient, w a weight, t the number of the step, counted from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn.schedules import Schedule, constant_rate

__all__ = ["Numbers", "Optimizer"]

Numbers = tuple["float | np.ndarray", ...]


@dataclass(frozen=True)
class Optimizer:
    """A rule for steps, with its learning rate: a number, or a schedule over the epochs."""

    name: ClassVar[str]
    memories: ClassVar[int] = 0
    step_size: ClassVar[Callable[..., Any] | None] = None
    separate_biases: ClassVar[bool] = False

    learning_rate: float | Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            rate = constant_rate("learning_rate", self.learning_rate)
            object.__setattr__(self, "learning_rate", rate)

    @property
    def gain(self) -> float:
        """The factor by which steps with a constant gradient outgrow those of plain descent."""
        return 1.0

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        """Return the numbers that `step` takes in step number `count`, counted from 1."""
        return (rate,)

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        """Return the memories of the weights or biases `w` before the first step."""
        return [np.zeros_like(w) for _ in range(self.memories)]

    def resume(self, w: np.ndarray, memories: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return the memories with which training of `w` continues, from those that a fit left."""
        return memories

    @staticmethod
    def step(xp: Any, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        """Return the new weight and its new memories."""
        raise NotImplementedError
