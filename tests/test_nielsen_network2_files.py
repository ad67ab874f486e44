"""The files of the book's second program."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from book_networks import SIZES, Pairs, seeded
from comparisons import assert_equal, snapshot
from fastnn.checks import FileFormatError
from fastnn.nielsen import network2


@pytest.fixture
def net() -> network2.Network:
    return seeded(network2.Network)


@pytest.mark.parametrize(
    "cost", [network2.QuadraticCost, network2.CrossEntropyCost, network2.QuadraticCost()]
)
def test_save_and_load(tmp_path: Path, training_pairs: Pairs, cost: Any) -> None:
    net = network2.Network(SIZES, cost)
    net.SGD(training_pairs, 1, 10, 0.5)
    path = tmp_path / "net.json"
    net.save(str(path))
    name = (cost if isinstance(cost, type) else type(cost)).__name__
    assert json.loads(path.read_text()) == {
        "sizes": SIZES,
        "weights": [w.tolist() for w in net.weights],
        "biases": [b.tolist() for b in net.biases],
        "cost": name,
    }
    loaded = network2.load(path)
    assert type(loaded) is network2.Network
    assert (loaded.sizes, loaded.cost) == (SIZES, getattr(network2, name))
    assert_equal(snapshot(loaded), snapshot(net))
    assert loaded.weights[0].dtype == np.float64
    loaded.SGD(training_pairs, 1, 10, 0.5)


def test_load_draws_as_the_books_load_does(net: network2.Network, tmp_path: Path) -> None:
    net.save(tmp_path / "net.json")
    np.random.seed(9)
    network2.Network(SIZES)
    expected = np.random.random()
    np.random.seed(9)
    network2.load(tmp_path / "net.json")
    assert np.random.random() == expected


@pytest.mark.parametrize(
    "change",
    [
        {"cost": "Network"},
        {"cost": "json"},
        {"cost": None},
        {"sizes": [64, 12]},
        {"sizes": [10**9, 10**9, 10]},
        {"sizes": "64"},
        {"weights": []},
        {"weights": "x"},
        {"biases": [[1.0], [2.0]]},
        {"biases": [[["x"]] * 12, [["x"]] * 10]},
    ],
    ids=str,
)
def test_a_file_that_is_no_network(
    net: network2.Network, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "net.json"
    net.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FileFormatError, match=r"net\.json is not a network of network2"):
        network2.load(path)


@pytest.mark.parametrize(
    "number", ["NaN", "1e999", "null", '"1.5"', "true", "1" * 400], ids=lambda text: text[:8]
)
@pytest.mark.parametrize("name", ["weights", "biases"])
def test_what_is_no_number_is_refused(tmp_path: Path, name: str, number: str) -> None:
    path = tmp_path / "net.json"
    arrays = {"weights": "[[[0.5]]]", "biases": "[[[0.5]]]"} | {name: f"[[[{number}]]]"}
    path.write_text(
        f'{{"sizes": [1, 1], "weights": {arrays["weights"]}, "biases": {arrays["biases"]}, '
        '"cost": "QuadraticCost"}'
    )
    with pytest.raises(FileFormatError, match=r"net\.json is not a network of network2"):
        network2.load(path)


def test_a_float32_network_is_loaded_as_float64(tmp_path: Path) -> None:
    narrow = network2.Network(SIZES, dtype="float32")
    narrow.save(tmp_path / "net.json")
    loaded = network2.load(tmp_path / "net.json")
    assert loaded.dtype == loaded.weights[0].dtype == np.float64
    assert_equal(snapshot(loaded), snapshot(narrow))


def test_what_load_would_refuse_is_not_saved(net: network2.Network, tmp_path: Path) -> None:
    net.biases[1][0] = math.nan
    with pytest.raises(ValueError, match=r"biases\[1\] holds NaN or infinity"):
        net.save(tmp_path / "net.json")
    assert not (tmp_path / "net.json").exists()


def test_the_largest_file(net: network2.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    net.save(path)
    size = path.stat().st_size
    network2.load(path, max_bytes=size)
    with pytest.raises(FileFormatError, match=f"larger than max_bytes={size - 1:,}"):
        network2.load(path, max_bytes=size - 1)
    with pytest.raises(ValueError, match="max_bytes must be a whole number"):
        network2.load(path, max_bytes=0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json_object(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"net\.json is not a network of network2"):
        network2.load(path)
