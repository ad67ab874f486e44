"""The position of a fit, and the conversion of a run to and from a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.arrays import Inputs
from fastnn.checks import as_float, as_format_errors, check_field, flag, optional, real, whole
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

if TYPE_CHECKING:
    from fastnn.trainer.run import Run

__all__ = ["Found", "Position", "digest_of", "distinct_numbers", "fit_of", "load", "saved"]

# About how many rows go into the digest by which data are recognized.
SAMPLED_ROWS = 256


@dataclass
class Position:
    """The position of a fit between two batches.

    epoch: the number of finished epochs. order: the row order of the current epoch; None between
    epochs. rate: its learning rate. done: how many of its rows have been trained on. total: the sum
    of their costs. seconds: the time they took. cost: the epoch's mean cost, once it is finished.
    ended: whether no further epoch may follow.
    """

    epoch: int = 0
    order: np.ndarray | None = None
    rate: float = 0.0
    done: int = 0
    total: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    ended: bool = False

    def begin(self, order: np.ndarray, rate: float) -> None:
        """Begin an epoch."""
        self.order, self.rate = order, rate
        self.done, self.total, self.seconds = 0, 0.0, 0.0

    def end(self) -> None:
        """End the epoch."""
        self.epoch, self.order = self.epoch + 1, None

    @property
    def begun(self) -> int:
        """The number of epochs that have begun."""
        return self.epoch + (self.order is not None)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as a JSON value, except `order`, which is an array."""
        return vars(self) | {"order": None}

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], order: np.ndarray | None, n: int, batch_size: int
    ) -> Position:
        """Return the position recorded by `to_record`, in `n` rows in batches of `batch_size`.

        Raises
        ------
        TypeError, ValueError
            If `record` is not such a record.
        """
        position = cls(**{**record, "order": order})
        for field in ("epoch", "done"):
            check_field(position, field, whole, minimum=0)
        for field in ("rate", "seconds"):
            check_field(position, field, real)
        for field in ("total", "cost"):  # sums of costs, which may have overflowed
            check_field(position, field, as_float)
        check_field(position, "ended", flag)
        if not 0 <= position.done <= n:
            raise ValueError(f"it is {position.done} rows into an epoch of {n}")
        if position.done % batch_size and position.done != n:
            raise ValueError(f"it is {position.done} rows into an epoch, in the midst of a batch")
        return position


class Found(NamedTuple):
    """The content of a checkpoint, parsed and checked but not yet applied.

    arrays: for `Network._restore`. best: for `BestWeights.set_state`; None without early stopping.
    chosen, drawn: the rows to train on, and the rows held out for validation. counts: the weights
    of all rows.
    """

    arrays: Arrays
    position: Position
    history: History
    rng: dict[str, Any]
    state: State
    best: tuple[tuple[float, int], Any] | None
    chosen: np.ndarray
    drawn: np.ndarray
    counts: np.ndarray | None


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
        "chosen": run.chosen if run.held else None,
        "drawn": run.drawn if run.held else None,
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
        "held_out": run.held,
        "data": run.digest,
        "row_weights": None if run.counts is None else digest_of_arrays(run.counts),
        "validation_data": run.validation_digest,
    }


def digest_of(inputs: Inputs, *others: np.ndarray | None) -> str:
    """Return a digest of the inputs' scale and a sample of their rows, and of all of `others`."""
    held = [array[:: max(1, len(array) // SAMPLED_ROWS)] for array in inputs.arrays()]
    shapes = [array.shape for array in inputs.arrays()]
    ours = [array for array in others if array is not None]
    return digest_of_arrays(*held, *ours, start=f"{inputs.scale!r}/{inputs.divisor!r}{shapes}")


def digest_of_arrays(*arrays: np.ndarray, start: str = "") -> str:
    """Return a digest of a text and of some arrays: dtypes, shapes and all numbers."""
    digest = hashlib.blake2b(start.encode(), digest_size=8)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _found(record: dict[str, Any], arrays: dict[str, np.ndarray], run: Run) -> Found:
    network, count = run.network, run.rows.total
    held = _held(arrays, "", network)
    order = None
    if "order" in arrays:
        order = distinct_numbers("order", arrays["order"], run.n, count)
    position = Position.from_record(record["position"], order, run.n, run.options.batch_size)
    chosen, drawn, counts = np.arange(count), np.empty(0, np.int64), run.counts
    if run.held:
        chosen = distinct_numbers("chosen", arrays["chosen"], run.n, count)
        drawn = distinct_numbers("drawn", arrays["drawn"], run.held, count)
        if np.isin(chosen, drawn).any():
            raise ValueError("it trains on rows that validate")
        counts = run.weigh(chosen=chosen)
    if position.order is not None and not np.isin(position.order, chosen).all():
        raise ValueError("its order has rows that it does not train on")
    best = None
    if run.loop.best is not None:
        held_best = _held(arrays, "best.", network) if "best.weights.0" in arrays else None
        value, waited = record["best"]
        best = (as_float("best", value), whole("waited", waited, minimum=0)), held_best
        if best[0][1] > position.epoch:
            raise ValueError(f"its best epoch is {waited} before epoch {position.epoch}")
    state, history = _state(record, arrays, held, run), _history(record, position.epoch, run)
    return Found(held, position, history, record["rng"], state, best, chosen, drawn, counts)


def _state(record: dict[str, Any], arrays: dict[str, np.ndarray], held: Arrays, run: Run) -> State:
    """Return what the optimizer, the penalties and the draws of a run remember, checked."""
    options, dtype = run.options, run.network.dtype
    shapes = [array.shape for array in (*held.weights, *held.biases)]
    count = whole("memories", record["memories"], minimum=0)
    if count != options.optimizer.memories:
        raise ValueError(f"it has {count} memories of {options.optimizer!r}")
    memories = [listed(arrays, f"memory.{number}", shapes, dtype) for number in range(count)]
    kept = listed_or_zeros(arrays, "kept", shapes, dtype)
    draws = dict(record["draws"])
    drawing = {"dropout": options.dropout, "noise": options.input_noise}
    if draws.keys() != {name for name, used in drawing.items() if used}:
        raise ValueError(f"it has the generators {list(draws)}")
    for drawn in draws.values():
        Draws(0).state = drawn  # raises if the state is invalid
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
    """Return a network's arrays under the names that `_held` looks for."""
    arrays = numbered(f"{prefix}weights", weights) | numbered(f"{prefix}biases", biases)
    if kept_inputs is not None:
        arrays[f"{prefix}kept_inputs"] = kept_inputs
    return arrays


def _held(arrays: dict[str, np.ndarray], prefix: str, network: Any) -> Arrays:
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


def distinct_numbers(name: str, array: np.ndarray, count: int, below: int) -> np.ndarray:
    """Return `array` as int64; raise unless it is `count` different numbers in [0, `below`)."""
    numbers = array.astype(np.int64, casting="safe")
    inside = numbers.ndim == 1 and numbers.size and 0 <= numbers.min() <= numbers.max() < below
    if numbers.shape != (count,) or not inside or len(np.unique(numbers)) != count:
        raise ValueError(f"its {name!r} is not a list of {count} different numbers below {below}")
    return numbers
