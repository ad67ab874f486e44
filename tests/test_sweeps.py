"""Sweeps: a record equals a separate fit, whatever the worker, the order, or an interruption."""

from __future__ import annotations

import csv
import json
import math
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import fastnn
from fastnn import L1, LogUniform, Network, grid, plots, sample, sweep, sweeps
from fastnn.files import json_safe
from fastnn.sweep_records import Records, last_of_each_trial, ranked
from sweep_runs import COMMON, SPACE, run, untimed

pytestmark = pytest.mark.cpu_tiles  # the tiles that other processes use


def test_a_record_is_its_own_fit(digits, expected_records) -> None:
    assert [record["trial"] for record in expected_records] == list(range(8))
    for record, trial in zip(expected_records, grid(SPACE), strict=True):
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
def test_workers_change_nothing(backend: str, expected_records, monkeypatch) -> None:
    """multiprocessing returns results only when all are done, as third-party backends may do."""
    monkeypatch.setattr(sweeps, "TASKS_A_WORKER", 1)  # so that there are several turns
    with joblib.parallel_config(backend, n_jobs=2):
        assert untimed(run()) == expected_records


@pytest.mark.usefixtures("numpy_path")
def test_with_a_generator_all_trials_begin_alike(digits) -> None:
    generator = np.random.default_rng(0)
    trials = [{"batch_size": size} for size in (20, 50, 20)]
    records = sweeps.sweep(*digits[:2], trials, seed=generator, sizes=[64, 10], epochs=1)
    first, _, third = [record["train_cost"] for record in records]
    network = Network([64, 10], seed=np.random.default_rng(0))
    history = network.fit(*digits[:2], epochs=1, batch_size=20)
    assert first == third == history.train_cost[-1]


@pytest.mark.usefixtures("numpy_path")
def test_an_optimizers_class_is_called_with_the_learning_rate(digits) -> None:
    [record] = run({"optimizer": [fastnn.Momentum], "learning_rate": [0.05]})
    assert (record["optimizer"], record["learning_rate"]) == ("Momentum", 0.05)
    network = Network([64, 20, 10], input_scale=1 / 16, seed=0)
    history = network.fit(*digits[:2], epochs=2, optimizer=fastnn.Momentum(0.05))
    assert record["train_cost"] == history.train_cost[-1]
    [record] = run({"optimizer": [fastnn.Adam]})
    assert record["error"] is None


def test_order_changes_nothing(expected_records) -> None:
    backwards = run(grid(SPACE)[::-1], n_jobs=3)
    assert [r | {"trial": 7 - r["trial"]} for r in untimed(backwards)][::-1] == expected_records


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


@pytest.mark.usefixtures("numpy_path")
def test_trials_in_other_threads_end_with_the_sweep(monkeypatch) -> None:
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


# ------------------------------------------------------------------------------------------ halving


def test_halving_keeps_the_best_of_each_rung() -> None:
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


def test_halving_goes_on_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    options = {"epochs": 4, "halving": 2, "results": file}
    trials = {"learning_rate": [0.01, 0.1, 0.5, 1.0]}
    whole = run(trials, **options)
    assert [r["epochs"] for r in whole] == [1] * 4 + [2] * 2 + [4]
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:6]))
    assert untimed(run(trials, **options)) == untimed(whole)


@pytest.mark.usefixtures("numpy_path")
def test_trials_that_fail_go_no_further() -> None:
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
def test_the_best_is_of_an_earlier_rung_if_the_last_one_fails(monkeypatch) -> None:
    figures = sweeps._figures

    def fails_later(trial: dict[str, Any], *others: Any, **options: Any) -> dict[str, Any]:
        return {"error": "Trouble"} if trial["epochs"] == 4 else figures(trial, *others, **options)

    monkeypatch.setattr(sweeps, "_figures", fails_later)
    with pytest.warns(RuntimeWarning, match=r"1 of 4 trials failed; the first, trial \d: Trouble"):
        records = run({"learning_rate": [0.01, 0.1, 0.5, 1.0]}, epochs=4, halving=2)
    best, last = records.best(), last_of_each_trial(records)
    assert (best["rung"], best["epochs"]) == (1, 2)
    assert ranked(last)[0] is best
    assert sorted(r["rung"] for r in last) == [0, 0, 1, 1]
    assert [r["trial"] for r in last] == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------- errors


def test_a_trial_that_fails_is_recorded_and_tried_again(tmp_path: Path) -> None:
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
    trials: Any, options: dict, error: type[Exception], message: str, monkeypatch
) -> None:
    monkeypatch.setattr(sweeps, "_figures", None)
    with pytest.raises(error, match=message):
        run(trials, **options)


def test_sizes_and_epochs_are_needed(digits) -> None:
    with pytest.raises(ValueError, match="each trial needs epochs"):
        sweep(*digits[:2], {"seed": [1]}, sizes=[64, 10])
    with pytest.raises(ValueError, match="X must have two dimensions"):
        sweep(digits[0][0], digits[1], {"seed": [1]}, sizes=[64, 10], epochs=1)


# ------------------------------------------------------------------------------- records and output


def test_records_as_tables_and_pictures(tmp_path: Path) -> None:
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


def test_to_pandas() -> None:
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


def test_the_bar_shows_trials_and_the_best(capsys) -> None:
    records = run({"seed": [0, 1]}, progress=True)
    descriptions = capsys.readouterr().err
    assert "2/2 trials" in descriptions
    assert f"best score {records.best()['val_accuracy']:.4f}" in descriptions
