"""svmlight files: labels, columns, errors, and use from the command line."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file
from typer.testing import CliRunner

from fastnn import network, sweep
from fastnn.checks import FileFormatError
from fastnn.cli import app
from fastnn.svmlight import read_svmlight


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return a function that writes a text to a file, gzipped if its name ends in .gz."""

    def write(text: str, name: str = "rows.svm") -> Path:
        path, content = tmp_path / name, text.encode()
        path.write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
        return path

    return write


@pytest.mark.parametrize("name", ["rows.svm", "rows.svm.gz", "ROWS.SVM.GZ"])
def test_rows_and_labels(write: Any, name: str) -> None:
    X, y = read_svmlight(write("# a comment\n-1 1:0.5 4:2 # of a row\n+1 2:-3e1\n-1\n", name))
    assert X.indices.dtype == X.indptr.dtype == np.int32
    assert X.toarray().tolist() == [[0.5, 0, 0, 2], [0, -30, 0, 0], [0, 0, 0, 0]]
    assert (y.tolist(), y.dtype) == ([0, 1, 0], np.int64)
    assert read_svmlight(write("1 1:1\n", name), 7)[0].shape == (1, 7)
    assert read_svmlight(write("1 0:1\n", name), zero_based=True)[0].toarray().tolist() == [[1]]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([1, 1], [1, 1]),  # may be part of a file that has -1 elsewhere
        ([0, 2], [0, 2]),
        ([-1, 1, 2], [-1.0, 1.0, 2.0]),
        ([0.5, 3], [0.5, 3.0]),
    ],
)
def test_what_labels_become(write: Any, labels: list[float], wanted: list[float]) -> None:
    y = read_svmlight(write("".join(f"{label} 1:1\n" for label in labels)))[1]
    assert y.tolist() == wanted
    assert y.dtype == np.asarray(wanted).dtype


@pytest.mark.usefixtures("numpy_path")
def test_labels_of_a_cost_for_real_targets_stay(write: Any) -> None:
    path = write("-1 1:1\n1 2:1\n1 1:1 2:1\n")
    X, y = read_svmlight(path, classes=False)
    assert y.tolist() == [-1, 1, 1]
    options: dict[str, Any] = {"activation": "identity", "cost": "mean_squared", "seed": 1}
    by_path, by_arrays = network.Network([2, 1], **options), network.Network([2, 1], **options)
    by_path.fit(path, epochs=3)
    by_arrays.fit(X, y, epochs=3)
    np.testing.assert_array_equal(by_path.weights[0], by_arrays.weights[0])
    assert by_path.score(path) == by_arrays.score(X, y)
    common = {"sizes": [2, 1], "activation": "identity", "cost": "mean_squared", "epochs": 3}
    [one], [other] = (sweep(*rows, [common]) for rows in ((path, None), (X, y)))
    assert one["train_cost"] == other["train_cost"]


@pytest.mark.parametrize(
    "text", ["1 1:x\n", "1 3\n", "yes 1:1\n", "1 0:1\n", "1 -2:1\n", "1 9:1\n", "1 2:1 1:1\n", ""]
)
def test_damaged_files(write: Any, text: str) -> None:
    with pytest.raises(FileFormatError, match=r"rows\.svm"):
        read_svmlight(write(text), 8)


@pytest.mark.parametrize("name", ["rows.svm", "rows.svm.gz"])
@pytest.mark.parametrize("number", [1, 999, 1000, 1001, 2500])
def test_the_damaged_line_has_its_number(write: Any, name: str, number: int) -> None:
    lines = ["# a comment\n", *["1 1:2 3:4\n"] * 2998]
    lines[number - 1] = "1 3:x\n"
    with pytest.raises(FileFormatError, match=rf"line {number:,} of .*rows\.svm"):
        read_svmlight(write("".join(lines), name))


def test_what_a_compressed_file_holds_has_a_limit(write: Any) -> None:
    path = write("1 1:1\n" * 1000, "rows.svm.gz")
    with pytest.raises(FileFormatError, match=r"more than max_bytes=5,999"):
        read_svmlight(path, max_bytes=5999)
    assert read_svmlight(path, max_bytes=6000)[0].shape == (1000, 1)


def test_indices_from_0_on_are_explained(write: Any) -> None:
    with pytest.raises(FileFormatError, match="zero_based=True"):
        read_svmlight(write("1 0:1\n"))


def test_a_cut_file_and_none(write: Any, tmp_path: Path) -> None:
    path = write("1 1:1\n" * 1000, "rows.svm.gz")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileFormatError, match="svmlight"):
        read_svmlight(path)
    with pytest.raises(FileNotFoundError):
        read_svmlight(tmp_path / "none.svm")


def test_without_scikit_learn(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match="needs sklearn: pip install"):
        read_svmlight(write("1 1:1\n"))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_train_and_predict_on_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    X, path, model = (rng.random((60, 90)) < 0.1) * 1.0, tmp_path / "rows.svm", tmp_path / "m.json"
    y = np.where(X[:, 0] + X[:, 1] > 0, 1, -1)
    for part in (path, tmp_path / "test.svm"):
        dump_svmlight_file(X, y, str(part), zero_based=False)
    given = ["--hidden", "none", "--epochs", 3, "--batch-size", 5, "--json", "-", "--features", 100]
    told = json.loads(run("train", path, *given, "--test", tmp_path / "test.svm", "--out", model))
    assert told["sizes"] == [100, 1]
    found = json.loads(run("predict", model, path, "--json", "-"))["classes"]
    assert np.mean(np.array(found) == (y > 0)) == told["accuracy"]
    assert network.load(model).predict(np.pad(X, [(0, 0), (0, 10)])).tolist() == found
    assert "48 training rows, 12 held out" in run("train", path, "--epochs", 1, "--hidden", "none")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--features", "9"], "svmlight"),
        (["digits", "--test", __file__], "svmlight"),
        (["nowhere.svm"], "nowhere.svm"),
        (["nowhere"], "none of digits, mnist, fashion"),
    ],
)
def test_errors_of_the_command_line(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code != 0
    assert words in " ".join(result.output.replace("│", " ").split())
