"""How the benchmarks run: pinned to some CPUs and timed, or once each on few rows.

``pytest benchmarks`` pins the process to ``--bench-threads`` CPUs (1) and skips the cases that need
another number. If the environment sets OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE, which slow numpy's
BLAS down, run pytest with ``env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE``. With
``--benchmark-disable`` nothing is pinned and everything runs once, on few rows, only to check that
it runs. Without MNIST in a known folder, most benchmarks use synthetic digits, and ``data`` in the
saved results says so; test_dask.py and test_book_chapters.py need MNIST.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import pytest

from fastnn import machine
from fastnn.bench import surroundings

MOST_ROUNDS, SECONDS = 15, 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bench-threads", type=int, default=1, help="CPUs that the benchmarks are pinned to."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Pin the process before numpy and the peers load, so that they start as many threads.

    If nothing is timed, give the kernels small tiles instead.
    """
    if not config.getoption("benchmark_disable"):
        threads = config.getoption("bench_threads")
        os.environ.update(surroundings.environment(threads))
        config.stash[PINNED] = machine.pin(threads)
    else:
        from fastnn.engine import tiles

        # One kernel serves all widths, and there is less of it to compile.
        tiles.TILES.update(dict.fromkeys(tiles.TILES, tiles.Tiles((2, 2), 2)))


PINNED = pytest.StashKey["list[int] | None"]()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info["fastnn"] = surroundings.describe() | {"pinned": config.stash.get(PINNED, None)}


@pytest.fixture(scope="session")
def runs_once(request: pytest.FixtureRequest) -> bool:
    """Return whether everything runs once, untimed, on few rows."""
    return bool(request.config.getoption("benchmark_disable"))


@pytest.fixture(scope="session", autouse=True)
def _limited_pools(request: pytest.FixtureRequest, runs_once: bool) -> Iterator[None]:
    """Limit the BLAS pools too, in case one was loaded before the process was pinned."""
    import numpy  # noqa: F401 - only a loaded pool is limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(None if runs_once else request.config.getoption("bench_threads")):
        yield


@pytest.fixture
def threads(request: pytest.FixtureRequest, runs_once: bool) -> Callable[[int], None]:
    """Return a function that skips the benchmark unless it is pinned to that many CPUs."""
    pinned = request.config.getoption("bench_threads")

    def check(wanted: int) -> None:
        if not runs_once and wanted != pinned:
            pytest.skip(f"needs --bench-threads {wanted}")

    return check


@pytest.fixture
def timed(benchmark: Any, runs_once: bool) -> Callable[..., Any]:
    """Return ``timed(run, order, **info)``: warm up once, then as many rounds as 10 s allow.

    `order` returns the argument of a round; `info` is saved with the result.
    """

    def measure(run: Callable[[Any], Any], order: Callable[[], Any], **info: Any) -> Any:
        benchmark.extra_info.update(info)
        start = perf_counter()
        result = run(order())
        if runs_once:
            return benchmark.pedantic(lambda: result)
        seconds = perf_counter() - start
        rounds = max(2, min(MOST_ROUNDS, int(SECONDS / seconds)))
        return benchmark.pedantic(run, setup=lambda: ((order(),), {}), rounds=rounds)

    return measure
