"""One network on the workers of a Dask cluster, by local SGD (extra ``dask``).

The method is that of `fastnn.local_sgd`. This module adds what a cluster needs: the assignment of
partitions to workers, and recovery when a worker is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import fspath
from typing import Any, NamedTuple

import numpy as np

from fastnn.checks import not_installed

try:
    import dask.array
    import distributed
except ModuleNotFoundError as error:
    raise not_installed("fastnn.dask", "dask", "dask[distributed]") from error

from fastnn import local_sgd
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.csr import is_sparse
from fastnn.history import History
from fastnn.local_sgd import Done, Job, Model, Place
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.penalties import PenaltyLike
from fastnn.row_files import RowsLike, TargetsLike, is_path, opened
from fastnn.schedules import Schedule
from fastnn.svmlight import has_svmlight_name
from fastnn.trainer.rows import Extremes, Rows, extremes_of, rows_of, warn_of_misfits

__all__ = ["fit"]


def fit(
    network: Network,
    partitions: Any,
    *,
    client: distributed.Client | None = None,
    rounds: int,
    local_epochs: int | None = None,
    local_batches: int | None = None,
    batch_size: int = 10,
    learning_rate: float | Schedule | None = None,
    optimizer: Optimizer | None = None,
    penalty: PenaltyLike = None,
    dropout: float | Sequence[float] | None = None,
    input_noise: float = 0.0,
    validation_data: tuple[RowsLike, TargetsLike] | None = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    warm_start: bool = False,
) -> History:
    """Train `network` on the partitions where they are: only weights travel.

    In each round every worker trains a copy of the common weights on its own partitions; the copies
    are then averaged, weighted by their numbers of rows. Partitions that are already on a worker
    stay there; the others are distributed evenly, in their order. With one worker and one
    partition, `rounds` of `local_epochs` give the same bits as `Network.fit` with
    ``epochs=rounds*local_epochs``.

    If a worker is lost, only its part of the round is repeated: Dask recomputes its partitions on
    other workers, as it does for any lost result, and the repeated part has the same result. What
    ``client.scatter`` has put on the worker cannot be recomputed: it is lost, and the fit ends.

    Parameters
    ----------
    network : Network
        Trained in place: after each round it has the averaged weights.
    partitions : tuple of two Dask arrays, or iterable of pairs
        ``(X, y)``, chunked by rows only; or for each partition a pair (X, y) of delayed objects,
        futures, or paths of files that the workers open themselves, as `Network.fit` does: npy, IDX
        or svmlight. An svmlight path is a partition by itself.
    client : distributed.Client, optional
        By default the current one.
    rounds : int
        The number of times that the weights are averaged.
    local_epochs, local_batches : int
        At most one of them: the work of each worker in a round, in passes over its rows (by default
        one) or in steps. After `local_batches` steps the next round continues the pass where this
        one ended.
    batch_size, learning_rate, optimizer, penalty, dropout, input_noise, shuffle, warm_start
        As in `Network.fit`. n in lmbda/n is the number of rows of all partitions. A schedule counts
        local epochs, or rounds with `local_batches`; it sees one validation score per round.
    validation_data, early_stopping, callbacks
        As in `Network.fit`, with rounds instead of epochs; they run here and not on the workers.

    Returns
    -------
    History
        One value for each round; ``train_cost`` is the mean over the rows as the workers trained.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or partitions are empty, or their widths or dtypes differ.
        For a bad partition the message names it. No weight has changed.
    ConnectionError
        If the client is closed, its cluster is gone, there are no workers, or a scattered partition
        is lost with its worker.
    DivergenceError
        If the weights or the optimizer's state are not finite after a round; the network keeps the
        weights of the round before.
    RuntimeError
        If a part of a round kills one worker after another (Dask's ``allowed-failures``). As after
        any other error within a round, the network has the weights of the last finished round.
    """
    client = _running(client)
    cluster = _Cluster(client, network, _pairs(partitions))
    return local_sgd.fit(
        network,
        cluster.run,
        cluster.open,
        rounds=rounds,
        local_epochs=local_epochs,
        local_batches=local_batches,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        penalty=penalty,
        dropout=dropout,
        input_noise=input_noise,
        validation_data=validation_data,
        early_stopping=early_stopping,
        callbacks=callbacks,
        shuffle=shuffle,
        warm_start=warm_start,
    )


class _Facts(NamedTuple):
    """A partition's number of rows, what must be alike in all, and what warnings depend on."""

    rows: int
    dtype: str
    targets: tuple[Any, ...]
    extremes: Extremes


class _Cluster:
    """The partitions on the workers, grouped by the worker that trains them."""

    def __init__(
        self, client: distributed.Client, network: Network, pairs: Sequence[tuple[Any, Any]]
    ) -> None:
        self._client, self._network, self._pairs = client, network, pairs
        self._finished = 0
        self._groups: list[list[distributed.Future]] = []
        self._places_of_groups: list[str] = []

    def open(self) -> list[int]:
        """Open the partitions where they are, check them, and return each group's rows."""
        places = self._places(self._pairs)
        like = local_sgd.reader(self._network)
        parts = [
            self._client.compute(
                dask.delayed(_opened, pure=False)(like, number, *pair),
                workers=[place],
                allow_other_workers=True,
            )
            for number, (place, pair) in enumerate(zip(places, self._pairs, strict=True))
        ]
        facts = [
            self._submit(_facts, place, part) for place, part in zip(places, parts, strict=True)
        ]
        found: list[_Facts] = self._results(facts)
        _check_alike(found)
        warn_of_misfits(self._network, *(one.extremes for one in found))
        groups = [[i for i, own in enumerate(places) if own == at] for at in dict.fromkeys(places)]
        self._groups = [[parts[i] for i in group] for group in groups]
        self._places_of_groups = list(dict.fromkeys(places))
        return [sum(found[i].rows for i in group) for group in groups]

    def run(self, job: Job, model: Model, places: list[Place]) -> list[Done]:
        """Run one round, a part on each worker."""
        self._move_from_lost_workers()
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            parts = [
                self._submit(_part, at, job, model, place, *group)
                for at, place, group in zip(
                    self._places_of_groups, places, self._groups, strict=True
                )
            ]
        done: list[Done] = self._results(parts)
        self._finished += 1
        return done

    def _submit(self, function: Callable[..., Any], at: str, *arguments: Any) -> Any:
        """Submit a call to the worker `at`, or to another one if that one is gone."""
        try:
            return self._client.submit(
                function, *arguments, workers=[at], allow_other_workers=True, pure=False
            )
        except Exception as error:  # a closed client raises a plain Exception
            raise self._gone(error) from error

    def _results(self, futures: list[Any]) -> Any:
        try:
            return self._client.gather(futures)
        except distributed.KilledWorker as error:
            raise RuntimeError(
                f"round {self._finished + 1} has ended several workers, one after another, at the "
                f"task {error.task!r}: see their logs, they may be out of memory; {self._kept()}"
            ) from error
        except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
            raise self._gone(error) from error
        finally:
            if self._client.status == "running":
                self._client.cancel(futures)

    def _gone(self, error: BaseException) -> ConnectionError:
        if isinstance(error, distributed.CancelledError) and self._client.status == "running":
            return ConnectionError(
                "a partition is lost: it was scattered, and its worker is gone, or the cluster was "
                "restarted; give delayed objects or paths, which other workers can compute again; "
                f"{self._kept()}"
            )
        return ConnectionError(f"the Dask client or its cluster is gone ({error}); {self._kept()}")

    def _kept(self) -> str:
        """Return the part of an error message that says which weights the network has."""
        return f"the network has the weights of {self._finished} finished rounds"

    def _workers(self) -> list[str]:
        try:
            found = sorted(self._client.nthreads())
        except Exception as error:
            raise self._gone(error) from error
        if not found:
            raise ConnectionError("the Dask cluster has no workers: start one, or wait for it")
        return found

    def _places(self, pairs: Sequence[tuple[Any, Any]]) -> list[str]:
        """Return a worker for each partition: the one with its data, else an even distribution."""
        workers = self._workers()
        at = []
        for number, pair in enumerate(pairs):
            futures = distributed.futures_of(pair)
            try:
                distributed.wait(futures)
            except distributed.CancelledError as error:
                raise self._gone(error) from error
            holders = [w for held in self._client.who_has(futures).values() for w in held]
            dealt = workers[number * len(workers) // len(pairs)]
            at.append(Counter(holders).most_common(1)[0][0] if holders else dealt)
        return at

    def _move_from_lost_workers(self) -> None:
        """Reassign the groups of lost workers to the workers with the fewest groups."""
        workers = self._workers()
        for group, at in enumerate(self._places_of_groups):
            if at not in workers:
                busy = Counter(self._places_of_groups)
                self._places_of_groups[group] = min(workers, key=lambda worker: busy[worker])


def _running(client: distributed.Client | None) -> distributed.Client:
    """Return the client to use."""
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError as error:
            raise ValueError("there is no Dask client: make one, or give client=...") from error
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client must be a distributed.Client, not {client!r}")
    if client.status != "running":
        raise ConnectionError(f"the Dask client is {client.status}: make a new one")
    return client


def _pairs(partitions: Any) -> list[tuple[Any, Any]]:
    """Return for each partition a pair (X, y) of what the workers compute or open."""
    one = isinstance(partitions, (str, bytes)) or dask.is_dask_collection(partitions)
    if one or not isinstance(partitions, Iterable):
        raise TypeError(
            "partitions must be a pair of Dask arrays or a list of pairs (X, y), "
            f"not {type(partitions).__name__}"
        )
    given = list(partitions)
    if any(hasattr(type(a), "to_dask_array") for a in given):
        raise TypeError(
            "partitions must be Dask arrays, not frames: give (X.to_dask_array(lengths=True), "
            "y.to_dask_array(lengths=True))"
        )
    if isinstance(partitions, tuple) and any(isinstance(a, dask.array.Array) for a in given):
        return _blocks(*given)
    pairs = [(p, None) if is_path(p) and has_svmlight_name(p) else p for p in given]
    for number, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"partition {number} must be a pair (X, y), not {type(pair).__name__}")
    if not pairs:
        raise ValueError("partitions must be at least one, not none")
    return [
        (_source(number, X), None if y is None and is_path(X) else _source(number, y))
        for number, (X, y) in enumerate(pairs)
    ]


def _blocks(*arrays: Any) -> list[tuple[Any, Any]]:
    """Return the blocks of a pair of Dask arrays."""
    if len(arrays) != 2:
        raise TypeError(f"partitions must be two Dask arrays, X and y, not {len(arrays)}")
    X, y = arrays
    for name, array in (("X", X), ("y", y)):
        if not isinstance(array, dask.array.Array):
            raise TypeError(f"{name} must be a Dask array too, not {type(array).__name__}")
        if any(count > 1 for count in array.numblocks[1:]):
            raise ValueError(
                f"{name} must be cut in blocks of rows only: {name}.rechunk({{1: -1}}), "
                f"not {array.numblocks} blocks"
            )
    if X.numblocks[0] != y.numblocks[0]:
        raise ValueError(
            f"X and y must be cut alike, not in {X.numblocks[0]} and {y.numblocks[0]} blocks"
        )
    blocks = [array.to_delayed().ravel().tolist() for array in arrays]
    return list(zip(*blocks, strict=True))


def _source(number: int, given: Any) -> Any:
    if is_path(given):
        return fspath(given)
    if isinstance(given, distributed.Future) or dask.is_dask_collection(given):
        return given
    raise TypeError(
        f"partition {number} must be of delayed objects, futures or paths, "
        f"not {type(given).__name__}: dask.delayed(X) makes a delayed object"
    )


def _check_alike(found: Sequence[_Facts]) -> None:
    """Raise a `ValueError` unless all partitions have the same dtype and form of targets."""
    first = found[0]
    for number, other in enumerate(found):
        for what, a, b in (
            ("the dtype of X", first.dtype, other.dtype),
            ("the form of y", first.targets, other.targets),
        ):
            if a != b:
                raise ValueError(
                    f"partitions must be alike: {what}: {a} in partition 0, {b} in {number}"
                )


def _opened(like: Network, number: int, X: Any, y: Any) -> tuple[Rows, str]:
    """Return a partition ready for the engine, and its original dtype; runs on the worker."""
    try:
        X, y = opened(X, y, like.n_inputs, classes=not like._cost.regression)
        X = X if is_sparse(X) else np.asarray(X)
        if X.ndim and not X.shape[0]:
            raise ValueError("it is empty: X has no rows")
        return rows_of(like, X, y, predicted=False), str(X.dtype)
    except Exception as error:
        known = isinstance(error, (OSError, TypeError, ValueError))
        kind, name = (type(error), "") if known else (RuntimeError, f"{type(error).__name__}: ")
        raise kind(f"partition {number}: {name}{error}") from error


def _facts(part: tuple[Rows, str]) -> _Facts:
    rows, dtype = part
    targets = rows.targets
    return _Facts(
        len(targets),
        dtype,
        (targets.dtype.name, *targets.shape[1:]),
        extremes_of(rows),
    )


def _part(job: Job, model: Model, place: Place, *parts: tuple[Rows, str]) -> Done:
    """Train a worker's part of a round with as many threads as the worker has."""
    threads = distributed.get_worker().state.nthreads
    return local_sgd.train_part(job, model, place, [rows for rows, _ in parts], threads)
