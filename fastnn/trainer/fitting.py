"""`fit`: it checks the arguments and runs the training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from numpy.typing import ArrayLike

from fastnn.arrays import Inputs, MatrixLike
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.checks import flag, optional, whole
from fastnn.history import History
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.penalties import PenaltyLike
from fastnn.progress import ProgressBar
from fastnn.row_files import RowsLike, TargetsLike
from fastnn.schedules import Schedule
from fastnn.trainer.arguments import checked_callbacks, held_out, refuse_noise, refuse_unwatched
from fastnn.trainer.checkpoints import checkpoint_writer
from fastnn.trainer.exclusive import exclusive_fit
from fastnn.trainer.options import options_for
from fastnn.trainer.rows import extremes_of, rows_of, validation_of, warn_of_misfits
from fastnn.trainer.run import Loop, Run
from fastnn.weighting import row_weights

__all__ = ["fit"]


def fit(
    network: Network,
    X: MatrixLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float | Schedule | None,
    optimizer: Optimizer | None,
    penalty: PenaltyLike,
    sample_weight: ArrayLike | None,
    class_weight: Mapping[int, float] | str | None,
    dropout: float | Sequence[float] | None,
    input_noise: float,
    validation_data: tuple[RowsLike, TargetsLike] | None,
    validation_fraction: float | None,
    early_stopping: int | EarlyStopping | None,
    callbacks: Sequence[Callback],
    shuffle: bool,
    progress: bool,
    threads: int | None,
    compact_every: int | None,
    checkpoint: str | os.PathLike[str] | None,
    checkpoint_every: int | None,
    checkpoint_seconds: float | None,
    resume: bool,
    warm_start: bool,
) -> History:
    """Train `network`; `Network.fit` documents the arguments and has the defaults."""
    with ExitStack() as stack:
        stack.enter_context(exclusive_fit(network))
        resume, warm_start = flag("resume", resume), flag("warm_start", warm_start)
        progress = flag("progress", progress)
        options = options_for(
            network, batch_size=batch_size, learning_rate=learning_rate, optimizer=optimizer,
            penalty=penalty, dropout=dropout, input_noise=input_noise, shuffle=shuffle,
        )  # fmt: skip
        called, best = checked_callbacks(callbacks, early_stopping)
        loop = Loop(
            epochs=whole("epochs", epochs, minimum=0),
            threads=optional(whole, "threads", threads, minimum=1),
            compact_every=optional(whole, "compact_every", compact_every, minimum=1),
            callbacks=called,
            best=best,
        )
        writer = checkpoint_writer(checkpoint, checkpoint_every, checkpoint_seconds, resume=resume)
        rows = rows_of(network, X, y, predicted=validation_fraction is not None, all_columns=True)
        of_sweep = isinstance(X, Inputs)  # which warns of flags once for all its trials
        warn_of_misfits(network, extremes_of(rows), flags=not of_sweep)
        refuse_noise(options.input_noise, rows.inputs)
        weigh = partial(
            row_weights, sample_weight, class_weight, task=network._task, y=y, n=rows.total,
            outputs=network.sizes[-1],
        )  # fmt: skip
        validation = None
        if validation_data is not None:
            validation = validation_of(network, validation_data, all_columns=True)
        held = held_out(rows.total, validation_fraction, validates=validation is not None)
        refuse_unwatched(
            options.schedule, best, validates=validation is not None or held > 0,
            give="validation_data or validation_fraction",
        )  # fmt: skip
        run = Run(network, options, loop, rows, weigh, validation, held, writer)
        state = options.begin(network, run.n, warm_start=warm_start)
        if not (resume and run.resume()):
            run.start(state)
        network._trained_with(penalty)
        if progress:
            run.bar = stack.enter_context(ProgressBar(loop.epochs, run.n, run.position.epoch))
        return run.train()
