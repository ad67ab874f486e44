"""One network's arrays and one data set, ready for epochs: the engine's face."""

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
from fastnn.interrupts import held_back
from fastnn.machine import threads_allowed
from fastnn.optimizers import SGD, Optimizer
from fastnn.penalties import Penalty

__all__ = ["Training", "outputs"]

# A compiled call cannot be interrupted; at some 10 Gflop/s on a slow core this is 0.1 s. It is a
# count of operations and not a time, so that the chunks, and with them the results, repeat.
CHUNK_FLOPS = 1_000_000_000

# Where outputs take no more products, numpy has them before weights are laid out for a kernel, and
# Numba need not be loaded; of a few rows, too (docs/performance.md has the measurement).
FEW_PRODUCTS = 1_000_000

# Threads meet after every layer, on the way forward and back, and once or twice more; below this
# the meetings cost more than the sharing saves.
THREAD_FLOPS = 5_000_000


class Path(Protocol):
    """What `Training` asks of either path."""

    def run(self, order: np.ndarray, batches: np.ndarray | None = None) -> float:
        """Train over the rows in `order`, whole batches, and return the sum of their costs.

        `batches` is as in `Training.epoch`.
        """

    def change(self, problem: Problem) -> None:
        """Go on with the learning rate of `problem`, which is the same in all else."""

    def write_back(self) -> None:
        """Bring the caller's arrays up to date."""

    def is_finite(self) -> bool:
        """Return whether all weights and biases are finite."""

    def penalty_value(self, penalties: Sequence[Penalty | None]) -> Callable[[], float]:
        """Return a function of what `value_of` would return now, were the arrays up to date."""

    def mark(self) -> None:
        """Note weights and biases for `go_back`."""

    def go_back(self) -> None:
        """Return to the last `mark`, and the caller's arrays too."""

    def state(self) -> State:
        """Return a copy of what is remembered beside the weights."""


class Training:
    """One network's arrays and one data set, ready for epochs.

    Parameters
    ----------
    weights : list of ndarray, shape (out, in)
        One array a layer, all of one float dtype; trained in place.
    biases : list of ndarray, shape (out,)
        Likewise.
    activations : sequence of Activation
        One a layer, the output's last.
    cost : Cost or RowCost
        With the second kind, a user's own, training takes the numpy path.
    penalties : sequence of Penalty or None
        One a layer.
    inputs : Inputs
        The rows, (n, D), and the scale they are multiplied by.
    targets : ndarray
        Class indices, int64 (n,), or targets (n, outputs) of the weights' dtype.
    batch_size : int
    learning_rate : float
        The largest there will be, where `epoch` is given others.
    optimizer : Optimizer, optional
        What makes a step of the gradient, with the learning rates given here and not its own; plain
        descent if not given.
    n : int, optional
        The number of training rows in lmbda/n; the rows of `inputs` if not given.
    n_of_batch : bool
        Whether lmbda is divided by each batch's own rows, or the sum of their weights, in place of
        n (scikit-learn's convention).
    track_cost : bool
        Whether `epoch` sums up the cost as it goes.
    threads : int, optional
        How many threads share the work; by default 1 where a batch is little work, else as many as
        there are CPUs that the process may use, or OMP_NUM_THREADS if that is less. The results do
        not depend on it.
    row_weights : ndarray, shape (n,), optional
        Of the weights' dtype: a batch's gradient and cost are then means weighted by these, its sum
        divided by the sum of the batch's weights; 0 where all of these are 0.
    dropout : sequence of float, optional
        The share of units that each hidden layer goes without, row by row.
    input_noise : float
        The standard deviation of what is added to the scaled inputs.
    seed : int
        Of dropout and noise, unless `state` brings their generators.
    state : State, optional
        What `state` of an earlier training of the same arrays returned, to go on from; it is
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
        flops = 6 * products * batch_size
        self._track_cost, self._penalties = track_cost, penalties
        stepper = None if optimizer is None or type(optimizer) is SGD else optimizer
        hidden, dtype = [len(w) for w in weights[:-1]], weights[0].dtype
        self._problem = Problem(
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
            threads=threads or _worthwhile_threads(flops),
            row_weights=row_weights,
            masks=None if dropout is None else Masks(dropout, hidden, dtype, seed),
            noise=Noise(input_noise, weights[0].shape[1], dtype, seed + 1) if input_noise else None,
            stepper=stepper,
        )
        first_steps = stepper is not None or self._problem.penalties[0] is not None
        if inputs.is_sparse and first_steps and not self._problem.lazy:
            flops += 4 * weights[0].size  # a pass over all weights, where there is one
        self._chunk = max(1, CHUNK_FLOPS // flops) * batch_size
        path = batched.Path if isinstance(cost, RowCost) else _engine().Path
        self._path: Path = path(self._problem, state)
        named = {"dropout": self._problem.masks, "noise": self._problem.noise}
        self._drawing = {name: drawn for name, drawn in named.items() if drawn is not None}
        for name, drawn in self._drawing.items():
            if state is not None and name in state.draws:  # else it has only begun
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
        """Train once over the rows in `order`.

        Parameters
        ----------
        order : ndarray of int64, shape (n,)
            Row numbers; the batches are its consecutive pieces, the last one maybe short.
        on_chunk : callable, optional
            Called between two batches, about every 0.1 s, with the number of rows done and the sum
            of their costs; what it raises ends the epoch there.
        learning_rate : float, optional
            That of this epoch and the next ones; above 0.
        start, total : int and float
            What `on_chunk` was told in an epoch of the same order that ended there, to go on with
            it.
        batches : ndarray of float64, shape (batches, 3), optional
            Filled with what each batch was: the sum of its costs, weighted as its rows are; and of
            all layers' weights before it, the sums of abs(w) and of w**2, if no column waits.
        write_back : bool, default True
            Whether the caller's arrays are up to date afterwards; they are where it ends early. Of
            sparse rows' columns that no row uses, the weights are touched for nothing else.

        Returns
        -------
        float
            The mean cost of the epoch as it ran, weighted as the rows are, without the penalty; NaN
            if it is not tracked.
        """
        if learning_rate is not None and learning_rate != self._problem.learning_rate:
            self._problem = replace(self._problem, learning_rate=learning_rate)
            self._path.change(self._problem)
        with held_back() as release:
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

    def state(self) -> State:
        """Return a copy of what the optimizer and the penalties remember, between two epochs."""
        state = self._path.state()
        draws = {name: drawn.state for name, drawn in self._drawing.items()}
        return state._replace(draws=draws)

    def write_back(self) -> None:
        """Bring the caller's arrays up to date, between two chunks."""
        self._path.write_back()

    def go_back(self) -> None:
        """Return weights and biases to where the last call of `epoch` found them; it ended early.

        The caller's arrays are up to date afterwards. What `state` returns does not go back.
        """
        self._path.go_back()

    def penalty_value(self) -> Callable[[], float]:
        """Return a function of the value of the layers' penalties as it is now, times n.

        Between two epochs; `write_back` is not needed for it. Of sparse rows' columns that no row
        uses, the weights are looked at when it is called, for all the values still wanted at once:
        do that with signals held back.
        """
        if not any(self._penalties):
            return lambda: 0.0
        return self._path.penalty_value(self._penalties)

    def is_finite(self) -> bool:
        """Return whether all weights and biases are finite, between two chunks."""
        return self._path.is_finite()

    def _counted(self, order: np.ndarray) -> float:
        """Return the weight of the rows in `order`, each 1 if there are no weights."""
        weights = self._problem.row_weights
        if weights is None:
            return float(len(order))
        return float(weights[order].sum(dtype=np.float64)) or np.inf


def _first_products(w: np.ndarray, inputs: Inputs) -> int:
    """Return how many products the first layer takes for a row, of sparse ones for a mean row."""
    if not inputs.is_sparse:
        return int(w.size)
    return max(1, int(len(w) * inputs.matrix.nnz // inputs.n))


def _worthwhile_threads(flops: int) -> int:
    """Return how many threads pay for a batch of so many operations."""
    return threads_allowed() if flops >= THREAD_FLOPS else 1


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> Outputs:
    """Return what a network says of every row; of a few without loading Numba."""
    products = _first_products(weights[0], inputs) + sum(w.size for w in weights[1:])
    are_few = inputs.n < FEW_ROWS or inputs.n * products <= FEW_PRODUCTS
    engine = batched if are_few else _engine()
    result: Outputs = engine.outputs(weights, biases, activations, inputs)
    return result


def _engine() -> Any:
    """Return the compiled path where the JIT is on; Numba loads here, at the first call."""
    from fastnn.engine import jit

    if not jit.is_on():
        return batched
    from fastnn.engine import compiled

    return compiled
