"""The numbers that the formulas of penalties and optimizers take in each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty

__all__ = ["Coefficients", "in_dtype", "numbers_of", "width_of"]

_NO_STEPS = np.zeros(1)


def width_of(penalty: Penalty) -> int:
    """Return how many numbers a penalty's formulas take."""
    return len(penalty.coefficients(0.0)) + len(penalty.step_coefficients(_NO_STEPS, _NO_STEPS))


def numbers_of(
    optimizer: Optimizer,
    rate: float = 0.0,
    count: np.ndarray = _NO_STEPS,
    *,
    biases: bool = False,
) -> list[float | np.ndarray]:
    """Return the numbers that an optimizer's formulas take in step `count`, counted from 1."""
    return list(optimizer.numbers(rate, np.maximum(count, 1), biases))


def in_dtype(numbers: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return numbers in a dtype; none becomes 0 or infinite, and so NaN in a formula's quotient."""
    if numbers.dtype == dtype:
        return numbers
    bounds = np.finfo(dtype)
    with np.errstate(over="ignore"):
        result = numbers.astype(dtype)
    sizes = np.abs(result)
    beyond = ((sizes < bounds.tiny) & (numbers != 0)) | (
        (sizes > bounds.max) & np.isfinite(numbers)
    )
    if beyond.any():
        sizes = np.clip(np.abs(numbers[beyond]), bounds.tiny, bounds.max)
        result[beyond] = np.copysign(sizes, numbers[beyond])
    return result


class Coefficients:
    """The numbers of steps, one row each: the optimizer's, for weights and biases; then penalties'.

    Parameters
    ----------
    penalties : sequence of Penalty or None
        One for each layer.
    stepper : Optimizer, optional
        The optimizer, unless it is plain gradient descent.

    Attributes
    ----------
    places : list of int
        Where in a row the numbers of each layer's penalty begin.
    own : int
        How many numbers the optimizer's formulas take: a row begins with as many for weights,
        followed by as many for biases.
    width : int
        The length of a row.
    count : int
        The number of steps so far.
    total : float
        The sum of their learning_rate / n, times the `gain` of the optimizer that made them.
    """

    def __init__(
        self, penalties: Sequence[Penalty | None], stepper: Optimizer | None = None
    ) -> None:
        # By identity: penalties that compare equal may differ in attributes that are not fields.
        self._distinct = list({id(p): p for p in penalties if p is not None}.values())
        self._stepper = stepper
        gain = 1.0 if stepper is None else stepper.gain
        self._gain = gain if math.isfinite(gain) else 1.0  # if infinite: no penalty uses it
        self.count, self.total = 0, 0.0
        self.own = 0 if stepper is None else len(numbers_of(stepper))
        ends = np.cumsum([2 * self.own, *map(width_of, self._distinct)]).tolist()
        self.width = ends[-1]
        places = {id(p): end for p, end in zip(self._distinct, ends, strict=False)}
        self.places = [0 if p is None else places[id(p)] for p in penalties]
        self._penalties_move = any(
            p.step_coefficients(_NO_STEPS, _NO_STEPS) for p in self._distinct
        )
        self._moves = self._penalties_move or any(
            isinstance(number, np.ndarray) for number in self._of_stepper(0.0, _NO_STEPS)
        )
        self._asked: tuple[float, bytes] | None = None
        self._answer = np.empty((0, 0))

    def rows(self, step: float | np.ndarray, batches: int, rate: float = 1.0) -> np.ndarray:
        """Return the numbers of the next `batches` steps.

        Parameters
        ----------
        step : float or ndarray of float64, shape (batches,)
            learning_rate / n, for all steps or for each one.
        batches : int
        rate : float
            The learning rate.

        Returns
        -------
        ndarray of float64, shape (batches + 1, width) or (1, width)
            The first row is for the step before. If all rows are equal, there is a single one;
            without batches it has zeros.
        """
        if not batches:
            return np.zeros((1, self.width))
        steps = np.full(batches + 1, step) if isinstance(step, float) else np.append(step[:1], step)
        count = self.count + np.arange(batches + 1.0)
        total = self.total + np.append(0.0, np.cumsum(steps[1:] * self._gain))
        self.count, self.total = self.count + batches, float(total[-1])
        if isinstance(step, float) and not self._moves:
            count, total, steps = count[:1], total[:1], steps[:1]
        table = np.empty((len(count), self.width))
        for column, number in enumerate(self._of_stepper(rate, count)):
            table[:, column] = number
        if self._stepper is not None and not self._stepper.separate_biases:
            table[:, self.own : 2 * self.own] = table[:, : self.own]
        if self.width > 2 * self.own:
            self._fill(table[:, 2 * self.own :], steps, count, total, rate)
        return table

    def _fill(
        self,
        table: np.ndarray,
        steps: np.ndarray,
        count: np.ndarray,
        total: np.ndarray,
        rate: float,
    ) -> None:
        """Fill a table with the penalties' numbers, one row for each step."""
        if self._penalties_move:
            for some in np.unique(steps):
                chosen = steps == some
                row = self._of_penalties(float(some), count[chosen], total[chosen], rate)
                for column, number in enumerate(row):
                    table[chosen, column] = number
            return
        asked = rate, steps.tobytes()
        if asked != self._asked:  # the same in most epochs
            distinct, places = np.unique(steps, return_inverse=True)
            rows = [self._of_penalties(float(some), count, total, rate) for some in distinct]
            self._asked, self._answer = asked, np.array(rows, np.float64)[places]
        table[...] = self._answer

    def _of_stepper(self, rate: float, count: np.ndarray) -> list[float | np.ndarray]:
        """Return the optimizer's numbers for weights, then those for biases if they differ."""
        if self._stepper is None:
            return []
        numbers = numbers_of(self._stepper, rate, count)
        if self._stepper.separate_biases:
            numbers += numbers_of(self._stepper, rate, count, biases=True)
        return numbers

    def _of_penalties(
        self, step: float, count: np.ndarray, total: np.ndarray, rate: float
    ) -> list[float | np.ndarray]:
        """Return the penalties' numbers.

        With an optimizer, a penalty that is part of the gradient has the numbers of a step of 1/n;
        one that follows the step has those of a step multiplied by the optimizer's `gain`.
        """
        row: list[float | np.ndarray] = []
        for penalty in self._distinct:
            in_gradient = self._stepper is not None and penalty.slope is not None
            gain = 1.0 if in_gradient else self._gain
            row += penalty.coefficients(step / rate if in_gradient and rate else step * gain)
            row += penalty.step_coefficients(count, total / self._gain if in_gradient else total)
        return row
