"""Weights that are no longer finite end a fit; units that only saturate do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import DivergenceError, Network
from fastnn.engine import training
from fastnn.nielsen import network2

RNG = np.random.default_rng(4)
X, Y = RNG.random((60, 12)), RNG.integers(0, 4, 60)


def relu() -> Network:
    units = ["relu", "identity"]
    return Network([12, 9, 4], activation=units, cost="quadratic", dtype="float64", seed=1)


def diverges(network: Network, X, epochs: int = 60, match: str = "finite", **keywords) -> None:
    """Check that the fit diverges and leaves the weights of its last finished epoch."""
    twin = Network(
        network.sizes, activation=network.activations, cost=network.cost, dtype="float64", seed=1
    )
    with pytest.raises(DivergenceError, match=match):
        network.fit(X, Y, epochs=epochs, shuffle=False, **keywords)
    finished = len(network.history.seconds)
    assert finished < epochs
    twin.fit(X, Y, epochs=finished, shuffle=False, **keywords)
    for one, other in zip(
        network.weights + network.biases, twin.weights + twin.biases, strict=True
    ):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_relu_with_a_large_rate() -> None:
    diverges(relu(), X, learning_rate=1e3, match=r"epoch \d+, at batch .* rate 1000;.*smaller")


def test_counts_whose_mean_overflows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    counts = rng.poisson(np.exp(1 + rows[:, 0]))
    for dtype in ("float32", "float64"):
        network = Network([3, 1], activation="exponential", cost="poisson", dtype=dtype, seed=1)
        before = network.weights[0].copy()
        with pytest.raises(DivergenceError):
            network.fit(rows, counts, epochs=3, learning_rate=0.5)
        np.testing.assert_array_equal(network.weights[0], before)


def test_a_norm_that_overflows_is_not_hidden_by_its_limit() -> None:
    diverges(relu(), X * 1e100, learning_rate=0.1, penalty=fastnn.MaxNorm(3.0))


@pytest.mark.usefixtures("numpy_path")
def test_weights_that_are_not_finite_before_training() -> None:
    network = Network([12, 4], seed=1)
    network.biases[0][2] = np.nan
    with pytest.raises(ValueError, match=r"biases\[0\] holds NaN or infinity before training"):
        network.fit(X, Y, epochs=1)


def test_inputs_that_are_too_large() -> None:
    diverges(relu(), X * 1e300, learning_rate=0.1, match="input_scale")


@pytest.mark.filterwarnings("ignore::fastnn.RegularizationWarning")
def test_l2_beyond_what_shrinks() -> None:
    """With lmbda above 2n/eta, every step flips the weights' signs and makes them larger."""
    network = Network([12, 9, 4], dtype="float64", seed=1)
    diverges(network, X, epochs=3000, learning_rate=0.5, penalty=fastnn.L2(2000.0))


def test_saturation_is_not_divergence() -> None:
    network = Network([12, 9, 4], dtype="float64", seed=1)
    network.fit(X, Y, epochs=3, learning_rate=1e6)
    assert np.abs(network.weights[1]).max() > 1e3


def test_training_goes_on_after_divergence() -> None:
    network = relu()
    with pytest.raises(DivergenceError, match="epoch 1,"):
        network.fit(X, Y, epochs=60, learning_rate=1e200)
    assert network.history.seconds == []
    history = network.fit(X, Y, epochs=2, learning_rate=0.01)
    assert np.isfinite(history.train_cost).all()


def test_a_fit_that_was_resumed_within_an_epoch_goes_back_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches of the first epoch succeed; the rows of the others are too large."""
    monkeypatch.setattr(training, "CHUNK_FLOPS", 1)
    path, rows = tmp_path / "run", X.copy()
    rows[20:] *= 1e300
    options = {"epochs": 1, "learning_rate": 0.01, "shuffle": False, "checkpoint": path}
    first = relu()
    with pytest.raises(DivergenceError, match=r"epoch 1, at batch 3 .* as it was after epoch 0"):
        first.fit(rows, Y, checkpoint_seconds=0, **options)
    network = relu()
    with pytest.raises(DivergenceError, match="after batch 2 of epoch 1, where it was resumed"):
        network.fit(rows, Y, resume=True, **options)
    assert np.isfinite(network.weights[0]).all()
    assert (network.weights[0] != first.weights[0]).any()


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.filterwarnings("ignore::fastnn.RegularizationWarning")
def test_the_books_modules_go_on_as_the_books_code_does() -> None:
    network = network2.Network([12, 9, 4])
    pairs = [(x[:, None], np.eye(4)[y][:, None]) for x, y in zip(X, Y, strict=True)]
    network.SGD(pairs, 60, 10, 0.5, lmbda=1e8)
    assert not np.isfinite(network.weights[0]).any()
