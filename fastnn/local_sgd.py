"""Local SGD: several workers train copies of one network on rows of their own, and average.

In each round every worker starts from the common weights, trains on its own rows for some epochs or
batches with the compiled engine, and the weights it ends with are averaged by the numbers of rows
(McMahan et al., "Communication-efficient learning of deep networks from decentralized data", 2017;
Stich, "Local SGD converges fast and communicates little", 2019). What the optimizer and penalties
remember is averaged likewise. lmbda/n has the n of all rows together, so a worker's steps are those
that training on all of them would make.

A worker's part of a round is a function of what it is given, its generator too, and so can be done
again elsewhere with the same result. Where it happens is the caller's: `fastnn.dask` has a cluster.
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
from fastnn.arrays import Inputs
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.checks import real, whole
from fastnn.engine import State
from fastnn.history import History
from fastnn.network import Network
from fastnn.optimizers import Optimizer, check_penalties
from fastnn.penalties import Layers, Penalty, per_layer, value_of
from fastnn.row_files import RowsLike, TargetsLike
from fastnn.schedules import Schedule, as_schedule
from fastnn.strength import warn_if_too_strong
from fastnn.trainer.arguments import (
    checked_callbacks,
    checked_dropout,
    checked_optimizer,
    refuse_noise,
    refuse_unwatched,
)
from fastnn.trainer.epochs import asked_to_stop, diverged, note, rate_of
from fastnn.trainer.exclusive import alone
from fastnn.trainer.position import Position
from fastnn.trainer.rows import validation_of
from fastnn.trainer.warm_start import begun_from, left_by

__all__ = [
    "Done",
    "Model",
    "Place",
    "Rows",
    "Task",
    "averaged",
    "fit",
    "packed",
    "reader",
    "seed_of",
    "train_part",
    "training_of",
    "unpacked",
]


class Rows(NamedTuple):
    """Rows as the engine takes them: a partition."""

    inputs: Inputs
    targets: np.ndarray


class Model(NamedTuple):
    """What is averaged and travels: each layer's weights and biases, and what goes with them.

    `state` is None before the first step. In what penalties keep there, None stands for zeros.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    state: State | None


class Place(NamedTuple):
    """Where a worker is among its rows.

    `rng` is its generator as it was before the pass over them that goes on, `batches` how many of
    that pass are done, `draws` the state of dropout and noise.
    """

    rng: np.random.Generator
    batches: int = 0
    draws: Mapping[str, Any] = {}


class Task(NamedTuple):
    """What is the same for all workers in a round; `rates` are those of the local epochs."""

    like: Network
    penalties: Sequence[Penalty | None]
    optimizer: Optimizer
    largest_rate: float
    rates: list[float]
    local_batches: int | None
    batch_size: int
    n: int
    dropout: list[float] | None
    input_noise: float
    shuffle: bool


class Done(NamedTuple):
    """What a worker's part of a round came to: `cost` is a sum over the rows it trained on."""

    model: Model
    place: Place
    cost: float
    rows: int


Runner = Callable[[Task, Model, "list[Place]"], "list[Done]"]


def reader(network: Network) -> Network:
    """Return the network without its numbers: what a worker reads rows with, and how it is made."""
    like = copy.copy(network)
    like.weights, like.biases, like.history, like.optimizer_state = [], [], None, None
    like._rng = np.random.default_rng(0)
    return like


def train_part(
    task: Task, model: Model, place: Place, parts: Sequence[Rows], threads: int | None = None
) -> Done:
    """Do one worker's part of a round.

    Parameters
    ----------
    task : Task
    model : Model
        The common one; it is not changed.
    place : Place
    parts : sequence of Rows
        The worker's partitions. Each pass goes through them one after another, in an order that is
        drawn anew, as that of the rows in each; with one partition it is an epoch of `Network.fit`.
    threads : int, optional
        As in `Network.fit`.
    """
    rng, skipped = copy.deepcopy(place.rng), place.batches
    arrays = [[array.copy() for array in held] for held in (model.weights, model.biases)]
    state = unpacked(model, place)
    seed = seed_of(task, state, rng)
    left: float = math.inf if task.local_batches is None else task.local_batches
    rates = iter(task.rates) if task.local_batches is None else itertools.repeat(task.rates[0])
    training, of, cost, rows = None, -1, 0.0, 0
    while left and (rate := next(rates, None)) is not None:
        before, done = copy.deepcopy(rng), 0
        for number, order in _one_pass(rng, parts, task.shuffle):
            batches = -(-len(order) // task.batch_size)
            first = min(skipped, batches)
            last = int(min(batches, first + left))
            skipped, left, done = skipped - first, left - (last - first), done + last
            order = order[first * task.batch_size : last * task.batch_size]
            if not len(order):
                continue
            if training is None or of != number:
                state = state if training is None else training.state()
                training, of = (
                    training_of(task, arrays, parts[number], state, seed, threads),
                    number,
                )
            cost += training.epoch(order, None, rate) * len(order)
            rows += len(order)
        whole_pass = sum(-(-len(part.targets) // task.batch_size) for part in parts)
        place = Place(rng) if done == whole_pass else Place(before, done)
    assert training is not None, "a round trains at least one batch"
    state = training.state()
    place = place._replace(draws=state.draws)
    return Done(packed(arrays[0], arrays[1], state), place, cost, rows)


def averaged(models: Sequence[Model], counts: Sequence[int]) -> Model:
    """Return the mean of the models, weighted by `counts`; one alone is returned as it is."""
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
    counts: Sequence[int],
    *,
    rounds: int,
    local_epochs: int | None = None,
    local_batches: int | None = None,
    batch_size: int = 10,
    learning_rate: float | Schedule | None = None,
    optimizer: Optimizer | None = None,
    penalty: Layers = None,
    dropout: float | Sequence[float] | None = None,
    input_noise: float = 0.0,
    validation_data: tuple[RowsLike, TargetsLike] | None = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    warm_start: bool = False,
) -> History:
    """Train `network` by rounds of local SGD.

    Parameters
    ----------
    network : Network
        After each round it has the averaged weights; what ends a round in the middle leaves those
        of the last one.
    run : callable
        ``run(task, model, places)`` does a round: `train_part` for each worker, with its place, and
        returns what these return, in this order.
    counts : sequence of int
        The rows of each worker.
    rounds, local_epochs, local_batches, batch_size, learning_rate, optimizer, penalty, dropout,
    input_noise, validation_data, early_stopping, callbacks, shuffle, warm_start
        As `fastnn.dask.fit` says.
    """
    rounds = whole("rounds", rounds, minimum=0)
    if (local_epochs is None) == (local_batches is None):
        raise ValueError("give local_epochs or local_batches, and not both")
    if local_epochs is not None:
        local_epochs = whole("local_epochs", local_epochs, minimum=1)
    if local_batches is not None:
        local_batches = whole("local_batches", local_batches, minimum=1)
    optimizer = checked_optimizer(optimizer, learning_rate)
    schedule = as_schedule("learning_rate", optimizer.learning_rate)
    chosen, best = checked_callbacks(callbacks, early_stopping)
    if best is not None:
        chosen.insert(0, best)
    validation = None if validation_data is None else validation_of(network, validation_data)
    refuse_unwatched(schedule, best, validates=validation is not None)
    weights, biases = network._arrays()
    task = Task(
        reader(network),
        per_layer(penalty, len(network.sizes) - 1),
        optimizer,
        schedule.largest,
        [],
        local_batches,
        whole("batch_size", batch_size, minimum=1),
        sum(counts),
        checked_dropout(dropout, len(network.sizes) - 2),
        real("input_noise", input_noise),
        shuffle,
    )
    check_penalties(optimizer, task.penalties)
    if optimizer.pace is None:
        warn_if_too_strong(
            weights, task.penalties, learning_rate=schedule.largest, n=task.n,
            batch_size=task.batch_size,
        )  # fmt: skip
    places = [Place(rng) for rng in _generators(network._rng, len(counts))]
    left = network.optimizer_state if warm_start else None
    state = begun_from(left, optimizer, task.penalties, [*weights, *biases])
    with alone(network):
        network._trained_with(penalty)
        history = network.history = History()
        for number in range(rounds):
            rates = _rates(schedule, number, rounds, local_epochs or 1, history)
            if not rates or asked_to_stop([c.epoch_begin(number, network) for c in chosen]):
                break
            start = perf_counter()
            done = run(task._replace(rates=rates), Model(weights, biases, state), places)
            seconds = perf_counter() - start
            mean = averaged([part.model for part in done], counts)
            if not all(np.isfinite(array).all() for array in (*mean.weights, *mean.biases)):
                raise diverged(f"round {number + 1}", rates[-1], mean.weights, f"round {number}")
            for array, new in zip((*weights, *biases), (*mean.weights, *mean.biases), strict=True):
                array[...] = new
            state, places = mean.state, [part.place for part in done]
            network._rng = copy.deepcopy(places[0].rng)
            shrinkage = value_of(task.penalties, weights, biases) / task.n
            cost = sum(part.cost for part in done) / sum(part.rows for part in done)
            position = Position(rate=rates[-1], seconds=seconds, cost=cost)
            scores = None if validation is None else network._evaluate(*validation)
            note(history, network, position, shrinkage, scores)
            if asked_to_stop([c.epoch_end(number, network, history) for c in chosen]):
                break
    state = unpacked(Model(weights, biases, state), places[0])
    network.optimizer_state = left_by(optimizer, task.penalties, state)
    if best is not None:
        best.restore(network)
    return history


def _generators(first: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Return each worker's generator: the first's is the network's own, as in `Network.fit`."""
    drawn = copy.deepcopy(first).integers(2**63, size=2).tolist()
    others = [np.random.default_rng([number, *drawn]) for number in range(1, count)]
    return [copy.deepcopy(first), *others]


def _rates(
    schedule: Schedule, number: int, rounds: int, local_epochs: int, history: History
) -> list[float]:
    """Return the learning rates of a round's local epochs; none ends the training."""
    epochs = range(number * local_epochs, (number + 1) * local_epochs)
    found = [rate_of(schedule, e, rounds * local_epochs, history) for e in epochs]
    return [] if found[0] is None else [rate for rate in found if rate is not None]


def _one_pass(
    rng: np.random.Generator, parts: Sequence[Rows], shuffle: bool
) -> list[tuple[int, np.ndarray]]:
    """Return the partitions' numbers in their order, each with that of its rows."""
    numbers = list(range(len(parts)))
    if shuffle and len(parts) > 1:
        numbers = rng.permutation(numbers).tolist()
    rows = [np.arange(len(parts[number].targets)) for number in numbers]
    orders = [rng.permutation(order) if shuffle else order for order in rows]
    return [(i, order.astype(np.int64)) for i, order in zip(numbers, orders, strict=True)]


def training_of(
    task: Task,
    arrays: list[list[np.ndarray]],
    part: Rows,
    state: State | None,
    seed: int,
    threads: int | None,
) -> engine.Training:
    """Return the engine ready to train `arrays`, weights and biases, in place on a partition."""
    refuse_noise(task.input_noise, part.inputs)
    return engine.Training(
        *arrays,
        activations=task.like._activations,
        cost=task.like._cost,
        penalties=task.penalties,
        inputs=part.inputs,
        targets=part.targets,
        batch_size=task.batch_size,
        learning_rate=task.largest_rate,
        optimizer=task.optimizer,
        n=task.n,
        threads=threads,
        dropout=task.dropout,
        input_noise=task.input_noise,
        seed=seed,
        state=state,
    )


def seed_of(task: Task, state: State | None, rng: np.random.Generator) -> int:
    """Return the seed of dropout and noise, drawn once in a fit as `Network.fit` does."""
    draws = not (state and state.draws) and (task.dropout or task.input_noise)
    return int(rng.integers(2**63)) if draws else 0


def packed(weights: list[np.ndarray], biases: list[np.ndarray], state: State) -> Model:
    """Return a model of these, which is small where penalties keep nothing."""
    kept: list[Any] = [array if array.any() else None for array in state.kept]
    return Model(weights, biases, state._replace(kept=kept, draws={}))


def unpacked(model: Model, place: Place) -> State | None:
    """Return the state of a model as the engine takes it, with the draws of a worker."""
    if model.state is None:
        return None
    pairs = zip(model.state.kept, [*model.weights, *model.biases], strict=True)
    kept = [np.zeros_like(array) if held is None else held for held, array in pairs]
    return model.state._replace(kept=kept, draws=dict(place.draws))
