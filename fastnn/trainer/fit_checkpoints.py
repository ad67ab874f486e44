"""The conversion of a fit to and from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.checks import as_float, as_format_errors, optional, real, whole
from fastnn.engine import State
from fastnn.engine.draws import Draws, plain
from fastnn.history import History
from fastnn.network.stack import Arrays
from fastnn.network_checks import layer_shapes
from fastnn.plugin_digests import name_with_code, repr_with_code
from fastnn.trainer.checkpoints import (
    WHAT,
    Checkpoint,
    check_epochs,
    check_same_fit,
    listed,
    listed_or_zeros,
    numbered,
    numbered_unless_zeros,
    read,
)
from fastnn.trainer.digests import digest_of_arrays, distinct_numbers
from fastnn.trainer.position import Position

if TYPE_CHECKING:
    from fastnn.trainer.run import Run

__all__ = ["Found", "fit_of", "load", "saved"]


class Found(NamedTuple):
    """The content of a checkpoint, parsed and checked but not yet applied.

    arrays: for `Network._restore`. best: for `BestWeights.set_state`; None without early stopping.
    training_rows, validation_rows: their numbers. row_weights: those of all rows, if there are any.
    """

    arrays: Arrays
    position: Position
    history: History
    rng: dict[str, Any]
    state: State
    best: tuple[tuple[float, int], Any] | None
    training_rows: np.ndarray
    validation_rows: np.ndarray
    row_weights: np.ndarray | None


def saved(run: Run) -> Checkpoint:
    """Return a run's state between two batches; the engine has written its weights back."""
    network, position, best = run.network, run.position, run.loop.best
    state = run.training.state()
    arrays = _named("", network.weights, network.biases, network.kept_inputs)
    for number, memory in enumerate(state.memories):
        arrays |= numbered(f"memory.{number}", memory)
    arrays |= numbered_unless_zeros("kept", state.kept)
    if_any = {
        "order": position.order,
        "chosen": run.training_rows if run.held_out else None,
        "drawn": run.validation_rows if run.held_out else None,
    }
    arrays.update({name: array for name, array in if_any.items() if array is not None})
    record: dict[str, Any] = {
        "fit": run.fit,
        "position": position.to_record(),
        "history": asdict(run.history),
        "rng": plain(network._rng.bit_generator.state),
        "epochs": run.loop.epochs,
        "steps": state.steps,
        "total": state.total,
        "memories": len(state.memories),
        "draws": state.draws,
    }
    if best is not None:
        record["best"], kept = best.state()
        if kept is not None:
            arrays |= _named("best.", kept.weights, kept.biases, kept.kept_inputs)
    return Checkpoint(record, arrays)


def load(path: Any, run: Run) -> Found | None:
    """Read the checkpoint of an earlier run of the same fit; return None if there is none.

    Raises
    ------
    FileFormatError
        If the file is damaged, or not a checkpoint.
    ValueError
        If it belongs to another fit; the message says what differs.
    """
    checkpoint = read(path)
    if checkpoint is None:
        return None
    check_same_fit(path, checkpoint, run.fit, "fit")
    record, arrays = checkpoint
    with as_format_errors(path, WHAT):
        found, generator = _found(record, arrays, run), record["rng"]["bit_generator"]
        begun = found.position.begun
        epochs = whole("epochs", record.get("epochs", max(run.loop.epochs, begun)), minimum=begun)
    _check_epochs(path, found, epochs, run)
    own = type(run.network._rng.bit_generator)
    if generator != own.__name__:
        raise ValueError(
            f"the checkpoint {path} is of a network that draws from {generator}, and this one from "
            f"{own.__name__}: resume with a generator of that kind as its seed"
        )
    with as_format_errors(path, WHAT):
        own().state = found.rng  # raises if the state is invalid
    return found


def _check_epochs(path: Any, found: Found, then: int, run: Run) -> None:
    """Raise a `ValueError` if a fit with this run's `epochs` could not have reached the checkpoint.

    The fit that wrote the checkpoint had `then` epochs.
    """
    begun, now = found.position.begun, run.loop.epochs
    check_epochs(path, begun, now)
    schedule, scores = run.options.schedule, found.history.val_score
    for epoch in range(begun):
        rates = [schedule.rate(epoch, epochs, scores[:epoch]) for epochs in (then, now)]
        if rates[0] != rates[1]:
            raise ValueError(
                f"the checkpoint {path} is of a fit of {then} epochs, and {schedule!r} has other "
                f"rates in one of {now}: give {then} epochs, as then"
            )


def fit_of(run: Run) -> dict[str, Any]:
    """Return everything that must be the same for a fit to resume, as a JSON value."""
    network, options, loop = run.network, run.options, run.loop
    return {
        "n_inputs": network.n_inputs,
        "layers": len(network.sizes) - 1,
        "compact_every": loop.compact_every,
        "hidden": network.sizes[1:-1] if loop.compact_every is None else None,
        "outputs": network.sizes[-1],
        "activations": [name_with_code(type(a)) for a in network._activations],
        "cost": name_with_code(type(network._cost)),
        "multilabel": network.multilabel,
        "dtype": network.dtype.name,
        "input_scale": network.input_scale,
        "batch_size": options.batch_size,
        "optimizer": repr_with_code(options.optimizer),
        "penalty": [repr_with_code(penalty) for penalty in options.penalties],
        "dropout": None if options.dropout is None else list(options.dropout),
        "input_noise": options.input_noise,
        "shuffle": options.shuffle,
        "early_stopping": None if loop.best is None else repr(loop.best.stopping),
        "rows": run.rows.total,
        "held_out": run.held_out,
        "data": run.digest,
        "row_weights": None if run.row_weights is None else digest_of_arrays(run.row_weights),
        "validation_data": run.validation_digest,
    }


def _found(record: dict[str, Any], arrays: dict[str, np.ndarray], run: Run) -> Found:
    network, count = run.network, run.rows.total
    stored = _stored(arrays, "", network)
    order = None
    if "order" in arrays:
        order = distinct_numbers("order", arrays["order"], run.n, count)
    position = Position.from_record(record["position"], order, run.n, run.options.batch_size)
    training, validation, weights = np.arange(count), np.empty(0, np.int64), run.row_weights
    if run.held_out:
        training = distinct_numbers("chosen", arrays["chosen"], run.n, count)
        validation = distinct_numbers("drawn", arrays["drawn"], run.held_out, count)
        if np.isin(training, validation).any():
            raise ValueError("it trains on rows that validate")
        weights = run.weigh(chosen=training)
    if position.order is not None and not np.isin(position.order, training).all():
        raise ValueError("its order has rows that it does not train on")
    best = None
    if run.loop.best is not None:
        stored_best = _stored(arrays, "best.", network) if "best.weights.0" in arrays else None
        value, waited = record["best"]
        best = (as_float("best", value), whole("waited", waited, minimum=0)), stored_best
        if best[0][1] > position.epoch:
            raise ValueError(f"its best epoch is {waited} before epoch {position.epoch}")
    state, history = _state(record, arrays, stored, run), _history(record, position.epoch, run)
    return Found(
        stored, position, history, record["rng"], state, best, training, validation, weights
    )


def _state(
    record: dict[str, Any], arrays: dict[str, np.ndarray], stored: Arrays, run: Run
) -> State:
    """Return what the optimizer, the penalties and the draws of a run remember, checked."""
    options, dtype = run.options, run.network.dtype
    shapes = [array.shape for array in (*stored.weights, *stored.biases)]
    count = whole("memories", record["memories"], minimum=0)
    if count != options.optimizer.memories:
        raise ValueError(f"it has {count} memories of {options.optimizer!r}")
    memories = [listed(arrays, f"memory.{number}", shapes, dtype) for number in range(count)]
    kept = listed_or_zeros(arrays, "kept", shapes, dtype)
    draws = dict(record["draws"])
    drawing = {"dropout": options.dropout, "noise": options.input_noise}
    if draws.keys() != {name for name, used in drawing.items() if used}:
        raise ValueError(f"it has the generators {list(draws)}")
    for drawing_state in draws.values():
        Draws(0).state = drawing_state  # raises if the state is invalid
    steps, total = whole("steps", record["steps"], minimum=0), real("total", record["total"])
    return State(steps, total, memories, kept, draws)


def _history(record: dict[str, Any], epochs: int, run: Run) -> History:
    """Return the history of a run's first `epochs` epochs, checked."""
    history = History(**record["history"])
    filled = {"train_cost", "seconds", "learning_rate"}
    if run.validates:
        filled |= {"val_cost", run.network._task.history_name}
    for name in (field.name for field in fields(history) if field.name != "best_epoch"):
        series = [as_float(name, value) for value in getattr(history, name)]
        if len(series) != (epochs if name in filled else 0):
            raise ValueError(f"its {name} has {len(series)} values after {epochs} epochs")
        setattr(history, name, series)
    history.best_epoch = optional(whole, "best_epoch", history.best_epoch, minimum=0)
    return history


def _named(
    prefix: str,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    kept_inputs: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return a network's arrays under the names that `_stored` looks for."""
    arrays = numbered(f"{prefix}weights", weights) | numbered(f"{prefix}biases", biases)
    if kept_inputs is not None:
        arrays[f"{prefix}kept_inputs"] = kept_inputs
    return arrays


def _stored(arrays: dict[str, np.ndarray], prefix: str, network: Any) -> Arrays:
    """Return the arrays stored under `prefix`, checked, for `Network._restore`."""
    layers = len(network.sizes) - 1
    sizes = [arrays[f"{prefix}weights.0"].shape[1]]
    sizes += [len(arrays[f"{prefix}weights.{layer}"]) for layer in range(layers)]
    shapes = layer_shapes(sizes)
    weights = listed(arrays, f"{prefix}weights", shapes, network.dtype)
    biases = listed(arrays, f"{prefix}biases", [s[:1] for s in shapes], network.dtype)
    columns = arrays.get(f"{prefix}kept_inputs")
    if columns is not None:
        columns = distinct_numbers("kept_inputs", columns, sizes[0], network.n_inputs)
    if sizes[-1] != network.sizes[-1] or (columns is None and sizes[0] != network.n_inputs):
        raise ValueError(f"its layers have the sizes {sizes}")
    return Arrays(weights, biases, tuple(sizes), columns)
