"""The learning rate of an epoch, its entry in the history, and reasons to end a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.callbacks import Callback
from fastnn.checks import DivergenceError
from fastnn.history import History
from fastnn.network import Network
from fastnn.network.stack import Arrays
from fastnn.trainer.options import Options
from fastnn.trainer.position import Position

__all__ = ["asked_to_stop", "diverged", "rate_of", "record_epoch"]


def diverged(where: str, rate: float, weights: Sequence[np.ndarray], after: str) -> DivergenceError:
    """Return the error that says where training diverged and what state the network is left in.

    `weights` are the diverged ones; they are finite if only the optimizer's numbers diverged.
    """
    numbers = np.concatenate([np.abs(w).ravel() for w in weights])
    finite = numbers[np.isfinite(numbers)]
    what = "what the optimizer remembers is" if len(finite) == len(numbers) else "weights are"
    left = (
        f"the largest weight that is finite is {finite.max():.3g}"
        if len(finite)
        else "no weight is finite"
    )
    return DivergenceError(
        f"{what} no longer finite in {where}, with the learning rate {rate:g}; {left}. "
        f"The network is as it was after {after}. Try a smaller "
        "learning rate, inputs of about 1 (input_scale), or a weaker penalty"
    )


def record_epoch(
    history: History,
    network: Network,
    position: Position,
    shrinkage: float,
    scores: tuple[float, float] | None,
) -> None:
    """Append the figures of the epoch at `position` to `history`.

    `shrinkage` is what the penalties add to a cost; `scores` are the validation cost and score.
    """
    history.train_cost.append(position.cost + shrinkage)
    if scores is not None:
        history.val_cost.append(scores[0] + shrinkage)
        getattr(history, network._task.history_name).append(scores[1])
    history.seconds.append(position.seconds)
    history.learning_rate.append(position.rate)


def rate_of(options: Options, epoch: int, epochs: int, history: History) -> float | None:
    """Return the learning rate of an epoch, or None to end the training."""
    schedule, largest = options.schedule, options.largest_rate
    rate = schedule.rate(epoch, epochs, history.val_score)
    if rate is None or (rate == 0 < largest and epoch > 0):  # it has fallen to 0
        return None
    if not (0 < rate <= largest or rate == largest):
        raise ValueError(
            f"{schedule!r} gives epoch {epoch} the learning rate {rate!r}: it must be above 0 and "
            f"at most the schedule's largest, {largest!r}"
        )
    return float(rate)


def asked_to_stop(
    callbacks: Sequence[Callback], method: str, epoch: int, network: Network, *others: History
) -> bool:
    """Call a method of each callback; return whether one returned True (Python's or numpy's).

    Raises
    ------
    RuntimeError
        If a callback has changed the network's arrays: the change would be lost, because the engine
        trains its own copy. The arrays are restored first.
    """
    lists = network.weights, network.biases
    before = network._copied() if any(called.reads_network for called in callbacks) else None
    answers = [getattr(called, method)(epoch, network, *others) for called in callbacks]
    if before is not None and (
        lists[0] is not network.weights
        or lists[1] is not network.biases
        or _differ(network, before)
    ):
        network._restore(before)
        raise RuntimeError(
            "a callback has changed network.weights or network.biases, or compacted the network, "
            "whose arrays are being trained: to compact it, give compact_every; to change weights, "
            "do so between two fits, the second with warm_start=True"
        )
    return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)


def _differ(network: Network, before: Arrays) -> bool:
    held = (*before.weights, *before.biases)
    pairs = zip((*network.weights, *network.biases), held, strict=True)
    return not all(np.array_equal(now, was, equal_nan=True) for now, was in pairs)
