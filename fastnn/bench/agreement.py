"""Checks that contestants compute the same, without which their times cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastnn.bench.cases import Case
from fastnn.bench.contestants import FASTNN, Entrant, entrants
from fastnn.bench.problem import Problem

__all__ = ["Agreement", "check"]

BATCHES = 20
FEW_SHRINKS = 10
FLOAT64_TOLERANCE = 1e-10  # of a layer's largest weight
FLOAT32_TOLERANCE = 1e-5
MISPLACED_ROWS = 1e-3  # in an evaluation: the share of rows on which rounding may decide


class Agreement(NamedTuple):
    """How far a peer's result is from fastnn's.

    difference, tolerance : float
        For weights, as shares of a layer's largest weight, in the layer with the largest ratio of
        difference to tolerance. For accuracies, as shares of the rows.
    """

    difference: float
    tolerance: float


def check(case: Case, problem: Problem, peers: Sequence[str]) -> dict[str, Agreement]:
    """Compare every entrant of `case` with fastnn, from the same start and in the same order.

    The weights of all layers after up to 20 batches are compared, or the accuracies. An entrant
    with another penalty is compared with fastnn under that penalty.

    Raises
    ------
    ValueError
        If an entrant differs by more than rounding explains.
    """
    if case.work == "evaluate":
        small = case
    else:
        batches = max(1, min(BATCHES, case.n // case.batch_size))  # whole batches
        small = replace(case.with_rows(min(case.n, batches * case.batch_size)), epochs=1)
        problem = problem.head(small.n)
    order = np.random.default_rng(4).permutation(small.n)
    found = {}
    taking_part = entrants(small, peers)
    own = taking_part.pop(FASTNN)
    for name, entrant in taking_part.items():
        ours = _result(own._replace(case=entrant.case), problem, order)
        theirs = _result(entrant, problem, order)
        found[name] = agreement = _compare(entrant.case, ours, theirs)
        if not agreement.difference <= agreement.tolerance:
            raise ValueError(
                f"{name} and fastnn do not compute the same in {case.name}: they differ by "
                f"{agreement.difference:.2g}, which should be at most {agreement.tolerance:.2g}"
            )
    return found


def _result(entrant: Entrant, problem: Problem, order: np.ndarray) -> list[np.ndarray]:
    contestant, run = entrant.run(problem)
    value = run(order)
    return [np.array([value])] if entrant.case.work == "evaluate" else contestant.weights()


def _compare(case: Case, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Agreement:
    if case.work == "evaluate":
        return Agreement(float(abs(ours[0] - theirs[0])[0]), MISPLACED_ROWS)
    kappa1, _ = case.shrinks()
    worst = Agreement(0.0, 1.0)
    for mine, other in zip(ours, theirs, strict=True):
        largest = float(np.abs(mine).max())
        tolerance = FLOAT64_TOLERANCE
        if case.dtype == "float32":
            # Rounding decides the sign of a weight near zero, and so which way it is shrunk. It
            # also decides on which side of zero a ReLU unit is: one sample's part of a step.
            of_a_sample = case.learning_rate / case.batch_size if case.hidden == "relu" else 0.0
            tolerance = FLOAT32_TOLERANCE + (FEW_SHRINKS * kappa1 + of_a_sample) / largest
        layer = Agreement(float(np.abs(mine - other).max()) / largest, tolerance)
        if not layer.difference / layer.tolerance <= worst.difference / worst.tolerance:
            worst = layer
    return worst
