"""The figures that `SGD` prints after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.nielsen._samples import Samples
from fastnn.penalties import Penalty
from fastnn.trainer.digests import digest_of

__all__ = ["Monitor", "epochs_without_gain"]

TotalCost = Callable[[np.ndarray, Samples, "Penalty | None"], float]


class Monitor:
    """The figures of one data set: which are requested, and their values so far."""

    def __init__(
        self,
        name: str,
        samples: Samples,
        penalty: Penalty | None,
        with_cost: bool,
        with_accuracy: bool,
    ) -> None:
        self._name, self._samples, self._penalty = name, samples, penalty
        self._with_cost, self._with_accuracy = with_cost, with_accuracy
        self.costs: list[float] = []
        self.accuracies: list[int] = []

    @property
    def asked_for(self) -> str:
        """The requested figures, in words."""
        asked = {"cost": self._with_cost, "accuracy": self._with_accuracy}
        return " and ".join(f"{self._name} {what}" for what, is_asked in asked.items() if is_asked)

    @property
    def epochs(self) -> int:
        """The number of epochs for which all requested figures have been computed."""
        both = (self._with_cost, self.costs), (self._with_accuracy, self.accuracies)
        return min(len(figures) for is_asked, figures in both if is_asked)

    @property
    def digest(self) -> str:
        """A digest of the data set."""
        return digest_of(self._samples.inputs, self._samples.targets)

    def check(self, costs: Any, accuracies: Any, epochs: int) -> None:
        """Raise a `ValueError` unless these can be the requested figures of so many epochs."""
        for name, is_asked, figures, kind in (
            ("cost", self._with_cost, costs, float),
            ("accuracy", self._with_accuracy, accuracies, int),
        ):
            of_kind = isinstance(figures, list) and all(type(figure) is kind for figure in figures)
            if not of_kind or len(figures) != (epochs if is_asked else 0):
                raise ValueError(f"its {self._name} {name} is not {epochs} numbers")

    def report(self, total_cost: TotalCost) -> None:
        """Compute the requested figures in one pass over the data, and print them.

        `total_cost` takes the outputs, the samples and the penalty.
        """
        if not (self._with_cost or self._with_accuracy):
            return
        a = self._samples.activations()
        if self._with_cost:
            self.costs.append(total_cost(a, self._samples, self._penalty))
            print(f"Cost on {self._name} data: {self.costs[-1]}")
        if self._with_accuracy:
            correct = self._samples.correct(a, convert=self._name == "training")
            self.accuracies.append(correct)
            print(f"Accuracy on {self._name} data: {correct} / {len(self._samples)}")


def epochs_without_gain(accuracies: list[int]) -> int:
    """Return how many epochs have passed since the best accuracy, which is 0 before training."""
    best = max(accuracies, default=0)
    return len(accuracies) - (1 + accuracies.index(best) if best > 0 else 0)
