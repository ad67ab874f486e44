"""Checkpoints: the state of a fit between two batches in one file, and when to write it.

The file is a safetensors file: named arrays, and a JSON record in its metadata. It contains no code
and refers to no other file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from fastnn.checks import as_format_errors, optional, real, warn, whole
from fastnn.files import refuse_without_folder, remove_leftovers, replace_file
from fastnn.model_files.safetensors_form import CHECKPOINT_KEY

__all__ = [
    "WHAT",
    "Checkpoint",
    "CheckpointWriter",
    "check_epochs",
    "check_same_fit",
    "checkpoint_writer",
    "listed",
    "listed_or_zeros",
    "numbered",
    "numbered_unless_zeros",
    "read",
    "write",
]

FORMAT = 1

# What error messages call such a file.
WHAT = "checkpoint"


class Checkpoint(NamedTuple):
    """The content of a checkpoint file.

    record : dict
        The part stored as JSON; numbers are read back exactly.
    arrays : dict of ndarray
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an existing file is replaced whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **checkpoint.record})
    arrays = {name: np.ascontiguousarray(array) for name, array in checkpoint.arrays.items()}
    replace_file(path, save(arrays, metadata={CHECKPOINT_KEY: text}))


def read(path: str | os.PathLike[str]) -> Checkpoint | None:
    """Read a checkpoint; return None if there is no such file.

    Raises
    ------
    FileFormatError
        If the file is not a checkpoint, or is damaged.
    OSError
        If the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    if not os.path.exists(path):
        return None
    with as_format_errors(path, WHAT):
        try:
            with safe_open(os.fspath(path), framework="numpy") as file:
                record = json.loads((file.metadata() or {})[CHECKPOINT_KEY])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        made = record.get("format") if isinstance(record, dict) else record
        if made != FORMAT:
            raise ValueError(f"its format must be {FORMAT}, not {made!r:.40}")
        return Checkpoint(record, arrays)


def check_same_fit(
    path: str | os.PathLike[str], found: Checkpoint, ours: Mapping[str, Any], what: str
) -> None:
    """Raise a `ValueError` that names the difference if a checkpoint is of another fit or call.

    `what` is the word for it in the message, "fit" or "call"; `ours` is what the record's entry
    "fit" must contain.
    """
    with as_format_errors(path, WHAT):
        theirs = dict(found.record["fit"])
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise ValueError(
                f"the checkpoint {os.fspath(path)} is of another {what}: its {name} is "
                f"{theirs.get(name)!r}, and here it is {value!r}. Give another path, or the same "
                f"{what} as then, with its rows in the same order"
            )


def check_epochs(path: str | os.PathLike[str], begun: int, epochs: int) -> None:
    """Raise a `ValueError` if more epochs had begun at a checkpoint than are now asked for."""
    if epochs < begun:
        raise ValueError(
            f"the checkpoint {os.fspath(path)} has begun epoch {begun}: epochs must be at least "
            f"that, not {epochs}"
        )


def listed(
    arrays: Mapping[str, np.ndarray], name: str, shapes: Sequence[tuple[int, ...]], dtype: Any
) -> list[np.ndarray]:
    """Return the arrays ``name.0``, ``name.1``, ..., which must be finite and have these shapes."""
    found = [arrays[f"{name}.{number}"] for number in range(len(shapes))]
    for number, (array, shape) in enumerate(zip(found, shapes, strict=True)):
        if array.shape != tuple(shape) or array.dtype != dtype or not np.isfinite(array).all():
            raise ValueError(f"{name}.{number} is not finite, or not {dtype} of shape {shape}")
    return found


def listed_or_zeros(
    arrays: Mapping[str, np.ndarray], name: str, shapes: Sequence[tuple[int, ...]], dtype: Any
) -> list[np.ndarray]:
    """Return what `numbered_unless_zeros` stored."""
    if not any(held.startswith(f"{name}.") for held in arrays):
        return [np.zeros(shape, dtype) for shape in shapes]
    return listed(arrays, name, shapes, dtype)


def numbered_unless_zeros(name: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays as `numbered` does, or none of them if all are zeros."""
    return numbered(name, arrays) if any(array.any() for array in arrays) else {}


def numbered(name: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays under the names that `listed` looks for: ``name.0``, ``name.1``, ..."""
    return {f"{name}.{number}": array for number, array in enumerate(arrays)}


# The share of a fit's time that checkpoints may take if it does not say how often to write them.
MOST_WRITING = 0.1


class CheckpointWriter:
    """Writes the checkpoints of one fit when they are due.

    A failed write is no reason to lose a run: the first failure warns, training continues, and the
    next checkpoint is attempted as usual.

    Parameters
    ----------
    path : path
        Of a file in an existing folder.
    every : int or None
        Epochs between checkpoints, at least 1. With None a checkpoint is due after every epoch, as
        long as writing them takes no more than a tenth of the time.
    seconds : float, optional
        Also write one, in mid-epoch if need be, when this much time has passed since the last.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    OSError
        If there is no such folder, or the path is one.
    """

    def __init__(self, path: object, every: object, seconds: object) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be a path, not {path!r}")
        self.path = path
        self._every = optional(whole, "checkpoint_every", every, minimum=1)
        self._seconds = optional(real, "checkpoint_seconds", seconds)
        refuse_without_folder(path)
        self._began = self._last = monotonic()
        self._writing, self._warned = 0.0, False
        remove_leftovers(path)

    def due_after(self, epochs: int) -> bool:
        """Return whether a checkpoint is due after this many finished epochs."""
        if self._every is None:
            is_due = self._writing <= MOST_WRITING * (monotonic() - self._began)
        else:
            is_due = epochs % self._every == 0
        return is_due or self.due_now()

    def due_now(self) -> bool:
        """Return whether a checkpoint is due because enough time has passed."""
        return self._seconds is not None and monotonic() - self._last >= self._seconds

    def save(self, make: Callable[[], Checkpoint]) -> None:
        """Write the checkpoint that `make` returns; warn the first time that fails."""
        start = monotonic()
        try:
            write(self.path, make())
        except OSError as error:
            if not self._warned:
                self._warned = True
                warn(
                    f"the checkpoint {os.fspath(self.path)} cannot be written ({error}); training "
                    "goes on, and the last one that was written stays",
                    RuntimeWarning,
                )
        self._last = monotonic()
        self._writing += self._last - start


def checkpoint_writer(
    path: object, every: object, seconds: object, *, resume: bool
) -> CheckpointWriter | None:
    """Return the writer that the arguments of a fit describe, or None without a path."""
    if path is not None:
        return CheckpointWriter(path, every, seconds)
    if resume or seconds is not None or every is not None:
        raise ValueError(
            "resume, checkpoint_every and checkpoint_seconds need checkpoint, the path of the file"
        )
    return None
