"""The position of a fit between two batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import as_float, check_field, flag, real, whole

__all__ = ["Position"]


@dataclass
class Position:
    """The position of a fit between two batches.

    epoch: the number of finished epochs. order: the row order of the current epoch; None between
    epochs. rate: its learning rate. done: how many of its rows have been trained on. total: the sum
    of their costs. seconds: the time they took. cost: the epoch's mean cost, once it is finished.
    ended: whether no further epoch may follow.
    """

    epoch: int = 0
    order: np.ndarray | None = None
    rate: float = 0.0
    done: int = 0
    total: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    ended: bool = False

    def begin(self, order: np.ndarray, rate: float) -> None:
        """Begin an epoch."""
        self.order, self.rate = order, rate
        self.done, self.total, self.seconds = 0, 0.0, 0.0

    def end(self) -> None:
        """End the epoch."""
        self.epoch, self.order = self.epoch + 1, None

    @property
    def begun(self) -> int:
        """The number of epochs that have begun."""
        return self.epoch + (self.order is not None)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as a JSON value, except `order`, which is an array."""
        return vars(self) | {"order": None}

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], order: np.ndarray | None, n: int, batch_size: int
    ) -> Position:
        """Return the position recorded by `to_record`, in `n` rows in batches of `batch_size`.

        Raises
        ------
        TypeError, ValueError
            If `record` is not such a record.
        """
        position = cls(**{**record, "order": order})
        for field in ("epoch", "done"):
            check_field(position, field, whole, minimum=0)
        for field in ("rate", "seconds"):
            check_field(position, field, real)
        for field in ("total", "cost"):  # sums of costs, which may have overflowed
            check_field(position, field, as_float)
        check_field(position, "ended", flag)
        if not 0 <= position.done <= n:
            raise ValueError(f"it is {position.done} rows into an epoch of {n}")
        if position.done % batch_size and position.done != n:
            raise ValueError(f"it is {position.done} rows into an epoch, in the midst of a batch")
        return position
