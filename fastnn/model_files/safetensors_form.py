"""The native form: safetensors, with the record as JSON under ``fastnn`` in the header's metadata.

Layer i, from 0, is the tensors ``layers.i.weight`` (out, in) and ``layers.i.bias`` (out,), in the
network's dtype. What an optimiser remembers is in a fit's checkpoints (`fastnn.trainer`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastnn.model_files.model import Model, dtype_of, from_record, parsed, record_of, require

__all__ = ["decode", "encode"]


def encode(model: Model) -> bytes:
    """Return `model` in the safetensors format."""
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    for layer, (w, b) in enumerate(zip(model.weights, model.biases, strict=True)):
        tensors |= {_weight(layer): w, _bias(layer): b}
    record = json.dumps(record_of(model), allow_nan=False)
    contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    return save(contiguous, metadata={"fastnn": record})


def decode(raw: bytes) -> Model:
    """Return the model in the content of a safetensors file.

    Raises
    ------
    TypeError, ValueError
        If there is none; the message says what is wrong.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    record = _record(raw)
    dtype = np.dtype(dtype_of(record))
    try:
        tensors = load(raw)
    except (SafetensorError, KeyError) as error:  # the latter where numpy has no such dtype
        raise ValueError(f"damaged, or of a dtype that numpy has not: {error}") from error
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    while _weight(len(weights)) in tensors:
        layer, inputs = len(weights), len(weights[-1]) if weights else None
        w = _checked(_weight(layer), tensors.pop(_weight(layer)), 2, dtype)
        require(_bias(layer) in tensors, f"no tensor {_bias(layer)!r} in it")
        b = _checked(_bias(layer), tensors.pop(_bias(layer)), 1, dtype)
        require(
            len(b) == len(w) and (inputs is None or w.shape[1] == inputs),
            f"layer {layer} has weights {w.shape} and biases {b.shape}, which do not fit"
            f"{'' if inputs is None else f' or do not follow a layer of {inputs} units'}",
        )
        weights.append(w)
        biases.append(b)
    require(len(weights) > 0, f"no tensor {_weight(0)!r} in it")
    require(not tensors, f"it holds a tensor {sorted(tensors)[:1]} that is none of a network's")
    return from_record(record, weights, biases)


def _weight(layer: int) -> str:
    return f"layers.{layer}.weight"


def _bias(layer: int) -> str:
    return f"layers.{layer}.bias"


def _record(raw: bytes) -> Any:
    """Return the record in the header, whose length stands before it; `load` checks the rest."""
    end = 8 + int.from_bytes(raw[:8], "little")
    require(len(raw) >= max(end, 8), f"its header ends at byte {end:,}, and it has {len(raw):,}")
    header = parsed(raw[8:end])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    record: Any = metadata.get("fastnn") if isinstance(metadata, dict) else None
    require(isinstance(record, str), "a safetensors file of fastnn's has 'fastnn' in its metadata")
    return parsed(record)


def _checked(name: str, values: np.ndarray, dimensions: int, dtype: np.dtype[Any]) -> np.ndarray:
    require(
        values.dtype == dtype and values.ndim == dimensions and values.size > 0,
        f"{name!r} must be {dtype.name} of {dimensions} dimensions, and not empty; it is "
        f"{values.dtype.name} {values.shape}",
    )
    require(bool(np.isfinite(values).all()), f"{name!r} holds NaN or infinity")
    return values.copy()  # writeable and aligned
