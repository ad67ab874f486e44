"""Progress bars of a fit and of a sweep; rich is imported when the first one is made."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fastnn.sweep_records import score_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastnn.history import History

__all__ = ["ProgressBar", "SweepBar"]


class _Bar:
    """A bar on standard error, with text before it and figures after it from its task's fields."""

    def __init__(self, text: str, total: int, **fields: Any) -> None:
        state = random.getstate()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        random.setstate(state)  # importing rich draws from the caller's `random`
        self._bar = Progress(
            TextColumn(text),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            # A redirected stdout, or none, stays as the caller has set it.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("", total=total, figures="", **fields)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()


class ProgressBar(_Bar):
    """A bar on standard error: epoch, cost, accuracy or R**2, samples per second, time left.

    Parameters
    ----------
    epochs : int
    n : int
        The number of training rows.
    done : int, default 0
        The number of epochs that are finished already.
    """

    def __init__(self, epochs: int, n: int, done: int = 0) -> None:
        self._epochs, self._n, self._epoch = epochs, n, done
        text, epoch = "epoch {task.fields[epoch]}/{task.fields[epochs]}", min(done + 1, epochs)
        super().__init__(text, epochs * n, completed=done * n, epoch=epoch, epochs=epochs)

    def chunk(self, done: int) -> None:
        """Show that `done` rows of the current epoch have been trained on."""
        self._bar.update(self._task, completed=self._epoch * self._n + done)

    def epoch(self, history: History) -> None:
        """Show the figures of the last epoch in `history`."""
        self._epoch += 1
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


class SweepBar(_Bar):
    """A bar on standard error: finished trials, the best score among them, time left.

    Parameters
    ----------
    trials : int
    """

    def __init__(self, trials: int) -> None:
        self._done, self._best = 0, -math.inf
        super().__init__("{task.completed}/{task.total} trials", trials)

    def done(self, record: Mapping[str, Any]) -> None:
        """Show that the trial of `record` is finished."""
        self._done += 1
        self._best = max(self._best, score_of(record))
        figures = f"best score {self._best:.4f}" if self._best > -math.inf else ""
        self._bar.update(self._task, completed=self._done, figures=figures)
