"""Checks of a network's sizes, activations, dtype and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import activations
from fastnn.activations import Activation
from fastnn.checks import one_of, real, whole

__all__ = [
    "checked_activations",
    "checked_arrays",
    "checked_dtype",
    "checked_generator",
    "checked_scale",
    "checked_sizes",
    "in_place",
    "layer_shapes",
    "names_by_layer",
]


def checked_sizes(sizes: object) -> tuple[int, ...]:
    """Return the number of units in each layer, inputs first."""
    if isinstance(sizes, str) or not isinstance(sizes, (Sequence, np.ndarray)):
        raise TypeError(
            f"sizes must be a list of whole numbers such as [784, 30, 10], not {sizes!r}"
        )
    if len(sizes) < 2:
        raise ValueError(
            f"sizes must name at least two layers, the inputs and the outputs, not {list(sizes)}"
        )
    return tuple(whole(f"sizes[{i}]", size, minimum=1) for i, size in enumerate(sizes))


def names_by_layer(names: object, known: Iterable[str], layers: int, which: str) -> list[str]:
    """Return the activation's name for each of `layers` layers, given one for all or a list."""
    known = list(known)
    if isinstance(names, str):
        return [one_of("activation", names, known, registered=True)] * layers
    if not isinstance(names, Sequence):
        raise TypeError(f"activation must be a name or one name for each layer, not {names!r}")
    if len(names) != layers:
        raise ValueError(
            f"activation must be one name, or one for each of the {layers} {which}, "
            f"not {len(names)} names"
        )
    return [
        one_of(f"activation[{i}]", name, known, registered=True) for i, name in enumerate(names)
    ]


def checked_activations(names: object, layers: int) -> list[Activation]:
    """Return one activation for each layer after the input."""
    known = {activation.name: activation for activation in activations.ALL}
    named = names_by_layer(names, known, layers, "layers after the input")
    chosen = [known[name]() for name in named]
    for activation in chosen[:-1]:
        if activation.normalises:
            raise ValueError(
                f"{activation.name!r} is for the output layer only, not a hidden one: give one "
                f"name for each layer, such as {['sigmoid'] * (layers - 1) + [activation.name]}"
            )
    return chosen


def layer_shapes(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the shape of each layer's weights, (out, in)."""
    return list(zip(sizes[1:], sizes[:-1], strict=True))


def checked_scale(scale: object) -> float:
    """Return the factor on the inputs, which must be above 0."""
    return real("input_scale", scale, above=0)


def checked_generator(seed: Any) -> np.random.Generator:
    """Return a generator seeded with `seed`, or `seed` itself if it is one."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(
            "seed must be a whole number of at least 0, a numpy.random.Generator or None, "
            f"not {seed!r}"
        ) from None


def checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype`, which must be float32 or float64."""
    try:
        name: object = dtype if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = dtype
    return np.dtype(one_of("dtype", name, ("float32", "float64")))


def checked_arrays(
    name: str, arrays: object, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]
) -> list[np.ndarray]:
    """Return `arrays` as the engine takes them, converting only those that need it."""
    if not isinstance(arrays, (list, tuple)) or len(arrays) != len(shapes):
        came = f"{len(arrays)}" if isinstance(arrays, (list, tuple)) else type(arrays).__name__
        raise ValueError(f"{name} must be a list of {len(shapes)} arrays, not {came}")
    checked = []
    for layer, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            came = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else f"{array!r:.60}"
            raise TypeError(f"{name}[{layer}] must be an array of floats, not {came}")
        if array.shape != shape:
            raise ValueError(f"{name}[{layer}] must have the shape {shape}, not {array.shape}")
        checked.append(np.require(array, dtype, ["C", "A", "W"]))
    return checked


def in_place(held: list[np.ndarray], checked: list[np.ndarray]) -> list[np.ndarray]:
    """Replace the contents of the network's list by the checked arrays."""
    if not isinstance(held, list):
        return checked
    held[:] = checked
    return held
