"""An optimizer's state after a fit, as tensors of a safetensors file and a record of the rest.

A tensor's name is that of the weights or biases that it belongs to, with the prefix
``optimizer.k.`` for number k of the optimizer's memories, or ``penalty.`` for what penalties keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.checks import real, whole
from fastnn.model_files.model import require
from fastnn.optimizer_state import OptimizerState

__all__ = ["decode_state", "encode_state"]

# No fit takes more steps, and a float64 counts exactly up to this.
MOST_STEPS = 1 << 53


def encode_state(
    state: OptimizerState, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a state's record and tensors; `names` has those of weights, then of biases."""
    record = state._asdict() | {"memories": len(state.memories), "kept": bool(state.kept)}
    tensors: dict[str, np.ndarray] = {}
    for prefix, arrays in zip(_prefixes(record), [*state.memories, state.kept], strict=False):
        tensors |= {prefix + name: array for name, array in zip(names, arrays, strict=True)}
    return record, tensors


def decode_state(
    record: Any, tensors: dict[str, np.ndarray], like: dict[str, np.ndarray]
) -> OptimizerState | None:
    """Remove a state from a file's tensors and return it; None if the record is None.

    `like` has the weights and biases that the tensors belong to, by name.

    Raises
    ------
    TypeError, ValueError
        If there is no valid state; the message says what is wrong.
    """
    if record is None:
        return None
    require(
        isinstance(record, dict) and set(record) == set(OptimizerState._fields),
        f"'optimizer_state' must be an object of {', '.join(OptimizerState._fields)}",
    )
    penalties = record["penalties"]
    require(
        isinstance(record["optimizer"], str)
        and isinstance(penalties, list)
        and all(one is None or isinstance(one, str) for one in penalties)
        and type(record["kept"]) is bool,
        "'optimizer_state' has names that are none, or 'kept' is not true or false",
    )
    steps = whole("'steps'", record["steps"], minimum=0)
    require(steps <= MOST_STEPS, f"'steps' is {steps}, more than {MOST_STEPS}")
    total = real("'total'", record["total"])
    memories = whole("'memories'", record["memories"], minimum=0)
    require(memories * len(like) <= len(tensors), f"there are no tensors of {memories} memories")
    found = []
    for prefix in _prefixes(record):
        for name, beside in like.items():
            array = tensors.pop(prefix + name, None)
            require(
                array is not None
                and (array.shape, array.dtype) == (beside.shape, beside.dtype)
                and bool(np.isfinite(array).all()),
                f"the tensor {prefix + name!r} must be finite, {beside.dtype.name} {beside.shape}",
            )
            found.append(np.array(array))
    lists = [found[at : at + len(like)] for at in range(0, len(found), len(like))]
    kept = lists.pop() if record["kept"] else []
    return OptimizerState(record["optimizer"], penalties, steps, total, lists, kept)


def _prefixes(record: dict[str, Any]) -> list[str]:
    prefixes = [f"optimizer.{number}." for number in range(record["memories"])]
    return [*prefixes, "penalty."] if record["kept"] else prefixes
