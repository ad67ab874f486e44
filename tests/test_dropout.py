"""Dropout: both paths, on any number of threads, against numpy with the same masks; refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastnn import Network, activations, costs
from fastnn.arrays import Inputs
from fastnn.engine import batched, compiled, jit
from fastnn.engine.masks import Masks
from fastnn.engine.problem import Problem

RNG = np.random.default_rng(5)
N, RATES = 45, (0.3, 0.5)
X, Y = RNG.integers(0, 256, (N, 12), dtype=np.uint8), RNG.integers(0, 4, N)


def new(sizes=(12, 40, 21, 4), **keywords) -> Network:
    return Network(sizes, **{"dtype": "float64", "seed": 1, **keywords})


def problem_of(network: Network, batch_size: int, threads: int) -> Problem:
    """Return the problem of training a network of sigmoid units, with the masks of seed 7."""
    return Problem(
        weights=network.weights, biases=network.biases,
        activations=[activations.Sigmoid()] * 3, cost=costs.CrossEntropy(),
        penalties=[None] * 3, inputs=Inputs(X, 1 / 256), targets=Y, batch_size=batch_size,
        learning_rate=0.5, n=N, track_cost=True, threads=threads,
        masks=Masks(RATES, tuple(network.sizes[1:-1]), np.dtype(float), 7),
    )  # fmt: skip


def test_masks() -> None:
    masks = Masks((0.0, 0.2, 0.75), (3, 50, 60), np.dtype("float32"), seed=1)
    drawn = masks.draw(4000)
    assert drawn.dtype == np.float32
    for layer, (units, keep) in enumerate([(3, 1.0), (50, 0.8), (60, 0.25)]):
        part = masks.layer(drawn, layer)
        assert part.shape == (4000, units)
        assert set(np.unique(part)) <= {np.float32(0), np.float32(1 / keep)}
        assert part.mean() == pytest.approx(1, abs=0.02)
        assert part.mean(axis=0) == pytest.approx(1, abs=0.15)
    again = Masks((0.0, 0.2, 0.75), (3, 50, 60), np.dtype("float32"), seed=1)
    pieces = [again.draw(rows) for rows in (1, 999, 3000)]
    np.testing.assert_array_equal(np.concatenate(pieces), drawn)


def by_hand(network: Network, masks: Masks, batch_size: int, rate: float) -> list[np.ndarray]:
    """Train copies of the arrays for one epoch in numpy, with sigmoid units and cross-entropy."""
    weights, biases = [w.copy() for w in network.weights], [b.copy() for b in network.biases]
    for start in range(0, N, batch_size):
        rows = slice(start, start + batch_size)
        layers, slopes = [X[rows] / 256], []
        drawn = masks.draw(len(layers[0]))
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            a = 1 / (1 + np.exp(-(layers[-1] @ w.T + b)))
            if layer < 2:
                mask = masks.layer(drawn, layer)
                slopes.append(a * (1 - a) * mask)
                a = a * mask
            layers.append(a)
        delta = (layers[-1] - np.eye(4)[Y[rows]]) / len(layers[0])
        for layer in (2, 1, 0):
            below = delta @ weights[layer]
            weights[layer] -= rate * delta.T @ layers[layer]
            biases[layer] -= rate * delta.sum(axis=0)
            delta = below * slopes[layer - 1] if layer else delta
    return weights + biases


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize("batch_size", [1, 13, N])
@pytest.mark.parametrize("threads", [1, 2])
def test_both_paths_are_the_algorithm(batch_size: int, threads: int) -> None:
    network, size = new(), (40, 21)
    expected = by_hand(network, Masks(RATES, size, np.dtype(float), 7), batch_size, 0.5)
    for path in (compiled.Path, batched.Path):
        network = new()
        run = path(problem_of(network, batch_size, threads))
        whole = 26 if batch_size == 13 else N  # two calls give the same masks as one
        for rows in (np.arange(whole), np.arange(whole, N)):
            if len(rows):
                run.run(rows)
        run.write_back()
        for came, wanted in zip(network.weights + network.biases, expected, strict=True):
            np.testing.assert_allclose(came, wanted, rtol=0, atol=1e-12)


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_layer_whose_rows_would_be_1_kib_apart(threads: int) -> None:
    """Their pitch is a vector more than their width; so is that of the outputs before the masks."""
    network = new(sizes=[12, 128, 21, 4])
    expected = by_hand(network, Masks(RATES, (128, 21), np.dtype(float), 7), 13, 0.5)
    run = compiled.Path(problem_of(network, 13, threads))
    guarded = np.full(2 * run._unmasked.size, 5.0)
    run._unmasked = guarded[: run._unmasked.size]
    run.run(np.arange(N))
    run.write_back()
    assert (guarded[run._unmasked.size :] == 5).all()
    for came, wanted in zip(network.weights + network.biases, expected, strict=True):
        np.testing.assert_allclose(came, wanted, rtol=0, atol=1e-12)


class Hyperbola(activations.Activation):
    """sqrt(1+z**2); its derivative is computed from a, and would be infinite at a = 0."""

    name = "hyperbola"

    @staticmethod
    def value(xp, z):
        return xp.sqrt(1 + z * z)

    @staticmethod
    def derivative(xp, z, a):
        return z / a


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
def test_the_slope_of_a_dropped_unit_may_be_any_number() -> None:
    found = []
    for kind in (batched.Path, compiled.Path):
        network = new()
        problem = problem_of(network, 13, 1)
        formulas = [Hyperbola(), Hyperbola(), activations.Sigmoid()]
        path = kind(replace(problem, activations=formulas, learning_rate=0.01))
        path.run(np.arange(N))
        path.write_back()
        found.append(network.weights)
    for numpys, kernels in zip(*found, strict=True):
        np.testing.assert_allclose(kernels, numpys, rtol=0, atol=1e-12)


def test_a_rate_of_0_is_none() -> None:
    plain, none = new(), new()
    plain.fit(X, Y, epochs=2)
    none.fit(X, Y, epochs=2, dropout=[0, 0])
    np.testing.assert_array_equal(plain.weights[0], none.weights[0])


def test_the_seed_decides_and_predictions_drop_nothing() -> None:
    networks = [new() for _ in range(3)]
    for network, rate in zip(networks, (0.4, 0.4, [0.4, 0.4]), strict=True):
        network.fit(X, Y, epochs=2, dropout=rate)
        np.testing.assert_array_equal(network.weights[0], networks[0].weights[0])
    plain, of_seed = new(), new()
    of_seed.weights, of_seed.biases = plain.weights, plain.biases
    plain.fit(X, Y, epochs=2)
    assert not np.allclose(plain.weights[0], networks[0].weights[0])
    same_weights = new()
    same_weights.weights, same_weights.biases = networks[0].weights, networks[0].biases
    np.testing.assert_array_equal(networks[0].predict_proba(X), same_weights.predict_proba(X))


@pytest.mark.parametrize(
    ("dropout", "error"),
    [(1, ValueError), (-0.1, ValueError), ([0.5], ValueError), ([0.5, 1.0], ValueError),
     ("0.5", TypeError), ([0.5, None], TypeError)],
)  # fmt: skip
def test_rates_out_of_range(dropout, error) -> None:
    network = new()
    state = network._rng.bit_generator.state
    with pytest.raises(error, match="dropout"):
        network.fit(X, Y, epochs=1, dropout=dropout)
    assert network._rng.bit_generator.state == state


def test_dropout_needs_hidden_units() -> None:
    with pytest.raises(ValueError, match="this network has none"):
        Network([12, 4]).fit(X, Y, epochs=1, dropout=0.5)
