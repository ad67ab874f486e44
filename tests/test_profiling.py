"""The profiler: what it returns and shows, its counters, and that it leaves the process as it was.

No test asserts a time.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import data, penalties, plots, synthetic
from fastnn.engine import batched, jit
from fastnn.profiling import setting

compiles = pytest.mark.skipif(not jit.is_on(), reason="profiles compiled kernels")
counts = pytest.mark.skipif(
    not (jit.is_on() and platform.machine().lower() in ("x86_64", "amd64")),
    reason="reads a cycle counter",
)

# With 70 columns, the used ones are listed; batches of 7 leave a short last one.
SIZES = (70, 9, 4)
SMALL: dict[str, Any] = {"batch_size": 7, "rows": 60, "rounds": 3, "data": "synthetic"}


@pytest.fixture(scope="module")
def found() -> fastnn.profiling.Profile:
    """Return a profile of one penalty and a copy of it; measuring two would compile for long."""
    measured = fastnn.profile(SIZES, penalty="l1", **SMALL)
    [penalty] = measured.penalties
    return replace(measured, penalties=(penalty, replace(penalty, name="sparse_group_lasso")))


# ------------------------------------------------------------------------------------ what it is of


@compiles
def test_a_profile_says_what_it_is_of(found) -> None:
    assert (found.sizes, found.batch_size, found.rows, found.rounds) == (SIZES, 7, 60, 3)
    assert (found.dtype, found.threads, found.lmbda) == ("float32", 1, 5.0)
    assert found.data == setting.SYNTHETIC
    assert found.penalties[0].name == "l1"
    assert found.floor.weight_bytes == 4 * (70 * 9 + 9 * 4)


@compiles
def test_the_numbers_belong_together(found) -> None:
    for penalty in found.penalties:
        assert penalty.seconds_without > 0
        for way in (penalty.fused, penalty.separate, penalty.batched):
            assert way.seconds > 0
            assert 0 < way.low <= way.ratio <= way.high
        assert penalty.separate.low > 1  # an epoch without a penalty, plus the passes
    floor = found.floor
    for rate, ns in ((floor.memory, floor.memory_ns), (floor.cache, floor.cache_ns)):
        assert ns == pytest.approx(1e9 * 2 * 4 / rate)  # float32, read and written


def test_a_way_is_the_median_of_the_rounds_ratios() -> None:
    plain, with_it = np.array([1.0, 2.0, 4.0, 8.0, 1.0]), np.array([2.0, 2.0, 5.0, 12.0, 9.0])
    way = fastnn.profiling.Way.of(with_it, plain)  # ratios 2, 1, 1.25, 1.5, 9
    assert (way.seconds, way.ratio, way.low, way.high) == (5.0, 1.5, 1.25, 2.0)
    assert way.overhead == pytest.approx(50.0)


@pytest.mark.parametrize(("n", "batch_size"), [(60, 7), (5, 7), (1000, 10), (999, 10)])
def test_the_parts_of_an_epoch_are_all_its_batches(n: int, batch_size: int) -> None:
    rows = setting.rows_for(SIZES, n, "synthetic", None)
    given = setting.Setting(fastnn.Network(SIZES), rows, batch_size, threads=1)
    first, second = given.rounds(2)
    for parts in (first, second):
        assert 1 <= len(parts) <= setting.PARTS
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))
        assert sum(-(-len(part) // batch_size) for part in parts) == given.batches
    if n > 5:
        assert (np.concatenate(first) != np.concatenate(second)).any()


@pytest.mark.parametrize("penalty", [penalties.L1(5.0), penalties.L2(5.0)], ids=str)
def test_separate_passes_are_the_rule_step_by_step(penalty) -> None:
    rows = setting.rows_for(SIZES, 60, "synthetic", None)
    given = setting.Setting(fastnn.Network(SIZES, seed=1), rows, 7, threads=1)
    problem = given.problem(penalty)
    batched.Path(problem).penalise(3)
    for w, before in zip(problem.weights, given.network.weights, strict=True):
        numbers = [
            np.float32(number) for number in penalty.coefficients(problem.learning_rate / problem.n)
        ]
        for _ in range(3):
            before = penalty.shrink(np, before, *numbers)
        np.testing.assert_array_equal(w, before)


def test_all_is_every_penalty() -> None:
    kinds = [type(penalty) for penalty in setting.chosen("all", 5.0)]
    assert kinds == list(penalties.ALL)
    assert [p.name for p in setting.chosen(" l2, l1,l2", 5.0)] == ["l2", "l1"]
    assert setting.chosen(["l2"], 3.0) == [penalties.L2(3.0)]


# ------------------------------------------------------------------------------------------- phases


@counts
def test_phases_add_up(found) -> None:
    from fastnn.engine.phases import PHASES

    assert list(found.phases_by_penalty) == ["none", *(one.name for one in found.penalties)]
    for phases in found.phases_by_penalty.values():
        assert list(phases) == [*PHASES, "write back"]
        assert all(seconds > 0 for seconds in phases.values())
    # Both time the same work: a factor of 1000 means a wrong unit, not a slow machine.
    for penalty in found.penalties:
        assert 1e-3 < sum(penalty.phases.values()) / penalty.fused.seconds < 1e3


@counts
@pytest.mark.parametrize("threads", [1, 2])
def test_cycles_are_counted_by_a_kernel_that_is_asked_to(threads: int) -> None:
    from fastnn.engine.compiled import Path as Engine

    rows = setting.rows_for(SIZES, 60, "synthetic", None)
    network = fastnn.Network(SIZES, seed=1)
    given, order = setting.Setting(network, rows, 7, threads), np.arange(60)
    ticks, weights = [], []
    for timed in (False, True):
        problem = given.problem(penalties.L1(5.0))
        engine = Engine(problem, timed=timed)
        engine.run(order)
        engine.write_back()
        ticks.append(engine.ticks())
        weights.append(problem.weights)
        assert not engine.ticks().any()  # the first call resets them
    assert not ticks[0].any()
    assert (ticks[1] > 0).all()
    for plain, counted in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, counted)


@counts
def test_a_kernel_that_is_not_timed_has_no_trace_of_the_counters() -> None:
    """Laps without timing add no instructions; with timing, they read the cycle counter."""
    import numba

    from fastnn.engine.phases import PHASE_COUNT, lap, start_laps
    from fastnn.engine.pointers import at
    from fastnn.engine.spec import Spec

    def instructions(timed: bool, laps: bool) -> list[str]:
        text = Spec(16, rows=(1,), listed=1, timed=timed).encode()

        def work(ticks, x):
            start_laps(text, at(ticks, 0))
            for i in range(len(x)):
                x[i] += 1.0
                lap(text, at(ticks, 0), 1)

        def plain(ticks, x):
            for i in range(len(x)):
                x[i] += 1.0

        compiled = numba.njit(work if laps else plain)
        compiled(np.zeros(PHASE_COUNT + 1, np.int64), np.zeros(3))
        [assembly] = compiled.inspect_asm().values()
        body = assembly.split("cpython")[0].splitlines()  # the wrappers follow
        return [line for line in body if line.startswith("\t") and not line.startswith("\t.")]

    assert any("rdtsc" in line for line in instructions(timed=True, laps=True))
    assert instructions(timed=False, laps=True) == instructions(timed=False, laps=False) != []


@compiles
def test_where_nothing_can_be_counted_there_are_no_phases(monkeypatch) -> None:
    monkeypatch.setattr("fastnn.engine.phases.platform.machine", lambda: "riscv64")
    told = fastnn.profile(SIZES, penalty="l1", **SMALL)
    assert told.phases is None
    assert told.penalties[0].phases is None
    assert "cycle counter" in str(told)
    with pytest.raises(ValueError, match="no phases"):
        plots.epoch_phases(told)


# ------------------------------------------------------------------------------ text, JSON, picture


@compiles
def test_a_profile_is_readable(found) -> None:
    text = str(found)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    for one in found.penalties:
        assert sum(line.split()[:1] == [one.name] for line in lines) == (2 if found.phases else 1)
    assert "[70, 9, 4], batches of 7, float32, 60 rows" in text


@compiles
def test_a_profile_with_long_numbers_loses_no_column(found) -> None:
    slow = fastnn.profiling.Way(123.456, 98.7, 12.3, 17.6)
    penalty = replace(
        found.penalties[1], seconds_without=99.9999, fused=slow,
        separate=slow, batched=slow, ns_per_weight=-12.3456,
    )  # fmt: skip
    lines = str(replace(found, penalties=(penalty,))).splitlines()
    [line] = [line for line in lines if "-12.3456" in line]
    assert line.split()[0] == "sparse_group_lasso"
    assert "…" not in line


@compiles
def test_penalties_with_settings_and_of_ones_own() -> None:
    class Own(fastnn.penalties.ProximalL1):
        name = "own"

    wanted = ["l2", Own(1.0), fastnn.GroupLasso(1.0), fastnn.GroupLasso(1.0, groups="neurons")]
    measured = fastnn.profile(SIZES, penalty=wanted, **SMALL)
    names = ["l2", "own", "group_lasso", "group_lasso 2"]
    assert [one.name for one in measured.penalties] == names
    assert list(measured.phases_by_penalty or names) == ["none", *names]
    [alone] = fastnn.profile(SIZES, penalty=Own(1.0), **SMALL).penalties
    assert alone.name == "own"


@compiles
def test_to_dict_is_json(found) -> None:
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["sizes"] == list(SIZES)
    assert told["penalties"][1]["name"] == "sparse_group_lasso"
    assert told["penalties"][0]["fused"]["ratio"] == found.penalties[0].fused.ratio
    assert told["phases"] == found.phases


@compiles
def test_pictures_are_drawn_on_the_given_axes(found) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    left, right = figure.subplots(1, 2)
    assert plots.penalty_overhead(found, ax=left) is left
    widths = [bar.get_width() for bar in left.patches]
    kinds = ("fused", "separate", "batched")
    ways = [[getattr(one, kind) for one in found.penalties] for kind in kinds]
    assert widths == [way.overhead for same in ways for way in same]
    if found.phases is not None:
        assert plots.epoch_phases(found, ax=right) is right
        ends = [bar.get_x() + bar.get_width() for bar in right.patches][-3:]
        sums = [sum(phases.values()) for phases in found.phases_by_penalty.values()]
        np.testing.assert_allclose(ends, np.multiply(1e3, sums))


# ---------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"penalty": "l3"}, ValueError, "did you mean 'l"),
        ({"penalty": []}, ValueError, "'all'"),
        ({"penalty": 5.0}, TypeError, "names such as"),
        ({"lmbda": 0}, ValueError, "above 0"),
        ({"lmbda": "5"}, TypeError, "lmbda"),
        ({"sizes": [784]}, ValueError, "sizes"),
        ({"dtype": "float16"}, ValueError, "dtype"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": 4096}, ValueError, "CPUs"),
        ({"rounds": 0}, ValueError, "rounds"),
        ({"rows": 0}, ValueError, "rows"),
        ({"data": "mnits"}, ValueError, "did you mean 'mnist'"),
        ({"data": "digits"}, ValueError, "begin with 64"),
        ({"data": "digits", "sizes": [64, 9]}, ValueError, "at least 10"),
        ({"data": "digits", "sizes": [64, 10], "rows": 1438}, ValueError, "at most 1437"),
        ({"data": "synthetic", "folder": "."}, ValueError, "no folder"),
        ({"folder": "no such folder"}, FileNotFoundError, "no such folder"),
    ],
)
@compiles
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    if "threads" in arguments and not hasattr(os, "sched_setaffinity"):
        pytest.skip("nothing is pinned here")
    with pytest.raises(error, match=reason):
        fastnn.profile(**({"sizes": [784, 10], "rows": 60} | arguments))


def test_without_the_compiler_there_is_nothing_to_profile(monkeypatch) -> None:
    monkeypatch.setattr(jit, "is_on", lambda: False)
    with pytest.raises(ValueError, match="NUMBA_DISABLE_JIT"):
        fastnn.profile()


def test_rows_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = setting.rows_for([64, 10], None, "digits", None)
    assert digits.inputs.matrix.shape == (1437, 64)
    assert digits.origin == "digits"

    def no_download(*_: object, **__: object) -> None:
        raise AssertionError("a download, which nobody asked for")

    monkeypatch.setattr(data, "fetch", no_download)
    monkeypatch.setattr(data, "available", lambda name, folder=None: None)
    rows = setting.rows_for([784, 30, 10], None, None, None)
    assert rows.origin == setting.SYNTHETIC
    assert rows.inputs.matrix.shape == (10_000, 784)


def test_mnist_is_the_default(mnist: data.Dataset) -> None:
    found = setting.rows_for([784, 30, 10], 50, None, None)
    assert found.origin == "mnist"
    np.testing.assert_array_equal(found.inputs.matrix, mnist.train_images[:50])
    assert setting.rows_for([784, 5], 50, None, None).origin == setting.SYNTHETIC


@pytest.mark.parametrize("columns", [5, 100, 784, 2000])
def test_synthetic_rows_are_as_often_zero_as_mnist(columns: int) -> None:
    rows, labels = synthetic.like_mnist(3000, columns, classes=3)
    assert rows.shape == (3000, columns)
    assert (rows > 0).mean() == pytest.approx(0.19, abs=0.01 if columns > 99 else 0.1)
    assert set(labels.tolist()) == {0, 1, 2}


@compiles
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing is pinned here")
def test_the_affinity_is_restored_after_ctrl_c() -> None:
    before, seen = os.sched_getaffinity(0), []

    def fails(name: str) -> None:
        seen.append(os.sched_getaffinity(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastnn.profile(SIZES, penalty="l1", **SMALL, on_penalty=fails)
    assert [len(cpus) for cpus in seen] == [1]
    assert os.sched_getaffinity(0) == before
