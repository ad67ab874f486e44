"""The content of a model file in either form, and its record of all that is not an array."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import numpy as np

from fastnn import __version__
from fastnn.checks import one_of, optional, real
from fastnn.optimizer_state import OptimizerState

__all__ = ["FORMAT", "Model", "dtype_of", "from_record", "parsed", "record_of", "require"]

FORMAT = 1


class Model(NamedTuple):
    """The content of a model file.

    Attributes
    ----------
    weights : list of ndarray, shape (out, in)
        With all input columns. If `kept_inputs` is not None, the network uses only the columns in
        it, and the weights of the others are 0: a reader that ignores it gets the same outputs.
    biases : list of ndarray, shape (out,)
    activations : list of str
    cost : str
    dtype : str
    input_scale : float or None
    kept_inputs : ndarray of int64, or None
    multilabel : bool
    penalty : JSON value
        The training penalty, as `fastnn.penalties.records.to_record` recorded it.
    optimizer_state : OptimizerState or None
        For the columns in `kept_inputs` only; stored in safetensors only.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[str]
    cost: str
    dtype: str
    input_scale: float | None
    kept_inputs: np.ndarray | None = None
    multilabel: bool = False
    penalty: Any = None
    optimizer_state: OptimizerState | None = None


def record_of(model: Model) -> dict[str, Any]:
    """Return all of `model` but weights, biases and optimizer_state, as a JSON object.

    Entries that are None or False are left out, except input_scale.
    """
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "activations": model.activations,
        "cost": model.cost,
        "dtype": model.dtype,
        "input_scale": model.input_scale,
    }
    if model.kept_inputs is not None:
        record["kept_inputs"] = model.kept_inputs.tolist()
    if model.multilabel:
        record["multilabel"] = True
    if model.penalty is not None:
        record["penalty"] = model.penalty
    return record


def dtype_of(record: Any) -> str:
    """Return the dtype of the arrays that belong to a record, "float32" or "float64".

    Raises
    ------
    ValueError
        If `record` is not a record, or has another format.
    """
    require(isinstance(record, dict), "'fastnn' must be a JSON object")
    require(
        record.get("format") == FORMAT,
        f"its format is {record.get('format')!r:.60} and this version reads format {FORMAT}",
    )
    return one_of("'dtype'", record.get("dtype"), ("float32", "float64"))


def from_record(
    record: dict[str, Any], weights: list[np.ndarray], biases: list[np.ndarray]
) -> Model:
    """Return the model of a record, which `dtype_of` has accepted, and its arrays.

    Raises
    ------
    TypeError, ValueError
        If an entry of the record is invalid. Names of activations and costs are not checked here.
    """
    activations: Any = record.get("activations")
    scale = record.get("input_scale")
    require(
        isinstance(activations, list) and all(isinstance(name, str) for name in activations),
        "'activations' must be a list of names",
    )
    labels = record.get("multilabel", False)
    require(type(labels) is bool, "'multilabel' must be true or false")
    return Model(
        weights,
        biases,
        activations,
        record.get("cost", ""),
        record["dtype"],
        optional(real, "'input_scale'", scale),
        _kept_inputs(record.get("kept_inputs"), weights[0]),
        labels,
        record.get("penalty"),
    )


def parsed(text: bytes | str) -> Any:
    """Return the JSON value in `text`; NaN and infinity, which JSON lacks, are refused.

    Raises
    ------
    ValueError
        If `text` is not JSON.
    """
    try:
        return json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def require(holds: bool, message: str) -> None:
    """Raise a `ValueError` with `message` unless `holds` is true."""
    if not holds:
        raise ValueError(message)


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}; every number must be finite")


def _kept_inputs(numbers: Any, w: np.ndarray) -> np.ndarray | None:
    if numbers is None:
        return None
    columns = range(w.shape[1])
    require(
        isinstance(numbers, list)
        and len(numbers) > 0
        and all(type(number) is int and number in columns for number in numbers)
        and all(a < b for a, b in itertools.pairwise(numbers)),
        f"'kept_inputs' must be a list of increasing whole numbers from 0 to {w.shape[1] - 1}",
    )
    require(
        not np.delete(w, numbers, axis=1).any(),
        "an input that is not in 'kept_inputs' has a weight that is not 0",
    )
    return np.array(numbers, np.int64)
