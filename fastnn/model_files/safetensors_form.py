"""The native form: safetensors, with the record as JSON under ``fastnn`` in the header's metadata.

Layer i, counted from 0, is the tensors ``layers.i.weight`` (out, in) and ``layers.i.bias`` (out,),
in the network's dtype. `state_form` describes the further tensors of an optimizer's state.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastnn.model_files.model import Model, dtype_of, from_record, parsed, record_of, require
from fastnn.model_files.state_form import decode_state, encode_state

__all__ = ["CHECKPOINT_KEY", "decode", "encode"]


# Where a checkpoint, which is no model, has its record in the header's metadata.
CHECKPOINT_KEY = "fastnn_checkpoint"


def encode(model: Model) -> bytes:
    """Return `model` in the safetensors format."""
    from safetensors.numpy import save

    names, record = _names(len(model.weights)), record_of(model)
    tensors = dict(zip(names, [*model.weights, *model.biases], strict=True))
    if model.optimizer_state is not None:
        record["optimizer_state"], beside = encode_state(model.optimizer_state, names)
        tensors |= beside
    contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    return save(contiguous, metadata={"fastnn": json.dumps(record, allow_nan=False)})


def decode(raw: bytes) -> Model:
    """Return the model in the content of a safetensors file.

    Raises
    ------
    TypeError, ValueError
        If the content is not a model; the message says what is wrong.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    record = _record(raw)
    dtype = np.dtype(dtype_of(record))
    try:
        tensors = load(raw)
    except (SafetensorError, KeyError) as error:  # KeyError: numpy has no such dtype
        raise ValueError(f"damaged, or of a dtype that numpy lacks: {error}") from error
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
    model = from_record(record, weights, biases)
    used = list(weights)
    if model.kept_inputs is not None:
        used[0] = weights[0][:, model.kept_inputs]
    like = dict(zip(_names(len(weights)), [*used, *biases], strict=True))
    state = decode_state(record.get("optimizer_state"), tensors, like)
    require(not tensors, f"it holds a tensor {sorted(tensors)[:1]} that is none of a network's")
    return model._replace(optimizer_state=state)


def _names(layers: int) -> list[str]:
    """Return the names of all weights, then of all biases."""
    return [name(layer) for name in (_weight, _bias) for layer in range(layers)]


def _weight(layer: int) -> str:
    return f"layers.{layer}.weight"


def _bias(layer: int) -> str:
    return f"layers.{layer}.bias"


def _record(raw: bytes) -> Any:
    """Return the record in the header, whose length precedes it; `load` checks the rest."""
    end = 8 + int.from_bytes(raw[:8], "little")
    require(len(raw) >= max(end, 8), f"its header ends at byte {end:,}, and it has {len(raw):,}")
    header = parsed(raw[8:end])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    record: Any = metadata.get("fastnn")
    require(CHECKPOINT_KEY not in metadata, "it is a checkpoint: resume the fit that wrote it")
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
