"""Callbacks between the epochs of a fit, and early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnn.checks import check_field, one_of, real, whole
from fastnn.history import History

if TYPE_CHECKING:
    from fastnn.network import Network

__all__ = ["BestWeights", "Callback", "EarlyStopping"]

MONITORS = ("val_score", "val_cost", "train_cost")


class Callback:
    """Base class of callbacks; a subclass overrides one method or both.

    Epochs are counted from 0. A method may read everything, but changing the network's arrays is an
    error. An exception raised in a method ends the fit.

    Attributes
    ----------
    reads_network : bool, default True
        Whether a method reads the network's arrays, or the penalty's part of the costs in
        `history`. If no callback does, nor anything else, they are brought up to date only when the
        fit ends, which saves time in a sparse first layer.
    """

    reads_network: bool = True

    def epoch_begin(self, epoch: int, network: Network) -> bool | None:
        """Return True to end the training before this epoch."""
        return None

    def epoch_end(self, epoch: int, network: Network, history: History) -> bool | None:
        """Return True to end the training after this epoch, the last one in `history`."""
        return None


@dataclass(frozen=True)
class EarlyStopping:
    """End a fit when `patience` epochs in a row have brought no improvement.

    The weights and biases of the best epoch are then restored, even if all epochs were run. This is
    the book's no-improvement-in-n (chapter 3, "How to choose a neural network's
    hyper-parameters?").

    Parameters
    ----------
    patience : int, default 10
        The number of epochs.
    min_delta : float, default 0
        An epoch counts as an improvement if it beats the best one by more than this.
    monitor : {"val_score", "val_cost", "train_cost"}
        The watched value; "val_score" is the validation accuracy, or R**2 for real targets.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or value.
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_score"

    def __post_init__(self) -> None:
        check_field(self, "patience", whole, minimum=1)
        check_field(self, "min_delta", real)
        one_of("monitor", self.monitor, MONITORS)

    @property
    def needs_validation(self) -> bool:
        """Whether validation rows are required."""
        return self.monitor != "train_cost"


class BestWeights(Callback):
    """The callback that carries out `EarlyStopping` in one fit."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping, self._best, self._waited = stopping, -math.inf, 0
        self._kept: Any = None

    def epoch_end(self, epoch: int, network: Network, history: History) -> bool:
        """Copy the arrays if they are the best so far; return whether patience is exhausted."""
        value = getattr(history, self.stopping.monitor)[-1]
        value = value if self.stopping.monitor == "val_score" else -value
        if value > self._best + self.stopping.min_delta:
            self._best, self._waited = value, 0
            self._kept = network._copied()
        else:
            self._waited += 1
        return self._waited >= self.stopping.patience

    def state(self) -> tuple[tuple[float, int], Any]:
        """Return what `set_state` takes: the best value, the epochs since it, and the arrays."""
        return (self._best, self._waited), self._kept

    def set_state(self, state: tuple[tuple[float, int], Any]) -> None:
        """Continue from the state of an interrupted fit."""
        (self._best, self._waited), self._kept = state

    def restore(self, network: Network) -> None:
        """Restore the best arrays; if no monitored value was finite, keep the last ones."""
        if self._kept is not None:
            network._restore(self._kept)
            if (history := network.history) is not None:
                history.best_epoch = len(history.seconds) - 1 - self._waited
            if self._waited:
                network.optimizer_state = None  # it belongs to later weights
