"""What one fit leaves to the next: conversion from the engine's state and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.engine import State
from fastnn.optimizer_state import OptimizerState
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty
from fastnn.plugin_digests import repr_with_code

__all__ = ["begun_from", "descriptions", "left_by"]


def descriptions(penalties: Sequence[Penalty | None]) -> list[str | None]:
    """Return each layer's penalty as a text, to compare it with that of another fit."""
    simple = [None if penalty is None else penalty.simplified() for penalty in penalties]
    return [None if penalty is None else repr_with_code(penalty) for penalty in simple]


def left_by(
    optimizer: Optimizer, penalties: Sequence[Penalty | None], state: State | None
) -> OptimizerState | None:
    """Return what a fit leaves to the next; None if that is nothing, or not all finite."""
    if state is None:
        return None
    kept = state.kept if any(array.any() for array in state.kept) else []
    arrays = [array for memory in state.memories for array in memory] + kept
    if not arrays or not all(np.isfinite(array).all() for array in arrays):
        return None
    return OptimizerState(
        optimizer.name, descriptions(penalties), state.steps, state.total, state.memories, kept
    )


def begun_from(
    left: OptimizerState | None,
    optimizer: Optimizer,
    penalties: Sequence[Penalty | None],
    arrays: Sequence[np.ndarray],
) -> State | None:
    """Return the state that a fit of `arrays` (weights, then biases) starts from.

    What penalties remember is kept only if the penalties are the same.

    Raises
    ------
    ValueError
        If `left` is of another optimizer, or of arrays of other shapes.
    """
    if left is None or (not left.memories and left.optimizer != optimizer.name):
        return None
    if left.optimizer != optimizer.name or len(left.memories) != optimizer.memories:
        raise ValueError(
            f"warm_start goes on with the optimizer of the last fit, {left.optimizer!r}, and not "
            f"with {optimizer!r}: leave warm_start out to begin anew"
        )
    if not left.fits(arrays):
        raise ValueError(
            "warm_start goes on with what optimizer and penalties remember, and the network's "
            "layers have other sizes now: leave warm_start out, or set optimizer_state to None, to "
            "begin anew"
        )
    kept = left.kept or [np.zeros_like(array) for array in arrays]
    each = zip(arrays, zip(*left.memories, strict=True), strict=True) if left.memories else ()
    going_on = [optimizer.resume(array, memories) for array, memories in each]
    memories = [list(one) for one in zip(*going_on, strict=True)]
    state = State(left.steps, left.total, memories, kept, {})
    return state.carried(arrays[0].dtype, same_penalties=left.penalties == descriptions(penalties))
