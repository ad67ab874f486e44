"""Timing: all contestants in turn, round after round, so that all see the same machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np

__all__ = ["FULL", "QUICK", "Effort", "Times", "in_turn"]

# Threads of the previous contestant may spin while they wait for work, OpenBLAS's for some 20 ms.
SETTLE = 0.03

# If a run is shorter than this, a turn begins with one that is not counted: after a pause, or after
# other threads, the first one of some 30 ms took up to twice as long.
WARM = 0.5

# A turn is at least this long, so that it is not all spent on refilling the caches.
TURN = 0.025


class Effort(NamedTuple):
    """How much is measured.

    rounds : int
        The number of rounds that a contestant takes part in if it is fast enough.
    seconds : float
        The total time after which a contestant drops out, though not before two counted rounds.
    rows : int or None
        The most rows of a case; None for no limit.
    """

    rounds: int
    seconds: float
    rows: int | None


FULL = Effort(rounds=25, seconds=10.0, rows=None)
QUICK = Effort(rounds=5, seconds=1.0, rows=5_000)


class Times(NamedTuple):
    """The mean seconds per epoch (or evaluation) of one contestant in each round."""

    seconds: list[float]

    @property
    def best(self) -> float:
        """The shortest time."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median time."""
        return statistics.median(self.seconds)

    def paired_ratio(self, other: Times) -> float:
        """Return the median ratio of this time to the other's over the rounds that both were in."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=False))


def in_turn(
    runs: Mapping[str, tuple[Callable[[np.ndarray], object], int]], rows: int, effort: Effort
) -> dict[str, Times]:
    """Time each of `runs`: a function that takes an order of the rows, and how often it trains.

    The first round, for compilers and caches, is not counted. In a round, all are given the same
    new order. A run that is shorter than a turn is repeated until the turn is over, and a short one
    is run once more before, uncounted.
    """
    rng = np.random.default_rng(5)
    times: dict[str, list[float]] = {name: [] for name in runs}
    last: dict[str, float] = {}
    for round_number in range(effort.rounds + 1):
        order = rng.permutation(rows)
        for name, (run, epochs) in runs.items():
            if len(times[name]) >= 2 and sum(times[name]) * epochs > effort.seconds:
                continue
            sleep(SETTLE)
            if last.get(name, WARM) < WARM:
                run(order)
            last[name] = _turn(run, order)
            if round_number:
                times[name].append(last[name] / epochs)
    return {name: Times(seconds) for name, seconds in times.items()}


def _turn(run: Callable[[np.ndarray], object], order: np.ndarray) -> float:
    """Return the mean seconds of a run, over as many runs as a turn takes."""
    start, count, seconds = perf_counter(), 0, 0.0
    while not count or seconds < TURN:
        run(order)
        count, seconds = count + 1, perf_counter() - start
    return seconds / count
