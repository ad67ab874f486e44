"""Learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.plots.drawing import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.history import History

__all__ = ["learning_curves"]


def learning_curves(history: History, *, ax: Axes | None = None) -> Axes:
    """Draw the cost per epoch and, on a second scale, the validation accuracy or R**2.

    Parameters
    ----------
    history : History
        What `Network.fit` returned, with at least one epoch.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the cost. The accuracy in percent, or R**2, is on a twin with the same epochs.
    """
    ax = ax or new_axes()
    epochs = range(1, len(history.train_cost) + 1)
    lines = ax.plot(epochs, history.train_cost, color="C0", label="training cost")
    if history.val_cost:
        lines += ax.plot(epochs, history.val_cost, color="C1", label="validation cost")
    ax.set_xlabel("epoch")
    ax.set_ylabel("cost")
    if history.val_accuracy:
        twin = ax.twinx()
        percent = [100 * accuracy for accuracy in history.val_accuracy]
        lines += twin.plot(epochs, percent, color="C2", label="validation accuracy")
        twin.set_ylabel("accuracy, %")
    if history.val_r2:
        twin = ax.twinx()
        lines += twin.plot(epochs, history.val_r2, color="C2", label="validation R²")
        twin.set_ylabel("R²")
    ax.legend(handles=lines, loc="center right")
    return ax
