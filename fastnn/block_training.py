"""Training on blocks that are read as they are needed: what `Network.fit` does with `Blocks`.

It is local SGD with one worker whose rows come through a buffer: an epoch is a round. What the
optimizer and penalties remember goes on from buffer to buffer.
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
from fastnn.trainer.rows import Rows, rows_of

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
        If an argument is not for blocks, or not right, or a block's rows are not.
    BlockError
        If a block cannot be read. The network has then the weights of the last buffer that was
        trained on, and `history` the epochs that were finished.
    """
    for name in OF_ONE_ARRAY:
        if options.pop(name) is not None:
            raise ValueError(f"{name} is for rows in one array, not for Blocks")
    if options.pop("resume") or options.pop("checkpoint_every") != 1:
        raise ValueError("checkpoints are for rows in one array, not for Blocks")
    epochs = whole("epochs", epochs, minimum=0)
    threads = optional(whole, "threads", threads, minimum=1)
    with ExitStack() as stack:
        reading = _Reading(network, blocks, threads)
        if flag("progress", progress):
            reading.bar = stack.enter_context(ProgressBar(epochs, blocks.rows))
            called, _ = checked_callbacks(options["callbacks"], None)
            options["callbacks"] = [*called, reading]
        return local_sgd.fit(
            network, reading.run, [blocks.rows], rounds=epochs, local_epochs=1, shuffle=shuffle,
            **options,
        )  # fmt: skip


class _Reading(Callback):
    """One pass after another over the blocks, in place in the network's arrays."""

    def __init__(self, network: Network, blocks: Blocks, threads: int | None) -> None:
        self._network, self._blocks, self._threads = network, blocks, threads
        self.bar: ProgressBar | None = None

    def epoch_end(self, epoch: int, network: Network, history: History) -> None:
        """Show the figures of an epoch."""
        if self.bar is not None:
            self.bar.epoch(history)

    def run(self, job: Job, model: Model, places: list[Place]) -> list[Done]:
        """Train one epoch; where rows are refused, leave the weights as they were before it."""
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
                del part, training  # the reader fills the next buffer in their place
            else:
                if state is None or rows != job.n:
                    raise ValueError(f"the blocks have {rows} rows in this pass, not {job.n}")
        assert state is not None
        done = packed(model.weights, model.biases, state)
        return [Done(done, Place(rng, 0, state.draws), cost, rows)]

    def _rows(self, buffer: Buffer) -> Rows:
        """Check the rows of a buffer."""
        X, y, last = buffer
        try:
            return rows_of(self._network, X, y, predicted=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"in the buffer that ends with block {last}: {error}") from error
