"""The JSON of the book's network2, with one additional key for a native network.

The book's keys come first, as its ``save`` writes them: ``sizes``, ``weights`` (out, in),
``biases`` (out, 1) and ``cost``, the class name of its module, or fastnn's name of the cost if the
book does not have such a network. The key ``fastnn`` holds the record. A file without that key is
the book's own.

Numbers are written so that they are read back exactly, float32 included.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastnn.checks import one_of
from fastnn.model_files.model import Model, dtype_of, from_record, parsed, record_of, require

__all__ = ["book_arrays", "book_object", "decode", "encode"]

BOOK_COSTS = {"quadratic": "QuadraticCost", "cross_entropy": "CrossEntropyCost"}


def encode(model: Model) -> bytes:
    """Return `model` as JSON."""
    in_the_book = set(model.activations) == {"sigmoid"} and model.cost in BOOK_COSTS
    content: dict[str, Any] = {
        "sizes": [model.weights[0].shape[1], *map(len, model.weights)],
        "weights": [w.tolist() for w in model.weights],
        "biases": [b[:, np.newaxis].tolist() for b in model.biases],
        "cost": BOOK_COSTS[model.cost] if in_the_book else model.cost,
        "fastnn": record_of(model),
    }
    return json.dumps(content, allow_nan=False).encode("utf-8")


def decode(raw: bytes) -> Model:
    """Return the model in the content of a JSON file, native or the book's.

    Raises
    ------
    TypeError, ValueError
        If the content is not a model; the message says what is wrong.
    """
    content = book_object(raw)
    record = content.get("fastnn")
    dtype = "float64" if record is None else dtype_of(record)
    weights, columns = book_arrays(content, dtype)
    biases = [b[:, 0] for b in columns]
    if record is not None:
        return from_record(record, weights, biases)
    native = {book: cost for cost, book in BOOK_COSTS.items()}
    cost = native[one_of("'cost' of a file of the book's", content["cost"], native)]
    return Model(weights, biases, ["sigmoid"] * len(weights), cost, dtype, None)


def book_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`, which has the book's keys; their values are not checked.

    Raises
    ------
    ValueError
        If it is not JSON, or lacks a key.
    """
    content = parsed(raw)
    require(isinstance(content, dict), "a JSON object is expected")
    missing = [key for key in ("sizes", "weights", "biases", "cost") if key not in content]
    require(not missing, f"no {' and no '.join(map(repr, missing))} in it")
    found: dict[str, Any] = content
    return found


def book_arrays(content: dict[str, Any], dtype: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights (out, in) and the biases (out, 1) of a `book_object`, all finite.

    Raises
    ------
    ValueError
        If they are not numbers of that dtype in the shapes of the object's sizes.
    """
    sizes = content["sizes"]
    require(
        isinstance(sizes, list)
        and len(sizes) >= 2
        and all(type(size) is int and size >= 1 for size in sizes),
        "'sizes' must be a list of two or more whole numbers of at least 1",
    )
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    weights = _layers("weights", content["weights"], shapes, dtype)
    return weights, _layers("biases", content["biases"], [(y, 1) for y in sizes[1:]], dtype)


def _layers(name: str, layers: Any, shapes: list[tuple[int, int]], dtype: str) -> list[np.ndarray]:
    # The sizes are compared with the lists themselves, so that sizes which a file merely claims
    # never lead to an allocation.
    require(
        isinstance(layers, list) and len(layers) == len(shapes),
        f"{name!r} must be a list of {len(shapes)} layers, one less than 'sizes'",
    )
    return [
        _matrix(f"layer {number} of {name!r}", rows, shape, dtype)
        for number, (rows, shape) in enumerate(zip(layers, shapes, strict=True))
    ]


def _matrix(name: str, rows: Any, shape: tuple[int, int], dtype: str) -> np.ndarray:
    require(
        isinstance(rows, list)
        and len(rows) == shape[0]
        and all(isinstance(row, list) and len(row) == shape[1] for row in rows),
        f"{name} must be a list of {shape[0]} rows of {shape[1]} numbers",
    )
    require(
        all(type(value) is float or type(value) is int for row in rows for value in row),
        f"{name} holds something that is not a number",
    )
    largest = float(np.finfo(dtype).max)
    require(
        all(abs(value) <= largest for row in rows for value in row),
        f"{name} holds a number too large for {dtype}",
    )
    return np.array(rows, dtype)
