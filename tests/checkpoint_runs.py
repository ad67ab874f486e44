"""Runs with checkpoints that are stopped, and the comparison of what they have made."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import L1, Network, TruncatedGradient
from fastnn.engine import training
from fastnn.engine.draws import plain

RNG = np.random.default_rng(11)
N, COLUMNS = 45, 70
X = (RNG.integers(0, 256, (N, COLUMNS)) * (RNG.random((N, COLUMNS)) < 0.4)).astype(np.uint8)
X[:, -3:] = 0
Y = RNG.integers(0, 4, N)

SETTINGS = {
    "adam": {"optimizer": fastnn.Adam(fastnn.CosineDecay(0.01)), "penalty": fastnn.L2(1.0)},
    "cumulative": {"penalty": L1(2.0, method="cumulative"), "shuffle": False},
    "truncated, weights of rows": {
        "penalty": TruncatedGradient(2.0, every=7), "sample_weight": np.arange(N) + 1.0
    },
    "dropout and noise": {"dropout": 0.3, "input_noise": 0.1},
    "early stopping": {
        "validation_fraction": 0.3, "early_stopping": 2, "learning_rate": fastnn.HalveOnPlateau(0.5)
    },
    "compacting": {"penalty": fastnn.GroupLasso(4.0), "compact_every": 2, "learning_rate": 0.2},
}  # fmt: skip


def new(seed: int = 1) -> Network:
    return Network([COLUMNS, 9, 4], dtype="float64", seed=seed)


def stopped_after(batches: int, network: Network, path: Path, **keywords) -> bool:
    """Resume a fit and interrupt it after `batches` batches; return whether it ended before."""
    run, done = training.Training.is_finite, []

    def counting(self) -> bool:
        done.append(0)
        if len(done) == batches:
            signal.raise_signal(signal.SIGINT)
        return run(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Training, "is_finite", counting)
        try:
            network.fit(X, Y, checkpoint=path, resume=True, **keywords)
        except KeyboardInterrupt:
            return False
    return True


def without_time(history: fastnn.History) -> dict:
    series = history.to_dict() | {"best": history.best_epoch}
    return {name: values for name, values in series.items() if name != "seconds"}


def assert_same(network: Network, expected: Network) -> None:
    assert network.sizes == expected.sizes
    arrays = zip(network.weights + network.biases, expected.weights + expected.biases, strict=True)
    for one, other in arrays:
        np.testing.assert_array_equal(one, other)
    assert without_time(network.history) == without_time(expected.history)
    one, other = (plain(n._rng.bit_generator.state) for n in (network, expected))
    assert one == other
