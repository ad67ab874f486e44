"""Weighted rows: compared with numpy and with repeated rows, and bad weights refused."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from fastnn import L1, Network, activations, costs
from fastnn.arrays import Inputs
from fastnn.engine import batched, compiled, jit
from fastnn.engine.problem import Problem

RNG = np.random.default_rng(5)
N = 45
X, Y = RNG.integers(0, 256, (N, 12), dtype=np.uint8), RNG.integers(0, 4, N)
WEIGHTS = RNG.integers(0, 4, N).astype(float)


def new(**keywords) -> Network:
    return Network([12, 7, 4], **{"dtype": "float64", "seed": 1, **keywords})


def by_hand(network: Network, row_weights: np.ndarray, batch_size: int, epochs: int, rate: float):
    """Train in numpy (sigmoid, cross-entropy); return the arrays and the cost of each epoch."""
    (w1, w2), (b1, b2), costs_of = *map(list, (network.weights, network.biases)), []
    w1, w2, b1, b2 = w1.copy(), w2.copy(), b1.copy(), b2.copy()
    x, y = X / 256, np.eye(4)[Y]
    for _ in range(epochs):
        total = 0.0
        for start in range(0, N, batch_size):
            rows = slice(start, start + batch_size)
            hidden = 1 / (1 + np.exp(-(x[rows] @ w1.T + b1)))
            a = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
            weights = row_weights[rows, None]
            total -= (weights * (y[rows] * np.log(a) + (1 - y[rows]) * np.log(1 - a))).sum()
            if weights.sum() == 0:
                continue
            delta = weights * (a - y[rows]) / weights.sum()
            below = delta @ w2 * hidden * (1 - hidden)
            w2, b2 = w2 - rate * delta.T @ hidden, b2 - rate * delta.sum(axis=0)
            w1, b1 = w1 - rate * below.T @ x[rows], b1 - rate * below.sum(axis=0)
        costs_of.append(total / row_weights.sum())
    return [w1, w2, b1, b2], costs_of


def assert_close(network: Network, arrays, tolerance: float = 1e-10) -> None:
    for came, wanted in zip(network.weights + network.biases, arrays, strict=True):
        np.testing.assert_allclose(came, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("batch_size", [1, 7, N])  # with 1, some batches weigh nothing
def test_weighted_means_by_hand(batch_size: int) -> None:
    network = new()
    arrays, costs_of = by_hand(network, WEIGHTS, batch_size, 3, 0.3)
    history = network.fit(
        X, Y, epochs=3, batch_size=batch_size, learning_rate=0.3, shuffle=False,
        sample_weight=WEIGHTS,
    )  # fmt: skip
    assert_close(network, arrays)
    assert history.train_cost == pytest.approx(costs_of, rel=1e-10)


def test_whole_weights_are_repeated_rows() -> None:
    """This needs full batches. n in lmbda/n counts rows, so lmbda is scaled with their number."""
    times = WEIGHTS.astype(int)
    weighted, repeated = new(), new()
    options = {"epochs": 5, "batch_size": 1000, "shuffle": False}
    weighted.fit(X, Y, sample_weight=times, penalty=L1(2.0), **options)
    total = int(times.sum())
    rows = np.repeat(np.arange(N), times)
    repeated.fit(X[rows], Y[rows], penalty=L1(2.0 * total / N), **options)
    assert_close(weighted, repeated.weights + repeated.biases)


def test_equal_weights_are_none() -> None:
    plain, weighted = new(), new()
    histories = [
        plain.fit(X, Y, epochs=2),
        weighted.fit(X, Y, epochs=2, sample_weight=np.full(N, 2)),
    ]
    assert_close(weighted, plain.weights + plain.biases)
    assert histories[0].train_cost == pytest.approx(histories[1].train_cost)


def test_class_weights_are_row_weights() -> None:
    table = np.array([1.0, 3.0, 0.5, 1.0])
    by_class, by_row = new(), new()
    by_class.fit(X, Y, epochs=2, class_weight={1: 3.0, 2: 0.5}, sample_weight=WEIGHTS)
    by_row.fit(X, Y, epochs=2, sample_weight=WEIGHTS * table[Y])
    assert_close(by_class, by_row.weights + by_row.biases)


def test_balanced_is_scikit_learns() -> None:
    utils = pytest.importorskip("sklearn.utils.class_weight")
    y = np.minimum(Y, 2)  # class 3 does not occur
    expected = utils.compute_sample_weight("balanced", y)
    balanced, by_row, rows = new(), new(), new()
    balanced.fit(X, y, epochs=2, class_weight="balanced")
    rows.fit(X, np.eye(4)[y], epochs=2, class_weight="balanced")
    by_row.fit(X, y, epochs=2, sample_weight=expected)
    for network in (balanced, rows):
        assert_close(network, by_row.weights + by_row.biases)


@pytest.mark.usefixtures("numpy_path")
def test_rows_held_out_have_no_part_in_the_balance() -> None:
    """It trains as the caller's own split does, with the same draw."""
    balanced, by_row = new(), new()
    chosen = np.sort(by_row._rng.permutation(N)[N // 3 :])
    options = {"epochs": 2, "shuffle": False, "class_weight": "balanced"}
    balanced.fit(X, Y, validation_fraction=1 / 3, sample_weight=WEIGHTS, **options)
    by_row.fit(X[chosen], Y[chosen], sample_weight=WEIGHTS[chosen], **options)
    assert_close(balanced, by_row.weights + by_row.biases)


@pytest.mark.usefixtures("numpy_path")
def test_rows_held_out_are_nothing_to_train_on() -> None:
    network = new()
    before = network._rng.bit_generator.state
    weights = np.ones(N)
    weights[np.sort(new()._rng.permutation(N)[N // 3 :])] = 0
    with pytest.raises(ValueError, match="every row that is not held out has the weight 0"):
        network.fit(X, Y, epochs=2, validation_fraction=1 / 3, sample_weight=weights)
    assert network._rng.bit_generator.state == before
    assert network.history is None
    network.fit(X, Y, epochs=2, validation_fraction=1 / 3, sample_weight=1 - weights + (Y > 1))


def test_one_output_unit_has_two_classes() -> None:
    y = (X[:, 0] > 60).astype(int)
    by_class, by_row = (Network([12, 1], dtype="float64", seed=1) for _ in range(2))
    by_class.fit(X, y, epochs=2, class_weight={0: 3.0})
    by_row.fit(X, y, epochs=2, sample_weight=np.where(y == 0, 3.0, 1.0))
    assert_close(by_class, by_row.weights + by_row.biases)


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize("threads", [1, 2])
def test_both_paths_and_any_threads(threads: int) -> None:
    results = []
    for path in (compiled.Path, batched.Path):
        rng = np.random.default_rng(0)
        weights = [rng.standard_normal((7, 12)) / 4, rng.standard_normal((4, 7)) / 3]
        biases = [rng.standard_normal(7), rng.standard_normal(4)]
        problem = Problem(
            weights=weights, biases=biases, activations=[activations.Sigmoid()] * 2,
            cost=costs.CrossEntropy(), penalties=[None] * 2, inputs=Inputs(X, 1 / 256), targets=Y,
            batch_size=13, learning_rate=0.3, n=N, track_cost=True, threads=threads,
            row_weights=WEIGHTS,
        )  # fmt: skip
        run = path(problem)
        results.append((run.run(np.arange(N)), weights + biases))
        run.write_back()
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)


BAD = {
    "too few": ({"sample_weight": np.ones(N - 1)}, ValueError),
    "a column": ({"sample_weight": np.ones((N, 1))}, ValueError),
    "one below 0": ({"sample_weight": np.where(np.arange(N) == 3, -1, 1)}, ValueError),
    "NaN": ({"sample_weight": np.full(N, np.nan)}, ValueError),
    "all 0": ({"sample_weight": np.zeros(N)}, ValueError),
    "text": ({"sample_weight": ["1"] * N}, TypeError),
    "a class there is not": ({"class_weight": {4: 1.0}}, ValueError),
    "a class by name": ({"class_weight": {"one": 1.0}}, ValueError),
    "a class weight below 0": ({"class_weight": {1: -1.0}}, ValueError),
    "a class weight of text": ({"class_weight": {1: "2"}}, TypeError),
    "balance": ({"class_weight": "balance"}, TypeError),
    "a list": ({"class_weight": [1.0, 2.0, 1.0, 1.0]}, TypeError),
}


@pytest.mark.parametrize(("keywords", "error"), BAD.values(), ids=BAD)
def test_bad_weights_leave_the_network_untouched(keywords, error) -> None:
    network = new()
    with pytest.raises(error) as caught:
        network.fit(X, Y, epochs=2, **keywords)
    assert type(caught.value) is error
    np.testing.assert_array_equal(network.weights[0], new().weights[0])


def test_class_weights_need_classes() -> None:
    labels = Network([12, 4], multilabel=True)
    with pytest.raises(ValueError, match="class_weight is for one class a row"):
        labels.fit(X, np.eye(4)[Y], epochs=1, class_weight="balanced")


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("size", [1e-40, np.exp(-105.0), 1e38])
def test_a_common_factor_of_the_weights_does_not_matter(size: float) -> None:
    """Not even a factor that float32 cannot represent."""
    factor = 2.0 ** np.round(np.log2(size))
    networks = [new(dtype="float32"), new(dtype="float32")]
    for network, weights in zip(networks, (WEIGHTS, WEIGHTS * factor), strict=True):
        network.fit(X, Y, epochs=2, sample_weight=weights)
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert networks[0].history.train_cost == networks[1].history.train_cost


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("factor", [2.0**-600, 2.0**600])
def test_weights_of_rows_and_classes_have_factors_of_their_own(factor: float) -> None:
    """Each is scaled separately, as the product of both factors would be 0 or infinite."""
    networks, counts = [new(), new()], [1.0, 3.0, 0.5, 2.0]
    for network, by in zip(networks, (1.0, factor), strict=True):
        of_classes = {c: by * count for c, count in enumerate(counts)}
        network.fit(X, Y, epochs=2, sample_weight=WEIGHTS * by, class_weight=of_classes)
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_row_of_weight_0_does_not_count_whatever_its_cost(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if that cost overflows."""
    monkeypatch.setattr(jit, "is_on", lambda: compiled and not numba.config.DISABLE_JIT)
    rng = np.random.default_rng(0)
    X, y, weights = rng.random((20, 10)).astype("f4"), rng.normal(size=20), np.ones(20)
    kept = np.arange(20) != 3
    X[3], weights[3] = 1e30, 0
    left = []
    for rows, given in ((X, weights), (X[kept], weights[kept])):
        net = Network([10, 1], activation="identity", cost="mean_squared", seed=3)
        targets = y if len(rows) == 20 else y[kept]
        net.fit(
            rows, targets, epochs=3, batch_size=20, learning_rate=0.01, sample_weight=given,
            shuffle=False,
        )  # fmt: skip
        left.append([*net.history.train_cost, *net.weights[0][0]])
    np.testing.assert_allclose(*left, rtol=1e-5)
