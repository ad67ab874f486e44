"""Stochastic gradient descent for the book's two `Network` classes, on the compiled engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import numpy as np

from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.checks import real, whole
from fastnn.costs import Cost
from fastnn.engine import State, Training, outputs
from fastnn.engine.interrupts import held_back
from fastnn.history import History
from fastnn.nielsen import _order
from fastnn.nielsen._base import BookNetwork, as_list
from fastnn.nielsen._checkpoint import Monitor, Trail
from fastnn.pairs import from_pairs
from fastnn.penalties import Penalty, per_layer
from fastnn.strength import warn_if_too_strong
from fastnn.trainer.checkpoints import Keeper
from fastnn.trainer.exclusive import alone

__all__ = ["SampleDeltas", "Samples", "sgd", "update"]


class Samples:
    """A list of pairs (x, y), converted once for the engine.

    Attributes
    ----------
    pairs : list
        The caller's own list, if it was one.
    inputs : Inputs
        One row for each pair.
    targets : ndarray
        Class indices, int64 (n,), or vectors (n, outputs).
    """

    def __init__(self, parameter: str, data: Iterable[Any], network: BookNetwork) -> None:
        self.pairs = as_list(parameter, data)
        self._network = network
        self.inputs: Inputs
        self.inputs, self.targets = from_pairs(
            self.pairs, network.sizes[0], network.sizes[-1], network.dtype
        )

    def __len__(self) -> int:
        return len(self.targets)

    def activations(self) -> np.ndarray:
        """Return the network's output for every row, (n, outputs)."""
        weights, biases = self._network._arrays()
        flat, sigmoids = [b.reshape(-1) for b in biases], [Sigmoid()] * len(biases)
        weights = [np.ascontiguousarray(w) for w in weights]
        z = outputs(weights, flat, sigmoids, self.inputs).z
        with np.errstate(over="ignore"):  # exp of a saturated unit: 1/(1+inf) is the right 0
            a: np.ndarray = Sigmoid.value(np, z)
        return a

    def correct(self, a: np.ndarray, *, convert: bool) -> int:
        """Return in how many rows the largest of the outputs `a` is the desired one.

        With one output the largest is always the first, as in the book; `convert` then says
        whether a target is a vector, or a number to compare with 0.
        """
        labels = self.targets
        if labels.ndim == 2:
            labels = labels.argmax(axis=1) if convert or labels.shape[1] > 1 else labels[:, 0]
        return int(np.count_nonzero(a.argmax(axis=1) == labels))

    def vectors(self) -> np.ndarray:
        """Return the targets as vectors, (n, outputs)."""
        if self.targets.ndim == 2:
            return self.targets
        y = np.zeros((len(self), self._network.sizes[-1]), self._network.dtype)
        y[np.arange(len(self)), self.targets] = 1
        return y


class SampleDeltas:
    """A cost of the user's own, as the engine's numpy path takes it.

    Parameters
    ----------
    delta : callable
        ``delta(z, a, y)`` as the book's costs have it: columns (outputs, 1) in, such a column out.
    """

    def __init__(self, delta: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]) -> None:
        self._delta = delta

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the deltas of a batch; every array is (m, outputs)."""
        deltas = np.empty_like(a)
        for i in range(len(a)):
            delta = np.asarray(self._delta(z[i, :, None], a[i, :, None], y[i, :, None]))
            if delta.shape != (a.shape[1], 1):
                raise ValueError(
                    f"the cost's delta must return the shape {(a.shape[1], 1)}, not {delta.shape}"
                )
            deltas[i] = delta[:, 0]
        return deltas


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
    keeper: Keeper | None = None,
    resume: bool = False,
    monitors: Sequence[Monitor] = (),
) -> Iterator[int]:
    """Check the arguments, then return an iterator that trains one epoch for each number it yields.

    Once the iterator ends, the list in `samples` is as the book's code would leave it. What stands
    in `monitors` when the next epoch is asked for goes into the checkpoints of `keeper`.
    """
    _refuse_own_methods(network)
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
        stacklevel=3,
    )
    options = {"mini_batch_size": mini_batch_size, "eta": eta, "penalty": repr(penalty)}
    options["cost"] = type(cost).__name__
    trail = Trail(network, samples, keeper, options, monitors)
    if resume:
        trail.resume()
    return _epochs(network, samples, epochs, mini_batch_size, eta, cost, penalty, progress, trail)


def _epochs(
    network: BookNetwork,
    samples: Samples,
    epochs: int,
    mini_batch_size: int,
    eta: float,
    cost: Any,
    penalty: Penalty | None,
    progress: bool,
    trail: Trail,
) -> Iterator[int]:
    track_cost = progress and isinstance(cost, Cost)  # the running cost is the engine's
    training = _training(
        network, samples, mini_batch_size, eta, cost, penalty, track_cost=track_cost,
        state=trail.state,
    )  # fmt: skip
    position, keeper = trail.position, trail.keeper

    def on_chunk(done: int, total: float) -> None:
        position.done, position.total = done, total
        if bar is not None:
            bar.chunk(done, total)
        if keeper is not None and done < len(samples) and keeper.due_now():
            training.write_back()
            trail.save(training)

    shuffler, bar = _order.Shuffler(samples.pairs), None
    with ExitStack() as stack:
        stack.callback(shuffler.settle)
        if progress:
            history = History()
            from fastnn.progress import ProgressBar

            bar = stack.enter_context(ProgressBar(epochs, len(samples)))
        for epoch in range(position.epoch, epochs):
            if position.order is None:
                with held_back() as release:  # an order that is drawn is not lost
                    trail.rows = trail.rows[shuffler.shuffle()]
                    position.begin(trail.rows, eta)
                    release()
            start = perf_counter()
            try:
                with alone(network):
                    running_cost = training.epoch(
                        trail.rows, on_chunk, start=position.done, total=position.total
                    )
            except (KeyboardInterrupt, SystemExit):
                trail.save(training)
                raise
            if bar is not None:
                history.train_cost.append(running_cost)
                history.seconds.append(perf_counter() - start)
                bar.epoch(history)
            position.end()
            yield epoch
            if keeper is not None and (epoch + 1 == epochs or keeper.due_after(epoch + 1)):
                trail.save(training)


def _refuse_own_methods(network: BookNetwork) -> None:
    """Raise a `TypeError` if a program has put its own in place of a method that SGD replaces."""
    for name in ("feedforward", "backprop", "update_mini_batch", *network._monitors):
        module = getattr(getattr(network, name), "__module__", None) or ""
        if not module.startswith("fastnn.nielsen"):
            raise TypeError(
                f"SGD does not call {name}, it trains in compiled code, so that {name} must be the "
                "class's own; write an SGD that calls yours, or a cost class with fn and delta"
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
    """Take one step of gradient descent over `mini_batch`; n is the n of lmbda/n."""
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
    """Give the network new arrays, as each step of the book's code does, and the engine these.

    Arrays that a program has kept from before the call stay as they were.
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
