"""What a fit recorded, epoch by epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from fastnn.files import csv_text, replace_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History"]


@dataclass
class History:
    """What a fit recorded; every list has one value for each finished epoch, or is empty.

    Both costs have the penalty's value in them, as it is at the end of the epoch, divided by the
    number of training rows.

    Attributes
    ----------
    train_cost : list of float
        The mean over the epoch's rows, each as it was when its batch came, before that step; the
        weighted mean where rows have weights.
    val_cost : list of float
        The mean over the validation rows at the end of the epoch; empty without such rows.
    val_accuracy : list of float
        The share of validation rows, 0 to 1, that are classified rightly; empty without them, and
        where targets are real.
    seconds : list of float
        Wall time of the epoch's training, without the validation; where the first epoch of a kind
        compiles its kernel, that is in it.
    val_r2 : list of float
        R**2 over the validation rows (`Network.score`); empty without them, and for classes.
    learning_rate : list of float
        That of the epoch.
    best_epoch : int or None
        With early stopping, the epoch, counted from 0, whose weights the network has.
    """

    train_cost: list[float] = field(default_factory=list)
    val_cost: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    val_r2: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_epoch: int | None = None

    @property
    def val_score(self) -> list[float]:
        """Either `val_accuracy` or `val_r2`, whichever was recorded; larger is better."""
        return self.val_accuracy or self.val_r2

    def to_dict(self) -> dict[str, list[float]]:
        """Return a copy of the lists that are not empty, by name, ready for a data frame."""
        series = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(s) for name, s in series.items() if isinstance(s, list) and s}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the lists that are not empty to `path`, a column each, after the epoch from 1 on.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        series = self.to_dict()
        epochs = enumerate(zip(*series.values(), strict=True), 1)
        rows = ([epoch, *map(repr, values)] for epoch, values in epochs)
        replace_text(path, csv_text(["epoch", *series], rows))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the learning curves with matplotlib, as `fastnn.plots.learning_curves` says."""
        from fastnn.plots import learning_curves

        return learning_curves(self, ax=ax)
