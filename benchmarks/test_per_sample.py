"""The book's program against fastnn: MNIST, [784,30,10], batches of 10, three epochs.

A round is three epochs of each; for network2 it includes the conversion of the lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fastnn
from fastnn.bench.cases import Case
from fastnn.bench.contestants import FASTNN, entrants
from fastnn.bench.problem import Problem, problem

EPOCHS = 3
FEW_ROWS = 300
CASE = Case("book", (784, 30, 10), 10, dtype="float64", work="book", epochs=EPOCHS)


@pytest.fixture(scope="module")
def case(runs_once: bool) -> Case:
    return CASE.with_rows(FEW_ROWS) if runs_once else CASE


@pytest.fixture(scope="module")
def given(case: Case) -> Problem:
    return problem(case)


@pytest.mark.benchmark(group="three epochs of the book's network")
def test_network2_on_lists(timed: Callable[..., Any], case: Case, given: Problem) -> None:
    _, run = entrants(case, [])[FASTNN].run(given)
    timed(run, lambda: None, data=given.origin, epochs=EPOCHS)


@pytest.mark.benchmark(group="three epochs of the book's network")
def test_per_sample(timed: Callable[..., Any], case: Case, given: Problem) -> None:
    from fastnn.bench.peers_numpy import PerSample

    contestant = PerSample(case, given)

    def run(order: None) -> None:
        for _ in range(EPOCHS):
            contestant.epoch(order)

    timed(run, lambda: None, data=given.origin, epochs=EPOCHS)


@pytest.mark.benchmark(group="three epochs of the book's network")
def test_native_float32(timed: Callable[..., Any], case: Case, given: Problem) -> None:
    network = fastnn.Network(case.sizes, input_scale=given.scale, seed=1)

    def run(order: None) -> None:
        network.fit(
            given.rows,
            given.labels,
            epochs=EPOCHS,
            batch_size=case.batch_size,
            learning_rate=case.learning_rate,
            penalty=fastnn.L1(case.lmbda),
        )

    timed(run, lambda: None, data=given.origin, epochs=EPOCHS)
