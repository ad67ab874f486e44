"""Messages for a user who meant something else, in the terms of the function called."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import fastnn
from command_line import run
from fastnn import FileFormatError
from fastnn.arrays import real_array
from fastnn.nielsen import network2
from fastnn.regularization_path import lambda_path

pytestmark = pytest.mark.usefixtures("numpy_path")

RNG = np.random.default_rng(4)
X, Y = RNG.random((40, 6)), RNG.integers(0, 3, 40)
PAIRS = [(X[i, :, None], network2.vectorized_result(int(Y[i]))[:3]) for i in range(40)]


def test_network2_says_who_reads_another_form(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    fastnn.Network([6, 3], seed=1).save(path)
    with pytest.raises(FileFormatError, match=r"fastnn\.load reads it"):
        network2.load(path)
    path.write_bytes(b"{" + b"\xff" * 10_000)
    with pytest.raises(FileFormatError) as told:
        network2.load(path)
    assert len(str(told.value)) < 300 + len(str(path))


def test_a_path_of_strengths_is_for_classes() -> None:
    network = fastnn.Network([6, 1], activation="identity", cost="mean_squared", seed=1)
    before = network.weights[0].copy()
    with pytest.raises(ValueError, match="lambda_path is for classes"):
        lambda_path(network, X, X[:, 0], [1.0], validation_data=(X, X[:, 0]), epochs=1)
    np.testing.assert_array_equal(network.weights[0], before)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score", "total_cost"])
def test_blocks_are_for_fit(method: str) -> None:
    blocks = fastnn.Blocks([(X, Y)], rows=len(X))
    with pytest.raises(TypeError, match="Blocks are for fit"):
        getattr(fastnn.Network([6, 3], seed=1), method)(blocks)
    with pytest.raises(TypeError, match="Blocks are for fit"):
        fastnn.sweep(blocks, None, {"seed": [1]}, sizes=[6, 3], epochs=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of pipes")
def test_a_matrix_is_not_read_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.npy")
    with pytest.raises(FileFormatError, match="a pipe or a device: write its rows to a file"):
        fastnn.Network([6, 3], seed=1).predict(tmp_path / "rows.npy")


@pytest.mark.filterwarnings("default")
def test_warnings_are_told_in_a_line() -> None:
    result = run("train", "--epochs", 1, "--penalty", "l1", "--lmbda", 3000)
    [line] = result.stderr.splitlines()
    assert result.exit_code == 0
    assert line.startswith("fastnn: warning: one step of the L1 penalty shrinks weights by")


def test_too_many_samples_are_wrong_usage() -> None:
    result = run("sweep", "--samples", 3, "--learning-rate", "0.1", "--epochs", 1)
    assert result.exit_code == 2
    assert "--samples" in result.stderr
    assert "1 different trials" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", ["sigmoid", "sigmoid_prime"])
def test_other_neurons_than_the_books_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network2.Network([6, 3])
    monkeypatch.setattr(network2, name, np.tanh)
    with pytest.raises(TypeError, match=rf"SGD does not call fastnn\.nielsen\.network2\.{name}"):
        network.SGD(list(PAIRS), 1, 10, 0.5)


def test_a_penalty_itself_has_its_own_strength() -> None:
    networks = [network2.Network([6, 4, 3]) for _ in range(2)]
    networks[1].weights = [w.copy() for w in networks[0].weights]
    networks[1].biases = [b.copy() for b in networks[0].biases]
    for network, given in zip(
        networks, ({"lmbda": 0.5, "penalty": "l1"}, {"penalty": fastnn.L1(0.5)}), strict=True
    ):
        network.SGD(list(PAIRS), 0, 10, 0.5, **given)
        network.update_mini_batch(
            PAIRS[:7], 0.5, given.get("lmbda", 0.0), 40, penalty=given["penalty"]
        )
    np.testing.assert_array_equal(networks[0].weights[0], networks[1].weights[0])
    with pytest.raises(ValueError, match="has its own strength"):
        networks[0].SGD(list(PAIRS), 1, 10, 0.5, lmbda=1.0, penalty=fastnn.L1(0.5))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.lil_array])
def test_flags_that_are_taken_for_pixels(form: Any) -> None:
    rows, y = form(np.eye(3, dtype=np.uint8)[np.arange(24) % 3]), np.arange(24) % 3
    with pytest.warns(UserWarning, match=r"is uint8 with no value above 1.*give .*input_scale=1.0"):
        fastnn.Network([3, 3], seed=1).fit(rows, y, epochs=1)
    fastnn.Network([3, 3], seed=1, input_scale=1.0).fit(rows, y, epochs=1)
    for number in (1, 1 / 256, 1 / 255):
        fastnn.Network([3, 3], seed=1).fit(rows * np.float32(number), y, epochs=1)
    fastnn.Network([3, 3], seed=1).fit(rows * np.uint8(2), y, epochs=1)


@pytest.mark.usefixtures("numpy_path")
def test_misfits_are_told_once_for_all_blocks_and_for_all_trials() -> None:
    rows, y = np.eye(3, dtype=np.uint8)[np.arange(12) % 3], np.arange(12) % 3
    trials = {"seed": [0, 1], "dtype": ["float32", "float64"]}
    net = fastnn.Network([3, 1], activation="identity", cost="quadratic", seed=1)
    blocks = [(rows[i : i + 4], y[i : i + 4] + 1) for i in (0, 4, 8)]
    with pytest.warns(UserWarning, match="with no value above 1") as told:
        fastnn.sweep(rows, y, trials, sizes=[3, 3], epochs=2)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=r"with no value above 1|y has values from 1 to") as told:
        net.fit(fastnn.Blocks(blocks, buffer=4), epochs=2, learning_rate=0.1)
    assert [str(one.message)[:1] for one in told] == ["X", "y"]
    assert {one.filename for one in told} == {__file__}


@pytest.mark.parametrize(
    ("activation", "cost", "y", "message"),
    [
        ("sigmoid", "mean_squared", [2.0, 5.0, 3.0], "no unit with the activation 'sigmoid'"),
        ("tanh", "absolute", [-2.0, 0.0, 0.0], "no unit with the activation 'tanh'"),
        ("identity", "quadratic", [2.0, 5.0, 3.0], "give cost='mean_squared' for real targets"),
        ("identity", "mean_squared", [2.0, -5.0, 3.0], None),
        ("softplus", "huber", [2.0, 5.0, 0.0], None),
        ("identity", "absolute", [-350_000.0, 80_000.0, 1e9], None),
        ("relu", "mean_squared", [0.0, 80_000.0, 1e9], None),
        ("sigmoid", "quadratic", [0.0, 1.0, 0.5], None),
        ("tanh", "quadratic", [-1.0, 1.0, 1.0], None),
        ("gelu", "mean_squared", [-0.15, 1.0, 0.5], None),
        ("gelu", "mean_squared", [-0.5, 1.0, 0.5], "no unit with the activation 'gelu'"),
    ],
)
def test_targets_that_no_output_reaches(
    activation: str, cost: str, y: list[float], message: str | None
) -> None:
    net = fastnn.Network([2, 1], activation=activation, cost=cost, seed=1)
    with pytest.warns(UserWarning, match=message) if message else nullcontext():
        net.fit(np.eye(3, 2), y, epochs=1, learning_rate=1e-12)


def test_an_output_that_does_not_go_with_the_cost() -> None:
    with pytest.raises(ValueError, match=r"not 'softmax': give cost='log_likelihood', or one"):
        fastnn.Network([4, 3], activation="softmax")
    with pytest.raises(ValueError, match=r"not 'relu': give cost='quadratic' or .*'relu', 'sigm"):
        fastnn.Network([4, 5, 3], activation="relu")


class Frame:
    """The part of a pandas frame that is used; it has columns of several types."""

    def __init__(self, *kinds: str) -> None:
        self.dtypes, self.ndim = [np.dtype(kind) for kind in kinds], 2

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([[1.5, True], [2.0, False]], object)

    def to_numpy(self, dtype: Any, na_value: float) -> np.ndarray:
        return np.array([[1.5, 1.0], [2.0, na_value]])


def test_frames_of_several_types_and_masked_arrays() -> None:
    np.testing.assert_array_equal(real_array("X", Frame("f8", "?")), [[1.5, 1], [2, np.nan]])
    with pytest.raises(TypeError, match="X must hold real numbers, not dtype object"):
        real_array("X", Frame("f8", "O"))
    masked = np.ma.array([[1.0, 2.0]], mask=[[False, True]])
    with pytest.raises(ValueError, match="X has masked values: leave their rows out"):
        real_array("X", masked)
    np.testing.assert_array_equal(real_array("X", masked.filled(0)), [[1, 0]])


def test_a_checkpoint_is_no_model(tmp_path: Path) -> None:
    fastnn.Network([6, 3], seed=1).fit(X, Y, epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(FileFormatError, match="it is a checkpoint: resume the fit that wrote it"):
        fastnn.load(tmp_path / "run")
