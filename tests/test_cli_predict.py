"""``fastnn predict``: what it prints, and the models and rows that it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from command_line import failure, run, run_json
from fastnn import data
from idx_files import write_idx

pytestmark = pytest.mark.cpu_tiles  # as the other tests of the command line


@pytest.mark.parametrize("name", ["images", "images.gz", "images.npy", "flat.npy"])
def test_predict(name: str, tmp_path: Path, model: Path, digits: data.Dataset) -> None:
    path = tmp_path / name
    images = digits.test_images[:20]
    if name == "flat.npy":
        np.save(path, images)
    elif path.suffix == ".npy":
        np.save(path, images.reshape(-1, *digits.shape))
    else:
        write_idx(path, images.reshape(-1, *digits.shape))
    expected = fastnn.load(model).predict(images).tolist()

    result = run("predict", model, path)
    assert result.exit_code == 0
    assert [int(line) for line in result.stdout.splitlines()] == expected
    assert run_json("predict", model, path)["classes"] == expected


def test_predict_says_what_is_wrong(tmp_path: Path, model: Path, digits: data.Dataset) -> None:
    images = tmp_path / "images.npy"
    np.save(images, digits.test_images[:3])
    assert "missing.json" in failure(run("predict", tmp_path / "missing.json", images))
    assert "missing.npy" in failure(run("predict", model, tmp_path / "missing.npy"))
    assert "images.npy" in failure(run("predict", images, images))  # not a model
    assert "digits.json" in failure(run("predict", model, model))  # not images
    result = run("predict", model, images, "--json", model)
    assert result.exit_code == 2
    assert f"{model.name} is what this command reads" in result.stderr.replace("\n", "")
    np.save(images, digits.test_images[:3, :50])
    assert "64" in failure(run("predict", model, images))


def test_predict_unpickles_nothing(tmp_path: Path, model: Path) -> None:
    path, marker = tmp_path / "objects.npy", tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    np.save(path, np.array([[Payload()]], dtype=object), allow_pickle=True)
    failure(run("predict", model, path))
    assert not marker.exists()


def test_predict_does_not_believe_a_header(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "huge.npy"
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 64)
    failure(run("predict", model, path))
    path.write_bytes(b"\x93NUMPY")
    failure(run("predict", model, path))


@pytest.mark.usefixtures("numpy_path")
def test_predict_prints_labels_and_values_too(tmp_path: Path) -> None:
    X = np.random.default_rng(4).random((40, 6))
    rows = tmp_path / "rows.npy"
    np.save(rows, X)
    labels = fastnn.Network([6, 3], multilabel=True, seed=1)
    values = fastnn.Network([6, 1], activation="identity", cost="mean_squared", seed=1)
    for network, name in ((labels, "labels.json"), (values, "values.json")):
        network.save(tmp_path / name)
        said = network.predict(X)
        result = run("predict", tmp_path / name, rows)
        found = np.array([line.split() for line in result.stdout.splitlines()], float)
        np.testing.assert_allclose(found, said.reshape(len(X), -1))
        assert '"predictions"' in run("predict", tmp_path / name, rows, "--json", "-").stdout
