"""Many networks on few cores: 16 of them on 2 cores, and one alone.

``pytest benchmarks/test_sweeps.py --bench-threads 2``. The time of one alone is the shortest of its
single-threaded runs, before and after each sweep.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

import fastnn
from fastnn import sweeps
from fastnn.bench import cases, problem

NETWORKS, CORES, EPOCHS = 16, 2, 2
FEW_ROWS, ROWS, ROUNDS = 1000, 50_000, 3


@pytest.mark.benchmark(group="sweep of 16 networks on 2 cores (see extra_info)")
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_sweep(backend: str, benchmark: Any, runs_once: bool, threads: Any) -> None:
    import joblib

    threads(CORES)
    rows = FEW_ROWS if runs_once else ROWS
    given = problem.problem(cases.Case("sweep", (784, 30, 10), 10, n=rows))
    common = {"sizes": [784, 30, 10], "epochs": EPOCHS, "input_scale": given.scale}
    alone: list[float] = []

    def one() -> None:
        trial = common | {"penalty": fastnn.L1(5.0)}
        start = perf_counter()
        sweeps.train(trial, given.rows, given.labels, threads=1)
        alone.append(perf_counter() - start)

    def all_of_them() -> None:
        with joblib.parallel_config(backend, n_jobs=CORES):
            fastnn.sweep(
                given.rows,
                given.labels,
                {"seed": range(NETWORKS)},
                penalty=fastnn.L1(5.0),
                **common,
            )

    one()  # compiles
    all_of_them()  # starts the workers
    alone.clear()
    took: list[float] = []
    for _ in range(1 if runs_once else ROUNDS):
        one()
        start = perf_counter()
        all_of_them()
        took.append(perf_counter() - start)
        one()
    benchmark.pedantic(one, rounds=1)
    found = {"one": min(alone), "sixteen": min(took), "times": min(took) / min(alone)}
    benchmark.extra_info.update(found)
    print(*(f"\n{what}: {value:.2f}" for what, value in found.items()), end="")
