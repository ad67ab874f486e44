"""The files of a sweep's results: a sweep goes on from its own, and refuses those of others."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import fastnn
from fastnn import L1, Network, sweep, sweeps
from sweep_runs import COMMON, run, untimed

pytestmark = pytest.mark.cpu_tiles  # the tiles that other processes use


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sweep_cut_off_goes_on_and_ends_the_same(
    jobs: int, expected_records, monkeypatch, tmp_path: Path
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
    assert untimed(run(results=file, n_jobs=jobs)) == expected_records
    assert len(trained) == 8 - kept
    assert len(file.read_text().splitlines()) == 9


def test_a_larger_grid_trains_what_is_new(tmp_path: Path) -> None:
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


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
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
def test_trials_of_a_registered_class_that_was_edited_are_trained_again(tmp_path: Path) -> None:
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
