"""The epoch loop: orders, chunks, history, progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike

from fastnn import engine
from fastnn.arrays import Inputs, as_labels, as_targets
from fastnn.checks import real, whole
from fastnn.network import Network
from fastnn.penalties import Layers, per_layer, value_of
from fastnn.strength import warn_if_too_strong

__all__ = ["History", "fit"]


@dataclass
class History:
    """What a fit recorded; every list has one value for each finished epoch.

    Both costs have the penalty's value in them, as it is at the end of the epoch, divided by the
    number of training rows.

    Attributes
    ----------
    train_cost : list of float
        The mean over the epoch's rows, each as it was when its batch came, before that step.
    val_cost : list of float
        The mean over the validation rows at the end of the epoch; empty without such rows.
    val_accuracy : list of float
        The share of validation rows, 0 to 1, that are classified rightly; empty without them.
    seconds : list of float
        Wall time of the epoch's training, without the validation.
    """

    train_cost: list[float] = field(default_factory=list)
    val_cost: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def fit(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int = 10,
    learning_rate: float = 0.5,
    penalty: Layers = None,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    shuffle: bool = True,
    progress: bool = False,
    threads: int | None = None,
    compact_every: int | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train `network`, as `Network.fit` says.

    Parameters
    ----------
    on_epoch : callable, optional
        Called after every epoch with its number, counted from 0, and the history so far. It must
        not change the network; what it raises ends the fit there.
    """
    epochs = whole("epochs", epochs, minimum=0)
    batch_size = whole("batch_size", batch_size, minimum=1)
    learning_rate = real("learning_rate", learning_rate)
    penalties = per_layer(penalty, len(network.sizes) - 1)
    threads = None if threads is None else whole("threads", threads, minimum=1)
    if compact_every is not None:
        compact_every = whole("compact_every", compact_every, minimum=1)
    weights, _ = network._arrays()
    inputs, targets = _rows(network, X, y)
    validation = None if validation_data is None else _validation(network, validation_data)
    n = len(inputs.matrix)
    warn_if_too_strong(
        weights,
        penalties,
        learning_rate=learning_rate,
        n=n,
        batch_size=batch_size,
        stacklevel=3,
    )

    def ready(inputs: Inputs) -> engine.Training:
        return engine.Training(
            *network._arrays(),
            activations=network._activations,
            cost=network._cost,
            penalties=penalties,
            inputs=inputs,
            targets=targets,
            batch_size=batch_size,
            learning_rate=learning_rate,
            threads=threads,
        )

    training = ready(inputs)
    history = network.history = History()
    with ExitStack() as stack:
        bar = on_chunk = None
        if progress:
            from fastnn.progress import ProgressBar

            bar = stack.enter_context(ProgressBar(epochs, n))
            on_chunk = bar.chunk
        for epoch in range(epochs):
            order = network._rng.permutation(n) if shuffle else np.arange(n)
            start = perf_counter()
            cost = training.epoch(order.astype(np.int64, copy=False), on_chunk)
            seconds = perf_counter() - start
            if compact_every is not None and (epoch + 1) % compact_every == 0:
                columns = network._compact()
                if columns is not None:
                    inputs = inputs.columns(columns)
                    if validation is not None:
                        validation = (validation[0].columns(columns), *validation[1:])
                    training = ready(inputs)
            shrinkage = value_of(penalties, network.weights, network.biases) / n
            scores = None if validation is None else network._evaluate(*validation)
            history.train_cost.append(cost + shrinkage)
            if scores is not None:
                history.val_cost.append(scores[0] + shrinkage)
                history.val_accuracy.append(scores[1])
            history.seconds.append(seconds)
            if bar is not None:
                bar.epoch(history)
            if on_epoch is not None:
                on_epoch(epoch, history)
    return history


def _rows(network: Network, X: ArrayLike, y: ArrayLike) -> tuple[Inputs, np.ndarray]:
    inputs = network._inputs(X)
    return inputs, as_targets(y, len(inputs.matrix), network.sizes[-1], network.dtype)


def _validation(network: Network, validation_data: object) -> tuple[Inputs, np.ndarray, np.ndarray]:
    """Return the validation rows, their targets and their class indices."""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise TypeError(
            "validation_data must be a pair (X, y) like the training data, "
            f"not {type(validation_data).__name__}"
        )
    X, y = validation_data
    inputs, targets = _rows(network, X, y)
    return inputs, targets, as_labels(y, len(inputs.matrix), network.sizes[-1])
