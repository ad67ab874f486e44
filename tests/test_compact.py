"""Compaction removes what no output depends on, and leaves the outputs as they were."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import Network, activations, sparsity

FLOATS = ["float32", "float64"]


def forward(weights, biases, names, X: np.ndarray) -> np.ndarray:
    """Return the network's outputs in float64, with its formulas written out."""
    a = X.astype(np.float64)
    for w, b, name in zip(weights, biases, names, strict=True):
        z = a @ w.T.astype(np.float64) + b
        if name == "sigmoid":
            a = 1 / (1 + np.exp(-z))
        elif name == "tanh":
            a = np.tanh(z)
        elif name == "relu":
            a = np.maximum(z, 0)
        elif name == "softmax":
            a = np.exp(z - z.max(axis=1, keepdims=True))
            a /= a.sum(axis=1, keepdims=True)
        else:  # exactness does not depend on the formula, so the plug-in's is used
            with np.errstate(over="ignore"):
                a = activations.named("activation", name).value(np, z)
    return a


def needless(weights) -> list[tuple[int, int]]:
    """Return (layer, index) of every input and hidden unit that could be removed on its own."""
    found = []
    for layer, w in enumerate(weights):
        for unit in range(w.shape[1]):
            constant = layer > 0 and all(v == 0 for v in weights[layer - 1][unit])
            if w.shape[1] > 1 and (constant or all(v == 0 for v in w[:, unit])):
                found.append((layer, unit))
    return found


def drawn(sizes, zeros: float, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return float64 weights with a share of zeros and some zero rows and columns, and biases."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for inputs, units in itertools.pairwise(sizes):
        w = rng.standard_normal((units, inputs)) * (rng.random((units, inputs)) >= zeros)
        w *= (rng.random((units, 1)) >= zeros / 2) * (rng.random(inputs) >= zeros / 2)
        weights.append(w)
        biases.append(rng.standard_normal(units))
    return weights, biases


def network_of(weights, biases, names, dtype: str = "float64") -> Network:
    sizes = [weights[0].shape[1], *map(len, weights)]
    cost = "log_likelihood" if names[-1] == "softmax" else "quadratic"
    network = Network(sizes, activation=names, cost=cost, dtype=dtype, seed=1, input_scale=1.0)
    network.weights = [w.astype(dtype) for w in weights]
    network.biases = [b.astype(dtype) for b in biases]
    return network


SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=5)
# Without "exponential", which overflows if one such layer follows another.
NAMES = [a.name for a in activations.ALL if a is not activations.Exponential]
HIDDEN = st.sampled_from([name for name in NAMES if name != "softmax"])
OUTPUT = st.sampled_from(NAMES)


@settings(deadline=None, max_examples=200)
@given(SIZES, st.floats(0, 1), st.integers(0, 2**32), st.data())
def test_compact_leaves_the_outputs_and_nothing_needless(sizes, zeros, seed, data) -> None:
    weights, biases = drawn(sizes, zeros, seed)
    names = [data.draw(HIDDEN) for _ in sizes[2:]] + [data.draw(OUTPUT)]
    before = [array.copy() for array in weights + biases]
    left = sparsity.compact(weights, biases, [activations.named("a", name) for name in names])

    for array, then in zip(weights + biases, before, strict=True):
        np.testing.assert_array_equal(array, then)
    X = np.random.default_rng(seed).standard_normal((7, sizes[0]))
    expected = forward(weights, biases, names, X)
    outputs = forward(left.weights, left.biases, names, X[:, left.kept[0]])
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-12)
    assert needless(left.weights) == []
    for w, size, kept in zip(weights, sizes, left.kept, strict=False):
        assert kept.dtype == np.int64
        assert sorted(set(kept.tolist())) == kept.tolist()
        assert 1 <= len(kept) <= size == w.shape[1]
    # The weights between kept units do not change.
    for layer, (w, new) in enumerate(zip(weights, left.weights, strict=True)):
        rows = left.kept[layer + 1] if layer + 1 < len(weights) else np.arange(len(w))
        np.testing.assert_array_equal(new, w[np.ix_(rows, left.kept[layer])])


def emptied(case: str) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
    """Return a network's arrays, and the sizes that compaction should leave."""
    sizes, expected = {
        "nothing to remove": ([5, 4, 3], [5, 4, 3]),
        "one unit everywhere": ([1, 1, 1], [1, 1, 1]),
        "all zero": ([5, 4, 3, 2], [1, 1, 1, 2]),
        "all inputs dead but one": ([5, 4, 3], [1, 4, 3]),
        "all units constant": ([5, 4, 3], [1, 1, 3]),
        "all units unread": ([5, 4, 3], [5, 1, 3]),
        "no hidden layer": ([5, 3], [4, 3]),
        "constants all the way": ([5, 4, 3, 2], [5, 2, 2, 2]),
        "unread all the way": ([5, 4, 3, 2], [3, 2, 2, 2]),
    }[case]
    weights, biases = drawn(sizes, 0, 3)
    if case == "all zero":
        for w in weights:
            w[:] = 0
    elif case == "all inputs dead but one":
        weights[0][:, [0, 1, 3, 4]] = 0
    elif case == "all units constant":
        weights[0][:] = 0
    elif case == "all units unread":
        weights[1][:] = 0
    elif case == "no hidden layer":
        weights[0][:, 2] = -0.0
    elif case == "constants all the way":  # unit 0 of layer 2 sees only constants of layer 1
        weights[0][:2] = 0
        weights[1][0, 2:] = 0
    elif case == "unread all the way":  # two inputs feed two units that feed one unread unit
        weights[2][:, 1] = 0
        weights[1][[0, 2], :2] = 0
        weights[0][2:, 3:] = 0
    return weights, biases, expected


CASES = [
    "nothing to remove", "one unit everywhere", "all zero", "all inputs dead but one",
    "all units constant", "all units unread", "no hidden layer", "constants all the way",
    "unread all the way",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("names", [("tanh", "softmax"), ("relu", "sigmoid"), ("sigmoid", "tanh")])
def test_awkward_arrays(case: str, names) -> None:
    weights, biases, expected = emptied(case)
    names = [names[0]] * (len(weights) - 1) + [names[1]]
    left = sparsity.compact(weights, biases, [activations.named("a", name) for name in names])
    assert [*map(len, left.kept), len(biases[-1])] == expected
    X = np.random.default_rng(1).standard_normal((9, weights[0].shape[1]))
    np.testing.assert_allclose(
        forward(left.weights, left.biases, names, X[:, left.kept[0]]),
        forward(weights, biases, names, X),
        rtol=0,
        atol=1e-14,
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_awkward_networks(case: str, dtype: str) -> None:
    weights, biases, expected = emptied(case)
    network = network_of(weights, biases, ["sigmoid"] * len(weights), dtype)
    assert_compacts(network, expected, 1e-6 if dtype == "float32" else 1e-14)


def test_a_network_of_several_activations() -> None:
    weights, biases, expected = emptied("constants all the way")
    assert_compacts(network_of(weights, biases, ["tanh", "relu", "softmax"]), expected, 1e-14)


def assert_compacts(network: Network, expected: list[int], close: float) -> None:
    """Check that compaction leaves the sizes `expected` and does not change the outputs."""
    sizes, X = network.sizes, np.random.default_rng(1).standard_normal((9, network.n_inputs))
    before = network.predict_proba(X)
    removed = network.compact()
    assert network.sizes == expected
    assert removed == [then - now for then, now in zip(sizes, expected, strict=True)]
    assert network.n_inputs == sizes[0]
    np.testing.assert_allclose(network.predict_proba(X), before, rtol=0, atol=close)
    assert network.compact() == [0] * len(sizes)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_a_constant_output_goes_into_the_next_biases(name: str) -> None:
    """Two units have only zero weights; the second one's bias is below 0, where ReLU is 0."""
    weights = [np.array([[0.0], [0.0], [2.0]]), np.array([[3.0, 5.0, 7.0]])]
    biases = [np.array([0.5, -0.25, 1.0]), np.array([10.0])]
    left = sparsity.compact(weights, biases, [activations.named("a", name)] * 2)
    first, second = {
        "sigmoid": (1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.25))),
        "tanh": (np.tanh(0.5), -np.tanh(0.25)),
        "relu": (0.5, 0.0),
    }[name]
    assert left.biases[1] == pytest.approx([10 + 3 * first + 5 * second], rel=1e-15)
    assert [w.tolist() for w in left.weights] == [[[2.0]], [[7.0]]]
    assert left.biases[0].tolist() == [1.0]
    assert [kept.tolist() for kept in left.kept] == [[0], [2]]


def test_a_saturated_constant_unit() -> None:
    weights = [np.array([[0.0], [1.0]], np.float32), np.ones((1, 2), np.float32)]
    biases = [np.array([-1e30, 0.0], np.float32), np.array([0.5], np.float32)]
    left = sparsity.compact(weights, biases, [activations.Sigmoid()] * 2)
    assert left.biases[1].tolist() == [0.5]
    assert {array.dtype for array in left.weights + left.biases} == {np.dtype(np.float32)}
