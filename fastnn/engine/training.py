"""One network's arrays and one data set, ready for epochs: the engine's interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fastnn.activations import Activation
from fastnn.arrays import FEW_ROWS, Inputs
from fastnn.costs import RowCost
from fastnn.engine import batched
from fastnn.engine.masks import Masks
from fastnn.engine.noise import Noise
from fastnn.engine.problem import Outputs, Problem
from fastnn.engine.state import State
from fastnn.interrupts import signals_deferred
from fastnn.machine import threads_allowed
from fastnn.optimizers import SGD, Optimizer
from fastnn.penalties import Penalty

__all__ = ["Training", "outputs"]

# A compiled call cannot be interrupted; at some 10 Gflop/s on a slow core this is 0.1 s. A count of
# operations, not a time, so that chunks and results are reproducible.
CHUNK_FLOPS = 1_000_000_000

# The noise of a chunk is drawn at once, and takes no more bytes than this, or than a batch's.
NOISE_BYTES = 1 << 25

# Outputs that take no more products, or of a few rows only, are computed with numpy. That is faster
# than laying out weights for a kernel, and Numba need not load (measured in docs/performance.md).
FEW_PRODUCTS = 1_000_000

# Threads wait for each other after every layer, forward and backward, and once or twice more. In
# batches of fewer operations, the waiting costs more than the sharing saves.
THREAD_FLOPS = 5_000_000

# Threads start anew in every compiled call, at least once an epoch: in shorter epochs this takes
# longer than what they save.
THREAD_EPOCH_FLOPS = 100_000_000


class Path(Protocol):
    """What `Training` requires of either path."""

    def run(self, order: np.ndarray, batches: np.ndarray | None = None) -> float:
        """Train on the rows in `order`, whole batches, and return the sum of their costs.

        `batches` is as in `Training.epoch`.
        """

    def change(self, problem: Problem) -> None:
        """Continue with the learning rate of `problem`, which is otherwise the same."""

    def write_back(self) -> None:
        """Bring the caller's arrays up to date."""

    def is_finite(self) -> bool:
        """Return whether all weights, biases and memories of the optimizer are finite."""

    def penalty_value(self, penalties: Sequence[Penalty | None]) -> Callable[[], float]:
        """Return a function that returns what `value_of` gives for the network as it is now."""

    def mark(self) -> None:
        """Save weights and biases for `go_back`."""

    def go_back(self) -> None:
        """Restore the weights and biases of the last `mark`, in the caller's arrays too."""

    def state(self) -> State:
        """Return a copy of what is remembered in addition to the weights."""


class Training:
    """One network's arrays and one data set, ready for epochs.

    Parameters
    ----------
    weights : list of ndarray, shape (out, in)
        One array per layer, all of the same float dtype; trained in place.
    biases : list of ndarray, shape (out,)
        One array per layer, of the same dtype; trained in place.
    activations : sequence of Activation
        One per layer, the output's last.
    cost : Cost or RowCost
        With a `RowCost`, which is user-defined, training takes the numpy path.
    penalties : sequence of Penalty or None
        One per layer.
    inputs : Inputs
        The rows, (n, D), and the scale they are multiplied by.
    targets : ndarray
        Class indices, int64 (n,), or targets (n, outputs) of the weights' dtype.
    batch_size : int
    learning_rate : float
        The largest of all learning rates, if `epoch` is given others.
    optimizer : Optimizer, optional
        Makes a step of the gradient, with the learning rates given here instead of its own; plain
        descent if not given.
    n : int, optional
        The number of training rows in lmbda/n; the rows of `inputs` if not given.
    n_of_batch : bool
        Whether lmbda is divided by the number of rows of each batch, or the sum of their weights,
        instead of n (scikit-learn's convention).
    track_cost : bool
        Whether `epoch` sums up the cost as it trains.
    threads : int, optional
        How many threads share the work. By default 1 if a batch or an epoch is little work; else
        the number of CPUs that the process may use, or OMP_NUM_THREADS if that is less. The results
        do not depend on it.
    row_weights : ndarray, shape (n,), optional
        Of the weights' dtype. A batch's gradient and cost are then weighted means: sums divided by
        the sum of the batch's weights, or 0 if all of these are 0.
    dropout : sequence of float, optional
        The share of each hidden layer's units that is dropped, drawn anew for every row.
    input_noise : float
        The standard deviation of the noise that is added to the scaled inputs.
    seed : int
        Seed of dropout and noise, unless `state` has their generators.
    state : State, optional
        What `state` of an earlier training of the same arrays returned, to continue from; it is
        copied.
    """

    def __init__(
        self,
        weights: list[np.ndarray],
        biases: list[np.ndarray],
        *,
        activations: Sequence[Activation],
        cost: Any,
        penalties: Sequence[Penalty | None],
        inputs: Inputs,
        targets: np.ndarray,
        batch_size: int,
        learning_rate: float,
        optimizer: Optimizer | None = None,
        n: int | None = None,
        n_of_batch: bool = False,
        track_cost: bool = True,
        threads: int | None = None,
        row_weights: np.ndarray | None = None,
        dropout: Sequence[float] | None = None,
        input_noise: float = 0.0,
        seed: int = 0,
        state: State | None = None,
    ) -> None:
        rows = inputs.n
        batch_size = min(batch_size, rows)
        products = _first_products(weights[0], inputs) + sum(w.size for w in weights[1:])
        # A user-defined cost in plain numpy has only a delta.
        self._track_cost = track_cost and not isinstance(cost, RowCost)
        self._penalties = penalties
        stepper = None if optimizer is None or type(optimizer) is SGD else optimizer
        hidden, dtype = [len(w) for w in weights[:-1]], weights[0].dtype
        problem = Problem(
            weights=weights,
            biases=biases,
            activations=activations,
            cost=cost,
            penalties=[
                p.simplified() if p is not None and learning_rate > 0 else None for p in penalties
            ],
            inputs=inputs,
            targets=targets,
            batch_size=batch_size,
            learning_rate=learning_rate,
            n=None if n_of_batch else n or rows,
            track_cost=track_cost,
            threads=threads or 1,
            row_weights=row_weights,
            masks=None if dropout is None else Masks(dropout, hidden, dtype, seed),
            noise=Noise(input_noise, weights[0].shape[1], dtype, seed + 1) if input_noise else None,
            stepper=stepper,
        )
        flops = 6 * products * batch_size
        first_steps = stepper is not None or problem.penalties[0] is not None
        if inputs.is_sparse and first_steps and not problem.lazy:
            flops += 4 * weights[0].size  # each batch also passes over all weights
        if threads is None:
            worthwhile = _worthwhile_threads(flops, flops * rows // batch_size)
            problem = replace(problem, threads=worthwhile)
        self._problem = problem
        batches = CHUNK_FLOPS // flops
        if input_noise:
            row_bytes = weights[0].shape[1] * dtype.itemsize
            batches = min(batches, NOISE_BYTES // (batch_size * row_bytes))
        self._chunk = max(1, batches) * batch_size
        path = batched.Path if isinstance(cost, RowCost) else _engine().Path
        self._path: Path = path(self._problem, state)
        named = {"dropout": self._problem.masks, "noise": self._problem.noise}
        self._drawing = {name: drawn for name, drawn in named.items() if drawn is not None}
        for name, drawn in self._drawing.items():
            if state is not None and name in state.draws:  # else it starts from its seed
                drawn.state = state.draws[name]

    def epoch(
        self,
        order: np.ndarray,
        on_chunk: Callable[[int, float], None] | None = None,
        learning_rate: float | None = None,
        *,
        start: int = 0,
        total: float = 0.0,
        batches: np.ndarray | None = None,
        write_back: bool = True,
    ) -> float:
        """Train once on the rows in `order`.

        Parameters
        ----------
        order : ndarray of int64, shape (n,)
            Row numbers. The batches are consecutive pieces of it; the last one may be short.
        on_chunk : callable, optional
            Called between two batches, about every 0.1 s, with the number of rows done and the sum
            of their costs; an exception it raises ends the epoch there.
        learning_rate : float, optional
            The rate of this epoch and of those that follow; above 0.
        start, total : int and float
            The last values passed to `on_chunk` by an interrupted epoch over the same order;
            training continues from there.
        batches : ndarray of float64, shape (batches, 3), optional
            Filled for each batch with the sum of its costs, weighted as its rows are, and with the
            sums of abs(w) and of w**2 over all layers' weights before it. The last two are right
            only if no column's penalty is deferred.
        write_back : bool, default True
            Whether the caller's arrays are brought up to date at the end. If the epoch ends early,
            they always are. With False, the weights of columns that no row of a sparse matrix uses
            are rarely touched.

        Returns
        -------
        float
            The mean cost during the epoch, weighted as the rows are and without the penalty; NaN if
            it is not tracked.
        """
        if learning_rate is not None and learning_rate != self._problem.learning_rate:
            self._problem = replace(self._problem, learning_rate=learning_rate)
            self._path.change(self._problem)
        with signals_deferred() as release:
            self._path.mark()
            try:
                for first in range(start, len(order), self._chunk):
                    chunk = order[first : first + self._chunk]
                    batch = first // self._problem.batch_size
                    total += self._path.run(chunk, None if batches is None else batches[batch:])
                    if on_chunk is not None:
                        on_chunk(first + len(chunk), total)
                    release()
            except BaseException:
                self._path.write_back()
                raise
            if write_back:
                self._path.write_back()
            release()
        return total / self._counted(order) if self._track_cost else float("nan")

    def prepare(self) -> None:
        """Compile what `epoch` runs, by a run over no rows; the first epoch would do so else."""
        with signals_deferred() as release:
            self._path.run(np.empty(0, np.int64))
            release()

    def state(self) -> State:
        """Return a copy of what optimizer, penalties and draws remember, between two chunks."""
        state = self._path.state()
        draws = {name: drawn.state for name, drawn in self._drawing.items()}
        return state._replace(draws=draws)

    def write_back(self) -> None:
        """Bring the caller's arrays up to date, between two chunks."""
        self._path.write_back()

    def go_back(self) -> None:
        """Restore the weights and biases from before the last call of `epoch`, which ended early.

        The caller's arrays are up to date afterwards. What `state` returns is not restored.
        """
        self._path.go_back()

    def penalty_value(self) -> Callable[[], float]:
        """Return a function that returns the current value of the layers' penalties, times n.

        Call this between two epochs; no `write_back` is needed. The weights of columns that no row
        of a sparse matrix uses are read only when the function is called, in one pass for all the
        values still wanted. Call the function with signals held back.
        """
        if not any(self._penalties):
            return lambda: 0.0
        return self._path.penalty_value(self._penalties)

    def is_finite(self) -> bool:
        """Return whether all weights, biases and optimizer memories are finite, between chunks."""
        return self._path.is_finite()

    def _counted(self, order: np.ndarray) -> float:
        """Return the total weight of the rows in `order`: 1 each if none are given; inf if 0."""
        weights = self._problem.row_weights
        if weights is None:
            return float(len(order))
        return float(weights[order].sum(dtype=np.float64)) or np.inf


def _first_products(w: np.ndarray, inputs: Inputs) -> int:
    """Return how many products the first layer takes for a row, or for the mean sparse row."""
    if not inputs.is_sparse:
        return int(w.size)
    return max(1, int(len(w) * inputs.matrix.nnz // inputs.n))


def _worthwhile_threads(of_batch: int, of_epoch: int) -> int:
    """Return how many threads are worthwhile for so many operations in a batch and an epoch."""
    is_much = of_batch >= THREAD_FLOPS and of_epoch >= THREAD_EPOCH_FLOPS
    return threads_allowed() if is_much else 1


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> Outputs:
    """Return the network's outputs for every row.

    A few rows are computed with numpy, so that Numba need not load.
    """
    products = _first_products(weights[0], inputs) + sum(w.size for w in weights[1:])
    are_few = inputs.n < FEW_ROWS or inputs.n * products <= FEW_PRODUCTS
    engine = batched if are_few else _engine()
    result: Outputs = engine.outputs(weights, biases, activations, inputs)
    return result


def _engine() -> Any:
    """Return the compiled path, or numpy's if the JIT is off; Numba loads here, on first use."""
    from fastnn.engine import jit

    if not jit.is_on():
        return batched
    from fastnn.engine import compiled

    return compiled
