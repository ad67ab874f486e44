"""What a fit calls between its epochs, and what may end it early."""

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
    """What a fit calls; write a class with one of the methods or both.

    Epochs are counted from 0. A method may look at everything, but must not change the network's
    arrays, which is an error; what it raises ends the fit there.
    """

    def epoch_begin(self, epoch: int, network: Network) -> bool | None:
        """Return True to end the training before this epoch."""
        return None

    def epoch_end(self, epoch: int, network: Network, history: History) -> bool | None:
        """Return True to end the training after this epoch, with which `history` ends."""
        return None


@dataclass(frozen=True)
class EarlyStopping:
    """The end of a fit that has stopped to improve: no better epoch in `patience` ones.

    The best epoch's weights and biases are then put back, also where all epochs were run. The book,
    chapter 3, "How to choose a neural network's hyper-parameters?": no-improvement-in-n.

    Parameters
    ----------
    patience : int, default 10
        Epochs.
    min_delta : float, default 0
        An epoch is better if it is so by more than this.
    monitor : {"val_score", "val_cost", "train_cost"}
        What is watched; "val_score" is the validation accuracy, or R**2 for real targets.

    Raises
    ------
    TypeError, ValueError
        If a parameter is none of these.
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
        """Whether there must be validation rows."""
        return self.monitor != "train_cost"


class BestWeights(Callback):
    """`EarlyStopping` at work in one fit."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping, self._best, self._waited = stopping, -math.inf, 0
        self._kept: Any = None

    def epoch_end(self, epoch: int, network: Network, history: History) -> bool:
        """Copy the arrays if they are the best so far; ask to stop if none were for long."""
        value = getattr(history, self.stopping.monitor)[-1]
        value = value if self.stopping.monitor == "val_score" else -value
        if value > self._best + self.stopping.min_delta:
            self._best, self._waited = value, 0
            self._kept = network._copied()
        else:
            self._waited += 1
        return self._waited >= self.stopping.patience

    def state(self) -> tuple[tuple[float, int], Any]:
        """Return what `set_state` takes: the best value, epochs since, and the copied arrays."""
        return (self._best, self._waited), self._kept

    def set_state(self, state: tuple[tuple[float, int], Any]) -> None:
        """Go on from an earlier fit's state."""
        (self._best, self._waited), self._kept = state

    def restore(self, network: Network) -> None:
        """Put the best arrays back; where no epoch was a number, leave the last ones."""
        if self._kept is not None:
            network._restore(self._kept)
            if (history := network.history) is not None:
                history.best_epoch = len(history.seconds) - 1 - self._waited
            if self._waited:
                network.optimizer_state = None  # of later weights
