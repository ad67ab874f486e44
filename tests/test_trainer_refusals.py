"""What a fit refuses, without changing anything."""

from __future__ import annotations

import numpy as np
import pytest

from comparisons import assert_equal, snapshot
from fastnn import L1, Network

N = 45


def new() -> Network:
    return Network([12, 7, 4], dtype="float64", seed=1)


def with_(X: np.ndarray, row: int, value: float) -> np.ndarray:
    changed = X.astype(np.float64)
    changed[row, 3] = value
    return changed


BAD = {
    "narrow rows": (lambda X, y: {"X": X[:, :11]}, ValueError),
    "one row": (lambda X, y: {"X": X[0]}, ValueError),
    "no rows": (lambda X, y: {"X": X[:0], "y": y[:0]}, ValueError),
    "ragged rows": (lambda X, y: {"X": [*X.tolist()[:-1], [1]]}, ValueError),
    "NaN": (lambda X, y: {"X": with_(X, 44, np.nan)}, ValueError),
    "infinity": (lambda X, y: {"X": with_(X, 0, -np.inf)}, ValueError),
    "text": (lambda X, y: {"X": X.astype(str)}, TypeError),
    "complex": (lambda X, y: {"X": X * 1j}, TypeError),
    "a label too many": (lambda X, y: {"X": X[:-1]}, ValueError),
    "a label of 4": (lambda X, y: {"y": np.where(np.arange(N) == 44, 4, y)}, ValueError),
    "a label of -1": (lambda X, y: {"y": y - 1}, ValueError),
    "a label of 0.5": (lambda X, y: {"y": y / 2}, ValueError),
    "narrow targets": (lambda X, y: {"y": np.eye(3)[y % 3]}, ValueError),
    "targets of NaN": (lambda X, y: {"y": np.full((N, 4), np.nan)}, ValueError),
    "epochs -1": (lambda X, y: {"epochs": -1}, ValueError),
    "epochs 1.5": (lambda X, y: {"epochs": 1.5}, ValueError),
    "epochs of text": (lambda X, y: {"epochs": "3"}, TypeError),
    "shuffle of text": (lambda X, y: {"shuffle": "no"}, TypeError),
    "batch_size 0": (lambda X, y: {"batch_size": 0}, ValueError),
    "batch_size 2.5": (lambda X, y: {"batch_size": 2.5}, ValueError),
    "batch_size None": (lambda X, y: {"batch_size": None}, TypeError),
    "learning_rate -0.1": (lambda X, y: {"learning_rate": -0.1}, ValueError),
    "learning_rate NaN": (lambda X, y: {"learning_rate": float("nan")}, ValueError),
    "learning_rate infinite": (lambda X, y: {"learning_rate": float("inf")}, ValueError),
    "learning_rate of text": (lambda X, y: {"learning_rate": "0.5"}, TypeError),
    "penalty by name": (lambda X, y: {"penalty": "l1"}, TypeError),
    "penalty class": (lambda X, y: {"penalty": L1}, TypeError),
    "validation rows alone": (lambda X, y: {"validation_data": X}, TypeError),
    "validation of three": (lambda X, y: {"validation_data": (X, y, y)}, TypeError),
    "narrow validation rows": (lambda X, y: {"validation_data": (X[:, :3], y)}, ValueError),
    "validation label of 4": (lambda X, y: {"validation_data": (X, y + 1)}, ValueError),
    "no validation rows": (lambda X, y: {"validation_data": (X[:0], y[:0])}, ValueError),
}


@pytest.mark.parametrize(("change", "error"), BAD.values(), ids=BAD)
def test_bad_input_leaves_the_network_untouched(change, error, rows) -> None:
    network = new()
    history = network.fit(*rows, epochs=1)
    before, state = snapshot(network), network._rng.bit_generator.state
    arguments = {"X": rows[0], "y": rows[1], "epochs": 2, "penalty": L1(1.0), **change(*rows)}
    with pytest.raises(error) as caught:
        network.fit(arguments.pop("X"), arguments.pop("y"), **arguments)
    assert type(caught.value) is error
    assert len(str(caught.value)) > 20
    assert ("validation" in str(caught.value)) == ("validation_data" in arguments)
    assert_equal(snapshot(network), before)
    assert network._rng.bit_generator.state == state
    assert network.history is history


def test_rows_without_y_are_refused(rows) -> None:
    with pytest.raises(TypeError, match="y is missing"):
        new().fit(rows[0], epochs=1)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two"])
def test_threads_out_of_range(threads, rows) -> None:
    with pytest.raises((TypeError, ValueError), match="threads must be"):
        Network([rows[0].shape[1], 10], seed=0).fit(*rows, epochs=1, threads=threads)
