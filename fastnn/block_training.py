"""Training on blocks that are read as they are needed: `Network.fit` on `Blocks`.

It is local SGD with one worker, whose rows come through a buffer; a round is an epoch. The state of
the optimizer and of the penalties carries over from one buffer to the next.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from fastnn import local_sgd
from fastnn.blocks import Blocks, Buffer
from fastnn.callbacks import Callback
from fastnn.checks import flag, optional, whole
from fastnn.history import History
from fastnn.local_sgd import Done, Job, Model, Place, packed, unpacked
from fastnn.network import Network
from fastnn.progress import ProgressBar
from fastnn.trainer.arguments import checked_callbacks
from fastnn.trainer.rows import Rows, extremes_of, rows_of, warn_of_misfits

__all__ = ["fit"]

OF_ONE_ARRAY = (
    "y", "sample_weight", "class_weight", "validation_fraction", "compact_every", "checkpoint",
    "checkpoint_seconds",
)  # fmt: skip


def fit(
    network: Network,
    blocks: Blocks,
    *,
    epochs: int,
    shuffle: bool,
    progress: bool,
    threads: int | None,
    **options: Any,
) -> History:
    """Train `network` on `blocks`; the arguments are those of `Network.fit`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid or not supported for blocks, or a block's rows are invalid.
    BlockError
        If a block cannot be read. The network then has its weights after the last buffer that was
        trained on, and `history` has the finished epochs.
    """
    for name in OF_ONE_ARRAY:
        if options.pop(name) is not None:
            raise ValueError(f"{name} is for rows in one array, not for Blocks")
    if options.pop("resume") or options.pop("checkpoint_every") is not None:
        raise ValueError("checkpoints are for rows in one array, not for Blocks")
    epochs = whole("epochs", epochs, minimum=0)
    threads = optional(whole, "threads", threads, minimum=1)
    with ExitStack() as stack:
        reading = _Reading(network, blocks, threads)
        if flag("progress", progress):
            called, _ = checked_callbacks(options["callbacks"], None)
            options["callbacks"] = [*called, reading]

        def count() -> list[int]:
            if progress:
                reading.bar = stack.enter_context(ProgressBar(epochs, blocks.rows))
            return [blocks.rows]

        return local_sgd.fit(
            network,
            reading.run,
            count,
            rounds=epochs,
            local_epochs=1,
            local_batches=None,
            shuffle=shuffle,
            **options,
        )


class _Reading(Callback):
    """The runner of rounds: each is one pass over the blocks that trains the network in place."""

    def __init__(self, network: Network, blocks: Blocks, threads: int | None) -> None:
        self._network, self._blocks, self._threads = network, blocks, threads
        self.bar: ProgressBar | None = None
        self._has_begun = False

    def epoch_end(self, epoch: int, network: Network, history: History) -> None:
        """Show the epoch's figures in the progress bar."""
        if self.bar is not None:
            self.bar.epoch(history)

    def run(self, job: Job, model: Model, places: list[Place]) -> list[Done]:
        """Train one epoch; if rows are invalid, restore the weights from before it."""
        before = self._network._copied()
        try:
            return self._run(job, model, places[0], before)
        except (TypeError, ValueError):
            self._network._restore(before)
            raise

    def _run(self, job: Job, model: Model, place: Place, before: Any) -> list[Done]:
        rng, state, shuffle = copy.deepcopy(place.rng), unpacked(model, place), job.options.shuffle
        seed, cost, rows = job.options.seed(state, rng), 0.0, 0
        shuffles = rng if shuffle else None
        with closing(self._blocks.buffers(shuffles, self._rows)) as parts:
            for part in parts:
                if not self._has_begun:  # the first buffer nearly always tells
                    warn_of_misfits(self._network, extremes_of(part))
                    self._has_begun = True
                order = np.arange(part.total)
                order = rng.permutation(order) if shuffle else order
                training = job.training(model, part, state, seed, self._threads)
                mean = training.epoch(order.astype(np.int64, copy=False), None, job.rates[0])
                state, cost, rows = training.state(), cost + mean * len(order), rows + len(order)
                if not training.is_finite():
                    model = copy.deepcopy(model)
                    self._network._restore(before)
                    break
                if self.bar is not None:
                    self.bar.chunk(rows)
                del part, training  # frees their memory for the next buffer
            else:
                if state is None or rows != job.n:
                    raise ValueError(f"the blocks have {rows} rows in this pass, not {job.n}")
        assert state is not None
        done = packed(model.weights, model.biases, state)
        return [Done(done, Place(rng, 0, state.draws), cost, rows)]

    def _rows(self, buffer: Buffer) -> Rows:
        """Return a buffer's rows, checked and ready for the engine."""
        X, y, last = buffer
        try:
            return rows_of(self._network, X, y, predicted=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"in the buffer that ends with block {last}: {error}") from error
