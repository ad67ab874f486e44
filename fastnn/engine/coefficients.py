"""The numbers that the penalties' formulas take, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.penalties import Penalty

__all__ = ["Coefficients", "width_of"]

_NO_STEPS = np.zeros(1)


def width_of(penalty: Penalty) -> int:
    """Return how many numbers the formulas of a penalty take."""
    return len(penalty.coefficients(0.0)) + len(penalty.moving(0.0, _NO_STEPS, _NO_STEPS))


class Coefficients:
    """The numbers of all layers' penalties in a row, the first layer's first.

    Parameters
    ----------
    penalties : sequence of Penalty or None
        One for each layer.

    Attributes
    ----------
    places : list of int
        Where in a row each layer's numbers begin.
    width : int
        How many numbers a row has.
    """

    def __init__(self, penalties: Sequence[Penalty | None]) -> None:
        self._distinct = list(dict.fromkeys(p for p in penalties if p is not None))
        self._count, self._total = 0, 0.0
        ends = np.cumsum([0, *map(width_of, self._distinct)]).tolist()
        self.width = ends[-1]
        self.places = [0 if p is None else ends[self._distinct.index(p)] for p in penalties]
        self._moves = any(p.moving(0.0, _NO_STEPS, _NO_STEPS) for p in self._distinct)

    def rows(self, step: float, batches: int) -> np.ndarray:
        """Return the numbers of the next `batches` steps, each with `step` = learning_rate / n.

        Returns
        -------
        ndarray of float64, shape (batches + 1, width) or (1, width)
            The first row is that of the step before. A single row stands for all.
        """
        count = self._count + np.arange(batches + 1.0)
        total = self._total + step * np.arange(batches + 1.0)
        self._count, self._total = self._count + batches, float(total[-1])
        if not self._moves:
            count, total = count[:1], total[:1]
        numbers = [number for part in self._row(step, count, total) for number in part]
        table = np.empty((len(count), self.width))
        for column, number in enumerate(numbers):
            table[:, column] = number
        return table

    def _row(
        self, step: float, count: np.ndarray, total: np.ndarray
    ) -> list[tuple[float | np.ndarray, ...]]:
        return [(*p.coefficients(step), *p.moving(step, count, total)) for p in self._distinct]
