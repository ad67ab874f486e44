"""Checkpoints of `network2.Network.SGD`: writing its state to a file and resuming from it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.checks import as_format_errors, flag, optional, real, whole
from fastnn.engine import State, Training
from fastnn.engine.draws import plain
from fastnn.network_checks import layer_shapes
from fastnn.trainer.checkpoints import (
    WHAT,
    Checkpoint,
    CheckpointWriter,
    check_epochs,
    check_same_fit,
    listed,
    listed_or_zeros,
    numbered,
    numbered_unless_zeros,
    read,
)
from fastnn.trainer.digests import digest_of, distinct_numbers
from fastnn.trainer.position import Position

if TYPE_CHECKING:
    from fastnn.nielsen._base import BookNetwork
    from fastnn.nielsen._monitor import Monitor
    from fastnn.nielsen._samples import Samples

__all__ = ["SgdCheckpoints"]


class _Found(NamedTuple):
    """The content of a checkpoint, checked but not yet applied.

    mersenne, numpy_random: the states of `random` and of numpy's generator.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    position: Position
    state: State
    rows: np.ndarray
    figures: list[tuple[list[float], list[int]]]
    mersenne: tuple[Any, ...]
    numpy_random: dict[str, Any]


class SgdCheckpoints:
    """The position of one call of `SGD`, and its checkpoints.

    Parameters
    ----------
    network : BookNetwork
    samples : Samples
        The training data, in the order in which they were passed to the call.
    writer : CheckpointWriter or None
        None if no checkpoints are kept.
    options : dict
        What must be the same for the call to resume, as a JSON value.
    monitors : sequence of Monitor
    """

    def __init__(
        self,
        network: BookNetwork,
        samples: Samples,
        writer: CheckpointWriter | None,
        options: dict[str, Any],
        monitors: Sequence[Monitor],
    ) -> None:
        self.writer, self.position = writer, Position()
        self.state: State | None = None
        self.rows = np.arange(len(samples))
        self._network, self._samples, self._monitors = network, samples, monitors
        self._options = options
        if writer is not None:
            data = digest_of(samples.inputs, samples.targets)
            self._options = {"sizes": network.sizes, "dtype": network.dtype.name, "data": data}
            self._options |= options
            asked = [monitor for monitor in monitors if monitor.asked_for]
            self._options["monitored"] = [monitor.asked_for for monitor in asked]
            self._options["monitored_data"] = [monitor.digest for monitor in asked]

    @property
    def figures(self) -> int:
        """The number of epochs for which all requested figures have been computed."""
        return min((m.epochs for m in self._monitors if m.asked_for), default=self.position.epoch)

    def save(self, training: Training) -> None:
        """Write a checkpoint between two batches; the engine has written its weights back."""
        if self.writer is not None:
            self.writer.save(lambda: self._saved(training))

    def resume(self, epochs: int) -> None:
        """Restore network, data, generators and figures from the writer's checkpoint, if any.

        The data may be in the order in which they were passed to the interrupted call or, because
        it shuffles a list in place, in the order in which it left them. `epochs` is the call's.

        Raises
        ------
        FileFormatError
            If the file is damaged, or not a checkpoint.
        ValueError
            If it belongs to another call, or has begun more epochs; the message says what
            differs. Nothing has changed then.
        """
        assert self.writer is not None
        path = self.writer.path
        found, options = read(path), self._options
        if found is None:
            return
        left = self._order_left(path, found)
        first = None if left is None else np.argsort(left)
        if first is not None:
            data = digest_of(self._samples.inputs.rows(first), self._samples.targets[first])
            monitored = [data if d == options["data"] else d for d in options["monitored_data"]]
            options = options | {"data": data, "monitored_data": monitored}
        check_same_fit(path, found, options, "call")
        with as_format_errors(path, WHAT):
            checked = self._checked(*found)
        check_epochs(path, checked.position.begun, epochs)
        if first is not None:
            self._samples.reorder(first)
            self._options = options
        self._take(checked)

    def _order_left(self, path: Any, found: Checkpoint) -> np.ndarray | None:
        """Return the order in which the interrupted call left its list, if it may be the data's."""
        count = len(self._samples)
        with as_format_errors(path, WHAT):
            is_same = found.record["fit"]["data"] == self._options["data"]
            if is_same or found.arrays["rows"].shape != (count,):
                return None
            return distinct_numbers("rows", found.arrays["rows"], count, count)

    def _checked(self, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> _Found:
        sizes, dtype, count = self._network.sizes, self._network.dtype, len(self._samples)
        shapes = layer_shapes(sizes)
        flat = [(units,) for units in sizes[1:]]
        weights = listed(arrays, "weights", shapes, dtype)
        biases = listed(arrays, "biases", [(units, 1) for units in sizes[1:]], dtype)
        kept = listed_or_zeros(arrays, "kept", [*shapes, *flat], dtype)
        steps = whole("its steps", record["steps"], minimum=0)
        state = State(steps, real("its total", record["total"]), [], kept, {})
        rows = distinct_numbers("rows", arrays["rows"], count, count)
        order = rows if flag("its begun", record["begun"]) else None
        size = self._options["mini_batch_size"]
        position = Position.from_record(record["position"], order, count, size)
        figures = self._checked_figures(record["figures"], position)
        version, internal, gauss = record["random"]
        mersenne = version, tuple(internal), optional(real, "its gauss", gauss, minimum=-math.inf)
        random.Random().setstate(mersenne)  # raises if the state is invalid
        numpy_random = record["numpy_random"]
        np.random.RandomState().set_state(numpy_random)
        return _Found(weights, biases, position, state, rows, figures, mersenne, numpy_random)

    def _checked_figures(self, figures: Any, position: Position) -> list[tuple[Any, Any]]:
        """Return each monitor's costs and accuracies, all of them for the same epochs."""
        epochs = max((len(part) for pair in figures for part in pair), default=0)
        for monitor, (costs, accuracies) in zip(self._monitors, figures, strict=True):
            monitor.check(costs, accuracies, epochs)
        # Between two epochs, those of the last one may have been interrupted.
        least = position.epoch - (position.order is None)
        if any(m.asked_for for m in self._monitors) and not least <= epochs <= position.epoch:
            raise ValueError(f"it has the figures of {epochs} epochs, and not of {position.epoch}")
        return [(costs, accuracies) for costs, accuracies in figures]

    def _take(self, found: _Found) -> None:
        np.random.set_state(found.numpy_random)  # the only one that may still raise
        random.setstate(found.mersenne)
        for monitor, (costs, accuracies) in zip(self._monitors, found.figures, strict=True):
            monitor.costs[:], monitor.accuracies[:] = costs, accuracies
        self._network.weights, self._network.biases = found.weights, found.biases
        self.position, self.state, self.rows = found.position, found.state, found.rows
        pairs = self._samples.pairs
        pairs[:] = [pairs[i] for i in found.rows.tolist()]

    def _saved(self, training: Training) -> Checkpoint:
        state, network = training.state(), self._network
        arrays = numbered("weights", network.weights) | numbered("biases", network.biases)
        arrays |= numbered_unless_zeros("kept", state.kept)
        position = self.position
        record = {
            "fit": self._options,
            "position": position.to_record(),
            "begun": position.order is not None,
            "figures": [
                [monitor.costs[: self.figures], monitor.accuracies[: self.figures]]
                for monitor in self._monitors
            ],
            "random": random.getstate(),
            "numpy_random": plain(np.random.get_state(legacy=False)),
            "steps": state.steps,
            "total": state.total,
        }
        return Checkpoint(record, arrays | {"rows": self.rows})
