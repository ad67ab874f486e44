"""The command line: what it prints, saves and returns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import fastnn
from command_line import QUICK, failure, run, run_json
from fastnn import data, optimizers, penalties
from fastnn.cli.options import OptimizerName, PenaltyName
from fastnn.trainer.checkpoints import read

pytestmark = pytest.mark.cpu_tiles  # as the processes that these tests start

COMMAND = [sys.executable, "-m", "fastnn"]


def test_the_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"{fastnn.__version__}\n")


# ------------------------------------------------------------------------------------- fastnn train


def test_train_prints_every_epoch_and_a_summary() -> None:
    result = run("train", *QUICK)
    assert result.exit_code == 0
    first, *epochs, accuracy, rate, shares = result.stdout.splitlines()
    assert first == "digits: 1,437 training images, 360 held out; network [64, 30, 10], float32"
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    for line in epochs:
        assert "cost " in line
        assert "accuracy " in line
        assert line.endswith(" s")
    assert accuracy.startswith("accuracy ")
    assert "best " in accuracy
    assert "samples/s" in rate
    assert shares.startswith("weights within 0.0001 of zero")
    assert shares.count("%") == 2


def test_train_json(tmp_path: Path, digits: data.Dataset) -> None:
    out = tmp_path / "model.json"
    options = ["--hidden", "20,15", "--hidden", "12", "--dtype", "float64", "--seed", "3"]
    summary = run_json("train", "digits", *QUICK, *options, "--out", out)
    assert summary["sizes"] == [64, 20, 15, 12, 10]
    assert (summary["data"], summary["dtype"], summary["seed"]) == ("digits", "float64", 3)
    history = summary["history"]
    assert {len(series) for series in history.values()} == {2}
    assert summary["accuracy"] == history["val_accuracy"][-1]
    assert summary["best_accuracy"] == max(history["val_accuracy"])
    assert history["val_accuracy"][summary["best_epoch"] - 1] == summary["best_accuracy"]
    assert summary["samples_per_second"] > 0
    assert len(summary["near_zero_share"]) == 4

    saved = fastnn.load(summary["model"])
    assert saved.sizes == summary["sizes"]
    assert saved.accuracy(digits.test_images, digits.test_labels) == summary["accuracy"]


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_standard_stream_may_be_closed(closed: str) -> None:
    code = (
        f"import sys; sys.{closed} = None; from fastnn.cli import app; "
        "app(['train', '--epochs', '1'])"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full device")
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_cannot_be_printed_is_told_in_one_line(option: str) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*COMMAND, option], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("fastnn: [Errno 28]")
    assert ended.stderr.count("\n") == 1


def test_what_cannot_be_written_is_refused_before_training() -> None:
    result = run("train", *QUICK, "--out", "/proc/model.json")
    assert result.exit_code == 1
    assert "/proc/model.json" in result.stderr
    assert "epoch" not in result.stdout


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".json")
    assert run("train", *QUICK, "--out", path).exit_code == 0
    assert fastnn.load(path).sizes == [64, 30, 10]
    assert list(tmp_path.iterdir()) == [path]


def test_the_model_is_told_where_its_picture_cannot_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "model.curves.png").mkdir()
    assert run_json("train", *QUICK, "--out", tmp_path / "model.json")["picture"] is None


def test_train_json_keeps_standard_output_to_the_object() -> None:
    result = run("train", *QUICK, "--json")
    assert len(result.stdout.splitlines()) == 1
    assert "epoch 2/2" in result.stderr
    assert "samples/s" in result.stderr


@pytest.mark.usefixtures("numpy_path")
def test_json_has_one_meaning_in_every_command(tmp_path: Path, model: Path) -> None:
    """It names a file; for standard output, all else goes to standard error."""
    path, images = tmp_path / "told.json", tmp_path / "images.npy"
    np.save(images, np.zeros((3, 64), np.uint8))
    for command in (
        ["train", *QUICK],
        ["path", *QUICK, "--lmbda", "1"],
        ["sweep", *QUICK],
        ["predict", model, images],
    ):
        ways = ([], ["--json", path], ["--json", "-"], ["--json"])
        plain, to_file, printed, without = (run(*command, *to) for to in ways)
        assert {one.exit_code for one in (plain, to_file, printed, without)} == {0}
        assert json.loads(without.stdout).keys() == json.loads(printed.stdout).keys()
        assert to_file.stdout.splitlines()[-1] == f"figures written to {path}"
        [line] = printed.stdout.splitlines()
        assert json.loads(line).keys() == json.loads(path.read_text("utf-8")).keys()
        if command[0] != "predict":
            assert plain.stderr == to_file.stderr == ""
            assert len(printed.stderr.splitlines()) == len(plain.stdout.splitlines())


@pytest.mark.parametrize("command", ["train", "path", "sweep", "profile", "bench"])
def test_a_json_file_that_cannot_be_written_is_refused_at_once(command: str) -> None:
    result = run(command, "--json", "no/such/folder/x.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--json" in result.stderr


def test_json_does_not_take_the_rows_for_its_file(tmp_path: Path) -> None:
    rows = tmp_path / "rows.svm"
    rows.write_text("0 1:1\n")
    result = run("train", "--json", rows)
    assert (result.exit_code, rows.read_text()) == (2, "0 1:1\n")
    assert "a name that ends in .json is expected, not 'rows.svm'" in result.stderr


def test_train_is_fastnn_fit_with_these_options(digits: data.Dataset) -> None:
    options = ["--learning-rate", "0.7", "--penalty", "l1", "--lmbda", "2", "--seed", "5"]
    summary = run_json("train", *QUICK, *options)
    network = fastnn.Network([64, 30, 10], input_scale=1 / 16, seed=5)
    history = network.fit(
        digits.train_images,
        digits.train_labels,
        epochs=2,
        batch_size=50,
        learning_rate=0.7,
        penalty=fastnn.L1(2),
        validation_data=(digits.test_images, digits.test_labels),
    )
    for series in ("train_cost", "val_cost", "val_accuracy"):
        assert summary["history"][series] == getattr(history, series)
    assert summary["near_zero_share"] == [
        np.count_nonzero(np.abs(w) <= 1e-4) / w.size for w in network.weights
    ]


def test_train_reports_a_cost_that_is_not_finite_as_null(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn import trainer

    fit = trainer.fit

    def diverging(*arguments: Any, **options: Any) -> fastnn.History:
        history = fit(*arguments, **options)
        history.train_cost[-1] = float("nan")
        return history

    monkeypatch.setattr(trainer, "fit", diverging)
    assert run_json("train", *QUICK)["history"]["train_cost"][-1] is None


def test_train_draws_the_learning_curves_beside_the_model(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    summary = run_json("train", *QUICK, "--out", tmp_path / "model.json")
    picture = Path(summary["picture"])
    assert picture == tmp_path / "model.curves.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_train_saves_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("train", *QUICK, "--out", tmp_path / "model.json")
    assert result.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert result.stdout.splitlines()[-1] == f"model saved to {tmp_path / 'model.json'}"


def test_defaults_reach_95_percent_on_the_digits_held_out() -> None:
    assert run_json("train")["accuracy"] >= 0.95


def test_mnist_with_the_books_l1_reaches_96_percent(mnist: data.Dataset) -> None:
    """Judge the best epoch of the median seed, as seeds differ by a few tenths of a percent."""
    options = ["--penalty", "l1", "--lmbda", "5", "--learning-rate", "0.5", "--epochs", "30"]
    runs = [run_json("train", "mnist", *options, "--seed", seed) for seed in range(3)]
    assert runs[0]["sizes"] == [784, 30, 10]
    assert sorted(summary["best_accuracy"] for summary in runs)[1] >= 0.96


@pytest.mark.usefixtures("numpy_path")
def test_every_penalty_can_be_chosen() -> None:
    assert get_args(PenaltyName) == tuple(penalty.name for penalty in penalties.ALL)
    told = run_json("train", *QUICK, "--penalty", "l1_proximal", "--lmbda", "0.5")
    assert (told["penalty"], told["lmbda"]) == ("l1_proximal", 0.5)


@pytest.mark.usefixtures("numpy_path")
def test_every_optimizer_can_be_chosen(digits: data.Dataset) -> None:
    assert get_args(OptimizerName) == tuple(optimizer.name for optimizer in optimizers.ALL)
    told = run_json("train", *QUICK, "--optimizer", "adam")
    network = fastnn.Network([64, 30, 10], input_scale=1 / 16, seed=1)
    history = network.fit(
        digits.train_images, digits.train_labels, epochs=2, batch_size=50, optimizer=fastnn.Adam()
    )
    assert told["history"]["train_cost"] == history.train_cost
    assert (told["optimizer"], told["learning_rate"]) == ("adam", 0.001)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["digit"], "'digit' is none of digits, mnist"),
        (["--optimizer", "ftrl", "--penalty", "l1", "--lmbda", "1"], "l1 and an l2 of its own"),
        (["--optimizer", "ftrl", "--learning-rate", "0"], "--learning-rate"),
        (["--hidden", "0"], "--hidden"),
        (["--hidden", "30,,10"], "--hidden"),
        (["--hidden", "-3"], "--hidden"),
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "1.5"], "--epochs"),
        (["--batch-size", "0"], "--batch-size"),
        (["--learning-rate", "-1"], "--learning-rate"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--penalty", "l1", "--lmbda", "inf"], "--lmbda"),
        (["--penalty", "l3", "--lmbda", "1"], "--penalty"),
        (["--penalty", "l1"], "--lmbda"),
        (["--lmbda", "5"], "--penalty"),
        (["--dtype", "float16"], "--dtype"),
        (["--seed", "-1"], "--seed"),
        (["--out", "no/such/folder/model.json"], "--out"),
        (["--resume"], "--checkpoint"),
        (["--checkpoint-seconds", "3"], "--checkpoint"),
        (["--out", "."], "--out"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], reason: str) -> None:
    result = run("train", *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""


def test_missing_data_are_status_1(tmp_path: Path) -> None:
    assert str(tmp_path) in failure(run("train", "mnist", "--data", tmp_path))


def test_ctrl_c_is_status_130_and_one_line() -> None:
    with subprocess.Popen(
        [*COMMAND, "train", "--epochs", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "epoch 1/" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines() == ["fastnn: interrupted"]


def test_sigterm_is_status_143_and_the_checkpoint_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with subprocess.Popen(
        [*COMMAND, "train", "--epochs", "100000", "--checkpoint", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "epoch 2/" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    stopped = read(path).record["position"]["epoch"]
    assert stopped >= 1  # an epoch's line is printed before its checkpoint is written
    again, longer = ["--checkpoint", path, "--resume"], ["--epochs", stopped + 1]
    went_on, never_stopped = run_json("train", *longer, *again), run_json("train", *longer)
    assert went_on["history"]["train_cost"] == never_stopped["history"]["train_cost"]
    assert went_on["seed"] is None
    assert never_stopped["seed"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_a_bar_and_a_file_does_not() -> None:
    import pty

    master, terminal = pty.openpty()
    command = [*COMMAND, "train", *QUICK]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(master, 4096):
                shown += chunk
        except OSError:  # on Linux, this ends the output once the other side is closed
            pass
    os.close(master)
    assert process.returncode == 0
    assert "━".encode() in shown
    for line in (b"epoch 1/2  cost", b"epoch 2/2  cost"):
        assert b"\r\x1b[2K" + line in shown  # above the bar: the bar's line is erased first

    plain = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"epoch 2/2  cost" in plain.stdout
    assert plain.stderr == b""


# ------------------------------------------------------------------------ compiled kernels, or none


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("command", ["warmup", "profile", "bench"])
def test_they_are_refused_at_once_where_nothing_is_compiled(command: str) -> None:
    result = run(command)
    assert "NUMBA_DISABLE_JIT" in failure(result)
    assert result.stdout == ""


def test_two_options_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "one"
    result = run("train", "--epochs", 1, "--out", path, "--checkpoint", path)
    assert (result.exit_code, path.exists()) == (2, False)
    assert "what --checkpoint writes" in " ".join(result.output.replace("│", " ").split())
