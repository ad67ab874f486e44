"""Local SGD: several workers train copies of one network on their own rows and average them.

In each round every worker starts from the common weights and trains on its own rows for some epochs
or batches with the compiled engine. The resulting weights are averaged, weighted by the workers'
numbers of rows (McMahan et al., "Communication-efficient learning of deep networks from
decentralized data", 2017; Stich, "Local SGD converges fast and communicates little", 2019). The
state of the optimizer and of the penalties is averaged in the same way. The n in lmbda/n counts the
rows of all workers, so a worker's steps are those that training on all rows would make.

A worker's part of a round depends only on its arguments, among them its random generator, and so
can be repeated elsewhere with the same result. The caller decides where the parts run:
`fastnn.dask` runs them on a cluster.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastnn import engine
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.checks import optional, whole
from fastnn.engine import State
from fastnn.history import History
from fastnn.interrupts import signals_deferred
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.penalties import PenaltyLike, value_of
from fastnn.row_files import RowsLike, TargetsLike
from fastnn.schedules import Schedule
from fastnn.trainer.arguments import checked_callbacks, refuse_noise, refuse_unwatched
from fastnn.trainer.epochs import asked_to_stop, diverged, rate_of, record_epoch
from fastnn.trainer.exclusive import exclusive_fit
from fastnn.trainer.options import Options, options_for
from fastnn.trainer.position import Position
from fastnn.trainer.rows import Rows, validation_of
from fastnn.trainer.warm_start import left_by

__all__ = [
    "Done",
    "Job",
    "Model",
    "Place",
    "averaged",
    "fit",
    "packed",
    "reader",
    "train_part",
    "unpacked",
]


class Model(NamedTuple):
    """What is sent and averaged: weights, biases, and the state of optimizer and penalties.

    `state` is None before the first step. In `state.kept`, None stands for an array of zeros.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    state: State | None

    def is_finite(self) -> bool:
        """Return whether all weights, biases and optimizer memories are finite."""
        memories = [] if self.state is None else self.state.memories
        arrays = itertools.chain(self.weights, self.biases, *memories)
        return all(np.isfinite(array).all() for array in arrays)


class Place(NamedTuple):
    """A worker's position in its rows.

    `rng` is its generator as it was before the current pass over the rows, `batches` the number of
    batches done in that pass, and `draws` the state of the generators of dropout and noise.
    """

    rng: np.random.Generator
    batches: int = 0
    draws: Mapping[str, Any] = {}


class Job(NamedTuple):
    """What all workers share in a round; `rates` are the learning rates of the local epochs."""

    like: Network
    options: Options
    n: int
    local_batches: int | None
    rates: Sequence[float] = ()

    def training(
        self,
        model: Model,
        part: Rows,
        state: State | None,
        seed: int,
        threads: int | None,
    ) -> engine.Training:
        """Return the engine, ready to train the arrays of `model` in place on a partition."""
        refuse_noise(self.options.input_noise, part.inputs)
        return self.options.training(
            self.like, model.weights, model.biases, part, n=self.n, threads=threads, state=state,
            seed=seed,
        )  # fmt: skip


class Done(NamedTuple):
    """The result of a worker's part of a round; `cost` is the sum over the rows trained on."""

    model: Model
    place: Place
    cost: float
    rows: int


Runner = Callable[[Job, Model, "list[Place]"], "list[Done]"]


def reader(network: Network) -> Network:
    """Return a copy without arrays or history, for workers to check rows and set up training."""
    like = copy.copy(network)
    like.weights, like.biases, like.history, like.optimizer_state = [], [], None, None
    like._rng = np.random.default_rng(0)
    return like


def train_part(
    job: Job, model: Model, place: Place, parts: Sequence[Rows], threads: int | None = None
) -> Done:
    """Train one worker's part of a round.

    Parameters
    ----------
    job : Job
    model : Model
        The common model; it is not changed.
    place : Place
    parts : sequence of Rows
        The worker's partitions. A pass goes through them one after another. If rows are shuffled,
        each pass draws the order of the partitions and of the rows in each. With one partition a
        pass is an epoch of `Network.fit`.
    threads : int, optional
        As in `Network.fit`.
    """
    rng, skipped, size = copy.deepcopy(place.rng), place.batches, job.options.batch_size
    weights, biases = ([array.copy() for array in held] for held in model[:2])
    own, state = Model(weights, biases, None), unpacked(model, place)
    seed = job.options.seed(state, rng)
    left: float = math.inf if job.local_batches is None else job.local_batches
    rates = iter(job.rates) if job.local_batches is None else itertools.repeat(job.rates[0])
    training, of, cost, rows = None, -1, 0.0, 0
    while left and (rate := next(rates, None)) is not None:
        before, done = copy.deepcopy(rng), 0
        for number, order in _one_pass(rng, parts, job.options.shuffle):
            batches = -(-len(order) // size)
            first = min(skipped, batches)
            last = int(min(batches, first + left))
            skipped, left, done = skipped - first, left - (last - first), done + last
            order = order[first * size : last * size]
            if not len(order):
                continue
            if training is None or of != number:
                state = state if training is None else training.state()
                training = job.training(own, parts[number], state, seed, threads)
                of = number
            cost += training.epoch(order, None, rate) * len(order)
            rows += len(order)
        whole_pass = sum(-(-part.total // size) for part in parts)
        place = Place(rng) if done == whole_pass else Place(before, done)
    assert training is not None, "a round trains at least one batch"
    state = training.state()
    place = place._replace(draws=state.draws)
    return Done(packed(weights, biases, state), place, cost, rows)


def averaged(models: Sequence[Model], counts: Sequence[int]) -> Model:
    """Return the mean of the models, weighted by `counts`; a single model is returned unchanged."""
    if len(models) == 1:
        return models[0]
    shares = [count / sum(counts) for count in counts]

    def mean(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
        known = [(a, s) for a, s in zip(arrays, shares, strict=True) if a is not None]
        if not known:
            return None
        total = sum(share * array.astype(np.float64) for array, share in known)
        return np.asarray(total).astype(known[0][0].dtype)

    def means(lists: Sequence[Sequence[np.ndarray | None]]) -> list[Any]:
        return [mean(arrays) for arrays in zip(*lists, strict=True)]

    states = [model.state for model in models if model.state is not None]
    state = State(
        round(sum(s.steps * share for s, share in zip(states, shares, strict=True))),
        sum(s.total * share for s, share in zip(states, shares, strict=True)),
        [means(memory) for memory in zip(*(s.memories for s in states), strict=True)],
        means([s.kept for s in states]),
        {},
    )
    return Model(means([m.weights for m in models]), means([m.biases for m in models]), state)


def fit(
    network: Network,
    run: Runner,
    count: Callable[[], Sequence[int]],
    *,
    rounds: int,
    local_epochs: int | None,
    local_batches: int | None,
    batch_size: int,
    learning_rate: float | Schedule | None,
    optimizer: Optimizer | None,
    penalty: PenaltyLike,
    dropout: float | Sequence[float] | None,
    input_noise: float,
    validation_data: tuple[RowsLike, TargetsLike] | None,
    early_stopping: int | EarlyStopping | None,
    callbacks: Sequence[Callback],
    shuffle: bool,
    warm_start: bool,
) -> History:
    """Train `network` by rounds of local SGD.

    Parameters
    ----------
    network : Network
        After each round it has the averaged weights. If an error ends a round early, it keeps those
        of the round before, unless `run` trains in place.
    run : callable
        ``run(job, model, places)`` runs one round: it calls `train_part` for each worker with its
        place and returns the results in the same order.
    count : callable
        Returns the number of rows of each worker. It is called once the arguments are checked, as
        it may have to read all rows.
    rounds, local_epochs, local_batches, batch_size, learning_rate, optimizer, penalty, dropout,
    input_noise, validation_data, early_stopping, callbacks, shuffle, warm_start
        As in `fastnn.dask.fit`.
    """
    with exclusive_fit(network):
        rounds = whole("rounds", rounds, minimum=0)
        if local_epochs is not None and local_batches is not None:
            raise ValueError("give local_epochs or local_batches, and not both")
        local_epochs = optional(whole, "local_epochs", local_epochs, minimum=1)
        local_batches = optional(whole, "local_batches", local_batches, minimum=1)
        options = options_for(
            network, batch_size=batch_size, learning_rate=learning_rate, optimizer=optimizer,
            penalty=penalty, dropout=dropout, input_noise=input_noise, shuffle=shuffle,
        )  # fmt: skip
        called, best = checked_callbacks(callbacks, early_stopping)
        if best is not None:
            called.insert(0, best)
        validation = None if validation_data is None else validation_of(network, validation_data)
        refuse_unwatched(options.schedule, best, validates=validation is not None)
        counts = count()
        job = Job(reader(network), options, sum(counts), local_batches)
        state = options.begin(network, job.n, warm_start=warm_start)
        rng = network._rng
        averaging = _Averaging(network, run, counts, job, state, _generators(rng, len(counts)))
        network._trained_with(penalty)
        history = network.history = History()
        for number in range(rounds):
            rates = _rates(options, number, rounds, local_epochs or 1, history)
            if not rates or asked_to_stop(called, "epoch_begin", number, network):
                break
            averaging.round(number, rates, validation)
            if asked_to_stop(called, "epoch_end", number, network, history):
                break
        averaging.leave_state()
        if best is not None:
            best.restore(network)
    return history


class _Averaging:
    """The rounds of one fit; the common model is the network's arrays and `_state`."""

    def __init__(
        self,
        network: Network,
        run: Runner,
        counts: Sequence[int],
        job: Job,
        state: State | None,
        generators: Sequence[np.random.Generator],
    ) -> None:
        self._network, self._run, self._counts, self._job = network, run, counts, job
        self._state, self._places = state, [Place(rng) for rng in generators]
        self._arrays = network._arrays()

    def round(self, number: int, rates: list[float], validation: Rows | None) -> None:
        """Run a round, and apply and record its result completely or not at all.

        Raises
        ------
        DivergenceError
            If the mean contains a number that is not finite.
        """
        network, job, (weights, biases) = self._network, self._job, self._arrays
        start, common = perf_counter(), Model(weights, biases, self._state)
        done = self._run(job._replace(rates=rates), common, self._places)
        seconds = perf_counter() - start
        mean = averaged([part.model for part in done], self._counts)
        if not mean.is_finite():
            raise diverged(f"round {number + 1}", rates[-1], mean.weights, f"round {number}")
        cost = sum(part.cost for part in done) / sum(part.rows for part in done)
        with signals_deferred():
            for array, new in zip((*weights, *biases), (*mean.weights, *mean.biases), strict=True):
                array[...] = new
            self._state, self._places = mean.state, [part.place for part in done]
            network._rng = copy.deepcopy(self._places[0].rng)
            shrinkage = value_of(job.options.penalties, weights, biases) / job.n
            position = Position(rate=rates[-1], seconds=seconds, cost=cost)
            scores = None if validation is None else network._evaluate(*validation)
            assert network.history is not None
            record_epoch(network.history, network, position, shrinkage, scores)

    def leave_state(self) -> None:
        """Leave the state of optimizer and penalties to the next fit."""
        options, (weights, biases) = self._job.options, self._arrays
        state = unpacked(Model(weights, biases, self._state), self._places[0])
        self._network.optimizer_state = left_by(options.optimizer, options.penalties, state)


def _generators(first: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Return each worker's generator; the first is a copy of the network's, as `fit` uses it."""
    drawn = copy.deepcopy(first).integers(2**63, size=2).tolist()
    others = [np.random.default_rng([number, *drawn]) for number in range(1, count)]
    return [copy.deepcopy(first), *others]


def _rates(
    options: Options, number: int, rounds: int, local_epochs: int, history: History
) -> list[float]:
    """Return the learning rates of a round's local epochs; an empty list ends the training."""
    epochs = range(number * local_epochs, (number + 1) * local_epochs)
    found = [rate_of(options, e, rounds * local_epochs, history) for e in epochs]
    return [] if found[0] is None else [rate for rate in found if rate is not None]


def _one_pass(
    rng: np.random.Generator, parts: Sequence[Rows], shuffle: bool
) -> list[tuple[int, np.ndarray]]:
    """Return the partitions' numbers in the order of the pass, each with the order of its rows."""
    numbers = list(range(len(parts)))
    if shuffle and len(parts) > 1:
        numbers = rng.permutation(numbers).tolist()
    rows = [np.arange(parts[number].total) for number in numbers]
    orders = [rng.permutation(order) if shuffle else order for order in rows]
    return [(i, order.astype(np.int64)) for i, order in zip(numbers, orders, strict=True)]


def packed(weights: list[np.ndarray], biases: list[np.ndarray], state: State) -> Model:
    """Return a model to send: without draws, and with None for each array of zeros in `kept`."""
    kept: list[Any] = [array if array.any() else None for array in state.kept]
    return Model(weights, biases, state._replace(kept=kept, draws={}))


def unpacked(model: Model, place: Place) -> State | None:
    """Return the state of a model as the engine takes it, with the draws of a place."""
    if model.state is None:
        return None
    pairs = zip(model.state.kept, [*model.weights, *model.biases], strict=True)
    kept = [np.zeros_like(array) if held is None else held for held, array in pairs]
    return model.state._replace(kept=kept, draws=dict(place.draws))
