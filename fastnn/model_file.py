"""Model files: the JSON of the book's network2 with the few keys more that a native network needs.

The book's keys come first, as its ``save`` writes them: ``sizes``, ``weights`` (out, in),
``biases`` (out, 1) and ``cost``, the class name of its module. Under ``fastnn`` stand the format's
version, the activations, the cost's name, the dtype and the input scale. A file without that key
is the book's own.

A compacted network is written with the input columns that it has dropped put back as zeros, and the
numbers of those it uses under ``kept_inputs``. A reader that knows nothing of these, the book's
among them, gets the same outputs.

Numbers are written so that they read back exactly, float32 included.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn.checks import FileFormatError, one_of, real

__all__ = ["Model", "read_model", "write_model"]

VERSION = 1
BOOK_COSTS = {"quadratic": "QuadraticCost", "cross_entropy": "CrossEntropyCost"}


class Model(NamedTuple):
    """What a model file holds.

    `sizes` and `weights` have all input columns. Where `kept_inputs`, int64, is not None, the
    network uses those in it, and the others are zeros.
    """

    sizes: list[int]
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[str]
    cost: str
    dtype: str
    input_scale: float | None
    kept_inputs: np.ndarray | None = None
    multilabel: bool = False


def write_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write `model` to `path`; a file already there is replaced whole or not at all.

    Raises
    ------
    ValueError
        If a weight or bias is not finite, which JSON cannot say; nothing is written.
    """
    for name, layers in (("weights", model.weights), ("biases", model.biases)):
        for layer, values in enumerate(layers):
            if not np.isfinite(values).all():
                raise ValueError(
                    f"{name}[{layer}] holds NaN or infinity and cannot be saved; if training "
                    "diverged, train again with a smaller learning_rate"
                )
    in_the_book = set(model.activations) == {"sigmoid"} and model.cost in BOOK_COSTS
    content: dict[str, Any] = {
        "sizes": model.sizes,
        "weights": [w.tolist() for w in model.weights],
        "biases": [b[:, np.newaxis].tolist() for b in model.biases],
        "cost": BOOK_COSTS[model.cost] if in_the_book else model.cost,
        "fastnn": {
            "format": VERSION,
            "activations": model.activations,
            "cost": model.cost,
            "dtype": model.dtype,
            "input_scale": model.input_scale,
        },
    }
    if model.kept_inputs is not None:
        content["fastnn"]["kept_inputs"] = model.kept_inputs.tolist()
    if model.multilabel:
        content["fastnn"]["multilabel"] = True
    _replace(path, json.dumps(content, allow_nan=False))


def _replace(path: str | os.PathLike[str], text: str) -> None:
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file, a native one or one of the book's.

    Raises
    ------
    FileFormatError
        If the file is not such a file, or is damaged; the message says what is wrong with it.
    OSError
        If it cannot be read.
    """
    raw = Path(path).read_bytes()
    try:
        return _model(json.loads(raw.decode("utf-8"), parse_constant=_refuse))
    except RecursionError as error:
        raise FileFormatError(f"{os.fspath(path)}: not a model file: nested too deeply") from error
    except (ValueError, TypeError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise FileFormatError(f"{os.fspath(path)}: not a model file: {error}") from error


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}; every number must be finite")


def _model(content: Any) -> Model:
    _require(isinstance(content, dict), "a JSON object is expected")
    missing = [key for key in ("sizes", "weights", "biases", "cost") if key not in content]
    _require(not missing, f"no {' and no '.join(map(repr, missing))} in it")
    sizes = content["sizes"]
    _require(
        isinstance(sizes, list)
        and len(sizes) >= 2
        and all(type(size) is int and size >= 1 for size in sizes),
        "'sizes' must be a list of two or more whole numbers of at least 1",
    )
    own = content.get("fastnn")
    if own is None:
        book_costs = {book: native for native, book in BOOK_COSTS.items()}
        cost = book_costs[one_of("'cost' of a file of the book's", content["cost"], book_costs)]
        activations, dtype, scale = ["sigmoid"] * (len(sizes) - 1), "float64", None
    else:
        _require(isinstance(own, dict), "'fastnn' must be a JSON object")
        _require(
            own.get("format") == VERSION,
            f"its format is {own.get('format')!r} and this version reads format {VERSION}",
        )
        activations, cost, scale = own.get("activations"), own.get("cost"), own.get("input_scale")
        dtype = one_of("'dtype'", own.get("dtype"), ("float32", "float64"))
        _require(
            isinstance(activations, list) and all(isinstance(name, str) for name in activations),
            "'activations' must be a list of names",
        )
        scale = None if scale is None else real("'input_scale'", scale)
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    weights = _layers("weights", content["weights"], shapes, dtype)
    biases = _layers("biases", content["biases"], [(size, 1) for size in sizes[1:]], dtype)
    kept = _kept_inputs((own or {}).get("kept_inputs"), weights[0])
    labels = (own or {}).get("multilabel", False)
    _require(type(labels) is bool, "'multilabel' must be true or false")
    biases, rest = [b[:, 0] for b in biases], (activations, cost, dtype, scale)
    return Model(sizes, weights, biases, *rest, kept, multilabel=labels)


def _kept_inputs(numbers: Any, w: np.ndarray) -> np.ndarray | None:
    if numbers is None:
        return None
    columns = range(w.shape[1])
    _require(
        isinstance(numbers, list)
        and len(numbers) > 0
        and all(type(number) is int and number in columns for number in numbers)
        and all(a < b for a, b in itertools.pairwise(numbers)),
        f"'kept_inputs' must be a list of increasing whole numbers from 0 to {w.shape[1] - 1}",
    )
    _require(
        not np.delete(w, numbers, axis=1).any(),
        "an input that is not in 'kept_inputs' has a weight that is not 0",
    )
    return np.array(numbers, np.int64)


def _layers(name: str, layers: Any, shapes: list[tuple[int, int]], dtype: str) -> list[np.ndarray]:
    # Everything is compared with the lists that are there, so that sizes which the file only
    # claims never lead to an allocation.
    _require(
        isinstance(layers, list) and len(layers) == len(shapes),
        f"{name!r} must be a list of {len(shapes)} layers, one less than 'sizes'",
    )
    return [
        _matrix(f"layer {number} of {name!r}", rows, shape, dtype)
        for number, (rows, shape) in enumerate(zip(layers, shapes, strict=True))
    ]


def _matrix(name: str, rows: Any, shape: tuple[int, int], dtype: str) -> np.ndarray:
    _require(
        isinstance(rows, list)
        and len(rows) == shape[0]
        and all(isinstance(row, list) and len(row) == shape[1] for row in rows),
        f"{name} must be a list of {shape[0]} rows of {shape[1]} numbers",
    )
    _require(
        all(type(value) is float or type(value) is int for row in rows for value in row),
        f"{name} holds something that is not a number",
    )
    largest = float(np.finfo(dtype).max)
    _require(
        all(abs(value) <= largest for row in rows for value in row),
        f"{name} holds a number too large for {dtype}",
    )
    return np.array(rows, dtype)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
