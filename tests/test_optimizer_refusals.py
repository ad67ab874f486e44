"""The optimizers and their numbers that `fit` refuses."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import Network, optimizers

X, Y = np.random.default_rng(8).random((45, 30)), np.arange(45) % 4


class Forgetful(fastnn.Momentum):
    """It does not return what it should remember."""

    name = "forgetful"

    @staticmethod
    def step(xp, w, g, m, *numbers):
        return w - 0.1 * g


BAD = {
    "no memories": (lambda: {"optimizer": Forgetful()}, TypeError, "memories=1 of them"),
    "both": (lambda: {"optimizer": fastnn.Adam(), "learning_rate": 0.1}, ValueError, "not both"),
    "a name": (
        lambda: {"optimizer": "adam"},
        TypeError,
        ", ".join(rf"fastnn\.{o.__name__}\(\)" for o in optimizers.ALL) + ", not 'adam'",
    ),
    "a class": (lambda: {"optimizer": fastnn.Adam}, TypeError, "fastnn.Adam"),
    "rate": (lambda: {"optimizer": fastnn.Adam(-1)}, ValueError, "learning_rate"),
    "rate, not a number": (
        lambda: {"optimizer": fastnn.SGD("fast")},
        TypeError,
        r"learning_rate must be a number or a fastnn\.Schedule, not 'fast' \(str\)",
    ),
    "rate alone": (lambda: {"learning_rate": "0.5"}, TypeError, r"a fastnn\.Schedule, not '0.5'"),
    "momentum": (lambda: {"optimizer": fastnn.Momentum(0.1, 1.0)}, ValueError, "momentum"),
    "beta2": (lambda: {"optimizer": fastnn.Adam(beta2=1)}, ValueError, "beta2"),
    "epsilon": (lambda: {"optimizer": fastnn.RMSprop(epsilon=0)}, ValueError, "epsilon"),
    "decay": (lambda: {"optimizer": fastnn.AdamW(weight_decay=-1)}, ValueError, "weight_decay"),
    "alpha": (lambda: {"optimizer": fastnn.FTRL(0)}, ValueError, "alpha"),
    "l1": (lambda: {"optimizer": fastnn.FTRL(l1=-1)}, ValueError, "l1"),
    "noise": (lambda: {"input_noise": -1}, ValueError, "input_noise"),
}


@pytest.mark.parametrize(("keywords", "error", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(keywords, error, match: str) -> None:
    network = Network([30, 11, 4], seed=3)
    before = network.weights[0].copy()
    with pytest.raises(error, match=match):
        network.fit(X, Y, epochs=1, **keywords())
    np.testing.assert_array_equal(network.weights[0], before)
