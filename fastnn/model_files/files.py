"""Writing a model file whole or not at all, and reading one in either form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastnn.checks import FileFormatError, as_format_errors
from fastnn.files import read_at_most, replace_file
from fastnn.model_files import json_form, safetensors_form
from fastnn.model_files.model import Model

__all__ = ["content_of", "read_model", "require_finite", "write_model"]


def write_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write `model` to `path`: as JSON where its suffix is ``.json``, else as safetensors.

    A file already there is replaced whole or not at all.

    Raises
    ------
    ValueError
        If a weight, a bias or what the optimizer remembers is not finite; nothing is written.
    OSError
        If the file cannot be written.
    """
    groups = {"weights": model.weights, "biases": model.biases}
    if (left := model.optimizer_state) is not None:
        groups |= {f"optimizer_state.memories[{k}]": m for k, m in enumerate(left.memories)}
        groups["optimizer_state.kept"] = left.kept
    require_finite(groups)
    is_json = Path(path).suffix.lower() == ".json"
    replace_file(path, (json_form if is_json else safetensors_form).encode(model))


def read_model(path: str | os.PathLike[str], *, max_bytes: int) -> Model:
    """Read a model file; its content, not its name, determines the form.

    Raises
    ------
    FileFormatError
        If the file is not a model file, is damaged, or is larger than `max_bytes`; the message says
        what is wrong with it.
    OSError
        If it cannot be read.
    """
    raw = content_of(path, max_bytes=max_bytes)
    # safetensors begins with the header's length in eight bytes, some of them zero; JSON has none.
    decode = safetensors_form.decode if b"\0" in raw[:8] else json_form.decode
    with as_format_errors(path, "model file"):
        return decode(raw)


def content_of(path: str | os.PathLike[str], *, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileFormatError
        If it is larger than `max_bytes`.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        raw = bytes(read_at_most(file, max_bytes + 1))
    if len(raw) > max_bytes:
        raise FileFormatError(
            f"{os.fspath(path)} is larger than max_bytes={max_bytes:,}: "
            "give more if it is to be trusted"
        )
    return raw


def require_finite(
    groups: Mapping[str, Sequence[np.ndarray]],
    consequence: str = "and cannot be saved; if training diverged, train again with a smaller "
    "learning rate",
) -> None:
    """Raise a `ValueError` unless all numbers are finite; a group has an array for each layer.

    The message ends with the `consequence`.
    """
    for name, layers in groups.items():
        for layer, values in enumerate(layers):
            if not np.isfinite(values).all():
                raise ValueError(f"{name}[{layer}] holds NaN or infinity {consequence}")
