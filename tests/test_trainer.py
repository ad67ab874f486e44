"""Training a `Network`: comparison with the oracle, the history, interruption and threads."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from comparisons import same, snapshot
from fastnn import L1, L2, History, Network, penalties, reference
from fastnn.engine import compiled, jit
from fastnn.progress import ProgressBar

N, SIZES = 45, [12, 7, 4]
PENALTIES = [None, *(penalty(4.0) for penalty in penalties.ALL)]


def penalty_name(penalty: object) -> str:
    return getattr(penalty, "name", "none")


def new(sizes: list[int] = SIZES, **keywords) -> Network:
    return Network(sizes, **{"dtype": "float64", "seed": 1, **keywords})


def assert_close(network: Network, weights, biases) -> None:
    """Compare each array to within 1e-10 of its largest absolute value."""
    for ours, theirs in zip(snapshot(network), [*weights, *biases], strict=True):
        theirs = theirs.reshape(ours.shape)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())


def by_the_oracle(
    network: Network, X, y, orders, *, batch_size: int, learning_rate: float, penalty
):
    """Train the oracle from the current state of `network`; return its weights and biases."""
    targets = np.eye(network.sizes[-1])
    data = [(x[:, None], targets[label][:, None]) for x, label in zip(X, y, strict=True)]
    weights, biases = network.weights, [b[:, None] for b in network.biases]
    for order in orders:
        weights, biases = reference.epoch(
            weights,
            biases,
            data,
            order,
            batch_size,
            learning_rate,
            0.0 if penalty is None else penalty.lmbda,
            cost=network.cost,
            penalty=penalty_name(penalty),
        )
    return weights, biases


@pytest.mark.parametrize(
    ("cost", "penalty"),
    # Each cost and penalty of the oracle; tests of the book's modules compare all their pairs.
    [("quadratic", None), *(("cross_entropy", penalty) for penalty in (None, L1(3.0), L2(4.0)))],
    ids=lambda value: value if isinstance(value, str) else penalty_name(value),
)
@pytest.mark.parametrize("batch_size", [1, 10, N])
def test_fit_is_the_oracles_algorithm_in_the_order_given(cost, penalty, batch_size, rows) -> None:
    """The order is that of the rows (shuffle=False); n in lmbda/n is their number."""
    X, y = rows
    network = new(cost=cost)
    keywords = {"batch_size": batch_size, "learning_rate": 0.7, "penalty": penalty}
    expected = by_the_oracle(network, X / 256, y, [range(N)] * 3, **keywords)
    before = snapshot(network)
    network.fit(X, y, epochs=3, shuffle=False, **keywords)
    assert_close(network, *expected)
    assert not np.allclose(network.weights[0], before[0], rtol=0, atol=1e-3)


def test_each_epochs_order_is_drawn_from_the_networks_generator(rows) -> None:
    X, y = rows
    network = new()
    generator = copy.deepcopy(network._rng)
    orders = [generator.permutation(N) for _ in range(3)]
    keywords = {"batch_size": 7, "learning_rate": 0.7, "penalty": None}
    expected = by_the_oracle(network, X / 256, y, orders, **keywords)
    network.fit(X, y, epochs=3, **keywords)
    assert_close(network, *expected)
    assert network._rng.random() == generator.random()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_bits(dtype: str, rows) -> None:
    first, second = (new(dtype=dtype) for _ in range(2))
    histories = [network.fit(*rows, epochs=3, penalty=L1(2.0)) for network in (first, second)]
    assert same(first, second)
    assert histories[0].train_cost == histories[1].train_cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_do_not_depend_on_the_storage_or_the_form_of_the_targets(dtype, rows) -> None:
    X, y = rows
    expected = new(dtype=dtype)
    expected.fit(X, y, epochs=2)
    for other_X, other_y in (
        (X / 256, y),
        ((X / 256).astype(np.float32), y.astype(np.int8)),
        (np.asfortranarray(X), y.tolist()),
        (X, np.eye(4)[y]),
    ):
        network = new(dtype=dtype)
        network.fit(other_X, other_y, epochs=2)
        assert same(network, expected)


def test_two_fits_of_one_epoch_are_one_of_two(rows) -> None:
    one, two = new(), new()
    one.fit(*rows, epochs=2, penalty=L2(1.0))
    for _ in range(2):
        two.fit(*rows, epochs=1, penalty=L2(1.0))
    assert same(one, two)


def test_a_batch_larger_than_the_data_is_one_batch(rows) -> None:
    large, exact = new(), new()
    large.fit(*rows, epochs=2, batch_size=10**12, shuffle=False)
    exact.fit(*rows, epochs=2, batch_size=N, shuffle=False)
    assert same(large, exact)


def test_the_callers_arrays_are_neither_changed_nor_need_to_be_writable(rows) -> None:
    X, y = rows
    kept = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    new().fit(X, y, epochs=1, validation_data=(X, y))
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])


def test_one_output_unit_takes_labels_and_columns(rows) -> None:
    X, _ = rows
    y = (X[:, 0] > 127).astype(int)
    networks = [new([12, 1]) for _ in range(2)]
    networks[0].fit(X, y, epochs=60, batch_size=5, learning_rate=5.0)
    networks[1].fit(X, y[:, None].astype(float), epochs=60, batch_size=5, learning_rate=5.0)
    assert same(*networks)
    assert networks[0].accuracy(X, y) > 0.9


def test_digits_are_learnt(digits) -> None:
    network = Network([64, 30, 10], input_scale=digits.input_scale, seed=1)
    history = network.fit(
        digits.train_images,
        digits.train_labels,
        epochs=10,
        validation_data=(digits.test_images, digits.test_labels),
    )
    assert history.val_accuracy[-1] > 0.9
    assert history.train_cost[-1] < 0.3 * history.train_cost[0]
    assert history.val_accuracy[-1] == network.accuracy(digits.test_images, digits.test_labels)


@pytest.mark.parametrize("penalty", PENALTIES, ids=penalty_name)
def test_history_without_a_step(penalty, rows) -> None:
    """With a learning rate of 0, the running mean is the cost of the unchanged network."""
    X, y = rows
    network = new()
    history = network.fit(
        X, y, epochs=2, learning_rate=0, penalty=penalty, validation_data=(X[:20], y[:20])
    )
    chosen = penalties.per_layer(penalty, 2)
    share = penalties.value_of(chosen, network.weights, network.biases) / N
    assert history.train_cost == pytest.approx([network.total_cost(X, y, penalty=penalty)] * 2)
    assert history.val_cost == pytest.approx([network.total_cost(X[:20], y[:20]) + share] * 2)
    assert history.val_accuracy == [network.accuracy(X[:20], y[:20])] * 2
    assert same(network, new())


def test_train_cost_is_the_running_mean(rows) -> None:
    """The cost of each batch is computed before the step on that batch."""
    X, y = rows
    network, stepwise = new(), new()
    history = network.fit(X, y, epochs=1, batch_size=10, shuffle=False)
    total = 0.0
    for start in range(0, N, 10):
        batch = X[start : start + 10], y[start : start + 10]
        total += stepwise.total_cost(*batch) * len(batch[0])
        stepwise.fit(*batch, epochs=1, batch_size=10, shuffle=False)
    assert history.train_cost == pytest.approx([total / N], rel=1e-12)
    assert_close(network, stepwise.weights, stepwise.biases)


def test_history_is_that_of_this_fit(rows) -> None:
    network = new()
    first = network.fit(*rows, epochs=2)
    assert network.history is first
    second = network.fit(*rows, epochs=3.0, validation_data=list(rows))
    assert network.history is second
    assert len(first.train_cost) == len(first.seconds) == 2
    assert first.val_cost == first.val_accuracy == []
    assert second.learning_rate == [0.5] * 3
    lists = (second.train_cost, second.val_cost, second.val_accuracy, second.seconds)
    assert [len(values) for values in lists] == [3, 3, 3, 3]
    assert all(type(value) is float for values in lists for value in values)
    assert all(seconds > 0 for seconds in second.seconds)


def test_no_epoch_changes_nothing(rows) -> None:
    network = new()
    assert network.fit(*rows, epochs=0, progress=True) == History()
    assert same(network, new())


def test_a_saturated_network_has_finite_costs(rows) -> None:
    X, y = rows
    network = Network(SIZES, dtype="float32", seed=1)
    network.weights[1][:] *= 1e4
    history = network.fit(X, y, epochs=1, learning_rate=0, validation_data=(X, y))
    assert set(network.predict_proba(X).ravel()) >= {0.0, 1.0}
    assert np.isfinite(history.train_cost + history.val_cost).all()
    assert history.train_cost == pytest.approx(history.val_cost, rel=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_ctrl_c_leaves_the_network_between_two_batches(rows, monkeypatch, capsys) -> None:
    X, y = rows
    done, stopped = [], []
    show, stop = ProgressBar.chunk, ProgressBar.__exit__

    def chunk(self: ProgressBar, rows_done: int) -> None:
        show(self, rows_done)
        done.append(rows_done)
        if len(done) == 8:  # the third batch of the second epoch
            signal.raise_signal(signal.SIGINT)

    def leave(self: ProgressBar, *reason) -> None:
        stop(self, *reason)
        stopped.append(reason[0])

    monkeypatch.setattr(ProgressBar, "chunk", chunk)
    monkeypatch.setattr(ProgressBar, "__exit__", leave)
    network, expected = new(), new()
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, y, epochs=3, shuffle=False, progress=True, validation_data=(X, y))
    assert done == [10, 20, 30, 40, 45, 10, 20, 30]
    assert stopped == [KeyboardInterrupt]
    expected.fit(X, y, epochs=1, shuffle=False)
    history = network.history
    assert history.train_cost == expected.history.train_cost
    assert len(history.val_cost) == len(history.val_accuracy) == len(history.seconds) == 1
    expected.fit(X[:30], y[:30], epochs=1, shuffle=False)
    assert same(network, expected)
    monkeypatch.undo()
    network.fit(X[30:], y[30:], epochs=1, shuffle=False)
    expected.fit(X[30:], y[30:], epochs=1, shuffle=False)
    assert same(network, expected)
    assert "epoch 2/3" in capsys.readouterr().err


@pytest.mark.usefixtures("small_chunks")
def test_chunks_change_no_result(rows, monkeypatch) -> None:
    chunked = new()
    chunked.fit(*rows, epochs=2, penalty=L1(1.0))
    monkeypatch.undo()
    whole = new()
    whole.fit(*rows, epochs=2, penalty=L1(1.0))
    assert same(chunked, whole)


def test_progress_is_shown_when_asked_for(rows, capsys) -> None:
    new().fit(*rows, epochs=2, validation_data=rows, progress=True)
    descriptions = capsys.readouterr()
    assert descriptions.out == ""
    for part in ("epoch 2/2", "cost", "accuracy", "samples/s"):
        assert part in descriptions.err
    new().fit(*rows, epochs=2)
    assert capsys.readouterr() == ("", "")


PROGRAM = """
import sys
import numpy as np
import fastnn
rng = np.random.default_rng(5)
X, y = rng.integers(0, 256, (45, 12), dtype=np.uint8), rng.integers(0, 4, 45)
network = fastnn.Network([12, 7, 4], dtype="float64", seed=1)
network.fit(X, y, epochs=3, batch_size=7, penalty=fastnn.L1(4.0), validation_data=(X, y))
network.save(sys.argv[1])
print(*network.history.train_cost, *network.history.val_cost)
"""


def test_the_numpy_path_gives_the_compiled_paths_weights(tmp_path: Path) -> None:
    runs = []
    for jit_off in ("0", "1"):
        path = tmp_path / f"{jit_off}.json"
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path)],
            env={**os.environ, "NUMBA_DISABLE_JIT": jit_off},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append((fastnn.load(path), [float(cost) for cost in result.stdout.split()]))
    (compiled, costs_compiled), (plain, costs_plain) = runs
    assert_close(compiled, plain.weights, plain.biases)
    assert len(costs_plain) == 6
    assert costs_compiled == pytest.approx(costs_plain, rel=1e-10)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int, rows) -> None:
    X, y = rows
    networks = [Network([X.shape[1], 30, 10], seed=3) for _ in range(2)]
    networks[0].fit(X, y, epochs=2, batch_size=25)
    networks[1].fit(X, y, epochs=2, batch_size=25, threads=threads)
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("view", ["every second", "reversed", "a column", "read-only"])
def test_labels_that_lie_in_any_way(view: str, rows) -> None:
    """For example, labels may be a column of a table of whole numbers."""
    X, y = rows
    y = y.astype(np.int64)
    table = np.stack([y, y + 1], axis=1)
    given = {
        "every second": np.repeat(y, 2)[::2],
        "reversed": y[::-1].copy()[::-1],
        "a column": table[:, 0],
        "read-only": np.frombuffer(y.tobytes(), np.int64),
    }[view]
    network, expected = new(), new()
    network.fit(X, given, epochs=2)
    expected.fit(X, y, epochs=2)
    assert same(network, expected)
    assert network.score(X, given) == expected.score(X, y)


@pytest.mark.skipif(not jit.is_on(), reason="of compiled kernels")
def test_arrays_that_cannot_be_written_to_need_no_other_kernels(
    rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, kernel = {}, compiled._kernel

    def noted(*arguments: Any) -> Any:
        made = found[arguments] = kernel(*arguments)
        return made

    monkeypatch.setattr(compiled, "_kernel", noted)
    signatures = []
    for writeable in (True, False):
        X, y = (np.array(array) for array in rows)
        X.flags.writeable = y.flags.writeable = writeable
        network = new()
        network.fit(X, y, epochs=1, sample_weight=np.ones(N))
        network.predict(X)
        signatures.append({key: list(one.signatures) for key, one in found.items()})
    assert signatures[0] == signatures[1]
    assert found


BEYOND_FLOAT32 = {
    "max_norm": {"penalty": penalties.MaxNorm(sys.float_info.max)},
    "small max_norm": {"penalty": penalties.MaxNorm(1e-39)},
    "l1": {"penalty": L1(1e-36)},
    "adagrad": {"optimizer": fastnn.Adagrad(0.01, epsilon=1e-40)},
    "rmsprop": {"optimizer": fastnn.RMSprop(0.01, epsilon=1e-60)},
}


@pytest.mark.parametrize("name", BEYOND_FLOAT32)
def test_numbers_that_float32_lacks(name: str) -> None:
    """Rounded to 0 or infinity, they would make weights NaN that have no gradient."""
    rng = np.random.default_rng(0)
    network = new(dtype="float32")
    network.fit(rng.random((N, 12)), rng.integers(0, 4, N), epochs=2, **BEYOND_FLOAT32[name])
    assert all(np.isfinite(w).all() for w in network.weights)
