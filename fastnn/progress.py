"""The progress bar of a fit; rich is loaded when the first one is shown."""

from __future__ import annotations

import math
import random
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.history import History

__all__ = ["ProgressBar"]


class ProgressBar:
    """A bar on standard error: epoch, cost, accuracy or R**2, samples per second, time left.

    Parameters
    ----------
    epochs : int
    n : int
        Training rows.
    """

    def __init__(self, epochs: int, n: int) -> None:
        state = random.getstate()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        random.setstate(state)  # importing rich draws from `random`, whose state is the caller's
        self._epochs, self._n, self._epoch = epochs, n, 0
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=sys.stdout.isatty(),  # printed lines go where the caller sent them
        )
        self._task = self._bar.add_task(
            "", total=epochs * n, epoch=min(1, epochs), epochs=epochs, figures=""
        )

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def chunk(self, done: int, total: float) -> None:
        """Show that `done` rows of the current epoch are trained."""
        self._bar.update(self._task, completed=self._epoch * self._n + done)

    def epoch(self, history: History) -> None:
        """Show the figures of the epoch that `history` ends with."""
        self._epoch = len(history.seconds)
        cost = history.train_cost[-1]
        figures = [] if math.isnan(cost) else [f"cost {cost:.4g}"]
        if history.val_accuracy:
            figures.append(f"accuracy {100 * history.val_accuracy[-1]:.2f} %")
        if history.val_r2:
            figures.append(f"R2 {history.val_r2[-1]:.4f}")
        rate = self._n / history.seconds[-1] if history.seconds[-1] else math.inf
        figures.append(f"{rate:,.0f} samples/s")
        self._bar.update(
            self._task,
            completed=self._epoch * self._n,
            epoch=min(self._epoch + 1, self._epochs),
            figures="  ".join(figures),
        )
