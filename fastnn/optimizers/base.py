"""What an optimizer is, to the engine: its contract.

A class in `optimizers.ALL` has these:

* ``step(xp, w, g, *memories, *numbers)`` returns the weight after a step and its new memories: so
  many numbers beside each weight as ``memories`` says. g is the gradient of the batch's mean cost,
  with that of a penalty that has one (``slope``);
* ``numbers(rate, count, of_biases)`` are the numbers that it takes, with the learning rate `rate`,
  in step number `count`, counted from 1; a penalty of the optimizer's own is not of biases, and
  where it has one ``biases_apart`` is true;
* ``start(w)`` are the memories of a weight before the first step, and ``go_on(w, memories)`` those
  of a weight that may have been edited since these were left, or left by other numbers;
* ``reach`` is the size of the steps that a constant gradient comes to, divided by that of plain
  descent's: a penalty that follows the step takes steps of this size, so that training comes to
  rest where cost and penalty together are least;
* ``pace(xp, *memories, *numbers)``, where there is one, is the size of each weight's own step
  divided by that of plain descent: a proximal penalty that follows the step shrinks the weight by
  this factor more or less.

In all formulas g is the gradient, w a weight, t the number of the step from 1 on.
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
    """A rule for the step, with its learning rate: a number, or a schedule for the epochs."""

    name: ClassVar[str]
    memories: ClassVar[int] = 0
    pace: ClassVar[Callable[..., Any] | None] = None
    biases_apart: ClassVar[bool] = False

    learning_rate: float | Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            rate = constant_rate("learning_rate", self.learning_rate)
            object.__setattr__(self, "learning_rate", rate)

    @property
    def reach(self) -> float:
        """How much larger than plain descent's the steps of a constant gradient become."""
        return 1.0

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        """Return what `step` takes in step number `count`, counted from 1."""
        return (rate,)

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        """Return the memories of the weights or biases `w` before the first step."""
        return [np.zeros_like(w) for _ in range(self.memories)]

    def go_on(self, w: np.ndarray, memories: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return the memories with which training of `w` goes on from those that a fit has left."""
        return memories

    @staticmethod
    def step(xp: Any, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        """Return the new weight and its new memories."""
        raise NotImplementedError
