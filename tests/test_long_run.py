"""Long runs: memory use stays flat, and step counters stay right."""

from __future__ import annotations

import gc
import math
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import Training

STATUS = Path("/proc/self/status")
MB = 1024  # in kB


def resident() -> int:
    """Return the resident memory of this process, in kB."""
    gc.collect()
    (line,) = (line for line in STATUS.read_text("utf-8").splitlines() if "VmRSS" in line)
    return int(line.split()[1])


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_five_hundred_fits_in_one_process() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (200, 64), dtype=np.uint8), rng.integers(0, 10, 200)
    X[:, ::2] = 0
    before = 0
    for number in range(500):
        network = fastnn.Network([64, 30, 10], seed=number)
        network.fit(X, y, epochs=1, penalty=fastnn.L1(0.01), threads=1 + number % 2)
        if number == 20:
            before = resident()
    assert resident() - before < 5 * MB


def decayed(batches: int) -> tuple[float, Training]:
    """Return an unused column's weight after `batches` deferred L2 steps, and the training."""
    rows, kappa = 10_000, 1e-6
    X = np.zeros((rows, 65), np.uint8)
    X[:, 0] = 1
    w, b = np.ones((1, 65)), np.zeros(1)
    training = Training(
        [w], [b], activations=[Sigmoid()], cost=CrossEntropy(), inputs=Inputs(X, 1.0),
        penalties=[fastnn.L2(1.0)], targets=np.zeros(rows, np.int64), batch_size=1,
        learning_rate=kappa * rows,
    )  # fmt: skip
    for _ in range(batches // rows):
        training.epoch(np.arange(rows))
    return w[0, 64], training


def check_decay(batches: int) -> None:
    weight, training = decayed(batches)
    assert training.state().steps == batches
    assert training.state().total == pytest.approx(batches * 1e-6, rel=1e-9)
    assert weight == pytest.approx(math.exp(batches * math.log1p(-1e-6)), rel=1e-9)


def test_steps_are_counted() -> None:
    check_decay(100_000)


@pytest.mark.long
def test_ten_million_batches() -> None:
    check_decay(10_000_000)
