"""How the time of an epoch changes as each property of one middle case is varied.

Timed are the book's per-sample algorithm, numpy on whole batches, and fastnn. ``seconds`` divided
by ``rows`` is the time per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn.bench.cases import Case
from fastnn.bench.contestants import FASTNN, entrants
from fastnn.bench.problem import problem

FEW_ROWS = 100
MIDDLE = Case("scaling", (784, 30, 10), 10, n=10_000, learning_rate=0.05)
WIDE = replace(MIDDLE, learning_rate=0.01)


def series() -> Iterator[tuple[str, Any, Case, tuple[str, ...]]]:
    """Yield what is varied, its value, the case and the contestants."""
    all_three = (FASTNN, "numpy", "per-sample")
    batched = (FASTNN, "numpy")
    for m in (1, 3, 10, 30, 100, 300, 1000):
        yield "batch size", m, replace(MIDDLE, batch_size=m), all_three
    for width in (8, 16, 30, 64, 100, 256, 512, 1024):
        yield "width", width, replace(WIDE, sizes=(784, width, 10)), all_three
    for depth in (1, 2, 3, 4):
        yield "hidden layers", depth, replace(MIDDLE, sizes=(784, *[30] * depth, 10)), all_three
    for dtype in ("float32", "float64"):
        yield "dtype", dtype, replace(MIDDLE, dtype=dtype), batched
    for penalty in ("none", "l1", "l2", "elasticnet"):
        yield "penalty", penalty, replace(MIDDLE, penalty=penalty), batched
    for n in (10_000, 100_000, 1_000_000):
        yield "rows", n, MIDDLE.with_rows(n), (FASTNN,)


SERIES = [
    pytest.param(what, value, replace(case, peers=who[1:]), name, id=f"{what}={value}:{name}")
    for what, value, case, who in series()
    for name in who
]


@pytest.mark.parametrize(("what", "value", "case", "name"), SERIES)
def test_epoch(
    benchmark: Any,
    timed: Callable[..., Any],
    runs_once: bool,
    what: str,
    value: Any,
    case: Case,
    name: str,
) -> None:
    benchmark.group = f"scaling, {what}={value}"
    if runs_once:
        case = case.with_rows(min(case.n, FEW_ROWS))
    given = problem(case)
    _, run = entrants(case, [name])[name].run(given)
    rng = np.random.default_rng(5)
    timed(
        run,
        lambda: rng.permutation(case.n),
        series=what,
        value=value,
        contestant=name,
        rows=case.n,
        data=given.origin,
    )
