"""Copies of a network's arrays into panels of weights and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.engine.layout import Arrays
from fastnn.engine.records import B_AT, PANEL, VECTORS, W_AT
from fastnn.optimizers import Optimizer

__all__ = ["Place", "begin_memories", "memory", "pack", "places_of", "unpack"]


def memory(arrays: Arrays, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of `memory` and `bias_memory` for one number."""
    parts = (arrays.memory, len(arrays.weights)), (arrays.bias_memory, len(arrays.biases))
    of_weights, of_biases = (flat[number * size :][:size] for flat, size in parts)
    return of_weights, of_biases


def begin_memories(arrays: Arrays, stepper: Optimizer) -> None:
    """Set all memories to those that a weight 0 starts with: the padding takes steps too."""
    dtype = arrays.memory.dtype
    each = (stepper.start(np.zeros(shape, dtype)) for shape in ((1, 1), (1,)))
    for number, (of_weight, of_bias) in enumerate(zip(*each, strict=True)):
        of_weights, of_biases = memory(arrays, number)
        of_weights[:], of_biases[:] = of_weight.item(), of_bias.item()


class Place(NamedTuple):
    """Where a part of a network's arrays lies in panels.

    layer: the layer whose weights these are, 0 for biases. panel: (inputs, units and padding), or
    (units,) for biases. part: the same numbers in the network's array, (units, inputs) or (units,).
    """

    layer: int
    panel: np.ndarray
    part: np.ndarray


def places_of(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
) -> list[Place]:
    """Return where in the panels each of `arrays`, weights (out, in) then biases (out,), lies."""
    of_weights, of_biases = panels
    layers, places = len(arrays) // 2, []
    for layer, (w, b) in enumerate(zip(arrays[:layers], arrays[layers:], strict=True), 1):
        for units, panel in _panels(table, of_weights, layer, lanes):
            places.append(Place(layer, panel[: w.shape[1]], w[units]))
        at = table[layer, B_AT]
        places.append(Place(0, of_biases[at : at + len(b)], b))
    return places


def pack(places: Sequence[Place], order: np.ndarray | None = None) -> None:
    """Copy a network's arrays into panels.

    `order` lists the input columns that the panels are to hold; the default is all, in order.
    """
    for layer, panel, part in places:
        chosen = part[:, order] if order is not None and layer == 1 else part
        panel[tuple(map(slice, chosen.T.shape))] = chosen.T


def unpack(
    places: Sequence[Place],
    copy: Callable[..., Any],
    every: np.ndarray,
    columns: np.ndarray | None = None,
) -> None:
    """Copy panels back into a network's arrays.

    `copy` is what `unpacking.build_unpack` returns; `every` holds 0, 1, 2, ... `columns` says where
    in the panels each input column is; the default is in order.
    """
    for layer, panel, part in places:
        if not layer:
            part[:] = panel
            continue
        chosen = columns if columns is not None and layer == 1 else every
        in_order = part if part.flags.c_contiguous else np.empty(part.shape, part.dtype)
        copy(panel, chosen[: len(panel)], in_order)
        if in_order is not part:
            part[:] = in_order


def _panels(
    table: np.ndarray, flat: np.ndarray, layer: int, lanes: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield each panel of a layer: the units that are its columns, and its view (inputs, width)."""
    inputs = int(table[layer - 1, VECTORS]) * lanes
    at, vectors, most = (int(table[layer, field]) for field in (W_AT, VECTORS, PANEL))
    for first in range(0, vectors, most):
        width = min(most, vectors - first) * lanes
        panel = flat[at : at + inputs * width].reshape(inputs, width)
        yield slice(first * lanes, first * lanes + width), panel
        at += inputs * width
