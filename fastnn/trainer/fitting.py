"""`fit`: its arguments checked, and a run of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from numpy.typing import ArrayLike

from fastnn.arrays import MatrixLike
from fastnn.callbacks import Callback, EarlyStopping
from fastnn.checks import flag, optional, real, whole
from fastnn.history import History
from fastnn.network import Network
from fastnn.optimizers import Optimizer, check_penalties
from fastnn.penalties import Layers, per_layer
from fastnn.row_files import RowsLike, TargetsLike
from fastnn.schedules import Schedule, as_schedule
from fastnn.strength import warn_if_too_strong
from fastnn.trainer.arguments import (
    checked_callbacks,
    checked_dropout,
    checked_optimizer,
    held_out,
    refuse_noise,
    refuse_unwatched,
)
from fastnn.trainer.checkpoints import keeper_of
from fastnn.trainer.exclusive import alone
from fastnn.trainer.rows import rows_of, validation_of
from fastnn.trainer.run import Options, Run
from fastnn.trainer.warm_start import begun_from
from fastnn.weighting import row_weights

__all__ = ["fit"]


def fit(
    network: Network,
    X: MatrixLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int = 10,
    learning_rate: float | Schedule | None = None,
    optimizer: Optimizer | None = None,
    penalty: Layers = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    dropout: float | Sequence[float] | None = None,
    input_noise: float = 0.0,
    validation_data: tuple[RowsLike, TargetsLike] | None = None,
    validation_fraction: float | None = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    progress: bool = False,
    threads: int | None = None,
    compact_every: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    checkpoint_seconds: float | None = None,
    resume: bool = False,
    warm_start: bool = False,
) -> History:
    """Train `network`, as `Network.fit` says."""
    optimizer = checked_optimizer(optimizer, learning_rate)
    layers = len(network.sizes) - 1
    called, best = checked_callbacks(callbacks, early_stopping)
    options = Options(
        epochs=whole("epochs", epochs, minimum=0),
        batch_size=whole("batch_size", batch_size, minimum=1),
        optimizer=optimizer,
        schedule=as_schedule("learning_rate", optimizer.learning_rate),
        penalties=per_layer(penalty, layers),
        dropout=checked_dropout(dropout, layers - 1),
        input_noise=real("input_noise", input_noise),
        shuffle=flag("shuffle", shuffle),
        threads=optional(whole, "threads", threads, minimum=1),
        compact_every=optional(whole, "compact_every", compact_every, minimum=1),
        callbacks=called,
        best=best,
    )
    check_penalties(optimizer, options.penalties)
    keeper = keeper_of(checkpoint, checkpoint_every, checkpoint_seconds, resume=resume)
    weights, biases = network._arrays()
    left = network.optimizer_state if warm_start else None
    state = begun_from(left, optimizer, options.penalties, [*weights, *biases])
    rows = rows_of(network, X, y, predicted=validation_fraction is not None, all_columns=True)
    refuse_noise(options.input_noise, rows.inputs)
    counts = row_weights(
        sample_weight, class_weight, task=network._task, y=y, n=rows.total,
        outputs=network.sizes[-1],
    )  # fmt: skip
    validation = None
    if validation_data is not None:
        validation = validation_of(network, validation_data, all_columns=True)
    held = held_out(rows.total, validation_fraction, validates=validation is not None)
    refuse_unwatched(options.schedule, best, validates=validation is not None or held > 0)
    if optimizer.pace is None:  # else a step's size is the gradient's only in part
        warn_if_too_strong(
            weights,
            options.penalties,
            learning_rate=options.schedule.largest,
            n=rows.total - held,
            batch_size=options.batch_size,
        )
    run = Run(network, options, rows, counts, validation, held, keeper)
    with ExitStack() as stack:
        stack.enter_context(alone(network))
        if not (resume and run.resume()):
            run.start(state)
        network._trained_with(penalty)
        if progress:
            from fastnn.progress import ProgressBar

            run.bar = stack.enter_context(ProgressBar(options.epochs, rows.total - held))
        return run.train()
