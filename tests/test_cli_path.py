"""``fastnn path``: what it prints, writes and refuses."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import command_line
import fastnn
from fastnn import data, penalties, regularization_path
from fastnn.cli.path import SparsePenaltyName

run = functools.partial(command_line.run, "path")
QUICK = ["--epochs", "2", "--hidden", "20"]


def figures(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    result = run(*QUICK, *arguments, "--json", tmp_path / "path.json")
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "path.json").read_text("utf-8"))


def parts(digits: data.Dataset) -> tuple[Any, Any]:
    """Return the rows to train on, and those to validate on: every fifth training image."""
    held = np.arange(len(digits.train_images)) % 5 == 0
    return tuple((digits.train_images[p], digits.train_labels[p]) for p in (~held, held))


@pytest.mark.usefixtures("numpy_path")
def test_it_prints_a_line_for_each_strength_and_the_choice() -> None:
    result = run(*QUICK, "--lmbda", "2,0.5")
    assert result.exit_code == 0
    first, *table, chosen = result.stdout.splitlines()
    assert first.startswith(
        "digits: 1,149 training and 288 validation images; network [64, 20, 10]"
    )
    rows = [line.replace("│", " ").split() for line in table if line.startswith("│")]
    assert [row[0] for row in rows] == ["0.5", "2"]
    assert chosen.startswith("chosen: lmbda ")
    assert "of 360 test images" in chosen


@pytest.mark.usefixtures("numpy_path")
def test_long_lines_are_not_folded() -> None:
    result = run("--epochs", "1", "--hidden", "9,9,9,9,9,9,9,9,9,9", "--lmbda", "0.5,2")
    rows = [line for line in result.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == 2
    assert all(len(line) > 80 for line in rows)


@pytest.mark.usefixtures("numpy_path")
def test_ctrl_c_leaves_the_strengths_that_are_done(monkeypatch) -> None:
    whole = regularization_path._step

    def interrupted(network, lmbda, history, validation_data):
        if lmbda > 1:
            raise KeyboardInterrupt
        return whole(network, lmbda, history, validation_data)

    monkeypatch.setattr(regularization_path, "_step", interrupted)
    result = run(*QUICK, "--lmbda", "0.5,2")
    assert result.exit_code == 130
    assert [line.split()[1] for line in result.stdout.splitlines() if "│" in line] == ["0.5"]


@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.Adam(0.003)], ids=["sgd", "adam"])
def test_it_is_lambda_path_with_these_options(
    optimizer: fastnn.Optimizer, tmp_path: Path, digits: data.Dataset
) -> None:
    rows, validation = parts(digits)
    options = ["--optimizer", optimizer.name, "--learning-rate", optimizer.learning_rate]
    options += ["--batch-size", 20, "--seed", 5, "--penalty", "l1_proximal", "--dtype", "float32"]
    told = figures(tmp_path, *options, "--lmbda", "0.5,2", "--threads", 1)
    steps = fastnn.lambda_path(
        fastnn.Network([64, 20, 10], input_scale=1 / 16, seed=5),
        *rows,
        [0.5, 2.0],
        validation_data=validation,
        epochs=2,
        batch_size=20,
        optimizer=optimizer,
    )
    for step, figure in zip(steps, told["steps"], strict=True):
        for name in ("lmbda", "train_cost", "val_cost", "accuracy", "standard_error", "sparsity"):
            assert figure[name] == getattr(step, name)
        assert figure["sizes"] == step.sizes
        assert figure["seconds"] > 0
    chosen = regularization_path.sparsest(steps)
    assert told["chosen_lmbda"] == chosen.lmbda
    assert told["test_accuracy"] == chosen.network.accuracy(*digits[2:4])
    assert (told["data"], told["sizes"], told["penalty"]) == ("digits", [64, 20, 10], "l1_proximal")
    assert (told["optimizer"], told["learning_rate"]) == (optimizer.name, optimizer.learning_rate)
    assert (told["epochs"], told["seed"], told["threads"]) == (2, 5, 1)


def test_every_penalty_that_leaves_zeros_can_be_chosen(monkeypatch) -> None:
    seen = []

    def stop(*arguments: Any, penalty: Any, **options: Any) -> None:
        seen.append(penalty(2.0))
        raise ValueError("seen enough")

    monkeypatch.setattr(regularization_path, "lambda_path", stop)
    for name in get_args(SparsePenaltyName):
        assert run("--penalty", name).exit_code == 1
    assert seen == [penalty(2.0) for penalty in penalties.ALL if penalty.leaves_zeros]


def test_the_strengths_between_two_ends(tmp_path: Path) -> None:
    told = figures(tmp_path, "--lmbda", "0.5:2:3")
    assert [step["lmbda"] for step in told["steps"]] == pytest.approx([0.5, 1, 2])
    told = figures(tmp_path)
    assert [step["lmbda"] for step in told["steps"]] == pytest.approx(np.geomspace(0.1, 10, 9))


def test_the_chosen_network_is_saved_compacted(tmp_path: Path, digits: data.Dataset) -> None:
    told = figures(tmp_path, "--lmbda", "0.5,1,3,6", "--out", tmp_path / "model.json")
    [chosen] = [step for step in told["steps"] if step["lmbda"] == told["chosen_lmbda"]]
    network = fastnn.load(tmp_path / "model.json")
    assert network.sizes == chosen["sizes"]
    assert network.sizes[0] < network.n_inputs == 64
    assert network.accuracy(*digits[2:4]) == pytest.approx(told["test_accuracy"])


@pytest.mark.parametrize("name", ["path.png", "path.svg"])
def test_the_picture(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run(*QUICK, "--lmbda", "1", "--plot", tmp_path / name)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"picture saved to {tmp_path / name}"
    assert (tmp_path / name).read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_two_options_for_one_file(tmp_path: Path) -> None:
    result = run(*QUICK, "--out", tmp_path / "x.json", "--json", tmp_path / "x.json")
    assert result.exit_code == 2
    assert "is what --out writes" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_matplotlib_fails_before_the_training(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("--plot", tmp_path / "path.png")
    assert result.exit_code == 1
    assert "matplotlib" in result.stderr
    assert result.stdout == ""


def test_a_cost_that_is_not_finite_is_null(tmp_path: Path, monkeypatch) -> None:
    whole = regularization_path._step

    def diverged(network, lmbda, history, validation_data):
        history.train_cost[-1] = float("nan")
        return whole(network, lmbda, history, validation_data)

    monkeypatch.setattr(regularization_path, "_step", diverged)
    [step] = figures(tmp_path, "--lmbda", "1")["steps"]
    assert step["train_cost"] is None
    assert step["val_cost"] > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--lmbda", "1,x"], "--lmbda"),
        (["--lmbda", ""], "--lmbda"),
        (["--lmbda", "1,-1"], "--lmbda"),
        (["--lmbda", "1,inf"], "--lmbda"),
        (["--lmbda", "1,nan"], "--lmbda"),
        (["--lmbda", "0.1:10"], "0.1:10:5, not '0.1:10'"),
        (["--lmbda", "0:1:3"], "--lmbda"),
        (["--lmbda", "1:-1:3"], "--lmbda"),
        (["--lmbda", "1:nan:3"], "--lmbda"),
        (["--lmbda", "1:2:0"], "--lmbda"),
        (["--penalty", "none"], "--penalty"),
        (["--penalty", "max_norm"], "--penalty"),
        (["--optimizer", "adam", "--penalty", "truncated_gradient"], "--penalty"),
        (["--optimizer", "ftrl"], "--penalty"),
        (["--learning-rate", "-1"], "--learning-rate"),
        (["--hidden", "0"], "--hidden"),
        (["--epochs", "0"], "--epochs"),
        (["--out", "no/such/folder/model.json"], "--out"),
        (["--json", "no/such/folder/path.json"], "--json"),
        (["--plot", "path.text"], "--plot"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""


def test_mnist_keeps_the_books_validation_images(mnist: data.Dataset, tmp_path: Path) -> None:
    result = run("mnist", "--epochs", "1", "--lmbda", "5", "--json", tmp_path / "path.json")
    assert result.exit_code == 0
    told = json.loads((tmp_path / "path.json").read_text("utf-8"))
    assert (told["training_rows"], told["validation_rows"]) == (50_000, 10_000)
    assert told["test_accuracy"] > 0.9
