"""A network's arrays into panels of weights and out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.engine.layout import B_AT, PANEL, VECTORS, W_AT, Arrays

__all__ = ["memory", "pack", "unpack"]


def memory(arrays: Arrays, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of weights' and biases' `memory` for one number; 0 is the gradient."""
    parts = (arrays.memory, len(arrays.weights)), (arrays.bias_memory, len(arrays.biases))
    of_weights, of_biases = (flat[number * size :][:size] for flat, size in parts)
    return of_weights, of_biases


def pack(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
    order: np.ndarray | None = None,
) -> None:
    """Copy a network's weights (out, in), then biases (out,), into panels of both.

    `order` has the input columns that the panels are to have; without it they have all, in order.
    """
    for layer, panel, part in _parts(table, panels, arrays, lanes):
        chosen = part if order is None or layer > 1 else part[order]
        panel[tuple(map(slice, chosen.shape))] = chosen


def unpack(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
    copy: Callable[..., Any],
    every: np.ndarray,
    places: np.ndarray | None = None,
) -> None:
    """Copy panels back into a network's weights (out, in), then biases (out,).

    `copy` is what `unpacking.build_unpack` returns; `every` has 0, 1, 2, ... `places` are where the
    panels have each input column; without it they have them in their order.
    """
    for layer, panel, part in _parts(table, panels, arrays, lanes):
        if part.ndim == 1:
            part[:] = panel[: len(part)]
            continue
        chosen = every if places is None or layer > 1 else places
        w = part.T
        in_order = w if w.flags.c_contiguous else np.empty(w.shape, w.dtype)
        copy(panel, chosen[: len(panel)], in_order)
        if in_order is not w:
            w[:] = in_order


def _parts(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the parts of panels, each with that of `arrays` which lies there, the first in a row.

    With them the number of the layer whose weights they are; after these, past the last, biases.
    """
    of_weights, of_biases = panels
    layers = len(arrays) // 2
    for layer, (w, b) in enumerate(zip(arrays[:layers], arrays[layers:], strict=True), 1):
        for units, panel in _panels(table, of_weights, layer, lanes):
            yield layer, panel[: w.shape[1]], w[units].T
        at = table[layer, B_AT]
        yield layers + 1, of_biases[at : at + len(b)], b


def _panels(
    table: np.ndarray, flat: np.ndarray, layer: int, lanes: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield each panel of a layer as (inputs, width), with the units that are its columns."""
    inputs = int(table[layer - 1, VECTORS]) * lanes
    at, vectors, most = (int(table[layer, field]) for field in (W_AT, VECTORS, PANEL))
    for first in range(0, vectors, most):
        width = min(most, vectors - first) * lanes
        panel = flat[at : at + inputs * width].reshape(inputs, width)
        yield slice(first * lanes, first * lanes + width), panel
        at += inputs * width
