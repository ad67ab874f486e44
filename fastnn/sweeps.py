"""Many networks trained on the same data, by `fastnn.sweep`.

A trial is one `Network` and one `fit`. Its generator is seeded by the trial's own ``seed``, so its
record depends only on its parameters and the data, not on the other trials, their order, or which
worker ran it.
"""

from __future__ import annotations

import copy
import inspect
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from fastnn import costs
from fastnn.arrays import Inputs, as_inputs
from fastnn.callbacks import Callback
from fastnn.checks import flag, one_of, pair, whole
from fastnn.files import json_safe
from fastnn.history import History
from fastnn.network import Network
from fastnn.network_checks import checked_dtype, checked_scale, checked_sizes
from fastnn.progress import SweepBar
from fastnn.row_files import RowsLike, TargetsLike, opened
from fastnn.sweep_records import (
    SCORES,
    Records,
    ResultsFile,
    ranked,
    warn_of_failures,
)
from fastnn.sweep_space import check_that_all_differ, described, digest_of_data, grid, key_of
from fastnn.trainer.rows import largest_byte, warn_of_flags

__all__ = ["sweep", "train"]

OF_NETWORK = frozenset(inspect.signature(Network).parameters)
OF_FIT = frozenset(inspect.signature(Network.fit).parameters) - {
    "self", "X", "y", "validation_data", "callbacks", "progress", "threads", "checkpoint",
    "checkpoint_every", "checkpoint_seconds", "resume",
}  # fmt: skip
PARAMETERS = sorted(OF_NETWORK | OF_FIT | {"lmbda"})

TASKS_A_WORKER = 4  # at a time, if joblib's backend returns nothing before all are done

Pair = tuple[Any, Any]
Figures = tuple[int, dict[str, Any]]  # a trial's number, and its figures


def sweep(
    X: RowsLike,
    y: TargetsLike,
    trials: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    validation_data: tuple[RowsLike, TargetsLike] | None = None,
    halving: int | None = None,
    results: str | PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    on_record: Callable[[dict[str, Any]], None] | None = None,
    **common: Any,
) -> Records:
    """Train a network for each of many sets of parameters.

    Parameters
    ----------
    X, y, validation_data
        As in `Network.fit`. All trials share one copy, however many there are.
    trials : mapping, or iterable of mappings
        A mapping of names to lists of values is a grid (`fastnn.grid`). Otherwise each mapping has
        the parameters of one trial: from `fastnn.sample`, or scikit-learn's ``ParameterGrid`` and
        ``ParameterSampler``. The names are the parameters of `Network` and `Network.fit`, and
        ``lmbda``, the strength with which ``penalty`` is then called:
        ``{"penalty": [L1, L2], "lmbda": [0.1, 1, 10]}``. An ``optimizer`` that is a class is called
        with the ``learning_rate``, or without arguments if the trial has none.
    halving : int, optional
        Successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification and
        hyperparameter optimization", 2016): all trials train for a few epochs, the best 1 in
        `halving` of them train anew for `halving` times as many, and so on up to ``epochs``. Each
        rung's training is a separate fit, and a schedule covers that rung's epochs only. Trials
        that fail go no further. Halving needs validation rows, at least `halving` trials, and the
        same ``epochs`` for all, at least `halving` too.
    results : path, optional
        A file to which each record is appended when its trial is done. Trials already in it are not
        trained again, so an interrupted sweep continues; failed trials are retried.
    n_jobs : int, optional
        How many trials joblib runs at a time; by default 1, and -1 takes all CPUs. They run in
        threads, unless `joblib.parallel_config` says otherwise. If several run at a time, each
        trial trains with one thread.
    progress : bool, default False
        Show a progress bar.
    on_record : callable, optional
        Called with each record as it becomes known; an exception it raises ends the sweep. Trials
        that run in other threads then end before their next epoch.
    **common
        Parameters of all trials, such as ``epochs=10``; a trial's own take precedence. ``seed`` is
        0 if not given: trials then differ by their parameters and not by chance.

    Returns
    -------
    Records
        One for each trial, in the order of `trials`; with halving, one for each trial of each rung,
        the first rung's first.

    Raises
    ------
    TypeError, ValueError
        If an argument or the data are not as above, before any training; or if every trial fails.
        If only some fail, their records have the error, and a `RuntimeWarning` says so.
    FileFormatError, OSError
        If `results` is not the file of a sweep on the same data, or cannot be read or written.
    """
    chosen = [{"seed": 0} | common | given for given in _as_trials(trials)]
    for parameters in chosen:
        _check(parameters)
    if results is not None:
        check_that_all_differ(chosen)
    read = partial(opened, width=chosen[0]["sizes"][0], classes=not _is_regression(chosen[0]))
    X, y = read(X, y)
    if validation_data is not None:
        validation_data = read(*pair("validation_data", validation_data))
    budgets = [None] if halving is None else _budgets(chosen, halving, validation_data)
    data = _Data.of(X, y, validation_data, chosen)
    unscaled = [rows for (_, scale), (rows, _) in data.rows.items() if scale is None]
    if unscaled:
        warn_of_flags(None, largest_byte(unscaled[0]))
    file = None if results is None else ResultsFile(results, digest_of_data(X, y, validation_data))
    running = _Running(data, file, n_jobs, on_record)
    records, numbers = Records(), list(range(len(chosen)))
    with ExitStack() as stack:
        if flag("progress", progress):
            kept = [len(chosen) // (halving or 1) ** rung for rung in range(len(budgets))]
            running.bar = stack.enter_context(SweepBar(sum(kept)))
        for rung, epochs in enumerate(budgets):
            extra = {} if epochs is None else {"epochs": epochs}
            labels = {} if epochs is None else {"rung": rung}
            found = running.run({i: chosen[i] | extra for i in numbers}, labels)
            records += found
            if halving is not None:
                good = ranked(record for record in found if record["error"] is None)
                best = good[: len(chosen) // halving ** (rung + 1)]
                numbers = sorted(record["trial"] for record in best)
    warn_of_failures(records)
    return records


def train(
    trial: Mapping[str, Any],
    X: RowsLike,
    y: TargetsLike,
    *,
    validation_data: tuple[RowsLike, TargetsLike] | None = None,
    callbacks: Sequence[Callback] = (),
    threads: int | None = None,
) -> tuple[Network, History]:
    """Train the network of one trial as `sweep` does, to the same weights bit for bit.

    Parameters
    ----------
    trial : mapping
        All of its parameters, including the common ones.
    X, y, validation_data, callbacks, threads
        As in `Network.fit`.

    Raises
    ------
    TypeError, ValueError
        If a parameter or the data are invalid.
    """
    _check(trial)
    options = {**trial, "seed": copy.deepcopy(trial.get("seed", 0))}  # a generator begins anew
    if "lmbda" in options:
        options["penalty"] = options["penalty"](options.pop("lmbda"))
    if isinstance(options.get("optimizer"), type):
        rate = [options.pop("learning_rate")] if "learning_rate" in options else []
        options["optimizer"] = options["optimizer"](*rate)
    network = Network(**{name: options.pop(name) for name in OF_NETWORK & options.keys()})
    history = network.fit(
        X, y, validation_data=validation_data, callbacks=callbacks, threads=threads, **options
    )
    return network, history


class _Data(NamedTuple):
    """The rows for all trials, stored once for each form in which networks read them."""

    rows: dict[tuple[str, float | None], tuple[Inputs, Inputs | None]]
    y: Any
    wanted: Any

    @classmethod
    def of(cls, X: Any, y: Any, validation: Any, trials: Sequence[Mapping[str, Any]]) -> _Data:
        rows = {}
        for dtype, scale in {_reading(trial) for trial in trials}:
            held = None if validation is None else as_inputs(validation[0], dtype, scale)
            rows[dtype, scale] = as_inputs(X, dtype, scale), held
        return cls(rows, y, None if validation is None else validation[1])

    def task(self, trial: Mapping[str, Any], **options: Any) -> Callable[[], dict[str, Any]]:
        """Return a function that trains one trial; it holds only the rows that this one reads."""
        rows, held = self.rows[_reading(trial)]
        validation = None if held is None else (held, self.wanted)
        return partial(_figures, dict(trial), rows, self.y, validation, **options)


class _Ending(Callback):
    """Ends the fits in other threads, before their next epochs, once `ended` is set."""

    reads_network = False

    def __init__(self) -> None:
        self.ended = threading.Event()

    def epoch_begin(self, epoch: int, network: Network) -> bool:
        """Return whether the sweep has ended."""
        return self.ended.is_set()


class _Running:
    """Trains the trials that are not in the file yet, and passes on each record."""

    def __init__(
        self,
        data: _Data,
        file: ResultsFile | None,
        n_jobs: int | None,
        on_record: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self._data, self._file, self._n_jobs = data, file, n_jobs
        self._on_record = on_record
        self.bar: Any = None

    def run(
        self, trials: Mapping[int, Mapping[str, Any]], labels: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the records of these trials, in their order; `labels` are added to each."""
        keys = {number: key_of(trial) for number, trial in trials.items()}
        records: dict[int, dict[str, Any]] = {}

        def keep(number: int, figures: dict[str, Any]) -> None:
            parameters = described(trials[number])
            records[number] = {"trial": number, **parameters, **labels, **figures}
            if self.bar is not None:
                self.bar.done(records[number])
            if self._on_record is not None:
                self._on_record(records[number])

        known = {} if self._file is None else self._file.found
        for number, key in keys.items():
            if key in known:
                keep(number, known[key])
        waiting = {i: trial for i, trial in trials.items() if keys[i] not in known}
        ending = _Ending()
        with _closing(self._trained(waiting, ending), ending) as trained:
            for number, figures in trained:
                if self._file is not None:
                    self._file.add(keys[number], figures)
                keep(number, figures)
        return [records[number] for number in trials]

    def _trained(
        self, trials: Mapping[int, Mapping[str, Any]], ending: _Ending
    ) -> Generator[Figures]:
        """Yield the number and the figures of each trial as it finishes."""
        import joblib

        workers = max(1, min(joblib.effective_n_jobs(self._n_jobs), len(trials)))
        backend, _ = joblib.parallel.get_active_backend(prefer="threads")
        in_threads = workers > 1 and getattr(backend, "uses_threads", False)
        options = {
            "callbacks": [ending] if in_threads else [],
            "threads": None if workers == 1 else 1,
        }
        tasks = [
            joblib.delayed(_numbered)(number, self._data.task(trial, **options))
            for number, trial in trials.items()
        ]
        at_once = backend.supports_return_generator
        size = len(tasks) if at_once else TASKS_A_WORKER * workers
        parallel = joblib.Parallel(
            n_jobs=workers,
            prefer="threads",
            batch_size=1,
            return_as="generator_unordered" if at_once else "list",
        )
        for start in range(0, len(tasks), max(1, size)):
            yield from parallel(tasks[start : start + size])


@contextmanager
def _closing(trained: Generator[Figures], ending: _Ending) -> Iterator[Generator[Figures]]:
    """Stop the workers in any case, without joblib's warning about unfinished trials.

    joblib ends processes. Threads cannot be ended: their fits end before their next epochs.
    """
    try:
        yield trained
    finally:
        ending.ended.set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            trained.close()


def _numbered(number: int, task: Callable[[], dict[str, Any]]) -> Figures:
    return number, task()


def _figures(
    trial: dict[str, Any], rows: Inputs, y: Any, validation: Pair | None, **options: Any
) -> dict[str, Any]:
    """Train one trial and return its figures for the record."""
    try:
        network, history = train(trial, rows, y, validation_data=validation, **options)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    figures: dict[str, Any] = {}
    for name in ("train_cost", "val_cost", *SCORES):
        values = getattr(history, name)
        if values:
            figures[name] = values[-1 if history.best_epoch is None else history.best_epoch]
    nonzero = sum(np.count_nonzero(w) for w in network.weights)
    figures["zeros"] = 1 - nonzero / sum(w.size for w in network.weights)
    figures |= {"epochs_done": len(history.seconds), "seconds": sum(history.seconds)}
    return {**json_safe(figures), "error": None}


def _as_trials(trials: object) -> list[dict[str, Any]]:
    if isinstance(trials, Mapping):
        return grid(trials)
    if not isinstance(trials, Iterable) or isinstance(trials, (str, bytes)):
        raise TypeError(f"trials must be a grid or a list of dicts, not {trials!r}")
    chosen = list(trials)
    for trial in chosen:
        if not isinstance(trial, Mapping):
            raise TypeError(f"each trial must be a dict of its parameters, not {trial!r}")
    if not chosen:
        raise ValueError("trials must be at least one, not none")
    return [dict(trial) for trial in chosen]


def _check(trial: Mapping[str, Any]) -> None:
    for name in trial:
        one_of("a parameter of a trial", name, PARAMETERS)
    for name in ("sizes", "epochs"):
        if name not in trial:
            raise ValueError(f"each trial needs {name}: give it to all, as {name}=...")
    checked_sizes(trial["sizes"])
    if "lmbda" in trial and not callable(trial.get("penalty")):
        raise TypeError(
            "lmbda is the strength that penalty is called with: penalty must then be a class such "
            f"as fastnn.L1, not {trial.get('penalty')!r}"
        )


def _is_regression(trial: Mapping[str, Any]) -> bool:
    """Return whether a trial's cost is for real targets; a wrong name fails in the trial."""
    return any(cost.name == trial.get("cost") and cost.regression for cost in costs.ALL)


def _budgets(trials: Sequence[Mapping[str, Any]], halving: object, validation: object) -> list[int]:
    """Return the number of epochs of each rung; the last one trains for all of them."""
    factor = whole("halving", halving, minimum=2)
    if validation is None and any(trial.get("validation_fraction") is None for trial in trials):
        raise ValueError("halving ranks by validation rows: give validation_data")
    if len(asked := {whole("epochs", trial["epochs"], minimum=1) for trial in trials}) > 1:
        raise ValueError(f"with halving all trials have the same epochs, not {sorted(asked)}")
    budgets, left = [asked.pop()], len(trials)
    for what, count in (("trials", left), ("epochs", budgets[0])):
        if count < factor:
            raise ValueError(
                f"halving={factor} needs at least {factor} {what}, not {count}: give more, or a "
                "smaller halving, or none"
            )
    while left >= factor and budgets[0] >= factor:
        budgets.insert(0, budgets[0] // factor)
        left //= factor
    return budgets


def _reading(trial: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the dtype and scale of a trial, on which the stored form of its rows depends."""
    scale = trial.get("input_scale")
    return checked_dtype(trial.get("dtype", "float32")).name, (
        None if scale is None else checked_scale(scale)
    )
