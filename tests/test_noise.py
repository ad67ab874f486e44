"""Noise on inputs: what it adds, either path, and its memory."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Network
from fastnn.engine import jit, training
from fastnn.engine.noise import Noise

COLUMNS = 70
RNG = np.random.default_rng(8)
X = (RNG.integers(0, 256, (45, COLUMNS)) * (RNG.random((45, COLUMNS)) < 0.4)).astype(np.uint8)
Y = RNG.integers(0, 4, 45)


def new() -> Network:
    return Network([COLUMNS, 11, 4], dtype="float64", seed=1)


def test_noise_is_added_to_the_scaled_inputs() -> None:
    """The inputs are all 0, so only the noise moves the weights and adds to the cost."""
    network = Network(
        [COLUMNS, 1], activation="identity", cost="mean_squared", dtype="float64", seed=1
    )
    weights, bias = network.weights[0].copy(), network.biases[0][0]
    history = network.fit(
        np.zeros((20_000, COLUMNS)), np.ones(20_000), epochs=1, learning_rate=1e-9,
        input_noise=0.5, shuffle=False,
    )  # fmt: skip
    assert np.abs(network.weights[0] - weights).max() > 0
    # The cost is (1-b-w.noise)**2; its mean contains the variance of w.noise.
    expected = (1 - bias) ** 2 + 0.25 * np.square(weights).sum()
    assert history.train_cost[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
def test_noise_is_the_same_in_either_path(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for on in (True, False):
        monkeypatch.setattr(jit, "is_on", lambda on=on: on)
        network = new()
        network.fit(X, Y, epochs=2, input_noise=0.3, threads=2)
        results.append(network.weights + network.biases)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * np.abs(other).max())


@pytest.mark.usefixtures("numpy_path")
def test_noise_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw, networks = [], Noise.draw, (new(), new())

    def counted(self: Noise, rows: int) -> np.ndarray:
        drawn.append(rows)
        return draw(self, rows)

    networks[0].fit(X, Y, epochs=2, batch_size=5, input_noise=0.3)
    monkeypatch.setattr(Noise, "draw", counted)
    monkeypatch.setattr(training, "NOISE_BYTES", 12 * networks[0].weights[0].shape[1] * 8)
    networks[1].fit(X, Y, epochs=2, batch_size=5, input_noise=0.3)
    assert max(drawn) <= 10
    np.testing.assert_array_equal(networks[0].weights[0], networks[1].weights[0])
