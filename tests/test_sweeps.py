"""Sweeps: a record equals a separate fit, whatever the worker, the order, or an interruption."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import ParameterGrid, ParameterSampler

import fastnn
from fastnn import L1, L2, LogUniform, Network, grid, plots, sample, sweep, sweeps
from fastnn.files import json_safe
from fastnn.regularization_path import geometric
from fastnn.sweep_records import Records, last_of_each_trial
from fastnn.sweep_space import described

pytestmark = pytest.mark.cpu_tiles  # the tiles that other processes use

SPACE = {"penalty": [L1, L2], "lmbda": [0.1, 5.0], "seed": [0, 3]}
COMMON: dict[str, Any] = {"sizes": [64, 20, 10], "epochs": 2, "input_scale": 1 / 16}


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: v for name, v in record.items() if name != "seconds"} for record in records]


@pytest.fixture(scope="module")
def run(digits):
    def go(trials: Any = SPACE, **options: Any) -> Records:
        return sweep(*digits[:2], trials, **{"validation_data": digits[2:4], **COMMON, **options})

    return go


@pytest.fixture(scope="module")
def expected(run) -> list[dict[str, Any]]:
    return untimed(run())


def test_a_record_is_its_own_fit(digits, expected) -> None:
    assert [record["trial"] for record in expected] == list(range(8))
    for record, trial in zip(expected, grid(SPACE), strict=True):
        network = Network([64, 20, 10], input_scale=1 / 16, seed=trial["seed"])
        history = network.fit(
            *digits[:2], epochs=2, penalty=trial["penalty"](trial["lmbda"]),
            validation_data=digits[2:4],
        )  # fmt: skip
        assert record["train_cost"] == history.train_cost[-1]
        assert record["val_accuracy"] == history.val_accuracy[-1]
        assert (record["penalty"], record["lmbda"]) == (trial["penalty"].__name__, trial["lmbda"])
        assert (record["sizes"], record["epochs_done"]) == ([64, 20, 10], 2)
        again, _ = sweeps.train(COMMON | trial, *digits[:2])
        assert all(map(np.array_equal, again.weights, network.weights))


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_workers_change_nothing(backend: str, run, expected, monkeypatch) -> None:
    """multiprocessing returns results only when all are done, as third-party backends may do."""
    monkeypatch.setattr(sweeps, "TASKS_A_WORKER", 1)  # so that there are several turns
    with joblib.parallel_config(backend, n_jobs=2):
        assert untimed(run()) == expected


@pytest.mark.usefixtures("numpy_path")
def test_an_optimizers_class_is_called_with_the_learning_rate(run, digits) -> None:
    [record] = run({"optimizer": [fastnn.Momentum], "learning_rate": [0.05]})
    assert (record["optimizer"], record["learning_rate"]) == ("Momentum", 0.05)
    network = Network([64, 20, 10], input_scale=1 / 16, seed=0)
    history = network.fit(*digits[:2], epochs=2, optimizer=fastnn.Momentum(0.05))
    assert record["train_cost"] == history.train_cost[-1]
    [record] = run({"optimizer": [fastnn.Adam]})
    assert record["error"] is None


def test_order_changes_nothing(run, expected) -> None:
    backwards = run(grid(SPACE)[::-1], n_jobs=3)
    assert [r | {"trial": 7 - r["trial"]} for r in untimed(backwards)][::-1] == expected


def test_data_are_stored_once(digits, monkeypatch) -> None:
    """Otherwise every fit would convert the floats to bytes again."""
    seen = []
    fit = Network.fit

    def spy(self: Network, X: Any, y: Any, **options: Any) -> Any:
        seen.append((id(X.matrix), id(options["validation_data"][0].matrix), options["threads"]))
        return fit(self, X, y, **options)

    monkeypatch.setattr(Network, "fit", spy)
    rows = digits.train_images / 16.0
    common = COMMON | {"input_scale": None, "validation_data": (rows, digits.train_labels)}
    sweep(rows, digits.train_labels, SPACE, n_jobs=2, **common)
    assert len(set(seen)) == 1
    assert seen[0][2] == 1


# --------------------------------------------------------------------------------- the results file


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sweep_cut_off_goes_on_and_ends_the_same(
    jobs: int, run, expected, monkeypatch, tmp_path: Path
) -> None:
    file, seen, trained = tmp_path / "sweep.jsonl", [], []
    figures = sweeps._figures

    def spy(*arguments: Any, **options: Any) -> dict[str, Any]:
        trained.append(arguments)
        return figures(*arguments, **options)

    def stop(record: dict[str, Any]) -> None:
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(results=file, on_record=stop, n_jobs=jobs)
    kept = len(file.read_text().splitlines()) - 1
    assert 3 <= kept < 8
    with file.open("a") as end:
        end.write('{"trial": {"sizes"')  # left by a process killed while writing
    monkeypatch.setattr(sweeps, "_figures", spy)
    assert untimed(run(results=file, n_jobs=jobs)) == expected
    assert len(trained) == 8 - kept
    assert len(file.read_text().splitlines()) == 9


@pytest.mark.usefixtures("numpy_path")
def test_trials_in_other_threads_end_with_the_sweep(run, monkeypatch) -> None:
    figures, ended = sweeps._figures, threading.Event()

    def noted(trial: dict[str, Any], *others: Any, **options: Any) -> dict[str, Any]:
        assert not any(called.reads_network for called in options["callbacks"])
        found = figures(trial, *others, **options)
        if trial["epochs"] > 1:
            ended.set()
        return found

    def stop(record: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "_figures", noted)
    with pytest.raises(KeyboardInterrupt):
        run({"epochs": [1, 10**5]}, n_jobs=2, on_record=stop)
    assert ended.wait(30)


def test_a_larger_grid_trains_what_is_new(run, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    first = run({"seed": [0, 1]}, results=file)
    second = run({"seed": [5, 1, 0]}, results=file)
    assert second[1:] == [first[1] | {"trial": 1}, first[0] | {"trial": 2}]
    assert untimed(second) == untimed(run({"seed": [5, 1, 0]}))


def test_sparse_rows(digits, tmp_path: Path) -> None:
    """A results file tells them from other sparse rows by their checksums."""
    options: dict[str, Any] = COMMON | {"results": tmp_path / "sweep.jsonl"}
    X, y = sparse.csr_array(digits.train_images), digits.train_labels
    [record] = sweep(X, y, {"seed": [1]}, n_jobs=2, **options)
    network = Network([64, 20, 10], input_scale=1 / 16, seed=1)
    assert record["train_cost"] == network.fit(X, y, epochs=2).train_cost[-1]
    assert sweep(X, y, {"seed": [1]}, **options) == [record]
    with pytest.raises(fastnn.FileFormatError, match="of other data"):
        sweep(2 * X, y, {"seed": [1]}, **options)


@pytest.mark.usefixtures("numpy_path")
def test_a_file_is_continued_with_what_pandas_holds_as_objects(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 2, 20)

    def found(rate: float) -> dict[str, Any]:
        X = pandas.DataFrame({"a": rng.random(20) > 2, "b": np.arange(20.0)})
        y, weights = (
            pandas.Series(whole, dtype="Int64"),
            pandas.Series(np.ones(20), dtype="Float64"),
        )
        [record] = sweep(
            X, y, [{"learning_rate": rate, "sample_weight": weights}], sizes=[2, 2], epochs=1,
            results=tmp_path / "r",
        )  # fmt: skip
        return record

    assert found(0.5) == found(0.5)
    assert found(0.5) != found(0.1)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("y", [None, 3, list("abab")])
def test_targets_that_no_file_can_be_for(y: Any, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match="y must h"):
        sweep(np.eye(4), y, {"seed": [0]}, sizes=[4, 2], epochs=1, results=tmp_path / "r")
    weights = [np.array([None] * 4), 1]
    with pytest.raises(ValueError, match=r"sample_weight has array\(\[None"):
        sweep(np.eye(4), [0, 1, 0, 1], {"sample_weight": weights}, sizes=[4, 2], epochs=1,
              results=tmp_path / "r")  # fmt: skip
    assert not (tmp_path / "r").exists()


def test_files_of_something_else_are_refused(run, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    run({"seed": [0]}, results=file)
    before = file.read_bytes()
    with pytest.raises(fastnn.FileFormatError, match="of other data"):
        run({"seed": [1]}, results=file, validation_data=None)
    file.write_bytes(before + b"{}\n")
    with pytest.raises(fastnn.FileFormatError, match="line 3: not a line"):
        run({"seed": [1]}, results=file)
    with pytest.raises(ValueError, match="trials 0 and 2 are the same"):
        run({"seed": [0, 1, 0]}, results=file)
    other = tmp_path / "other"
    other.write_text("hello\n")
    with pytest.raises(fastnn.FileFormatError, match="line 1"):
        run({"seed": [1]}, results=other)
    assert other.read_text() == "hello\n"
    for text in ("hello", json.dumps({"fastnn sweep": 1, "data": "other"})):  # no newline
        other.write_text(text)
        with pytest.raises(fastnn.FileFormatError, match="not a file of a sweep's results"):
            run({"seed": [1]}, results=other)
        assert other.read_text() == text
    other.write_bytes(before.split(b"\n")[0][:9])  # cut off in the first line
    assert len(run({"seed": [0]}, results=other)) == 1
    assert len(other.read_bytes().split(b"\n")) == 3


@pytest.mark.usefixtures("numpy_path", "registered_for_one_test")
def test_trials_of_a_registered_class_that_was_edited_are_trained_again(
    run, tmp_path: Path
) -> None:
    def found(factor: float) -> list[float]:
        class Scaled(fastnn.activations.Sigmoid):
            name = "scaled"

            @staticmethod
            def value(xp: Any, z: Any, by: float = factor) -> Any:
                return by * fastnn.activations.Sigmoid.value(xp, z)

        class Shrunk(fastnn.initializers.Glorot):
            name = "shrunk"

            def weights(self, *arguments: Any, by: float = factor) -> np.ndarray:
                return by * super().weights(*arguments)

        fastnn.register(Scaled)
        fastnn.register(Shrunk)
        trials = [{"activation": ["scaled", "sigmoid"]}, {"initializer": "shrunk"}, {}]
        records = run(trials, results=tmp_path / "r", epochs=1)
        assert records[0]["activation"] == ["scaled", "sigmoid"]
        return [record["seconds"] for record in records]

    first = found(1.0)
    assert found(1.0) == first
    edited = found(0.9)
    assert [a == b for a, b in zip(first, edited, strict=True)] == [False, False, True]


@pytest.mark.usefixtures("numpy_path")
def test_rows_may_be_files_and_numbers_not_finite(digits, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", digits.train_images)
    np.save(tmp_path / "y.npy", digits.train_labels)
    trials = {"learning_rate": [math.nan, 0.5]}
    paths = tmp_path / "X.npy", tmp_path / "y.npy"
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        found = sweep(*paths, trials, validation_data=paths, results=tmp_path / "r", **COMMON)
    assert found[0]["error"].startswith("ValueError")
    assert found[1]["val_accuracy"] > 0.3


# ------------------------------------------------------------------------------------------ halving


def test_halving_keeps_the_best_of_each_rung(run) -> None:
    trials = sample({"learning_rate": LogUniform(0.01, 3)}, 11, seed=4)
    records = run(trials, epochs=7, halving=3, n_jobs=2)
    rungs = [[r for r in records if r["rung"] == rung] for rung in range(2)]
    assert [(len(r), {x["epochs"] for x in r}) for r in rungs] == [(11, {2}), (3, {7})]
    order = sorted(rungs[0], key=lambda r: -r["val_accuracy"])[:3]
    assert [r["trial"] for r in rungs[1]] == sorted(r["trial"] for r in order)
    [alone] = run([trials[rungs[1][0]["trial"]]], epochs=7)
    assert untimed([rungs[1][0]])[0] == untimed([alone | {"rung": 1, "trial": order[0]["trial"]}])[
        0
    ] | {"trial": rungs[1][0]["trial"]}
    assert records.best()["rung"] == 1


def test_halving_goes_on_from_its_file(run, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    options = {"epochs": 4, "halving": 2, "results": file}
    trials = {"learning_rate": [0.01, 0.1, 0.5, 1.0]}
    whole = run(trials, **options)
    assert [r["epochs"] for r in whole] == [1] * 4 + [2] * 2 + [4]
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:6]))
    assert untimed(run(trials, **options)) == untimed(whole)


@pytest.mark.usefixtures("numpy_path")
def test_trials_that_fail_go_no_further(run) -> None:
    trials = {"learning_rate": [1e38, 0.5, 0.1, 1e37]}
    with pytest.warns(RuntimeWarning, match="2 of 4 trials failed; the first, trial 0: Div"):
        records = run(trials, epochs=4, halving=2)
    assert [(r["rung"], r["trial"]) for r in records[4:6]] == [(1, 1), (1, 2)]
    with pytest.warns(RuntimeWarning, match="3 of 4 trials failed"):
        records = run({"learning_rate": [1e38, 1e37, 0.5, 1e36]}, epochs=4, halving=2)
    assert [r["rung"] for r in records] == [0, 0, 0, 0, 1, 2]
    with pytest.raises(ValueError, match="all 2 trials failed"):
        run({"learning_rate": [1e38, 1e37]}, halving=2)


@pytest.mark.usefixtures("numpy_path")
def test_the_best_is_of_an_earlier_rung_if_the_last_one_fails(run, monkeypatch) -> None:
    figures = sweeps._figures

    def fails_later(trial: dict[str, Any], *others: Any, **options: Any) -> dict[str, Any]:
        return {"error": "Trouble"} if trial["epochs"] == 4 else figures(trial, *others, **options)

    monkeypatch.setattr(sweeps, "_figures", fails_later)
    with pytest.warns(RuntimeWarning, match=r"1 of 4 trials failed; the first, trial \d: Trouble"):
        records = run({"learning_rate": [0.01, 0.1, 0.5, 1.0]}, epochs=4, halving=2)
    best, last = records.best(), last_of_each_trial(records)
    assert (best["rung"], best["epochs"]) == (1, 2)
    assert last[0] is best
    assert sorted(r["rung"] for r in last) == [0, 0, 1, 1]
    assert {r["trial"] for r in last} == set(range(4))


# ------------------------------------------------------------------------------------------- errors


def test_a_trial_that_fails_is_recorded_and_tried_again(run, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    trials = {"dropout": [None, 2.0]}
    for _ in range(2):
        with pytest.warns(
            RuntimeWarning, match="1 of 2 trials failed; the first, trial 1: ValueError"
        ):
            records = run(trials, results=file)
        assert records[0]["error"] is None
        assert "dropout must be" in records[1]["error"]
        assert "val_accuracy" not in records[1]
        assert records.best() is records[0]
    assert len(file.read_text().splitlines()) == 4
    with pytest.warns(RuntimeWarning, match="DivergenceError: weights are no longer finite"):
        assert len(run({"learning_rate": [1e38, 0.5]})) == 2
    with pytest.raises(ValueError, match="all 2 trials failed; the first, trial 0: ValueError"):
        run({"dropout": [2.0, 3.0]})


@pytest.mark.parametrize(
    ("trials", "options", "error", "message"),
    [
        ({"learnin_rate": [1]}, {}, ValueError, "did you mean 'learning_rate'"),
        ({"seed": 3}, {}, TypeError, r"'seed' must be a list such as \[3\]"),
        ({"cost": "quadratic"}, {}, TypeError, "'cost' must be a list"),
        ({"seed": []}, {}, ValueError, "at least one"),
        ({"seed": LogUniform(1, 2)}, {}, TypeError, "fastnn.sample draws"),
        ([], {}, ValueError, "at least one"),
        ([3], {}, TypeError, "each trial must be a dict"),
        (3, {}, TypeError, "a grid or a list of dicts"),
        ({"lmbda": [1.0]}, {}, TypeError, "penalty must then be a class"),
        ({"lmbda": [1.0], "penalty": [L1(2)]}, {}, TypeError, "such as fastnn.L1, not L1"),
        ({"seed": [1]}, {"callbacks": []}, ValueError, "a parameter of a trial"),
        ({"seed": [1]}, {"threads": 2}, ValueError, "a parameter of a trial"),
        ({"seed": [1]}, {"halving": 1}, ValueError, "halving must be"),
        ({"epochs": [1, 2]}, {"halving": 2}, ValueError, "the same epochs"),
        ({"seed": [1, 2]}, {"halving": 3}, ValueError, "at least 3 trials, not 2"),
        ({"seed": [1, 2, 3]}, {"halving": 3}, ValueError, "at least 3 epochs, not 2"),
        ({"seed": [1]}, {"halving": 2, "validation_data": None}, ValueError, "validation rows"),
        (
            {"seed": [1]},
            {"halving": 2, "validation_data": None, "validation_fraction": None},
            ValueError,
            "validation rows",
        ),
        ({"seed": [1]}, {"validation_data": 3}, TypeError, "a pair"),
        ({"dtype": ["int8"]}, {}, ValueError, "dtype must be one of"),
        ({"sizes": [5]}, {}, TypeError, "sizes must be a list"),
    ],
)
def test_bad_arguments_are_told_before_any_training(
    trials: Any, options: dict, error: type[Exception], message: str, run, monkeypatch
) -> None:
    monkeypatch.setattr(sweeps, "_figures", None)
    with pytest.raises(error, match=message):
        run(trials, **options)


def test_sizes_and_epochs_are_needed(digits) -> None:
    with pytest.raises(ValueError, match="each trial needs epochs"):
        sweep(*digits[:2], {"seed": [1]}, sizes=[64, 10])
    with pytest.raises(ValueError, match="X must have two dimensions"):
        sweep(digits[0][0], digits[1], {"seed": [1]}, sizes=[64, 10], epochs=1)


# -------------------------------------------------------------------------------- grids and samples


def test_grids() -> None:
    space = {"a": [1, 2], "b": ("x", None)}
    assert grid(space) == list(ParameterGrid(space))
    assert [t["lmbda"] for t in grid({"lmbda": geometric(1, 100, 3)})] == pytest.approx(
        [1, 10, 100]
    )


def test_samples_differ_repeat_and_follow_their_distribution() -> None:
    from scipy import stats

    space = {"rate": LogUniform(0.01, 1), "units": stats.randint(5, 9), "seed": range(3)}
    trials = sample(space, 400, seed=1)
    assert trials == sample(space, 400, seed=1) != sample(space, 400, seed=2)
    rates = np.log10([trial["rate"] for trial in trials])
    assert stats.kstest(rates, "uniform", args=(-2, 2)).pvalue > 1e-3
    assert {trial["units"] for trial in trials} == {5, 6, 7, 8}
    assert type(trials[0]["units"]) is int
    assert len(sample({"seed": range(6)}, 6)) == 6
    with pytest.raises(ValueError, match="6 different trials, and not 7"):
        sample({"seed": range(6)}, 7)


def test_scikit_learns_sampler_is_taken(run) -> None:
    drawn = ParameterSampler({"learning_rate": [0.1, 0.5, 1.0]}, 2, random_state=0)
    assert [r["learning_rate"] for r in run(drawn)] == [t["learning_rate"] for t in drawn]


def test_parameters_in_records_are_what_json_keeps() -> None:
    rate = fastnn.StepDecay(0.5, every=2)
    given = {"a": np.float32(0.5), "b": L1(2.0), "c": (1, None), "d": rate, "e": object, "f": run}
    told = described(given)
    assert json.loads(json.dumps(told)) == told
    assert (told["a"], told["b"], told["c"], told["e"]) == (0.5, repr(L1(2.0)), [1, None], "object")
    assert described(np.arange(3)) != described(np.arange(1, 4))
    assert described(np.array(0.5)) == 0.5


def test_arrays_without_dimensions_are_numbers() -> None:
    """Iterating over a tensor gives such arrays."""
    assert grid({"a": [np.array(0.5), 2]}) == [{"a": 0.5}, {"a": 2}]


# ------------------------------------------------------------------------------- records and output


def test_records_as_tables_and_pictures(run, tmp_path: Path) -> None:
    records = run({"lmbda": [0.1, 1.0, 10.0], "seed": [0, 1]}, penalty=L1)
    records.to_csv(tmp_path / "sweep.csv")
    with open(tmp_path / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_cost"]) for row in rows] == [r["val_cost"] for r in records]
    assert json.loads(rows[0]["sizes"]) == [64, 20, 10]
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = records.plot("lmbda", by="seed", ax=figure.subplots())
    drawn = sorted(float(y) for line in ax.lines[::2] for y in line.get_ydata())
    assert drawn == sorted(r["val_accuracy"] for r in records)
    assert ax.get_xscale() == "log"
    with pytest.raises(ValueError, match="parameter 'rate'"):
        plots.sweep_scores(records, "rate")


def test_to_pandas(run) -> None:
    records = run({"seed": [0]})
    try:
        import pandas  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ImportError, match='pip install "pandas"'):
            records.to_pandas()
    else:
        assert records.to_pandas()["val_accuracy"][0] == records[0]["val_accuracy"]


def test_the_best() -> None:
    known = {"error": None}
    of = Records([known | {"val_accuracy": a} for a in (0.5, None, 0.9, 0.9)])
    assert of.best() is of[2]
    costs = Records([known | {"train_cost": c} for c in (0.5, None, 0.1)] + [{"error": "x"}])
    assert costs.best() is costs[2]
    with pytest.raises(ValueError, match="none of these trials"):
        Records().best()


def test_a_figure_that_is_not_finite_is_none() -> None:
    figures = {"a": math.nan, "b": 1.0, "c": -math.inf, "d": 3, "e": [math.nan, {"f": math.inf}]}
    assert json_safe(figures) == {"a": None, "b": 1.0, "c": None, "d": 3, "e": [None, {"f": None}]}


def test_the_bar_shows_trials_and_the_best(run, capsys) -> None:
    records = run({"seed": [0, 1]}, progress=True)
    descriptions = capsys.readouterr().err
    assert "2/2 trials" in descriptions
    assert f"best score {records.best()['val_accuracy']:.4f}" in descriptions


def test_in_a_process_of_its_own_a_kill_loses_the_running_trials_alone(
    digits, tmp_path: Path
) -> None:
    """Every record is on disk by the time of the SIGKILL, which leaves no time to write."""
    import subprocess

    program = f"""
import os, signal, sys, fastnn
from fastnn import data
d = data.load("digits")
def kill(record):
    if record["trial"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
fastnn.sweep(*d[:2], {{"seed": range(4)}}, results={str(tmp_path / "s")!r}, on_record=kill,
             validation_data=d[2:4], **{COMMON!r})
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment)
    assert ended.returncode < 0
    assert len((tmp_path / "s").read_text().splitlines()) == 3
    options: Any = {"validation_data": digits[2:4], **COMMON}
    went_on = sweep(*digits[:2], {"seed": range(4)}, results=tmp_path / "s", **options)
    assert untimed(went_on) == untimed(sweep(*digits[:2], {"seed": range(4)}, **options))
    assert all(math.isfinite(record["val_cost"]) for record in went_on)


@pytest.mark.usefixtures("numpy_path")
def test_a_file_takes_no_parameters_whose_text_does_not_tell_them_apart(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).random((20, 3)), np.arange(20) % 2
    options: dict[str, Any] = {"sizes": [3, 2], "epochs": 1, "results": tmp_path / "r"}
    for name, value in (("penalty", lambda lmbda: L1(lmbda)), ("seed", np.random.default_rng(1))):
        with pytest.raises(
            ValueError, match=f"their parameters' text, and {name} has (<|Generator)"
        ):
            sweep(X, y, {name: [value]}, **options)
    assert not (tmp_path / "r").exists()
    whole = (100 * X).astype(np.uint8)
    sweep(whole, y, {"seed": [0]}, **options)
    with pytest.raises(fastnn.FileFormatError):
        sweep(whole.astype(np.int8), y, {"seed": [0]}, **options)
