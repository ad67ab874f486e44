"""Training on a Dask cluster equals undisturbed local SGD, whatever happens to the workers."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from comparisons import same

pytest.importorskip("distributed")

import dask.array as da
from dask import delayed
from distributed import Client, LocalCluster
from sklearn.datasets import dump_svmlight_file

import fastnn.dask
from fastnn import L1, Adam, Network, local_sgd, sweep
from fastnn.trainer.rows import rows_of
from local_runs import PLAIN

pytestmark = [
    pytest.mark.cpu_tiles,  # the workers use them
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

SIZES = [64, 20, 10]


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory) -> list[tuple[str, Path]]:
    """Return files with the digits in three partitions of different sizes."""
    folder, ends = tmp_path_factory.mktemp("parts"), [0, 600, 1000, 1437]
    pairs = []
    for number, (a, b) in enumerate(itertools.pairwise(ends)):
        paths = folder / f"X{number}.npy", folder / f"y{number}.npy"
        np.save(paths[0], digits.train_images[a:b])
        np.save(paths[1], digits.train_labels[a:b])
        pairs.append((str(paths[0]), paths[1]))
    return pairs


def new(**options: Any) -> Network:
    return Network(SIZES, **{"seed": 3, "input_scale": 1 / 16, **options})


def undisturbed(network: Network, files: Any, groups: list[list[int]], **options: Any) -> Network:
    """Train by the same method without a cluster."""
    rows = [tuple(np.load(path) for path in pair) for pair in files]
    parts = [
        [
            rows_of(network, *rows[i], predicted=False)
            for i in group
        ]
        for group in groups
    ]  # fmt: skip

    def run(task: Any, model: Any, places: Any) -> Any:
        return [
            local_sgd.train_part(task, model, place, group)
            for place, group in zip(places, parts, strict=True)
        ]

    counts = [sum(len(part.targets) for part in group) for group in parts]
    local_sgd.fit(network, run, lambda: counts, **PLAIN | options)
    return network


@pytest.mark.parametrize("optimizer", [None, Adam(0.01)], ids=["sgd", "adam"])
def test_one_partition_is_fit(optimizer: Any, client, digits, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", digits.train_images)
    np.save(tmp_path / "y.npy", digits.train_labels)
    partition = [(tmp_path / "X.npy", tmp_path / "y.npy")]
    options: dict[str, Any] = {"penalty": L1(2.0), "optimizer": optimizer, "batch_size": 20}
    by_fit, one_round, by_rounds = new(), new(), new()
    history = by_fit.fit(*digits[:2], epochs=4, validation_data=digits[2:4], **options)
    fastnn.dask.fit(one_round, partition, rounds=1, local_epochs=4, **options)
    found = fastnn.dask.fit(
        by_rounds, partition, client=client, rounds=2, local_epochs=2,
        validation_data=digits[2:4], **options,
    )  # fmt: skip
    assert same(one_round, by_fit)
    assert same(by_rounds, by_fit)
    assert found.val_accuracy == history.val_accuracy[1::2]
    assert np.mean(history.train_cost[2:]) == pytest.approx(found.train_cost[1], rel=0.02)
    for network in (by_fit, one_round):  # their generators have the same states, too
        network.fit(*digits[:2], epochs=1)
    assert same(one_round, by_fit)


def test_blocks_of_arrays_delayed_futures_and_files_are_the_same(client, digits, files) -> None:
    options: dict[str, Any] = {"rounds": 2, "local_epochs": 1, "penalty": L1(1.0)}
    expected = undisturbed(new(), files, [[0, 1], [2]], **options)
    cuts = (600, 400, 437)
    X = da.from_array(digits.train_images, chunks=(cuts, 64))
    y = da.from_array(digits.train_labels, chunks=(cuts,))
    loaded = [tuple(delayed(np.load)(str(path)) for path in pair) for pair in files]
    for partitions in (files, (X, y), loaded):
        network = new()
        fastnn.dask.fit(network, partitions, client=client, **options)
        assert same(network, expected)


def test_a_partition_may_be_an_svmlight_file(client, digits, tmp_path: Path) -> None:
    path = tmp_path / "rows.svm"
    X, y = (array[:300].astype(float) for array in digits[:2])
    dump_svmlight_file(X, y, str(path), zero_based=False)
    network, expected = new(), new()
    fastnn.dask.fit(network, [path], client=client, rounds=1, local_epochs=1)
    expected.fit(path, epochs=1)
    assert same(network, expected)


def test_data_stay_where_they_are(client, files) -> None:
    """A worker trains on the partitions that it holds, in whatever order they are given."""
    first, second = sorted(client.nthreads())
    futures = [
        [client.submit(np.load, str(path), workers=[at]) for path in pair]
        for pair, at in zip(files, (second, first, second), strict=True)
    ]
    network, options = new(), {"rounds": 2, "local_epochs": 2, "penalty": L1(1.0)}
    fastnn.dask.fit(network, futures, client=client, **options)
    assert same(network, undisturbed(new(), files, [[0, 2], [1]], **options))


@pytest.mark.parametrize("optimizer", [None, Adam(0.01)], ids=["sgd", "adam"])
def test_a_round_goes_on_where_the_last_one_ended(optimizer: Any, client, files) -> None:
    """With one partition, ten rounds of 9 batches equal three epochs of 30 batches.

    They differ by rounding, since the closed form of a deferred penalty ends with each round.
    """
    options: dict[str, Any] = {"optimizer": optimizer, "batch_size": 20, "penalty": L1(1.0)}
    network = new()
    fastnn.dask.fit(network, files[:1], client=client, rounds=10, local_batches=9, **options)
    X, y = (np.load(path) for path in files[0])
    by_fit = new()
    by_fit.fit(X, y, epochs=3, **options)
    for mine, its in zip(network.weights, by_fit.weights, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_a_worker_killed_in_mid_round_changes_nothing(client, files, monkeypatch) -> None:
    options: dict[str, Any] = {"rounds": 3, "local_epochs": 300, "penalty": L1(0.5)}
    network, run = new(), fastnn.dask._Cluster.run
    killed: list[int] = []

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    def kill_in_the_second_round(self: Any, task: Any, model: Any, places: Any) -> Any:
        """Kill the worker that has more rows, shortly after it has started."""
        if self._finished != 1:
            return run(self, task, model, places)
        [pid] = client.run(os.getpid, workers=[self._places_of_groups[0]]).values()
        threading.Timer(0.05, kill, [pid]).start()
        done = run(self, task, model, places)
        assert killed, "the round was over before"
        return done

    monkeypatch.setattr(fastnn.dask._Cluster, "run", kill_in_the_second_round)
    fastnn.dask.fit(network, files, client=client, **options)
    client.wait_for_workers(2, timeout=60)
    assert killed[0] not in client.run(os.getpid).values()
    assert same(network, undisturbed(new(), files, [[0, 1], [2]], **options))


def counters() -> tuple[Any, Any]:
    """Return two functions for workers; nested ones are pickled by value, without this module."""

    def count() -> None:
        """Count the bytes that this worker's process reads and writes over TCP."""
        from distributed.comm import tcp
        from distributed.utils import nbytes

        write, read = tcp.TCP.write, tcp.from_frames
        tcp.fastnn_bytes = 0

        async def counted_write(self: Any, *arguments: Any, **options: Any) -> int:
            count = await write(self, *arguments, **options)
            tcp.fastnn_bytes += count
            return count

        async def counted_read(frames: Any, *arguments: Any, **options: Any) -> Any:
            tcp.fastnn_bytes += sum(map(nbytes, frames))
            return await read(frames, *arguments, **options)

        tcp.TCP.write, tcp.from_frames = counted_write, counted_read

    def so_far() -> int:
        from distributed.comm import tcp

        return tcp.fastnn_bytes

    return count, so_far


def test_only_weights_travel(client) -> None:
    """Each round moves the weights twice for each worker: down and up."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (400, 784), np.uint8), rng.integers(0, 10, 400)
    partitions = da.from_array(X, chunks=(200, 784)), da.from_array(y, chunks=(200,))
    network = Network([784, 100, 10], seed=1)
    size = sum(array.nbytes for array in (*network.weights, *network.biases))
    count, so_far = counters()
    client.run(count)

    def moved(rounds: int) -> dict[str, int]:
        before = client.run(so_far)
        options: dict[str, Any] = {"local_epochs": 1, "penalty": L1(0.1)}
        fastnn.dask.fit(network, partitions, client=client, rounds=rounds, **options)
        return {worker: now - before[worker] for worker, now in client.run(so_far).items()}

    few, many = moved(2), moved(22)
    for worker in few:
        assert (many[worker] - few[worker]) / 20 == pytest.approx(2 * size, rel=0.1)


def test_a_sweep_runs_on_the_cluster(client, digits) -> None:
    options: dict[str, Any] = {"sizes": SIZES, "epochs": 2, "validation_data": digits[2:4]}
    space = {"seed": range(4), "penalty": [L1(1.0)]}
    here = sweep(*digits[:2], space, **options)
    with joblib.parallel_config("dask"):
        there = sweep(*digits[:2], space, **options)
    for a, b in zip(here, there, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


class Frame:
    """What tells Dask's frames from its arrays; they themselves need pyarrow."""

    def to_dask_array(self) -> None: ...


def test_bad_partitions(client, digits, files, tmp_path: Path) -> None:
    def saved(name: str, X: Any, y: Any) -> tuple[Path, Path]:
        np.save(tmp_path / f"{name}X.npy", X)
        np.save(tmp_path / f"{name}y.npy", y)
        return tmp_path / f"{name}X.npy", tmp_path / f"{name}y.npy"

    X, y = digits[:2]
    cut = tmp_path / "cut.npy"
    cut.write_bytes(Path(files[0][0]).read_bytes()[:90])
    ragged = da.from_array(X, chunks=(500, 64)), da.from_array(y, chunks=(300,))
    columns = da.from_array(X, chunks=(500, 32)), da.from_array(y, chunks=(500,))
    cases: list[tuple[Any, type[Exception], str]] = [
        ([files[0], saved("w", X[:9, :63], y[:9])], ValueError, "partition 1: X must have 64 col"),
        ([files[0], saved("d", X[:9] / 16, y[:9])], ValueError, "the dtype of X: uint8.*float64"),
        ([files[0], saved("e", X[:0], y[:0])], ValueError, "partition 1: it is empty"),
        ([files[0], saved("y", X[:9], np.eye(10)[:9])], ValueError, "partitions must be alike"),
        ([files[0], ("none.npy", "none.npy")], OSError, "partition 1: .*none.npy"),
        ([files[0], (cut, files[1][1])], fastnn.FileFormatError, "partition 1: .*cut.npy"),
        ([files[0][0]], TypeError, "partition 0 must be a pair"),
        ([(X, y)], TypeError, r"dask\.delayed\(X\) makes a delayed object"),
        ((delayed(X), delayed(y)), TypeError, r"partition 0 must be a pair \(X, y\), not Delayed"),
        (delayed(X), TypeError, r"or a list of pairs \(X, y\), not Delayed"),
        (ragged[0], TypeError, r"or a list of pairs \(X, y\), not Array"),
        (ragged[:1], TypeError, "two Dask arrays, X and y, not 1"),
        ((ragged[0], y), TypeError, "y must be a Dask array too, not ndarray"),
        ((Frame(), Frame()), TypeError, r"X\.to_dask_array\(lengths=True\)"),
        ((), ValueError, "at least one"),
        ([], ValueError, "at least one"),
        (X, TypeError, "partition 0 must be a pair"),
        (3, TypeError, "a pair of Dask arrays"),
        (ragged, ValueError, "cut alike, not in 3 and 5 blocks"),
        (columns, ValueError, "blocks of rows only"),
    ]
    for partitions, error, message in cases:
        network = new()
        with pytest.raises(error, match=message):
            fastnn.dask.fit(network, partitions, client=client, rounds=1, local_epochs=1)
        assert same(network, new())


def test_scattered_partitions_are_lost_with_their_worker(client, digits) -> None:
    """A fit ends where it is, and another one does not begin."""
    first, _ = sorted(client.nthreads())
    partition = tuple(client.scatter([part], workers=[first])[0] for part in digits[:2])
    [pid] = client.run(os.getpid, workers=[first]).values()

    class Kill(fastnn.Callback):
        def epoch_end(self, epoch: int, network: Network, history: Any) -> None:
            if epoch == 1:
                os.kill(pid, signal.SIGKILL)
                while first in client.nthreads():
                    time.sleep(0.01)

    for rounds, callbacks in ((2, [Kill()]), (0, [])):
        network = new()
        with pytest.raises(ConnectionError, match=f"scattered.* of {rounds} finished rounds"):
            fastnn.dask.fit(network, [partition], client=client, rounds=4, callbacks=callbacks)
    client.wait_for_workers(2, timeout=60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local_epochs": 1, "local_batches": 1}, "local_epochs or local_batches"),
        ({"local_epochs": 0}, "local_epochs must be"),
        ({"local_batches": 0}, "local_batches must be"),
        ({"local_epochs": 1, "early_stopping": 2}, "watches validation rows"),
        ({"local_epochs": 1, "learning_rate": 0.1, "optimizer": Adam()}, "not both"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str, client) -> None:
    """They are told before any partition is opened."""
    network, missing = new(), [("none.npy", "none.npy")]
    with pytest.raises(ValueError, match=message):
        fastnn.dask.fit(network, missing, client=client, rounds=1, **options)
    assert same(network, new())


def test_misfits_of_all_partitions(client) -> None:
    rows, y = np.eye(3, dtype=np.uint8)[np.arange(12) % 3], np.linspace(0, 2, 12)
    X, targets = da.from_array(rows, chunks=(6, 3)), da.from_array(y, chunks=6)
    net = Network([3, 1], activation="sigmoid", cost="mean_squared", seed=1)
    with pytest.warns(UserWarning, match=r"with no value above 1|no unit") as told:
        fastnn.dask.fit(net, (X, targets), client=client, rounds=0)
    assert str(told[0].message).startswith("X is uint8")
    assert str(told[1].message).startswith("y has values from 0 to 2, which no unit")
    rows[-1] = 2
    net = Network([3, 1], activation="identity", cost="mean_squared", seed=1)
    fastnn.dask.fit(net, (da.from_array(rows, chunks=(6, 3)), targets), client=client, rounds=0)


def test_a_client_that_is_gone(client, files) -> None:
    with pytest.raises(TypeError, match=r"must be a distributed\.Client"):
        fastnn.dask.fit(new(), files, client=3, rounds=1, local_epochs=1)  # type: ignore[arg-type]
    other = Client(client.scheduler.address, set_as_default=False)

    class Close(fastnn.Callback):
        def epoch_end(self, epoch: int, network: Network, history: Any) -> None:
            if epoch == 1:
                other.close()

    network, expected = new(), new()
    options: dict[str, Any] = {"local_epochs": 1, "batch_size": 20, "penalty": L1(1.0)}
    with pytest.raises(ConnectionError, match="the weights of 2 finished rounds"):
        fastnn.dask.fit(network, files, client=other, rounds=4, callbacks=[Close()], **options)
    assert same(network, undisturbed(expected, files, [[0, 1], [2]], rounds=2, **options))
    with pytest.raises(ConnectionError, match="the Dask client is closed"):
        fastnn.dask.fit(network, files, client=other, rounds=1, local_epochs=1)
