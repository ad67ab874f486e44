"""The native network: its initial values, its predictions, and the arrays put in it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import L1, L2, Network, reference
from fastnn.arrays import FEW_ROWS
from fastnn.engine import training
from fastnn.network import load

FEW_PRODUCTS = training.FEW_PRODUCTS  # a fixture sets it to 0 for other tests


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Return 60 rows of 12 pixels, and a class from 0 to 3 for each."""
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (60, 12), dtype=np.uint8), rng.integers(0, 4, 60)


def samples(X: np.ndarray, y: np.ndarray, outputs: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows and classes as the book's list of pairs of columns."""
    return [(x[:, None], np.eye(outputs)[label][:, None]) for x, label in zip(X, y, strict=True)]


def columns(network: Network) -> list[np.ndarray]:
    return [b[:, None] for b in network.biases]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays(dtype: str) -> None:
    network = Network([12, 7, 4], dtype=dtype, seed=1)
    assert [w.shape for w in network.weights] == [(7, 12), (4, 7)]
    assert [b.shape for b in network.biases] == [(7,), (4,)]
    for array in network.weights + network.biases:
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_initial_values() -> None:
    """Weights of a unit with N inputs have the standard deviation 1/sqrt(N), biases have 1."""
    network = Network([400, 2000, 3], seed=2, dtype="float64")
    assert network.weights[0].std() * np.sqrt(400) == pytest.approx(1, abs=0.01)
    assert network.weights[0].mean() == pytest.approx(0, abs=0.001)
    assert network.weights[1].std() * np.sqrt(2000) == pytest.approx(1, abs=0.05)
    assert network.biases[0].std() == pytest.approx(1, abs=0.05)


def test_a_seed_gives_the_same_values_in_both_dtypes() -> None:
    double, single = (Network([5, 3, 2], seed=3, dtype=d) for d in ("float64", "float32"))
    for a, b in zip(double.weights, single.weights, strict=True):
        np.testing.assert_array_equal(a.astype(np.float32), b)
    assert not np.array_equal(double.weights[0], Network([5, 3, 2], seed=4).weights[0])
    assert not np.array_equal(Network([5, 2]).weights[0], Network([5, 2]).weights[0])


def test_attributes() -> None:
    network = Network((12, 7.0, 4), activation=["sigmoid", "sigmoid"], cost="quadratic", seed=1)
    assert network.sizes == [12, 7, 4]
    assert network.activations == ["sigmoid", "sigmoid"]
    assert network.cost == "quadratic"
    assert network.dtype == np.float32
    assert network.input_scale is None
    assert repr(network) == (
        "Network([12, 7, 4], activation='sigmoid', cost='quadratic', dtype='float32', "
        "input_scale=None)"
    )


@pytest.mark.parametrize("cost", ["quadratic", "cross_entropy"])
def test_predictions_and_cost_are_the_oracles(cost: str, pixels) -> None:
    X, y = pixels
    data = samples(X / 256, y, 4)
    network = Network([12, 7, 5, 4], cost=cost, dtype="float64", seed=1)
    outputs = network.predict_proba(X)
    for a, (x, _) in zip(outputs, data, strict=True):
        expected = reference.feedforward(network.weights, columns(network), x)
        np.testing.assert_allclose(a, expected[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(network.predict(X), outputs.argmax(axis=1))
    right = reference.accuracy(network.weights, columns(network), data)
    assert network.accuracy(X, y) == right / 60
    assert network.accuracy(X, np.eye(4)[y]) == right / 60
    for penalty, name in ((None, "none"), (L1(3.0), "l1"), (L2(3.0), "l2")):
        expected_cost = reference.total_cost(
            network.weights, columns(network), data, 3.0, cost=cost, penalty=name
        )
        assert network.total_cost(X, y, penalty=penalty) == pytest.approx(expected_cost, rel=1e-12)
    assert network.total_cost(X, np.eye(4)[y]) == network.total_cost(X, y)


def test_predictions_agree_whatever_the_storage(pixels) -> None:
    X, _ = pixels
    network = Network([12, 7, 4], dtype="float64", seed=1)
    expected = network.predict_proba(X)
    np.testing.assert_array_equal(network.predict_proba(X / 256), expected)
    np.testing.assert_array_equal(network.predict_proba(np.asfortranarray(X)), expected)
    np.testing.assert_array_equal(network.predict_proba((X / 256).astype(np.float32)), expected)
    np.testing.assert_array_equal(network.predict_proba((X / 256).tolist()), expected)
    offset = X / 256 + np.pi  # not a multiple of 1/256: stays float
    np.testing.assert_allclose(
        network.predict_proba(offset)[:5], network.predict_proba(offset[:5]), rtol=1e-14
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_few_rows_are_said_what_many_are(
    dtype: str, pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows, or many of a small network, are computed by numpy: equal up to rounding."""
    X, _ = pixels
    network = Network([12, 7, 4], activation=["tanh", "softmax"], cost="log_likelihood", seed=1,
                      dtype=dtype)  # fmt: skip
    few = FEW_ROWS - 1
    said = np.concatenate([network.predict_proba(X[i : i + few]) for i in range(0, 60, few)])
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(said, network.predict_proba(X), rtol=tolerance, atol=tolerance)
    one_by_one = [network.predict(x[np.newaxis])[0] for x in X]
    np.testing.assert_array_equal(one_by_one, network.predict(X))
    many = network.predict_proba(X)
    monkeypatch.setattr(training, "FEW_PRODUCTS", FEW_PRODUCTS)
    np.testing.assert_allclose(network.predict_proba(X), many, rtol=tolerance, atol=tolerance)


def test_a_few_rows_load_no_compiler() -> None:
    code = (
        "import sys, numpy as np, fastnn\n"
        "fastnn.Network([12, 7, 4], seed=1).predict(np.ones((3, 12)))\n"
        "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_input_scale_is_for_every_dtype(pixels) -> None:
    X, _ = pixels
    network = Network([12, 7, 4], dtype="float64", seed=1)
    expected = network.predict_proba(X / 64)
    scaled = Network([12, 7, 4], dtype="float64", seed=1, input_scale=1 / 64)
    np.testing.assert_array_equal(scaled.predict_proba(X), expected)
    np.testing.assert_array_equal(scaled.predict_proba(X.astype(np.float64)), expected)
    np.testing.assert_array_equal(scaled.predict_proba(X / 16), network.predict_proba(X / 1024))


def test_one_output_unit_predicts_above_a_half() -> None:
    network = Network([1, 1], dtype="float64")
    network.weights[0][:], network.biases[0][:] = 1, 0
    X = [[-2.0], [0.0], [1e-3], [5.0]]  # sigmoid(0) is 0.5, which is not above it
    assert network.predict(X).tolist() == [0, 0, 1, 1]
    assert network.accuracy(X, [0, 0, 1, 0]) == 0.75
    assert network.accuracy(X, [[0.0], [0.0], [1.0], [0.0]]) == 0.75
    assert network.total_cost([[0.0]], [1]) == pytest.approx(np.log(2))


def test_results_have_the_stated_dtypes(pixels) -> None:
    X, y = pixels
    network = Network([12, 4], seed=1)
    assert network.predict(X).dtype == np.int64
    assert network.predict_proba(X).dtype == np.float32
    assert type(network.accuracy(X, y)) is float
    assert type(network.total_cost(X, y)) is float


def test_a_saturated_float32_output_has_a_finite_cost() -> None:
    network = Network([1, 2], dtype="float32")
    network.weights[0][:], network.biases[0][:] = [[1e4], [-1e4]], 0
    assert network.predict_proba([[1.0]]).tolist() == [[1.0, 0.0]]
    assert network.total_cost([[1.0]], [0]) == 0.0
    assert network.total_cost([[1.0]], [1]) == 2e4  # the sum of abs(z) over both units


def test_replaced_arrays_take_effect(pixels) -> None:
    X, _ = pixels
    other = Network([12, 7, 4], dtype="float64", seed=2)
    expected = other.predict_proba(X)
    in_place = Network([12, 7, 4], dtype="float64", seed=1)
    for kept, new in zip(
        in_place.weights + in_place.biases, other.weights + other.biases, strict=True
    ):
        kept[:] = new
    replaced = Network([12, 7, 4], dtype="float64", seed=1)
    replaced.weights, replaced.biases = list(other.weights), tuple(other.biases)
    for network in (in_place, replaced):
        np.testing.assert_array_equal(network.predict_proba(X), expected)
    assert isinstance(replaced.biases, list)


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda w: w.astype(np.float64),
        lambda w: w.astype(">f4"),
        lambda w: np.repeat(w, 2, axis=1)[:, ::2],
        lambda w: np.frombuffer(w.tobytes(), w.dtype).reshape(w.shape),  # read-only
    ],
    ids=["fortran", "float64", "big-endian", "strided", "read-only"],
)
def test_an_array_of_another_form_is_converted_and_put_in_place(form, pixels) -> None:
    X, y = pixels
    network = Network([12, 7, 4], seed=1)
    expected = network.predict_proba(X)
    network.weights[0] = form(network.weights[0])
    np.testing.assert_array_equal(network.predict_proba(X), expected)
    array = network.weights[0]
    assert array.dtype == np.dtype(np.float32)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    network.fit(X, y, epochs=1)
    assert network.weights[0] is array  # trained in place
    assert not np.array_equal(network.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda n: n.weights.pop(), ValueError, "weights must be a list of 2 arrays, not 1"),
        (lambda n: setattr(n, "weights", None), ValueError, "a list of 2 arrays, not NoneType"),
        (
            lambda n: n.weights.__setitem__(0, n.weights[0].T),
            ValueError,
            r"weights\[0\] must have the shape \(7, 12\), not \(12, 7\)",
        ),
        (
            lambda n: n.biases.__setitem__(1, np.zeros((4, 1), np.float32)),
            ValueError,
            r"biases\[1\] must have the shape \(4,\), not \(4, 1\)",
        ),
        (
            lambda n: n.weights.__setitem__(1, np.zeros((4, 7), int)),
            TypeError,
            r"weights\[1\] must be an array of floats, not dtype int",
        ),
        (
            lambda n: n.weights.__setitem__(1, [[0.0] * 7] * 4),
            TypeError,
            r"weights\[1\] must be an array of floats",
        ),
    ],
)
def test_arrays_that_cannot_be_used(change, error, message, pixels) -> None:
    X, y = pixels
    network = Network([12, 7, 4], seed=1)
    change(network)
    for call in (
        lambda: network.predict(X),
        lambda: network.total_cost(X, y),
        lambda: network.fit(X, y, epochs=1),
        lambda: network.save("never-written.json"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_a_copy_goes_on_as_the_original(twin, pixels) -> None:
    X, y = pixels
    network = Network([12, 7, 4], seed=1)
    network.fit(X, y, epochs=1)
    other = twin(network)
    for both in (network, other):
        both.fit(X, y, epochs=2, penalty=L1(1.0))
    for a, b in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)


def test_a_generator_in_the_place_of_a_seed() -> None:
    one, other = Network([5, 2], seed=7), Network([5, 2], seed=np.random.default_rng(7))
    np.testing.assert_array_equal(one.weights[0], other.weights[0])


def test_top_level_names() -> None:
    assert fastnn.Network is Network
    assert fastnn.load is load
