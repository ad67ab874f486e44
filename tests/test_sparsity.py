"""Exact zeros: counting them, making them, and removing the dead part of a network."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
from fastnn import Network, activations, sparsity
from fastnn.nielsen import network2

FLOATS = ["float32", "float64"]


# ------------------------------------------------------------------------------------- the oracle


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


# ---------------------------------------------------------------------------------------- compact

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


# ------------------------------------------------------------------------------- counts and prunes


def test_sparsity_counts_exact_zeros() -> None:
    network = network_of(*drawn([4, 3, 2], 0, 1), ["tanh", "tanh"])
    assert network.sparsity() == [0.0, 0.0]
    network.weights[0][0] = 0
    network.weights[1][0, :2] = -0.0
    network.weights[1][1, 0] = 1e-300
    assert network.sparsity() == pytest.approx([4 / 12, 2 / 6])
    assert all(type(share) is float for share in network.sparsity())


@pytest.mark.parametrize("dtype", FLOATS)
def test_prune(dtype: str) -> None:
    network = Network([3, 2, 1], dtype=dtype, seed=1)
    network.weights[0][:] = [[0.5, -0.25, 0.0], [0.1, -0.1, 3.0]]
    network.weights[1][:] = [[-0.0, 0.2]]
    arrays, biases = list(network.weights), [b.copy() for b in network.biases]
    assert network.prune(0) == 0
    assert network.prune(0.1) == 2  # a weight equal to the threshold goes; zeros do not count
    assert network.weights[0].tolist() == [[0.5, -0.25, 0.0], [0.0, 0.0, 3.0]]
    assert network.prune(0.3) == 2
    assert network.prune(1e300) == 2
    assert network.sparsity() == [1.0, 1.0]
    for array, now in zip(arrays, network.weights, strict=True):
        assert array is now
    for then, now in zip(biases, network.biases, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("threshold", "error"),
    [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("0", TypeError),
     (None, TypeError), (True, TypeError)],
)  # fmt: skip
def test_bad_thresholds(threshold, error) -> None:
    network = Network([3, 2], seed=1)
    before = network.weights[0].copy()
    with pytest.raises(error, match="threshold must be"):
        network.prune(threshold)
    np.testing.assert_array_equal(network.weights[0], before)


# ------------------------------------------------------------------------------ compacted networks


def sparse_digits(digits, dtype: str = "float64") -> Network:
    """Return a network for the digits, trained in float32 and pruned, with much to compact."""
    single, network = (
        Network([64, 30, 10], dtype=d, input_scale=digits.input_scale, seed=1)
        for d in ("float32", dtype)
    )
    single.fit(
        digits.train_images,
        digits.train_labels,
        epochs=10,
        penalty=fastnn.L1(2.0, method="proximal"),
    )
    single.prune(0.2)
    network.weights = [w.astype(dtype) for w in single.weights]
    network.biases = [b.astype(dtype) for b in single.biases]
    return network


@pytest.mark.parametrize("dtype", FLOATS)
def test_prune_and_compact_on_the_digits(dtype: str, digits) -> None:
    network = sparse_digits(digits, dtype)
    X, y = digits.test_images, digits.test_labels
    before, cost = network.predict_proba(X), network.total_cost(X, y)
    removed = network.compact()
    assert removed[0] > 5
    assert removed[1] > 0
    assert network.sizes[0] == len(network.kept_inputs) == 64 - removed[0]
    close = {"rtol": 0, "atol": 1e-5 if dtype == "float32" else 1e-13}
    for form in (X, X.astype(np.float32), X.astype(float) + 0.0, np.asfortranarray(X), X.tolist()):
        if isinstance(form, list):
            form = np.array(form, float).tolist()
        np.testing.assert_allclose(network.predict_proba(form), before, **close)
    np.testing.assert_array_equal(network.predict(X), before.argmax(axis=1))
    assert network.accuracy(X, y) == (before.argmax(axis=1) == y).mean()
    assert network.total_cost(X, y) == pytest.approx(cost, rel=1e-5)


def test_a_compacted_network_takes_all_columns(digits) -> None:
    network = sparse_digits(digits)
    network.compact()
    X, y = digits.train_images, digits.train_labels
    narrow = X[:, network.kept_inputs]
    for call in (
        lambda: network.predict(narrow),
        lambda: network.predict_proba(narrow),
        lambda: network.accuracy(narrow, y),
        lambda: network.total_cost(narrow, y),
        lambda: network.fit(narrow, y, epochs=1),
        lambda: network.fit(X, y, epochs=1, validation_data=(narrow, y)),
    ):
        with pytest.raises(ValueError, match="X must have 64 columns, one per input unit, not"):
            call()
    history = network.fit(X, y, epochs=1, validation_data=(X, y))
    assert history.val_accuracy == [network.accuracy(X, y)]


def test_kept_inputs_count_from_the_first_columns(digits) -> None:
    """A second compaction drops inputs that the first one kept."""
    network = sparse_digits(digits)
    assert network.kept_inputs is None
    network.compact()
    first, n = network.kept_inputs, network.sizes[0]
    network.weights[0][:, [1, 3]] = 0
    before = network.predict_proba(digits.test_images)
    assert network.compact()[0] == 2
    np.testing.assert_array_equal(network.kept_inputs, np.delete(first, [1, 3]))
    assert network.sizes[0] == n - 2
    np.testing.assert_allclose(network.predict_proba(digits.test_images), before, atol=1e-13)


def test_a_full_network_keeps_every_input() -> None:
    network = Network([64, 5, 10], seed=1)
    arrays = network.weights + network.biases
    assert network.compact() == [0, 0, 0]
    assert network.kept_inputs is None
    assert network.sizes == [64, 5, 10]
    for then, now in zip(arrays, network.weights + network.biases, strict=True):
        assert then is now


@pytest.mark.parametrize("dtype", FLOATS)
def test_training_goes_on_as_without_the_dropped_inputs(dtype: str, digits) -> None:
    """Inputs that are 0 in all rows have no gradient, so training without them is the same."""
    dark = ~digits.train_images.any(axis=0)
    assert dark.sum() >= 3
    networks = [Network([64, 12, 10], dtype=dtype, input_scale=1 / 16, seed=4) for _ in range(2)]
    for network in networks:
        network.weights[0][:, dark] = 0
    assert networks[0].compact() == [dark.sum(), 0, 0]
    histories = [n.fit(digits.train_images, digits.train_labels, epochs=2) for n in networks]
    close = {"rtol": 1e-3, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(networks[0].weights[0], networks[1].weights[0][:, ~dark], **close)
    np.testing.assert_allclose(networks[0].weights[1], networks[1].weights[1], **close)
    for a, b in zip(networks[0].biases, networks[1].biases, strict=True):
        np.testing.assert_allclose(a, b, **close)
    assert histories[0].train_cost == pytest.approx(histories[1].train_cost, rel=1e-4)


# ---------------------------------------------------------------------------------- compact_every


def fit_in_pieces(network: Network, digits, epochs: int, every: int, **options) -> list[float]:
    """Fit one epoch at a time, compact after every `every` of them; return validation costs."""
    costs = []
    for epoch in range(1, epochs + 1):
        network.fit(digits.train_images, digits.train_labels, epochs=1, **options)
        if epoch % every == 0:
            network.compact()
        costs.append(
            network.total_cost(digits.test_images, digits.test_labels)
            + sum(map(options["penalty"].value, network.weights)) / len(digits.train_images)
        )
    return costs


@pytest.mark.parametrize("every", [1, 2, 5])
def test_compact_every_is_compacting_between_fits(every: int, digits) -> None:
    options = {"penalty": fastnn.L1(4.0, method="proximal"), "learning_rate": 0.5}
    one, pieces = (Network([64, 30, 10], input_scale=1 / 16, seed=2) for _ in range(2))
    history = one.fit(
        digits.train_images,
        digits.train_labels,
        epochs=6,
        validation_data=(digits.test_images, digits.test_labels),
        compact_every=every,
        **options,
    )
    costs = fit_in_pieces(pieces, digits, 6, every, **options)
    assert one.sizes == pieces.sizes
    assert one.sizes[0] < 64
    assert history.val_cost == pytest.approx(costs, rel=1e-6)
    np.testing.assert_array_equal(one.kept_inputs, pieces.kept_inputs)
    for a, b in zip(one.weights + one.biases, pieces.weights + pieces.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one._rng.bit_generator.state == pieces._rng.bit_generator.state
    assert {len(values) for values in history.to_dict().values()} == {6}
    assert history.val_accuracy[-1] == one.accuracy(digits.test_images, digits.test_labels)


def test_compact_every_changes_nothing_where_nothing_is_empty(digits) -> None:
    networks = [Network([64, 12, 10], input_scale=1 / 16, seed=4) for _ in range(2)]
    rows = digits.train_images, digits.train_labels
    networks[0].fit(*rows, epochs=3, compact_every=1)
    networks[1].fit(*rows, epochs=3)
    assert networks[0].kept_inputs is None
    for a, b in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("every", "error"), [(0, ValueError), (-1, ValueError), (1.5, ValueError), ("1", TypeError)]
)
def test_bad_compact_every(every, error, digits) -> None:
    network = Network([64, 10], seed=1)
    before = network.weights[0].copy()
    with pytest.raises(error, match="compact_every must be"):
        network.fit(digits.train_images, digits.train_labels, epochs=1, compact_every=every)
    np.testing.assert_array_equal(network.weights[0], before)


# ------------------------------------------------------------------------------------- model files


@pytest.mark.parametrize("dtype", FLOATS)
def test_save_and_load(dtype: str, tmp_path: Path, digits) -> None:
    network = sparse_digits(digits, dtype)
    network.compact()
    network.weights[0][:, 2] = 0  # emptied after the compaction, so it is kept
    network.save(tmp_path / "model.json")
    loaded = fastnn.load(tmp_path / "model.json")
    assert repr(loaded) == repr(network)
    assert (loaded.sizes, loaded.n_inputs) == (network.sizes, 64)
    np.testing.assert_array_equal(loaded.kept_inputs, network.kept_inputs)
    assert loaded.kept_inputs.dtype == np.int64
    for a, b in zip(loaded.weights + loaded.biases, network.weights + network.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    X = digits.test_images
    np.testing.assert_array_equal(loaded.predict_proba(X), network.predict_proba(X))
    network.save(tmp_path / "again.json")
    loaded.save(tmp_path / "loaded.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "loaded.json").read_bytes()


def test_the_books_loader_gives_the_same_outputs(tmp_path: Path, digits) -> None:
    network = sparse_digits(digits)
    network.compact()
    network.save(tmp_path / "model.json")
    books = network2.load(tmp_path / "model.json")
    assert books.sizes == [64, *network.sizes[1:]]
    outputs = network.predict_proba(digits.test_images[:20])
    for image, expected in zip(digits.test_images[:20], outputs, strict=True):
        a = books.feedforward(image[:, np.newaxis] / 16)
        np.testing.assert_allclose(a[:, 0], expected, rtol=1e-12, atol=1e-14)


def test_a_network_with_all_inputs_has_the_file_it_had(tmp_path: Path) -> None:
    network = Network([3, 2], seed=1)
    network.save(tmp_path / "model.json")
    assert "kept_inputs" not in json.loads((tmp_path / "model.json").read_text())["fastnn"]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "'kept_inputs' must be a list of increasing whole numbers from 0 to 3"),
        ([0, 4], "from 0 to 3"),
        ([-1, 0], "from 0 to 3"),
        ([1, 0], "increasing"),
        ([0, 0], "increasing"),
        ([0, 1.0], "whole numbers"),
        ([0, True], "whole numbers"),
        ("0", "'kept_inputs' must be a list"),
        (1, "'kept_inputs' must be a list"),
        ([0, 1], "an input that is not in 'kept_inputs' has a weight that is not 0"),
    ],
)
def test_damaged_kept_inputs(kept, message: str, tmp_path: Path) -> None:
    network = Network([4, 2], seed=1)
    network.weights[0][:, 3] = 0
    network.compact()
    path = tmp_path / "model.json"
    network.save(path)
    content = json.loads(path.read_text("utf-8"))
    assert content["fastnn"]["kept_inputs"] == [0, 1, 2]
    content["fastnn"]["kept_inputs"] = kept
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(fastnn.FileFormatError, match=message):
        fastnn.load(path)


# ------------------------------------------------------------------------------------------- MNIST


def test_mnist_keeps_96_percent_with_60_percent_zeros(mnist) -> None:
    """The run of docs/sparsity.md; three seeds ended between 96.67 and 96.92 %."""
    network = Network([784, 100, 10], input_scale=mnist.input_scale, seed=1)
    network.fit(
        mnist.train_images[:50_000],
        mnist.train_labels[:50_000],
        epochs=30,
        learning_rate=0.1,
        penalty=fastnn.L1(8.0, method="proximal"),
    )
    assert network.sparsity()[0] >= 0.6
    outputs = network.predict_proba(mnist.test_images)
    removed = network.compact()
    assert removed[0] > 150
    assert removed[1] > 25
    np.testing.assert_allclose(network.predict_proba(mnist.test_images), outputs, atol=1e-5)
    assert network.accuracy(mnist.test_images, mnist.test_labels) >= 0.96
