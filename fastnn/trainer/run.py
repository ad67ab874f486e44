"""A running fit: the epoch loop with orders, rates, chunks and history, and what may end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from fastnn import engine
from fastnn.callbacks import BestWeights, Callback
from fastnn.checks import DivergenceError
from fastnn.history import History
from fastnn.interrupts import signals_deferred
from fastnn.network import Network
from fastnn.trainer.checkpoints import CheckpointWriter
from fastnn.trainer.digests import digest_of
from fastnn.trainer.epochs import asked_to_stop, diverged, rate_of, record_epoch
from fastnn.trainer.fit_checkpoints import fit_of, load, saved
from fastnn.trainer.options import Options
from fastnn.trainer.position import Position
from fastnn.trainer.rows import Rows
from fastnn.trainer.warm_start import left_by

if TYPE_CHECKING:
    from fastnn.progress import ProgressBar

__all__ = ["Loop", "Run"]


class _NotFiniteError(Exception):
    """Ends an epoch in which training has diverged."""


@dataclass(frozen=True)
class Loop:
    """The checked arguments of `fit` that control its loop; `best` does the early stopping."""

    epochs: int
    threads: int | None
    compact_every: int | None
    callbacks: Sequence[Callback]
    best: BestWeights | None


class Run:
    """One fit of a network: `start` or `resume` it, then `train`.

    Parameters
    ----------
    network : Network
    options : Options
    loop : Loop
    rows : Rows
        All given rows, including those to be held out.
    weigh : callable
        ``weigh(chosen=...)`` returns the weight of each row where those are trained on, as
        `row_weights` does; without `chosen`, all are.
    validation : Rows, optional
    held_out : int
        How many of `rows` to hold out for validation.
    writer : CheckpointWriter, optional
        Writes the checkpoints.
    """

    def __init__(
        self,
        network: Network,
        options: Options,
        loop: Loop,
        rows: Rows,
        weigh: Callable[..., np.ndarray | None],
        validation: Rows | None,
        held_out: int,
        writer: CheckpointWriter | None,
    ) -> None:
        self.network, self.options, self.loop = network, options, loop
        self.rows, self.weigh, self.row_weights = rows, weigh, weigh()
        self.validation, self.held_out, self.writer = validation, held_out, writer
        self.bar: ProgressBar | None = None
        self.position = Position()
        self.training_rows = np.arange(rows.total)
        self.validation_rows = np.empty(0, np.int64)
        self.digest = self.validation_digest = ""
        if writer is not None:
            self.digest = digest_of(rows.inputs, rows.targets)
        if writer is not None and validation is not None:
            self.validation_digest = digest_of(validation.inputs, validation.targets)
        # Before training, in which a user-defined object may store something in its attributes.
        self.fit = fit_of(self) if writer is not None else {}
        self.training: engine.Training
        self.validates = validation is not None or held_out > 0
        # Whether something reads the network's arrays between epochs, when they must be up to date.
        readers = [called for called in loop.callbacks if called.reads_network]
        self._is_watched = any(map(bool, (readers, loop.best, self.validates, loop.compact_every)))
        # The penalties' part of the last epochs' costs; computed later if nothing reads these yet.
        self._shrinkages: list[Callable[[], float]] = []

    @property
    def history(self) -> History:
        """The history recorded so far."""
        assert self.network.history is not None
        return self.network.history

    @property
    def n(self) -> int:
        """The number of rows that are trained on."""
        return self.rows.total - self.held_out

    def start(self, state: engine.State | None) -> None:
        """Start at the first epoch, from the state that an earlier fit has left, if any.

        Raises
        ------
        ValueError
            If all rows that are not held out have the weight 0.
        """
        network = self.network
        before = network._rng.bit_generator.state
        seed = self.options.seed(state, network._rng)
        if self.held_out:
            drawn = network._rng.permutation(self.training_rows)
            self.validation_rows = np.sort(drawn[: self.held_out])
            self.training_rows = np.sort(drawn[self.held_out :])
            try:
                self.row_weights = self.weigh(chosen=self.training_rows)
            except ValueError:
                network._rng.bit_generator.state = before
                raise
            self._hold_out()
        if network.kept_inputs is not None:
            self._keep_columns(network.kept_inputs)
        self.training = self._ready(state, seed)
        network.history = History()

    def resume(self) -> bool:
        """Resume from the writer's checkpoint; return False if there is none.

        Raises
        ------
        FileFormatError
            If the file is damaged, or not a checkpoint.
        ValueError
            If it belongs to another fit; the message says what differs.
        """
        assert self.writer is not None
        found = load(self.writer.path, self)
        if found is None:
            return False
        network, best = self.network, self.loop.best
        network._restore(found.arrays)
        if network.kept_inputs is not None:
            self._keep_columns(network.kept_inputs)
        network.history, self.position = found.history, found.position
        network._rng.bit_generator.state = found.rng
        if best is not None and found.best is not None:
            best.set_state(found.best)
        if self.held_out:
            self.training_rows, self.validation_rows = found.training_rows, found.validation_rows
            self.row_weights = found.row_weights
            self._hold_out()
        self.training = self._ready(found.state, self.options.seed(found.state, network._rng))
        return True

    def train(self) -> History:
        """Train from the current position to the end."""
        position, loop, stopped = self.position, self.loop, False
        try:
            while position.epoch < loop.epochs and not (position.ended or stopped):
                if position.order is not None or self._begin():
                    self._train_epoch()
                    stopped = self._end_epoch()
                else:
                    stopped = True
                last = position.ended or stopped or position.epoch == loop.epochs
                if self.writer is not None and (last or self.writer.due_after(position.epoch)):
                    self._save()
        except (KeyboardInterrupt, SystemExit):
            if self.writer is not None:
                self._save()
            self._leave_state()
            raise
        finally:
            with signals_deferred():
                self.training.write_back()
                self._complete_costs()
        self._leave_state()
        if loop.best is not None:
            loop.best.restore(self.network)
        return self.history

    def _save(self) -> None:
        """Write a checkpoint."""
        assert self.writer is not None
        with signals_deferred():
            self.training.write_back()
            self._complete_costs()
        self.writer.save(lambda: saved(self))

    def _leave_state(self) -> None:
        """Store what the optimizer and the penalties remember in the network, for the next fit."""
        options, state = self.options, self.training.state()
        self.network.optimizer_state = left_by(options.optimizer, options.penalties, state)

    def _begin(self) -> bool:
        """Set the rate and draw the order of the next epoch; return False if there is to be none.

        Checkpoints record that the schedule has ended the training, but not that a callback has: a
        callback with a time limit ends a run that is to be resumed later.
        """
        position, options, epoch = self.position, self.options, self.position.epoch
        rate = rate_of(options, epoch, self.loop.epochs, self.history)
        if rate is None:
            position.ended = True
            return False
        if asked_to_stop(self.loop.callbacks, "epoch_begin", epoch, self.network):
            return False
        rng, rows = self.network._rng, self.training_rows
        with signals_deferred():  # a signal must not lose an order that is drawn
            order = rng.permutation(rows) if options.shuffle else rows
            position.begin(order.astype(np.int64, copy=False), rate)
        return True

    def _train_epoch(self) -> None:
        """Train the rest of the epoch, chunk by chunk."""
        position, start = self.position, perf_counter()
        spent, order, begun = position.seconds, position.order, position.done
        assert order is not None

        def on_chunk(done: int, total: float) -> None:
            nonlocal start
            position.done, position.total = done, total
            position.seconds = spent + perf_counter() - start
            if not self.training.is_finite():
                raise _NotFiniteError
            if self.bar is not None:
                self.bar.chunk(done)
            if self.writer is not None and done < len(order) and self.writer.due_now():
                paused = perf_counter()
                self._save()
                start += perf_counter() - paused

        try:
            position.cost = self.training.epoch(
                order, on_chunk, position.rate, start=position.done, total=position.total,
                write_back=self._is_watched,
            )  # fmt: skip
        except _NotFiniteError:
            raise self._diverged(begun) from None

    def _end_epoch(self) -> bool:
        """Compact, evaluate and record the epoch; return whether a callback asks to stop."""
        position, loop, network = self.position, self.loop, self.network
        history, every = self.history, loop.compact_every
        if every is not None and (position.epoch + 1) % every == 0:
            with signals_deferred():
                columns = network._compact()
                if columns is not None:
                    self._keep_columns(columns)
                    self.training = self._ready(None, self.options.seed(None, network._rng))
        shrinkage = self.training.penalty_value()
        scores = None if self.validation is None else network._evaluate(*self.validation)
        epoch = position.epoch
        with signals_deferred():  # an epoch is recorded exactly once
            if self._is_watched or self.bar is not None:
                record_epoch(history, network, position, shrinkage() / self.n, scores)
            else:
                record_epoch(history, network, position, 0.0, scores)
                self._shrinkages.append(shrinkage)
            if loop.best is not None:
                position.ended = loop.best.epoch_end(epoch, network, history)
            position.end()
        if self.bar is not None:
            self.bar.epoch(history)
        return asked_to_stop(loop.callbacks, "epoch_end", epoch, network, history)

    def _complete_costs(self) -> None:
        """Add the deferred values of the penalties to the last epochs' costs."""
        costs = self.history.train_cost
        for epoch, shrinkage in enumerate(self._shrinkages, len(costs) - len(self._shrinkages)):
            costs[epoch] += shrinkage() / self.n
        self._shrinkages = []

    def _diverged(self, begun: int) -> DivergenceError:
        """Restore the weights from where the epoch began or was resumed; return the error."""
        position, size = self.position, self.options.batch_size
        batch, first = -(-position.done // size), -(-begun // size)
        where = f"epoch {position.epoch + 1}, at batch {batch} or not long before it"
        after = f"epoch {position.epoch}"
        if begun:
            after = f"batch {first} of epoch {position.epoch + 1}, where it was resumed"
        error = diverged(where, position.rate, self.network.weights, after)
        self.training.go_back()
        return error

    def _ready(self, state: engine.State | None, seed: int) -> engine.Training:
        network, row_weights = self.network, self.row_weights
        return self.options.training(
            network,
            *network._arrays(),
            self.rows,
            n=self.n,
            threads=self.loop.threads,
            state=state,
            seed=seed,
            row_weights=None if row_weights is None else row_weights.astype(network.dtype),
        )

    def _hold_out(self) -> None:
        """Use the rows that are held out as validation data."""
        (inputs, targets, wanted), numbers = self.rows, self.validation_rows
        self.validation = Rows(inputs.rows(numbers), targets[numbers], wanted[numbers])

    def _keep_columns(self, columns: np.ndarray) -> None:
        """Drop all other columns from the rows and the validation rows."""
        self.rows = self.rows._replace(inputs=self.rows.inputs.columns(columns))
        if self.validation is not None:
            held = self.validation.inputs.columns(columns)
            self.validation = self.validation._replace(inputs=held)
