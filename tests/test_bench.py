"""The benchmark: its cases, the agreement of peers with fastnn, and the command's output."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import command_line
from fastnn import data, machine, reference
from fastnn.bench import agreement, report, roofline, surroundings, timing, worker
from fastnn.bench.cases import CASES, Case, chosen
from fastnn.bench.contestants import FASTNN, PEERS, entrants, names
from fastnn.bench.problem import Problem, digits, problem, used_share

ALL = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
TINY = Case("tiny test", (12, 7, 5), 4, dtype="float64", n=60, data="dense", lmbda=0.5)
INSTALLED = [name for name, peer in PEERS.items() if peer.is_installed()]

run = functools.partial(command_line.run, "bench")


# ------------------------------------------------------------------------------ cases and problems


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@ALL
def test_a_case_survives_its_text(case: Case) -> None:
    assert Case.decode(case.encode()) == case


@ALL
def test_a_case_names_what_there_is(case: Case) -> None:
    assert set(case.peers) <= PEERS.keys()
    assert names(case)[0] == FASTNN
    assert case.goal is not None
    assert case.name in {found.name for found in chosen([case.name])}


@ALL
def test_fewer_rows_shrink_as_much_a_step(case: Case) -> None:
    assert case.with_rows(120).shrinks() == pytest.approx(case.shrinks())


@pytest.mark.parametrize("penalty", ["none", "l1", "l2", "elasticnet"])
def test_shrinks_are_those_of_the_penalties(penalty: str) -> None:
    from fastnn import penalties

    case = replace(TINY, penalty=penalty)
    w = np.array([-0.5, 0.0, 0.3])
    kappa1, kappa2 = case.shrinks()
    expected = w
    if penalty != "none":
        kind = {known.name: known for known in penalties.ALL}[penalty](case.lmbda)
        expected = kind.shrink(np, w, *kind.coefficients(case.learning_rate / case.n))
    np.testing.assert_allclose(w - kappa2 * w - kappa1 * np.sign(w), expected, rtol=1e-15)


def test_unknown_case() -> None:
    with pytest.raises(ValueError, match="h30-m10"):
        chosen(["h30-m11"])


@ALL
def test_a_problem_has_the_shapes_of_its_case(case: Case) -> None:
    case = case.with_rows(50)
    given = problem(case)
    assert given.rows.shape == (50, case.sizes[0])
    assert given.labels.shape == (50,)
    assert given.labels.max() < case.sizes[-1]
    assert [w.shape for w in given.weights] == list(
        zip(case.sizes[1:], case.sizes[:-1], strict=True)
    )
    x, y = given.pairs()[3]
    np.testing.assert_array_equal(x[:, 0], given.rows[3] * given.scale)
    assert y.argmax() == given.labels[3]


def test_the_stand_in_has_the_zeros_of_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "available", lambda name: None)
    digits.cache_clear()
    stand_in = problem(replace(TINY, sizes=(784, 10), data="mnist", n=5_000))
    digits.cache_clear()
    assert "synthetic" in stand_in.origin
    for batch_size, share in ((1, 0.19), (10, 0.48), (100, 0.66)):  # as in MNIST
        assert used_share(stand_in.rows, batch_size) == pytest.approx(share, abs=0.02)


# ------------------------------------------------------------------------------------ contestants


def oracle(case: Case, given: Problem, order: np.ndarray) -> list[np.ndarray]:
    """Return the weights after an epoch of the oracle."""
    weights, biases = given.start("float64")
    trained, _ = reference.epoch(
        weights,
        [b[:, None] for b in biases],
        given.pairs(),
        order,
        case.batch_size,
        case.learning_rate,
        case.lmbda,
        cost=case.cost,
        penalty=case.penalty,
    )
    return trained


@pytest.mark.parametrize("penalty", ["none", "l1", "l2"])
@pytest.mark.parametrize("name", [FASTNN, *INSTALLED])
def test_an_epoch_is_the_oracles(name: str, penalty: str) -> None:
    """Two hidden layers; a short last batch, but not for scikit-learn, whose alpha is per batch."""
    rows = 60 if name == "scikit-learn" else 58
    case = replace(TINY, sizes=(12, 7, 6, 5), penalty=penalty, peers=tuple(PEERS)).with_rows(rows)
    given, order = problem(case), np.random.default_rng(0).permutation(rows)
    entrant = entrants(case, [name])[name]
    contestant, train = entrant.run(given)
    train(order)
    expected = oracle(entrant.case, given, order)
    for came, wanted, start in zip(contestant.weights(), expected, given.weights, strict=True):
        largest = np.abs(wanted).max()
        assert np.abs(wanted - start).max() > 1e-3 * largest, "nothing was trained"
        assert np.abs(came - wanted).max() <= 1e-10 * largest


@pytest.mark.parametrize(
    ("hidden", "penalty", "dtype", "optimizer"),
    [
        ("relu", "l1", "float32", "sgd"),
        ("tanh", "elasticnet", "float64", "sgd"),
        ("tanh", "none", "float64", "adam"),
    ],
)
def test_all_peers_agree(hidden: str, penalty: str, dtype: str, optimizer: str) -> None:
    others = {"per-sample"}
    if optimizer == "adam":
        others |= {"torch-by-hand", "scikit-learn"}
    case = replace(
        TINY,
        dtype=dtype,
        hidden=hidden,
        output="softmax",
        penalty=penalty,
        learning_rate=0.1,
        optimizer=optimizer,
        peers=tuple(name for name in INSTALLED if name not in others),
    )
    found = agreement.check(case, problem(case), INSTALLED)
    assert found.keys() == set(case.peers)


def test_the_books_orders_are_the_same() -> None:
    case = replace(TINY, work="book", epochs=3, peers=("per-sample",))
    assert agreement.check(case, problem(case), INSTALLED)["per-sample"].difference < 1e-10


def test_a_peer_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.bench.peers_numpy import Batched

    case = replace(TINY, peers=("numpy",))
    step = Batched._step
    monkeypatch.setattr(Batched, "_step", lambda self, rows: step(self, rows[:-1]))
    with pytest.raises(ValueError, match="numpy and fastnn do not compute the same"):
        agreement.check(case, problem(case), ["numpy"])


def test_accuracies_agree() -> None:
    case = replace(TINY, work="evaluate", peers=("numpy", "torch", "jax"))
    assert "numpy" in agreement.check(case, problem(case), INSTALLED)


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "torch", PEERS["torch"]._replace(needs="no_such_module"))
    assert "torch" not in entrants(replace(TINY, peers=("torch", "numpy")), ["torch", "numpy"])


# ------------------------------------------------------------------------- timing, limit, machine


def test_rounds_are_interleaved_and_slow_ones_drop_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "TURN", 0.0)
    monkeypatch.setattr(timing, "WARM", 0.0)
    calls: list[str] = []
    orders: dict[str, list[np.ndarray]] = {"a": [], "b": []}

    def contestant(name: str) -> Any:
        def run(order: np.ndarray) -> None:
            calls.append(name)
            orders[name].append(order)

        return run, 1

    effort = timing.Effort(rounds=3, seconds=60.0, rows=None)
    times = timing.in_turn({name: contestant(name) for name in orders}, 5, effort)
    assert calls == ["a", "b"] * 4  # the first round does not count
    assert [len(found.seconds) for found in times.values()] == [3, 3]
    for mine, other in zip(orders["a"], orders["b"], strict=True):
        np.testing.assert_array_equal(mine, other)
        assert sorted(mine) == list(range(5))
    dropped = timing.in_turn({"a": contestant("a")}, 5, effort._replace(seconds=0.0))
    assert len(dropped["a"].seconds) == 2


def test_a_short_run_is_repeated_until_its_turn_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def run(order: np.ndarray) -> None:
        calls.append(order)
        now[0] += 0.010

    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    effort = timing.Effort(rounds=1, seconds=60.0, rows=None)
    [times] = timing.in_turn({"a": (run, 2)}, 5, effort).values()
    assert times.seconds == [pytest.approx(0.005)]
    assert len(calls) == 3 + 1 + 3  # the first round; in the second, one to start with


def test_a_long_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def run(order: np.ndarray) -> None:
        calls.append(order)
        now[0] += 2 * timing.WARM

    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    effort = timing.Effort(rounds=3, seconds=60.0, rows=None)
    timing.in_turn({"a": (run, 1)}, 5, effort)
    assert len(calls) == 4


def test_times() -> None:
    times = timing.Times([4.0, 2.0, 3.0])
    assert (times.best, times.median) == (2.0, 3.0)
    assert times.paired_ratio(timing.Times([2.0, 2.0])) == 1.5


def test_limit_counts_the_products() -> None:
    case = replace(TINY, sizes=(12, 7, 5), n=60, batch_size=4)
    found = roofline.limit(case, problem(case))
    first, second = 12 * 7, 7 * 5
    assert found.flops == found.dense_flops == 2 * 60 * (2 * (first + second) + second)
    assert found.row_bytes == 60 * 12 * 8
    assert found.weight_bytes == 3 * 15 * (first + second) * 8
    assert found.seconds == found.parts[found.bound]
    with_moments = roofline.limit(replace(case, optimizer="adam"), problem(case))
    assert with_moments.weight_bytes == 7 * 15 * (first + second) * 8
    sparse = problem(case)
    sparse.rows[:, :6] = 0
    assert roofline.limit(case, sparse).flops == 2 * 60 * (first + 3 * second)
    assert roofline.limit(replace(case, work="evaluate"), sparse).flops == 60 * (first + 2 * second)


def test_environment_lets_peers_run_at_their_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_some=1")
    changed = surroundings.environment(1)
    assert "OPENBLAS_CORETYPE" not in changed
    assert changed["OMP_NUM_THREADS"] == "1"
    assert changed["XLA_FLAGS"].startswith("--xla_some=1 ")
    assert surroundings.environment(2)["XLA_FLAGS"] == "--xla_some=1"
    described = surroundings.describe()
    assert described["held_back"] == ["OPENBLAS_CORETYPE"]
    assert described["versions"]["numpy"] == np.__version__
    assert any(pool["user_api"] == "blas" for pool in described["pools"])


# ------------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run two quick cases; return their output, results and files."""
    folder = tmp_path_factory.mktemp("bench")
    files = {"--json": folder / "bench.json", "--plot": folder / "bench.png"}
    arguments = [part for pair in files.items() for part in pair]
    result = run("tiny", "evaluation", "--quick", "--peers", "numpy, torch", *arguments)
    assert result.exit_code == 0, result.output
    saved = json.loads(files["--json"].read_text("utf-8"))
    return {"lines": result.stdout.splitlines(), "cases": saved["cases"], "files": files}


def test_table(measured: dict[str, Any]) -> None:
    head, *rows = measured["lines"][-3:]
    assert head.split()[:3] == ["case", "fastnn", "ms"]
    for row, name, case in zip(rows, ("tiny", "evaluation"), measured["cases"], strict=True):
        best = min(result["best"] for peer, result in case["results"].items() if peer != FASTNN)
        ratio = best / case["results"][FASTNN]["best"]
        assert row.split()[0] == name
        assert f"{ratio:.2f}" in row.split()


def test_saved_results(measured: dict[str, Any]) -> None:
    for case in measured["cases"]:
        assert case["case"]["threads"] == 1
        assert case["pinned"] is None or len(case["pinned"]) == 1
        assert case["machine"]["cpu"]
        assert set(case["results"]) | set(case["missing"]) == {FASTNN, "numpy", "torch"}
        agreed = case["results"]["numpy"]["agreement"]
        assert agreed["difference"] <= agreed["tolerance"]
        assert len(case["results"][FASTNN]["seconds"]) >= 2
        assert case["limit"]["seconds"] > 0


def test_picture(measured: dict[str, Any]) -> None:
    assert measured["files"]["--plot"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("work", "goal", "ratios", "reached", "best"),
    [
        ("train", 3.0, {"numpy": 5.0, "jax": 4.0}, True, "jax"),
        ("train", 4.5, {"numpy": 5.0, "jax": 4.0}, False, "jax"),
        ("penalty", 1.03, {"l1": 1.01, "l2": 1.02}, True, "l2"),
        ("penalty", 1.03, {"l1": 1.04, "l2": 1.02}, False, "l1"),
        ("train", 3.0, {}, None, None),
        ("train", None, {"numpy": 5.0}, None, "numpy"),
    ],
)
def test_goals(
    work: str, goal: float | None, ratios: dict[str, float], reached: bool | None, best: str | None
) -> None:
    results = {
        name: {"best": ratio, "best_ratio": ratio, "paired_ratio": ratio}
        for name, ratio in {FASTNN: 1.0, **ratios}.items()
    }
    found = {
        "name": "x",
        "case": {"work": work, "goal": goal},
        "results": results,
        "limit": {"seconds": 0.5},
    }
    assert report.is_reached(found) is reached
    peer = report.best_peer(found)
    assert (None if peer is None else peer[0]) == best
    line = report.table_lines([found])[-1].split()
    assert ("yes" in line, "no" in line) == (reached is True, reached is False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-case"],
        ["--peers", "tensorflow"],
        ["--threads", "0"],
        ["--json", "no/such/folder.json"],
        ["--plot", "x.xyz"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_case_that_needs_more_cpus_is_skipped() -> None:
    result = run("tiny", "--threads", machine.cpus() + 1)
    assert result.exit_code == 1
    assert "skipped, it needs" in result.output


def test_a_failing_case_does_not_end_the_others(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(case: Case, *_: object) -> dict[str, Any]:
        if case.name == "h30-m1":
            raise ValueError("case h30-m1: it diverged")
        return next(found for found in measured["cases"] if found["name"] == case.name)

    monkeypatch.setattr(worker, "run", fails)
    told = tmp_path / "bench.json"
    result = run("tiny", "h30-m1", "evaluation", "--json", told, "--plot", tmp_path / "bench.png")
    assert result.exit_code == 1
    assert result.stderr == "fastnn: case h30-m1: it diverged\n"
    assert [line.split()[0] for line in result.stdout.splitlines()[-2:]] == ["tiny", "evaluation"]
    saved = json.loads(told.read_text("utf-8"))
    assert saved == {"cases": measured["cases"], "failed": {"h30-m1": "case h30-m1: it diverged"}}
    assert (tmp_path / "bench.png").exists()
    result = run("h30-m1", "--json", told, "--plot", tmp_path / "none.png")
    assert (result.exit_code, json.loads(told.read_text("utf-8"))["cases"]) == (1, [])
    assert not (tmp_path / "none.png").exists()


def test_a_failing_case_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ValueError, match="case tiny test: exit status 1"):
        worker.run(TINY, [], timing.QUICK)
