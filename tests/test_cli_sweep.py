"""``fastnn sweep``: what it prints, writes and refuses."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import command_line
import fastnn
from fastnn import data, sweeps
from fastnn.cli import app
from fastnn.cli.rows import named_rows

run = functools.partial(command_line.run, "sweep")
QUICK = ["--epochs", "2", "--hidden", "20", "--jobs", "2"]


def good(*arguments: object) -> list[str]:
    result = run(*QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.usefixtures("numpy_path")
def test_it_is_sweep_with_these_options(tmp_path: Path, digits: data.Dataset) -> None:
    files = {name: tmp_path / f"sweep.{name}" for name in ("csv", "jsonl", "json", "png")}
    lines = good(
        "--learning-rate", "0.1,0.5", "--penalty", "l1,l2", "--lmbda", "0.1:10:3", "--seed", 4,
        "--batch-size", 20, "--csv", files["csv"], "--results", files["jsonl"],
        "--out", files["json"], "--plot", files["png"],
    )  # fmt: skip
    assert "1,149 training and 288 validation images; 12 trials, 2 at a time" in lines[0]
    rows, validation = named_rows("digits", None, None, None).validation()
    common = {"sizes": [64, 20, 10], "epochs": 2, "batch_size": 20, "input_scale": 1 / 16}
    space = {
        "learning_rate": [0.1, 0.5], "penalty": [fastnn.L1, fastnn.L2], "lmbda": [0.1, 1.0, 10.0],
    }  # fmt: skip
    options = common | {"seed": 4, "dtype": "float32"}
    records = fastnn.sweep(*rows, space, validation_data=validation, **options)
    told = [json.loads(line)["figures"] for line in files["jsonl"].read_text().splitlines()[1:]]
    assert {f["val_cost"] for f in told} == {r["val_cost"] for r in records}
    best = records.best()
    shown = [line.split() for line in lines if line.strip()[:2].strip().isdecimal()]
    assert len(shown) == 10
    assert int(shown[0][0]) == best["trial"]
    assert f"{100 * best['val_accuracy']:.2f}" in shown[0]
    saved, again = fastnn.load(files["json"]), options | fastnn.grid(space)[best["trial"]]
    network, _ = sweeps.train(again, *rows)
    assert all(map(np.array_equal, saved.weights, network.weights))
    assert f"{100 * saved.accuracy(*digits[2:4]):.2f} % are right" in lines[-1]
    assert len(files["csv"].read_text().splitlines()) == 13
    assert files["png"].stat().st_size > 1000
    good("--learning-rate", "0.1,0.5", "--penalty", "l1,l2", "--lmbda", "0.1:10:3", "--seed", 4,
         "--batch-size", 20, "--results", files["jsonl"])  # fmt: skip
    assert len(files["jsonl"].read_text().splitlines()) == 13  # nothing was left to train


def test_samples_halving_and_several_architectures(tmp_path: Path) -> None:
    file = tmp_path / "sweep.csv"
    good("--samples", 6, "--learning-rate", "0.01:1", "--hidden", "10,5", "--halving", 2, "--csv",
         file, "--json", tmp_path / "sweep.json")  # fmt: skip
    header, *rows = file.read_text().splitlines()
    assert "rung" in header.split(",")
    assert len(rows) == 6 + 3
    assert '"[64, 10, 5, 10]"' in "".join(rows)
    assert '"[64, 20, 10]"' in "".join(rows)
    told = json.loads((tmp_path / "sweep.json").read_text("utf-8"))
    assert (told["data"], told["training_rows"], told["validation_rows"]) == ("digits", 1149, 288)
    assert [f"{record['trial']}" for record in told["records"]] == [
        row.split(",")[0] for row in rows
    ]


@pytest.mark.usefixtures("numpy_path")
def test_several_optimizers(tmp_path: Path, digits: data.Dataset) -> None:
    """Each has its own rate unless rates are given."""
    rows, validation = named_rows("digits", None, None, None).validation()
    options = {"sizes": [64, 20, 10], "epochs": 2, "input_scale": 1 / 16, "seed": 1}
    for rates in ([], [0.01, 0.02]):
        space = {"optimizer": [fastnn.SGD, fastnn.Adam]} | (
            {"learning_rate": rates} if rates else {}
        )
        records = fastnn.sweep(*rows, space, validation_data=validation, **options)
        given = ["--learning-rate", "0.01,0.02"] if rates else []
        lines = good("--optimizer", "sgd,adam", *given, "--json", tmp_path / "told.json")
        told = json.loads((tmp_path / "told.json").read_text("utf-8"))["records"]
        assert sorted(r["val_cost"] for r in told) == sorted(r["val_cost"] for r in records)
        assert {r["optimizer"] for r in told} == {"SGD", "Adam"}
        assert "optimizer" in "".join(lines)


@pytest.mark.usefixtures("numpy_path")
def test_with_halving_those_that_came_furthest_stand_first() -> None:
    """Each trial is listed once, at its last rung; there are no more jobs than trials."""
    lines = good("--learning-rate", "0.02,0.05,0.1,1", "--halving", 2, "--jobs", 99)
    assert "4 trials, 4 at a time" in lines[0]
    table = [line.split() for line in lines if line.strip()[:1].isdigit()][-4:]
    assert sorted(int(row[0]) for row in table) == [0, 1, 2, 3]
    assert [row[2] for row in table] == ["2", "2", "1", "1"]


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.filterwarnings("ignore:1 of 2 trials failed:RuntimeWarning")
def test_of_a_trial_its_last_rung_is_drawn_and_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[fastnn.sweep_records.Records] = []
    trained: list[int] = []
    figures, train = sweeps._figures, sweeps.train

    def fails_later(trial: dict[str, Any], *others: Any, **options: Any) -> dict[str, Any]:
        return {"error": "Trouble"} if trial["epochs"] == 2 else figures(trial, *others, **options)

    def noted(trial: dict[str, Any], *rows: Any, **options: Any) -> Any:
        trained.append(trial["epochs"])
        return train(trial, *rows, **options)

    monkeypatch.setattr(sweeps, "_figures", fails_later)
    monkeypatch.setattr(sweeps, "train", noted)
    plot = fastnn.sweep_records.Records.plot
    monkeypatch.setattr(
        fastnn.sweep_records.Records,
        "plot",
        lambda records, *a, **k: drawn.append(records) or plot(records, *a, **k),
    )
    good("--learning-rate", "0.1,0.5", "--halving", 2, "--plot", tmp_path / "sweep.png",
         "--out", tmp_path / "best.json")  # fmt: skip
    assert trained == [1, 1, 1]
    assert sorted(record["trial"] for record in drawn[0]) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "fast"], "--learning-rate: numbers above 0 are expected"),
        (["--learning-rate", "nan"], "--learning-rate: numbers above 0 are expected"),
        (["--learning-rate", "0.1:1"], "0.1:10:5 for a grid"),
        (["--learning-rate", "0.1:1:3", "--samples", 2], "0.1:10 for --samples"),
        (["--batch-size", "1.5"], "whole numbers of at least 1 are expected"),
        (["--batch-size", "10,0"], "whole numbers of at least 1 are expected"),
        (["--seed", "-1"], "whole numbers of at least 0 are expected"),
        (["--penalty", "l1, max_norm", "--lmbda", "1,0"], "--lmbda: limit must be"),
        (["--lmbda", "1"], "it needs a --penalty"),
        (["--penalty", "l1"], "l1 needs a strength, --lmbda"),
        (["--penalty", "l3", "--lmbda", "1"], "not 'l3'"),
        (["--optimizer", "sgd,adm"], "did you mean 'adam'"),
        (["--optimizer", "sgd,ftrl", "--penalty", "l1", "--lmbda", "1"], "an l2 of its own"),
        (["--sample-seed", 1], "it needs --samples"),
        (["--hidden", "x"], "whole numbers above 0"),
        (["--plot", "picture.txt"], "one of the endings"),
    ],
)
def test_wrong_usage(arguments: list[object], message: str) -> None:
    result = run(*QUICK, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.usefixtures("numpy_path")
def test_some_rows_must_be_left_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "two.svm").write_text("1 1:0.5\n0 2:1\n")
    result = run(tmp_path / "two.svm")
    assert result.exit_code == 1
    assert "too few rows" in result.stderr


def test_rows_of_an_svmlight_file(tmp_path: Path) -> None:
    """Two classes take one output unit; the test rows are a file's, or every fifth row."""
    rng, files = np.random.default_rng(0), [tmp_path / "rows.svm", tmp_path / "test.svm"]
    for file, count in zip(files, (100, 30), strict=True):
        X = rng.random((count, 6)) * (rng.random((count, 6)) < 0.5)
        lines = [
            f"{1 if row[0] > row[1] else -1} "
            + " ".join(f"{j + 1}:{v}" for j, v in enumerate(row) if v)
            for row in X
        ]
        file.write_text("\n".join(lines) + "\n")
    out, figures = tmp_path / "best.safetensors", tmp_path / "figures.json"
    more = ["--features", "7", "--out", out, "--json", figures]
    lines = good(files[0], "--learning-rate", "0.5,1", *more)
    assert "64 training and 16 validation rows; 2 trials" in lines[0]
    told = json.loads(figures.read_text())
    assert told["model"] == str(out)
    assert f"of 20 test rows {100 * told['test_accuracy']:.2f} % are right" in lines[-2]
    assert fastnn.load(out).sizes == [7, 20, 1]
    lines = good(files[0], "--learning-rate", "0.5,1", "--test", files[1], "--out", out)
    assert "80 training and 20 validation rows; 2 trials" in lines[0]
    assert "of 30 test rows" in lines[-1]
    result = CliRunner().invoke(
        app, ["path", str(files[0]), "--epochs", "2", "--lmbda", "0.005,0.01"]
    )
    assert result.exit_code == 0, result.output
    assert "64 training and 16 validation rows; network [6, 30, 1]" in result.stdout
    for command in ("train", "path", "sweep"):
        for read in files:
            arguments = [command, files[0], "--test", files[1], "--out", read]
            result = CliRunner().invoke(app, [str(one) for one in arguments])
            assert result.exit_code == 2
            assert "is what this command reads" in result.stderr.replace("\n", " ")
    files[1].write_text("1 9:1\n")  # a column that no training row has
    result = CliRunner().invoke(app, ["train", str(files[0]), "--test", str(files[1])])
    assert "--features on the command line" in result.stderr
    files[1].write_text("2 1:1\n")  # a class that no training row has
    for command in ("train", "path", "sweep"):
        result = CliRunner().invoke(app, [command, str(files[0]), "--test", str(files[1])])
        assert result.exit_code == 1
        assert "have the class 2, and those to train on only classes up to 1" in result.stderr
    refused = run("digits", "--test", files[1])
    assert refused.exit_code == 2
    assert "is for svmlight files" in refused.output
