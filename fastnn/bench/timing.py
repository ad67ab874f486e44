"""Timing: every contestant in turn, round after round, so that all see the same machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np

__all__ = ["FULL", "QUICK", "Effort", "Times", "in_turn"]

# Threads of the contestant before may spin in wait of more work, OpenBLAS's for some 20 ms.
SETTLE = 0.03

# A turn is at least so long: what the others have left in the caches is not all that is timed.
TURN = 0.025


class Effort(NamedTuple):
    """How much is measured.

    rounds : int
        The rounds a contestant takes part in, if it is fast enough.
    seconds : float
        After which it drops out, once it has been in two rounds.
    rows : int or None
        The rows of a case at most.
    """

    rounds: int
    seconds: float
    rows: int | None


FULL = Effort(rounds=25, seconds=10.0, rows=None)
QUICK = Effort(rounds=5, seconds=1.0, rows=5_000)


class Times(NamedTuple):
    """What one contestant took in each round, in seconds per epoch (or evaluation): its mean."""

    seconds: list[float]

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    def paired_ratio(self, other: Times) -> float:
        """Return the median over the rounds that both were in of this time over the other's."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=False))


def in_turn(
    runs: Mapping[str, tuple[Callable[[np.ndarray], object], int]], rows: int, effort: Effort
) -> dict[str, Times]:
    """Time each of `runs`, a function of an order of the rows and the epochs it trains.

    The first round is for compilers and caches and is not counted. In one round all are given the
    same order, in the next another one; a run shorter than a turn is repeated until that is over.
    """
    rng = np.random.default_rng(5)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(effort.rounds + 1):
        order = rng.permutation(rows)
        for name, (run, epochs) in runs.items():
            if len(times[name]) >= 2 and sum(times[name]) * epochs > effort.seconds:
                continue
            sleep(SETTLE)
            seconds = _turn(run, order) / epochs
            if round_number:
                times[name].append(seconds)
    return {name: Times(seconds) for name, seconds in times.items()}


def _turn(run: Callable[[np.ndarray], object], order: np.ndarray) -> float:
    """Return the seconds of a run, the mean of as many as a turn takes."""
    start, count, seconds = perf_counter(), 0, 0.0
    while not count or seconds < TURN:
        run(order)
        count, seconds = count + 1, perf_counter() - start
    return seconds / count
