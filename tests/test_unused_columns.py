"""Columns that no row uses: their weights are not in the panels, but right whenever read."""

from __future__ import annotations

import signal
from typing import Any

import numba
import numpy as np
import pytest
from scipy import sparse

from fastnn import DivergenceError, Network, activations, callbacks, costs, penalties, schedules
from fastnn.arrays import as_inputs
from fastnn.engine import Training, batched, compiled, jit, unused_columns

pytestmark = pytest.mark.skipif(not jit.is_on(), reason="the numpy path has no panels")

ROWS, COLUMNS, USED = 30, 300, 70
RULES = [
    None,
    penalties.L1(0.05),
    penalties.L1(0.05, method="proximal"),
    penalties.L2(0.5, biases=True),
    penalties.ElasticNet(0.05),
    [penalties.L1(0.05), penalties.L1(0.05, method="cumulative")],
]


@pytest.fixture
def X() -> sparse.csr_array:
    rng = np.random.default_rng(0)
    values = np.zeros((ROWS, COLUMNS))
    chosen = rng.choice(COLUMNS, USED, replace=False)
    values[:, chosen] = rng.random((ROWS, USED)) * (rng.random((ROWS, USED)) < 0.2)
    return sparse.csr_array(values)


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, ROWS)


def network(dtype: str = "float64") -> Network:
    """Return a network that can diverge."""
    units = {"activation": ["identity", "identity"], "cost": "quadratic"}
    return Network([COLUMNS, 5, 1], seed=2, dtype=dtype, **units)


def by_numpy(net: Network, X: Any, y: np.ndarray, **options: Any) -> None:
    """Fit on the rows as a dense array, on the numpy path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        net.fit(X.toarray(), y, **options)


def agree(one: Network, other: Network, most: float = 1e-10) -> None:
    for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True):
        assert np.abs(a - b).max() < most * np.abs(b).max()


class Watcher(callbacks.Callback):
    """Keeps a copy of the first layer's weights after every epoch."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def epoch_end(self, epoch: int, network: Network, history: Any) -> None:
        self.seen.append(network.weights[0].copy())


@pytest.mark.parametrize("penalty", RULES, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_weights_and_history_are_those_of_dense_rows(X, y, penalty, batch_size) -> None:
    given = {"epochs": 4, "batch_size": batch_size, "penalty": penalty}
    given["learning_rate"] = schedules.ExponentialDecay(0.1, 0.5)
    ours, dense = network(), network()
    ours.fit(X, y, **given)
    by_numpy(dense, X, y, **given)
    agree(ours, dense)
    np.testing.assert_allclose(ours.history.train_cost, dense.history.train_cost, rtol=1e-10)


def test_float32_is_as_near_as_its_roundings(X, y) -> None:
    ours, dense = network("float32"), network()
    given = {"epochs": 4, "batch_size": 7, "learning_rate": 0.1, "penalty": penalties.L2(0.5)}
    ours.fit(X, y, **given)
    by_numpy(dense, X, y, **given)
    agree(ours, dense, 1e-5)
    np.testing.assert_allclose(ours.history.train_cost, dense.history.train_cost, rtol=1e-6)


def test_only_the_columns_in_use_are_in_panels(X, y) -> None:
    training = training_of(network(), X, y, penalties.L1(0.05))
    assert isinstance(training._path, compiled.Path)
    lanes = jit.vector_bytes() // 8
    assert training._path._arrays.table[0, 0] <= USED
    assert training._path._arrays.weights.size < (USED + lanes) * 16


def training_of(net: Network, X: Any, y: np.ndarray, penalty: Any, **options: Any) -> Training:
    return Training(
        net.weights, net.biases, activations=[activations.Identity()] * 2, cost=costs.Quadratic(),
        penalties=[penalty] * 2, inputs=as_inputs(X, "float64", None),
        targets=y[:, np.newaxis].astype(float), batch_size=7, learning_rate=0.1, **options,
    )  # fmt: skip


def test_a_callback_sees_every_epochs_weights(X, y) -> None:
    rate, seen = schedules.ExponentialDecay(0.1, 0.5), []
    given = {"epochs": 3, "penalty": penalties.L1(0.05), "learning_rate": rate}
    for fit in (Network.fit, by_numpy):
        net, watcher = network(), Watcher()
        fit(net, X, y, callbacks=[watcher], **given)
        seen.append(watcher.seen)
        np.testing.assert_array_equal(watcher.seen[-1], net.weights[0])
    for ours, dense in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, dense, atol=1e-12)


class Jump(schedules.Schedule):
    """A small rate for two epochs, then the rate `then`."""

    name = "jump"

    def __init__(self, then: float) -> None:
        self.then = then

    @property
    def largest(self) -> float:
        return 20.0

    def rate(self, epoch: int, epochs: int, scores: Any) -> float:
        return 1e-11 if epoch < 2 else self.then


@pytest.mark.parametrize("penalty", [None, penalties.L1(1e-2), penalties.L2(1e-2)], ids=repr)
@pytest.mark.parametrize(("then", "error"), [(20.0, DivergenceError), (-1.0, ValueError)])
def test_where_a_fit_fails_all_columns_are_those_of_its_last_epoch(
    X, y, penalty, then, error
) -> None:
    nets = network(), network()
    given = {"epochs": 4, "batch_size": 1, "penalty": penalty, "learning_rate": Jump(then)}
    for net, fit in zip(nets, (Network.fit, by_numpy), strict=True):
        with pytest.raises(error):
            fit(net, X * 1e5, y, **given)
        assert len(net.history.seconds) == 2
    agree(*nets)


@pytest.mark.parametrize("penalty", [None, penalties.L1(0.05), penalties.L2(0.05)], ids=repr)
@pytest.mark.parametrize("looked_at", [False, True])
def test_an_epoch_can_be_undone(X, y, penalty, looked_at) -> None:
    net = network()
    training = training_of(net, X, y, penalty)
    training.epoch(np.arange(ROWS))
    before = [array.copy() for array in net.weights + net.biases]
    training.epoch(np.arange(ROWS), write_back=looked_at)
    training.go_back()
    for now, old in zip(net.weights + net.biases, before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("penalty", RULES, ids=repr)
def test_a_checkpoint_has_all_columns(X, y, tmp_path, penalty) -> None:
    given = {"batch_size": 7, "penalty": penalty, "learning_rate": 0.1}
    halfway, resumed, whole = network(), network(), network()
    halfway.fit(X, y, epochs=2, checkpoint=tmp_path / "half", **given)
    resumed.fit(X, y, epochs=4, checkpoint=tmp_path / "half", resume=True, **given)
    whole.fit(X, y, epochs=4, **given)
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed.history.train_cost == whole.history.train_cost


@pytest.mark.parametrize(
    ("penalty", "dtype"),
    [*((rule, "float64") for rule in RULES[1:5]), *((rule, "float32") for rule in RULES[1:4:2])],
    ids=repr,
)
@pytest.mark.parametrize(
    "place", [(unused_columns.UnusedColumns, "_aged"), (Training, "is_finite")], ids=["sums", "end"]
)
def test_ctrl_c_leaves_no_value_out_and_none_twice(X, y, tmp_path, place, penalty, dtype) -> None:
    """Interrupt while sums are computed for a checkpoint, or after an epoch's last batch."""
    given = {"batch_size": 7, "penalty": penalty, "learning_rate": 0.1, "epochs": 4}
    given |= {"checkpoint": tmp_path / "run", "resume": True, "checkpoint_every": 1}
    stopped, resumed, whole = network(dtype), network(dtype), network(dtype)
    run, count = getattr(*place), [0]

    def interrupted(*arguments: Any) -> Any:
        found, count[0] = run(*arguments), count[0] + 1
        if count[0] == 3:
            signal.raise_signal(signal.SIGINT)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(X, y, **given)
    resumed.fit(X, y, **given)
    whole.fit(X, y, **{**given, "checkpoint": None, "resume": False, "checkpoint_every": None})
    done = len(stopped.history.train_cost)
    assert 0 < done < 4
    assert stopped.history.train_cost == whole.history.train_cost[:done]
    assert resumed.history.train_cost == whole.history.train_cost


@pytest.mark.parametrize("penalty", RULES, ids=repr)
def test_it_cannot_be_told_when_they_got_their_steps(X, y, penalty) -> None:
    """Warm-started fits, and one with a callback, give the same bits as one fit of all epochs."""
    given = {"batch_size": 7, "penalty": penalty, "learning_rate": 0.1, "shuffle": False}
    parts, whole, many, costs = network(), network(), network(), []
    for epochs in (2, 1, 3):
        parts.fit(X, y, epochs=epochs, warm_start=True, **given)
        costs += parts.history.train_cost
    whole.fit(X, y, epochs=6, **given)
    many.fit(X, y, epochs=6, callbacks=[Watcher()], **given)
    assert costs == many.history.train_cost == whole.history.train_cost
    for net in (parts, many):
        for one, other in zip(net.weights + net.biases, whole.weights + whole.biases, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rule", [penalties.L1, penalties.L2], ids=lambda rule: rule.__name__)
def test_more_runs_than_are_kept(X, y, rule) -> None:
    ours, dense = network(), network()
    given = {"epochs": unused_columns.MOST_MISSED + 3, "penalty": rule(0.05), "learning_rate": 0.01}
    given["batch_size"] = 7
    training = training_of(ours, X, y, rule(0.05))
    for _ in range(given["epochs"]):
        training.epoch(np.arange(ROWS), write_back=False, learning_rate=0.01)
    training.write_back()
    by_numpy(dense, X, y, shuffle=False, **given)
    agree(ours, dense)


@pytest.mark.parametrize("penalty", RULES[1:], ids=repr)
def test_the_value_before_any_step(X, y, penalty) -> None:
    """`compact_every` needs it: each compaction is followed by a new `Training`."""
    histories = []
    for fit in (Network.fit, by_numpy):
        net = network()
        net.weights[0][:, 200:] = 0
        fit(net, X, y, epochs=3, learning_rate=0.1, penalty=penalty, compact_every=1)
        histories.append(net.history.train_cost)
    np.testing.assert_allclose(*histories, rtol=1e-10)


def test_the_value_before_any_step_of_all_layers(X, y) -> None:
    training = training_of(net := network(), X, y, penalties.L2(0.5))
    assert training.penalty_value()() == pytest.approx(
        penalties.value_of([penalties.L2(0.5)] * 2, net.weights, net.biases), rel=1e-12
    )


def test_without_a_learning_rate_the_penalty_has_its_value(X, y) -> None:
    histories = []
    for fit in (Network.fit, by_numpy):
        fit(net := network(), X, y, epochs=2, learning_rate=0.0, penalty=penalties.L1(0.5))
        histories.append(net.history.train_cost)
    np.testing.assert_allclose(*histories, rtol=1e-12)


def test_numbers_that_are_not_finite_are_found_in_them(X, y) -> None:
    net = network()
    unused = np.flatnonzero(np.diff(X.tocsc().indptr) == 0)[0]
    net.weights[0][0, unused] = np.nan
    training = training_of(net, X, y, penalties.L2(0.5))
    training.epoch(np.arange(ROWS))
    assert not training.is_finite()


def test_what_is_noted_of_batches_has_the_share_of_all_columns(X, y) -> None:
    """lmbda is divided by each batch's number of rows; the last batch is short."""
    found, penalty = [], penalties.L2(0.1)
    for path in (compiled.Path, batched.Path):
        noted = np.zeros((-(-ROWS // 7), 3))
        training = training_of(network(), X, y, penalty, n_of_batch=True)
        training._path = path(training._problem)
        for _ in range(2):
            training.epoch(np.arange(ROWS), batches=noted)
        found.append(noted)
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_arrays_in_another_order(X, y) -> None:
    nets = network(), network()
    nets[1].weights = [np.asfortranarray(w) for w in nets[1].weights]
    for net in nets:
        training = training_of(net, X, y, penalties.L1(0.05))
        training.epoch(np.arange(ROWS))
    agree(*nets, 1e-15)


def test_long_pieces_and_a_rest() -> None:
    """There are more weights than fit a piece, and they do not fill whole vectors."""
    w = np.random.default_rng(3).standard_normal((3, unused_columns.PIECE + 5)) / 100
    used, rule = np.array([7, 9]), penalties.L1(1.0)
    numbers = np.array([rule.coefficients(1e-4)] * 6)
    waiting = unused_columns.UnusedColumns(w, used, rule, numbers_at=0)
    wanted = w.copy()
    waiting.take(numbers, 5, None)
    for _ in range(5):
        wanted = rule.shrink(np, wanted, *numbers[0])
    wanted[:, used] = waiting.trained[...] = 4.0
    value = waiting.value()()
    for _ in range(2):  # a second write changes nothing
        waiting.write(w)
        np.testing.assert_allclose(w, wanted, atol=1e-12)
    others = np.delete(wanted, used, axis=1)
    np.testing.assert_allclose(value, rule.value(others), rtol=1e-12)


def test_an_array_in_the_place_of_another_is_written_to(X: sparse.csr_array, y: np.ndarray) -> None:
    class Copies(callbacks.Callback):
        def epoch_end(self, epoch: int, network: Network, history: Any) -> None:
            network.weights[0] = network.weights[0].copy()

    network, expected = (Network([COLUMNS, 1], seed=1, dtype="float64") for _ in range(2))
    options: dict[str, Any] = {"epochs": 3, "penalty": penalties.L1(0.05)}
    network.fit(X, y, callbacks=[Copies()], **options)
    expected.fit(X, y, **options)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


class Capped(penalties.ProximalL1):
    """A penalty whose value is not its strength times the sum of abs(w)."""

    name = "capped"

    def value(self, w: np.ndarray) -> float:
        return self.lmbda * float(np.minimum(np.abs(w), 0.01).sum())


def test_a_value_that_is_no_sum_is_taken_of_all_weights(X: sparse.csr_array, y: np.ndarray) -> None:
    costs = []
    for fit in (Network.fit, by_numpy):
        net = network()
        fit(net, X, y, epochs=2, learning_rate=0.1, penalty=Capped(0.05))
        costs.append(net.history.train_cost)
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)


def test_going_back_behind_a_value_is_refused(X: sparse.csr_array) -> None:
    w = np.ones((1, COLUMNS))
    beside = unused_columns.UnusedColumns(w, np.unique(X.indices), penalties.L1(1.0), 0)
    beside.mark()
    beside.take(np.full((2, 1), 0.01), 2, None)
    beside.value()()
    with pytest.raises(RuntimeError, match="after the mark"):
        beside.go_back()
