"""Stochastic gradient descent for the book's two `Network` classes, on the compiled engine."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import numpy as np

from fastnn import penalties
from fastnn.activations import Sigmoid
from fastnn.checks import one_of, real, whole
from fastnn.engine import State, Training
from fastnn.history import History
from fastnn.interrupts import signals_deferred
from fastnn.nielsen import _base, _order
from fastnn.nielsen._base import BookNetwork
from fastnn.nielsen._checkpoint import SgdCheckpoints
from fastnn.nielsen._monitor import Monitor
from fastnn.nielsen._samples import Samples
from fastnn.penalties import MaxNorm, Penalty, per_layer
from fastnn.plugin_digests import name_with_code, repr_with_code
from fastnn.progress import ProgressBar
from fastnn.strength import warn_if_too_strong
from fastnn.trainer.checkpoints import CheckpointWriter
from fastnn.trainer.exclusive import exclusive_fit

__all__ = ["penalty_of", "sgd", "update"]


def sgd(
    network: BookNetwork,
    samples: Samples,
    epochs: float,
    mini_batch_size: int,
    eta: float,
    *,
    cost: Any,
    penalty: Penalty | None = None,
    progress: bool = False,
    writer: CheckpointWriter | None = None,
    resume: bool = False,
    monitors: Sequence[Monitor] = (),
) -> Generator[int]:
    """Check the arguments and return an iterator that trains an epoch for each number it yields.

    The caller holds `exclusive_fit` from before this call until the iterator is closed. The list in
    `samples` is then in the order the book's code would leave it in.

    Parameters
    ----------
    network : BookNetwork
    samples : Samples
        The training data.
    epochs, mini_batch_size, eta
        As in the book's `SGD`.
    cost : Cost or RowCost
    penalty : Penalty, optional
    progress : bool
        Whether to show a progress bar.
    writer : CheckpointWriter, optional
        Writes the checkpoints.
    resume : bool
        Whether to resume from the writer's checkpoint, if there is one.
    monitors : sequence of Monitor
        Their figures at the time the next epoch is requested go into the checkpoints.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, the network has a user-defined method that would not be called,
        or the checkpoint belongs to another call.
    """
    _refuse_overridden(network, "SGD", ("backprop", "update_mini_batch", *network._monitors))
    epochs = whole("epochs", epochs, minimum=0)
    mini_batch_size = whole("mini_batch_size", mini_batch_size, minimum=1)
    eta = real("eta", eta)
    weights, _ = network._arrays()
    warn_if_too_strong(
        weights,
        per_layer(penalty, len(weights)),
        learning_rate=eta,
        n=len(samples),
        batch_size=mini_batch_size,
    )
    options = {"mini_batch_size": mini_batch_size, "eta": eta, "penalty": repr_with_code(penalty)}
    options["cost"] = _name_of(getattr(network, "cost", cost))
    checkpoints = SgdCheckpoints(network, samples, writer, options, monitors)
    if resume:
        checkpoints.resume(epochs)
    return _epochs(
        network, samples, epochs, mini_batch_size, eta, cost, penalty, progress, checkpoints
    )


def _epochs(
    network: BookNetwork,
    samples: Samples,
    epochs: int,
    mini_batch_size: int,
    eta: float,
    cost: Any,
    penalty: Penalty | None,
    progress: bool,
    checkpoints: SgdCheckpoints,
) -> Generator[int]:
    training = _training(
        network, samples, mini_batch_size, eta, cost, penalty, track_cost=progress,
        state=checkpoints.state,
    )  # fmt: skip
    position, writer = checkpoints.position, checkpoints.writer

    start = 0.0

    def on_chunk(done: int, total: float) -> None:
        nonlocal start
        position.done, position.total = done, total
        if bar is not None:
            bar.chunk(done)
        if writer is not None and done < len(samples) and writer.due_now():
            paused = perf_counter()
            training.write_back()
            checkpoints.save(training)
            start += perf_counter() - paused

    shuffler, bar = _order.Shuffler(samples.pairs), None
    with ExitStack() as stack:
        stack.callback(shuffler.settle)
        if progress:
            history = History()
            bar = stack.enter_context(ProgressBar(epochs, len(samples), position.epoch))
        if checkpoints.figures < position.epoch:  # it was stopped while computing the last ones
            yield from _yield_epoch(checkpoints.figures, checkpoints, training)
        for epoch in range(position.epoch, epochs):
            if position.order is None:
                with signals_deferred():  # a signal must not lose a drawn order
                    checkpoints.rows = checkpoints.rows[shuffler.shuffle()]
                    position.begin(checkpoints.rows, eta)
            start = perf_counter()
            try:
                running_cost = training.epoch(
                    checkpoints.rows, on_chunk, start=position.done, total=position.total
                )
            except (KeyboardInterrupt, SystemExit):
                checkpoints.save(training)
                raise
            if bar is not None:
                history.train_cost.append(running_cost)
                history.seconds.append(perf_counter() - start)
                bar.epoch(history)
            position.end()
            yield from _yield_epoch(epoch, checkpoints, training)
            if writer is not None and (epoch + 1 == epochs or writer.due_after(epoch + 1)):
                checkpoints.save(training)


def penalty_of(lmbda: float, penalty: str | Penalty) -> Penalty | None:
    """Return a given penalty, or the named one with the strength `lmbda`; None for no penalty.

    Raises
    ------
    TypeError, ValueError
        If there is no such penalty or strength, or `lmbda` is given with a `Penalty` object.
    """
    if isinstance(penalty, Penalty):
        if lmbda:
            raise ValueError(f"penalty {penalty!r} has its own strength: leave lmbda at 0")
        return penalty
    one_of("penalty", penalty, [*(kind.name for kind in penalties.ALL), "none"])
    lmbda = real("lmbda", lmbda)
    if penalty == "none" or (lmbda == 0 and penalty != MaxNorm.name):  # max_norm's is a limit
        return None
    return penalties.named("penalty", penalty, lmbda)


def _yield_epoch(epoch: int, checkpoints: SgdCheckpoints, training: Training) -> Generator[int]:
    """Yield the number of an epoch; write a checkpoint if the caller stops iterating there."""
    try:
        yield epoch
    except GeneratorExit:
        checkpoints.save(training)
        raise


def _name_of(cost: Any) -> str:
    kind = cost if isinstance(cost, type) else type(cost)
    return f"{kind.__module__}.{name_with_code(kind)}"


def _refuse_overridden(network: BookNetwork, caller: str, names: Sequence[str]) -> None:
    """Raise a `TypeError` if a method has been replaced that would not be called."""
    for name in names:
        if network._is_overridden(name):
            raise TypeError(
                f"{caller} does not call {name}, it trains in compiled code, so that {name} must "
                f"be the class's own; write a {caller} that calls yours, or a cost class with fn "
                "and delta"
            )
    kinds = [kind.__module__ for kind in type(network).__mro__]
    module = sys.modules[next(name for name in kinds if name.startswith("fastnn.nielsen."))]
    for name in ("sigmoid", "sigmoid_prime"):
        if getattr(module, name) is not getattr(_base, name):
            raise TypeError(
                f"{caller} does not call {module.__name__}.{name}, it trains sigmoid neurons in "
                "compiled code: fastnn.Network has other activations"
            )


def update(
    network: BookNetwork,
    mini_batch: Iterable[Any],
    eta: float,
    *,
    cost: Any,
    penalty: Penalty | None = None,
    n: int | None = None,
) -> None:
    """Take one step of gradient descent over `mini_batch`; n is the n in lmbda/n.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or the network has a user-defined `backprop`.
    RuntimeError
        If the network is being trained already; nothing has changed then.
    """
    with exclusive_fit(network):
        _refuse_overridden(network, "update_mini_batch", ["backprop"])
        samples, eta = Samples("mini_batch", mini_batch, network), real("eta", eta)
        size = len(samples)
        training = _training(network, samples, size, eta, cost, penalty, track_cost=False, n=n)
        training.epoch(np.arange(size))


def _training(
    network: BookNetwork,
    samples: Samples,
    mini_batch_size: int,
    eta: float,
    cost: Any,
    penalty: Penalty | None,
    *,
    track_cost: bool,
    n: int | None = None,
    state: State | None = None,
) -> Training:
    """Give the network new arrays, as each step of the book's code does; return their engine.

    Arrays that the caller has kept from before the call are not changed.
    """
    weights, biases = (
        [np.array(array, order="C") for array in arrays] for arrays in network._arrays()
    )
    network.weights, network.biases = weights, biases
    return Training(
        weights,
        [b.reshape(-1) for b in biases],
        activations=[Sigmoid()] * len(weights),
        cost=cost,
        penalties=per_layer(penalty, len(weights)),
        inputs=samples.inputs,
        targets=samples.targets,
        batch_size=mini_batch_size,
        learning_rate=eta,
        n=n,
        track_cost=track_cost,
        state=state,
    )
