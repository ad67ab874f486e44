"""What training remembers in addition to the weights, in the shapes of the network's arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn.engine.problem import Problem

__all__ = ["State", "fresh"]


class State(NamedTuple):
    """The memories of an optimizer and of penalties, between two batches.

    steps : int
        The number of steps so far.
    total : float
        The sum of learning_rate / n over these steps, times the optimizer's `gain`.
    memories : list of lists of ndarray
        For each number that the optimizer keeps per weight, the layers' arrays: those of the
        weights, then those of the biases.
    kept : list of ndarray
        What penalties keep, in arrays of the same order as one of `memories`; zeros where they keep
        nothing.
    draws : dict
        The states of the generators of dropout and of noise, if these are used; they can be stored
        as JSON.
    """

    steps: int
    total: float
    memories: list[list[np.ndarray]]
    kept: list[np.ndarray]
    draws: dict[str, Any]

    def carried(self, dtype: np.dtype[Any], *, same_penalties: bool) -> State:
        """Return the state that a later training starts from, with arrays of `dtype`.

        `kept` and `total` carry over only if the penalties are the same; else they start at 0.
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
    memories = [[np.asarray(a, problem.dtype) for a in one] for one in zip(*each, strict=True)]
    return State(0, 0.0, memories, [np.zeros_like(array) for array in arrays], {})
