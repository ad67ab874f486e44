"""One network on the workers of a Dask cluster, by local SGD (extra ``dask``).

The method is that of `fastnn.local_sgd`. Here is what a cluster adds: which worker has which
partition, and what happens when one is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import fspath
from typing import Any, NamedTuple

import numpy as np

from fastnn.checks import not_installed

try:
    import dask
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
from fastnn.trainer.rows import Rows, rows_of

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

    In each round every worker trains the common weights on its own partitions, and the weights are
    averaged by the numbers of rows. Partitions that are on a worker already stay there; others are
    dealt out evenly, in their order. With one worker, `rounds` of `local_epochs` on one partition
    are `Network.fit` with ``epochs=rounds*local_epochs``, bit by bit.

    A worker that is lost costs its part of the round: its partitions are made anew on others, as
    Dask makes any lost result, and the part is done again, with the same result.

    Parameters
    ----------
    network : Network
        Trained in place: after each round it has the averaged weights.
    partitions : tuple of two Dask arrays, or iterable of pairs
        ``(X, y)``, cut in blocks of rows; or for each partition a pair (X, y) of delayed objects,
        futures, or paths of files that the workers open themselves, as `Network.fit` does: npy and
        IDX, or svmlight, whose path alone is a partition.
    client : distributed.Client, optional
        By default the current one.
    rounds : int
        How often the weights are averaged.
    local_epochs, local_batches : int
        One of them: what each worker does in a round. Passes over its rows, or steps, of which the
        next round goes on where this one has ended.
    batch_size, learning_rate, optimizer, penalty, dropout, input_noise, shuffle, warm_start
        As in `Network.fit`. n in lmbda/n is the number of rows of all partitions. A schedule counts
        local epochs, or rounds with `local_batches`; it sees one validation score a round.
    validation_data, early_stopping, callbacks
        As in `Network.fit`, here and not on the workers, with rounds for epochs.

    Returns
    -------
    History
        One value for each round; ``train_cost`` is the mean of the workers' as they trained.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or partitions are empty, or their widths or dtypes differ;
        the message names the partition, and no weight has changed.
    ConnectionError
        If the client is closed or its cluster gone.
    DivergenceError
        If weights are no longer finite after a round; the network has those of the round before.
    RuntimeError
        If a part of a round ends worker after worker (Dask's ``allowed-failures``). Like any other
        error in the middle of a round it leaves the weights of the last finished one.
    """
    client = _running(client)
    pairs = _pairs(partitions)
    cluster = _Cluster(client, network, pairs)
    return local_sgd.fit(
        network,
        cluster.run,
        cluster.counts,
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
    """What must be the same in all partitions, and the rows of one."""

    rows: int
    dtype: str
    targets: tuple[Any, ...]


class _Cluster:
    """The partitions on the workers, in groups: those that one worker trains."""

    def __init__(
        self, client: distributed.Client, network: Network, pairs: Sequence[tuple[Any, Any]]
    ) -> None:
        self._client, self._finished = client, 0
        places = self._places(pairs)
        like = local_sgd.reader(network)
        parts = [
            client.compute(
                dask.delayed(_opened, pure=False)(like, number, *pair),
                workers=[place],
                allow_other_workers=True,
            )
            for number, (place, pair) in enumerate(zip(places, pairs, strict=True))
        ]
        facts = [
            self._submit(_facts, place, part) for place, part in zip(places, parts, strict=True)
        ]
        found: list[_Facts] = self._results(facts)
        _check_alike(found)
        groups = [[i for i, own in enumerate(places) if own == at] for at in dict.fromkeys(places)]
        self._groups = [[parts[i] for i in group] for group in groups]
        self._places_of_groups = list(dict.fromkeys(places))
        self.counts = [sum(found[i].rows for i in group) for group in groups]

    def run(self, job: Job, model: Model, places: list[Place]) -> list[Done]:
        """Do a round: each worker its part."""
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
        """Have a worker do something; another one, if that one is gone."""
        try:
            return self._client.submit(
                function, *arguments, workers=[at], allow_other_workers=True, pure=False
            )
        except Exception as error:  # a closed client raises just that
            raise self._gone(error) from error

    def _results(self, futures: list[Any]) -> Any:
        try:
            return self._client.gather(futures)
        except distributed.KilledWorker as error:
            raise RuntimeError(
                f"round {self._finished + 1} has ended several workers, one after another, at the "
                f"task {error.task!r}: see their logs, they may be out of memory; {self._kept()}"
            ) from error
        except (distributed.client.FutureCancelledError, distributed.comm.CommClosedError) as error:
            raise self._gone(error) from error
        finally:
            if self._client.status == "running":
                self._client.cancel(futures)

    def _gone(self, error: BaseException) -> ConnectionError:
        return ConnectionError(f"the Dask client or its cluster is gone ({error}); {self._kept()}")

    def _kept(self) -> str:
        """Say what the network is left with."""
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
        """Return a worker for each partition: where its data are, else one after another."""
        workers = self._workers()
        at = []
        for number, pair in enumerate(pairs):
            futures = distributed.futures_of(pair)
            distributed.wait(futures)
            holders = [w for held in self._client.who_has(futures).values() for w in held]
            dealt = workers[number * len(workers) // len(pairs)]
            at.append(Counter(holders).most_common(1)[0][0] if holders else dealt)
        return at

    def _move_from_lost_workers(self) -> None:
        """Give the groups of workers that are gone to those with the fewest."""
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
    """Return a pair (X, y) for each partition, of what the workers make or open."""
    if isinstance(partitions, tuple) and all(hasattr(a, "to_delayed") for a in partitions):
        return _blocks(*partitions)
    if isinstance(partitions, (str, bytes)) or not isinstance(partitions, Iterable):
        raise TypeError(
            "partitions must be a pair of Dask arrays or a list of pairs (X, y), "
            f"not {type(partitions).__name__}"
        )
    pairs = [(p, None) if is_path(p) and has_svmlight_name(p) else p for p in partitions]
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
        f"not {type(given).__name__}: client.scatter(X) makes a future"
    )


def _check_alike(found: Sequence[_Facts]) -> None:
    """Raise a `ValueError` if partitions are not of one kind."""
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
    """Return a partition as the engine takes it, and the dtype it came in; on its worker."""
    try:
        X, y = opened(X, y, like.n_inputs)
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
    return _Facts(len(targets), dtype, (targets.dtype.name, *targets.shape[1:]))


def _part(job: Job, model: Model, place: Place, *parts: tuple[Rows, str]) -> Done:
    """Do a worker's part of a round, on its threads."""
    threads = distributed.get_worker().state.nthreads
    return local_sgd.train_part(job, model, place, [rows for rows, _ in parts], threads)
