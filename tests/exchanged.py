"""Networks and rows for the tests of exchange with other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import Network, activations, costs

ACTIVATIONS = [activation.name for activation in activations.ALL]
AT_THE_END = ("softmax", "log_softmax", "exponential")  # three layers of exponential overflow
FLOATS = ["float32", "float64"]


def cost_of(output: str) -> str:
    """Return the name of a cost that accepts this output activation."""
    return next(cost.name for cost in reversed(costs.ALL) if output in cost.outputs)


def network(activation: str, dtype: str = "float32", **keywords: Any) -> Network:
    """Return a network with this activation in all layers, or in the last only."""
    hidden = "tanh" if activation in AT_THE_END else activation
    names = [hidden, hidden, activation]
    return Network(
        [7, 6, 5, 4], activation=names, cost=cost_of(activation), dtype=dtype, seed=1, **keywords
    )


def rows(dtype: str = "float64") -> np.ndarray:
    """Return rows for which every activation is evaluated where it is curved."""
    rng = np.random.default_rng(2)
    if dtype == "uint8":
        return rng.integers(0, 256, (50, 7), np.uint8)
    return (rng.standard_normal((50, 7)) * 2).astype(dtype)


def compacted(network: Network) -> Network:
    network.weights[0][:, [0, 3]] = 0
    network.weights[1][:, 2] = 0
    assert network.compact() == [2, 1, 0, 0]
    return network
