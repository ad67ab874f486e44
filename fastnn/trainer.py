"""The epoch loop: orders, rates, chunks, history, and what may end it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn import engine
from fastnn.arrays import Inputs
from fastnn.callbacks import BestWeights, Callback, EarlyStopping
from fastnn.checks import real, whole
from fastnn.history import History
from fastnn.network import Network
from fastnn.optimizers import SGD, Optimizer, check_penalties
from fastnn.penalties import Layers, per_layer, value_of
from fastnn.schedules import Schedule, as_schedule
from fastnn.strength import warn_if_too_strong
from fastnn.weighting import row_weights

__all__ = ["History", "fit"]


class Validation(NamedTuple):
    """Rows to be evaluated, their targets, and what predictions are compared with."""

    inputs: Inputs
    targets: np.ndarray
    wanted: np.ndarray


def fit(
    network: Network,
    X: ArrayLike,
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
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    validation_fraction: float | None = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    progress: bool = False,
    threads: int | None = None,
    compact_every: int | None = None,
) -> History:
    """Train `network`, as `Network.fit` says."""
    epochs = whole("epochs", epochs, minimum=0)
    batch_size = whole("batch_size", batch_size, minimum=1)
    optimizer = _optimizer(optimizer, learning_rate)
    schedule = as_schedule("learning_rate", optimizer.learning_rate)
    penalties = per_layer(penalty, len(network.sizes) - 1)
    check_penalties(optimizer, penalties)
    threads = None if threads is None else whole("threads", threads, minimum=1)
    if compact_every is not None:
        compact_every = whole("compact_every", compact_every, minimum=1)
    dropped = _dropout(dropout, len(network.sizes) - 2)
    input_noise = real("input_noise", input_noise)
    callbacks, best = _callbacks(callbacks, early_stopping)
    weights, _ = network._arrays()
    inputs, targets = _rows(network, X, y)
    counts = row_weights(
        sample_weight, class_weight, task=network._task, y=y, n=len(inputs.matrix),
        outputs=network.sizes[-1],
    )  # fmt: skip
    validation = None if validation_data is None else _validation(network, validation_data)
    held_out = _held_out(len(inputs.matrix), validation_fraction, validation)
    _check_what_is_watched(schedule, best, validation is not None or held_out > 0)
    n = len(inputs.matrix) - held_out
    if optimizer.pace is None:  # else a step's size is the gradient's only in part
        warn_if_too_strong(
            weights,
            penalties,
            learning_rate=schedule.largest,
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
            learning_rate=schedule.largest,
            optimizer=optimizer,
            n=n,
            threads=threads,
            row_weights=None if counts is None else counts.astype(network.dtype),
            dropout=dropped,
            input_noise=input_noise,
            seed=int(network._rng.integers(2**63)) if dropped or input_noise else 0,
        )

    training = ready(inputs)
    rows = np.arange(len(inputs.matrix))
    if held_out:
        drawn = network._rng.permutation(rows)
        rows, kept = np.sort(drawn[held_out:]), np.sort(drawn[:held_out])
        wanted = network._task.wanted(y, len(drawn), network.sizes[-1])
        some = Inputs(inputs.matrix[kept], inputs.scale)
        validation = Validation(some, targets[kept], wanted[kept])
    history = network.history = History()
    with ExitStack() as stack:
        bar = on_chunk = None
        if progress:
            from fastnn.progress import ProgressBar

            bar = stack.enter_context(ProgressBar(epochs, n))
            on_chunk = bar.chunk
        for epoch in range(epochs):
            rate = _rate(schedule, epoch, epochs, history)
            if rate is None or _asked_to_stop([c.epoch_begin(epoch, network) for c in callbacks]):
                break
            order = network._rng.permutation(rows) if shuffle else rows
            start = perf_counter()
            cost = training.epoch(order.astype(np.int64, copy=False), on_chunk, rate)
            seconds = perf_counter() - start
            if compact_every is not None and (epoch + 1) % compact_every == 0:
                columns = network._compact()
                if columns is not None:
                    inputs = inputs.columns(columns)
                    if validation is not None:
                        held = validation.inputs.columns(columns)
                        validation = validation._replace(inputs=held)
                    training = ready(inputs)
            shrinkage = value_of(penalties, network.weights, network.biases) / n
            _record(history, network, cost, shrinkage, validation, seconds, rate)
            if bar is not None:
                bar.epoch(history)
            if _asked_to_stop([c.epoch_end(epoch, network, history) for c in callbacks]):
                break
    if best is not None:
        best.restore(network)
    return history


def _record(
    history: History,
    network: Network,
    cost: float,
    shrinkage: float,
    validation: Validation | None,
    seconds: float,
    rate: float,
) -> None:
    """Put an epoch's figures at the end of `history`; `shrinkage` is what the penalty adds."""
    scores = None if validation is None else network._evaluate(*validation)
    history.train_cost.append(cost + shrinkage)
    if scores is not None:
        history.val_cost.append(scores[0] + shrinkage)
        is_r2 = network._task.score_name == "r2"
        (history.val_r2 if is_r2 else history.val_accuracy).append(scores[1])
    history.seconds.append(seconds)
    history.learning_rate.append(rate)


def _optimizer(optimizer: object, learning_rate: float | Schedule | None) -> Optimizer:
    """Return what makes the steps: plain descent unless an optimiser is given."""
    if optimizer is None:
        return SGD() if learning_rate is None else SGD(learning_rate)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be one of fastnn's, such as fastnn.Adam(), not {optimizer!r}"
        )
    if learning_rate is not None:
        raise ValueError(
            f"give learning_rate or optimizer, not both: {optimizer!r} has a rate of its own"
        )
    return optimizer


def _rows(network: Network, X: ArrayLike, y: ArrayLike) -> tuple[Inputs, np.ndarray]:
    inputs = network._inputs(X)
    n, outputs = len(inputs.matrix), network.sizes[-1]
    return inputs, network._task.targets(y, n, outputs, network.dtype)


def _validation(network: Network, validation_data: object) -> Validation:
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise TypeError(
            "validation_data must be a pair (X, y) like the training data, "
            f"not {type(validation_data).__name__}"
        )
    X, y = validation_data
    inputs, targets = _rows(network, X, y)
    wanted = network._task.wanted(y, len(inputs.matrix), network.sizes[-1])
    return Validation(inputs, targets, wanted)


def _held_out(n: int, fraction: object, validation: Validation | None) -> int:
    """Return how many of `n` rows are for validation and not for training."""
    if fraction is None:
        return 0
    share = real("validation_fraction", fraction)
    if validation is not None:
        raise ValueError("give validation_data or validation_fraction, not both")
    count = math.ceil(n * share)
    if not 0 < share < 1 or count == n:
        raise ValueError(
            "validation_fraction must be above 0, below 1, and leave rows to train on; "
            f"{fraction!r} of {n} rows is {count}"
        )
    return count


def _dropout(dropout: object, layers: int) -> list[float] | None:
    """Return the rate of each hidden layer; None where nothing is dropped."""
    if dropout is None:
        return None
    if isinstance(dropout, (list, tuple)):
        if len(dropout) != layers:
            raise ValueError(
                f"dropout must be a number, or one for each of the {layers} hidden layers, "
                f"not {len(dropout)} numbers"
            )
        rates = [real(f"dropout[{i}]", rate) for i, rate in enumerate(dropout)]
    else:
        rates = [real("dropout", dropout)] * layers
    if not layers:
        raise ValueError("dropout is of hidden units, and this network has none")
    if any(rate >= 1 for rate in rates):
        raise ValueError(f"dropout must be from 0 and below 1, not {dropout!r}")
    return rates if any(rates) else None


def _callbacks(
    callbacks: object, early_stopping: object
) -> tuple[list[Callback], BestWeights | None]:
    """Return all that is to be called, and what does the early stopping, if that is asked for."""
    if not isinstance(callbacks, Sequence) or not all(isinstance(c, Callback) for c in callbacks):
        raise TypeError(f"callbacks must be a list of fastnn.Callback objects, not {callbacks!r}")
    if early_stopping is None:
        return list(callbacks), None
    if not isinstance(early_stopping, EarlyStopping):
        patience = whole("early_stopping", early_stopping, minimum=1)
        early_stopping = EarlyStopping(patience)
    best = BestWeights(early_stopping)
    return [*callbacks, best], best


def _check_what_is_watched(schedule: Schedule, best: BestWeights | None, validates: bool) -> None:
    """Raise a `ValueError` where something looks at validation rows and there are none."""
    if validates:
        return
    for what, needs in (
        ("this learning rate", schedule.needs_scores),
        ("early_stopping", best is not None and best.stopping.needs_validation),
    ):
        if needs:
            raise ValueError(
                f"{what} watches validation rows: give validation_data or validation_fraction"
            )


def _rate(schedule: Schedule, epoch: int, epochs: int, history: History) -> float | None:
    """Return the learning rate of an epoch; None ends the training."""
    rate = schedule.rate(epoch, epochs, history.val_score)
    if rate is None:
        return None
    if not (0 < rate <= schedule.largest or rate == schedule.largest):
        raise ValueError(
            f"{schedule!r} gives epoch {epoch} the learning rate {rate!r}: it must be above 0 and "
            f"at most the schedule's largest, {schedule.largest!r}"
        )
    return float(rate)


def _asked_to_stop(answers: list[bool | None]) -> bool:
    return any(answer is True for answer in answers)
