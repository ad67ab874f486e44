"""The engine's own products against BLAS: a whole training step, and the two BLAS products alone.

The layers have `width` inputs, all nonzero, and `width` units. The difference is the most that
numpy's BLAS could save in a large layer. ``gflop`` in the saved results counts the two products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import activations, costs
from fastnn.arrays import Inputs
from fastnn.engine import Training

LAYERS = [(width, m) for width in (128, 512, 1024, 2048) for m in (10, 32, 128, 512)]


@pytest.mark.parametrize("whose", ["fastnn-step", "blas-products"])
@pytest.mark.parametrize(("width", "m"), LAYERS)
def test_layer(
    benchmark: Any, timed: Callable[..., Any], runs_once: bool, width: int, m: int, whose: str
) -> None:
    if runs_once and width * m > 128 * 32:
        pytest.skip("runs once: the smallest are enough")
    n = m * (1 if runs_once else max(1, 4096 // m))
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, width)).astype(np.float32)
    weights = [(rng.standard_normal((width, width)) / width**0.5).astype(np.float32)]
    benchmark.group = f"crossover, width={width}, m={m}"
    if whose == "fastnn-step":
        training = Training(
            weights,
            [np.zeros(width, np.float32)],
            activations=[activations.Sigmoid()],
            cost=costs.CrossEntropy(),
            penalties=[None],
            inputs=Inputs(rows, 1.0),
            targets=rng.integers(0, width, n),
            batch_size=m,
            learning_rate=0.01,
            track_cost=False,
            threads=1,
        )
        run = training.epoch
    else:
        delta, gradient = np.empty((m, width), np.float32), np.empty_like(weights[0])

        def run(order: np.ndarray) -> None:
            for start in range(0, n, m):
                x = rows[start : start + m]
                np.dot(x, weights[0].T, out=delta)
                np.dot(delta.T, x, out=gradient)

    timed(run, lambda: np.arange(n), gflop=4e-9 * n * width**2)
