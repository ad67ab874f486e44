"""The table of goals: a group per case, with fastnn and every installed peer.

`fastnn bench` runs the same cases, each in its own process and with the contestants in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn.bench import agreement, problem
from fastnn.bench.cases import CASES, Case
from fastnn.bench.contestants import PEERS, entrants, names

FEW_ROWS = 300

COMPARED = [case for case in CASES if case.work != "penalty"]
ENTRANTS = [
    pytest.param(case, name, id=f"{case.name}:{name}") for case in CASES for name in names(case)
]


@pytest.fixture
def sized(runs_once: bool) -> Callable[[Case], Case]:
    """Return a function that cuts a case to few rows if everything runs once."""
    return lambda case: case.with_rows(min(case.n, FEW_ROWS)) if runs_once else case


@pytest.mark.parametrize(("case", "name"), ENTRANTS)
def test_goal(
    benchmark: Any,
    timed: Callable[..., Any],
    threads: Callable[[int], None],
    sized: Callable[[Case], Case],
    case: Case,
    name: str,
) -> None:
    benchmark.group = case.name
    threads(case.threads)
    case = sized(case)
    entrant = entrants(case, [name]).get(name)
    if entrant is None:
        pytest.skip(f"{PEERS[name].needs} is not installed")
    given = problem.problem(case)
    contestant, run = entrant.run(given)
    rng = np.random.default_rng(5)
    timed(
        run,
        lambda: rng.permutation(case.n),
        what=entrant.what,
        data=given.origin,
        epochs=contestant.epochs,
        threads=case.threads,
        title=case.title,
        goal=case.goal,
    )


@pytest.mark.parametrize("case", COMPARED, ids=[case.name for case in COMPARED])
def test_all_compute_the_same(sized: Callable[[Case], Case], runs_once: bool, case: Case) -> None:
    """This is what makes times comparable, and the only check in this file.

    If everything runs once, only peers with the case's penalty are checked: another penalty would
    need another kernel to be compiled.
    """
    case = sized(case)
    known = [name for name, peer in PEERS.items() if case.penalty in peer.penalties]
    agreement.check(case, problem.problem(case), known if runs_once else list(PEERS))
