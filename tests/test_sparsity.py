"""Exact zeros: counting them, making them, and removing the dead part of a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import Network
from fastnn.nielsen import network2

FLOATS = ["float32", "float64"]


# ------------------------------------------------------------------------------- counts and prunes


def test_sparsity_counts_exact_zeros() -> None:
    network = Network([4, 3, 2], dtype="float64", seed=1)
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
