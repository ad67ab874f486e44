"""The record of a fit, epoch by epoch."""

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
    """The record of a fit; every list is empty or has one value for each finished epoch.

    Both costs include the penalty's value at the end of the epoch, divided by the number of
    training rows.

    Attributes
    ----------
    train_cost : list of float
        The mean cost over the epoch's rows, each evaluated just before the step of its batch; a
        weighted mean if rows have weights.
    val_cost : list of float
        The mean cost over the validation rows at the end of the epoch; empty without such rows.
    val_accuracy : list of float
        The share, 0 to 1, of validation rows that are classified correctly (`Network.score`); empty
        without them and for real targets.
    seconds : list of float
        Wall time of the epoch's training, without the validation and the writing of checkpoints.
        It includes the time to compile a kernel, if the epoch needs one that is not in the cache.
    val_r2 : list of float
        R**2 over the validation rows (`Network.score`); empty without them and for classes.
    learning_rate : list of float
        The learning rate of the epoch.
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
        """Whichever of `val_accuracy` and `val_r2` was recorded; larger is better."""
        return self.val_accuracy or self.val_r2

    def to_dict(self) -> dict[str, list[float]]:
        """Return copies of the nonempty lists by name, ready for a data frame."""
        series = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(s) for name, s in series.items() if isinstance(s, list) and s}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the nonempty lists to `path`, a column each, after a column of epochs from 1.

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
        """Draw the learning curves with `fastnn.plots.learning_curves` (matplotlib)."""
        from fastnn.plots import learning_curves

        return learning_curves(self, ax=ax)
