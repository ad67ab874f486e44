"""Initializers: the spread of the initial values, and names that are none."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Network, initializers

SPREADS = {  # std of weights times sqrt(inputs), and of biases; 400 inputs, 2000 units
    "book": (1, 1),
    "book_large": (20, 1),
    "glorot": ((2 * 400 / 2400) ** 0.5, 0),
    "he": (2**0.5, 0),
}


@pytest.mark.parametrize("initializer", initializers.ALL, ids=lambda i: i.name)
def test_an_initializer_has_its_spread(initializer) -> None:
    of_weights, of_biases = SPREADS[initializer.name]
    network = Network([400, 2000, 3], initializer=initializer.name, dtype="float64", seed=2)
    w, b = network.weights[0], network.biases[0]
    assert w.std() * 20 == pytest.approx(of_weights, rel=0.01)
    assert w.mean() * 20 / of_weights == pytest.approx(0, abs=0.01)
    assert b.std() == pytest.approx(of_biases, abs=0.05)
    single = Network([400, 2000, 3], initializer=initializer.name, seed=2)
    np.testing.assert_array_equal(single.weights[1], network.weights[1].astype(np.float32))


def test_glorots_weights_are_bounded_and_even() -> None:
    w = Network([400, 2000, 3], initializer="glorot", dtype="float64", seed=2).weights[0]
    bound = (6 / 2400) ** 0.5
    assert np.abs(w).max() == pytest.approx(bound, rel=1e-3)
    assert (np.abs(w) < bound / 2).mean() == pytest.approx(0.5, abs=0.01)


def test_an_unknown_initializer() -> None:
    with pytest.raises(ValueError, match=r"initializer must be one of .* did you mean 'glorot'"):
        Network([2, 2], initializer="glorrot")
