"""What training remembers beside the weights, in the shapes of the network's own arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn.engine.problem import Problem

__all__ = ["State", "fresh"]


class State(NamedTuple):
    """The memories of an optimizer and of penalties, between two batches.

    steps : int
        The steps so far.
    total : float
        The sum of their learning_rate / n, times the optimizer's reach.
    memories : list of lists of ndarray
        For each number that the optimizer keeps beside a weight, the layers' arrays: those of the
        weights, then those of the biases.
    kept : list of ndarray
        What penalties keep, likewise; zeros where they keep nothing.
    draws : dict
        The states of the generators of dropout and of noise, where there are these; JSON can say
        them.
    """

    steps: int
    total: float
    memories: list[list[np.ndarray]]
    kept: list[np.ndarray]
    draws: dict[str, Any]

    def carried(self, dtype: np.dtype[Any], *, same_penalties: bool) -> State:
        """Return what a later training begins with; what penalties keep, where they are the same.

        Its arrays are of `dtype`.
        """
        like = np.asarray if same_penalties else np.zeros_like
        return self._replace(
            total=self.total if same_penalties else 0.0,
            memories=[[np.asarray(array, dtype) for array in one] for one in self.memories],
            kept=[like(array, dtype) for array in self.kept],
        )


def fresh(problem: Problem) -> State:
    """Return the state before the first step."""
    arrays, stepper = [*problem.weights, *problem.biases], problem.stepper
    each = [] if stepper is None else [stepper.start(array) for array in arrays]
    memories = [list(one) for one in zip(*each, strict=True)] if each else []
    return State(0, 0.0, memories, [np.zeros_like(array) for array in arrays], {})
