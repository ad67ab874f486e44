"""What the book's two `Network` classes share: arrays, checks, and backprop for one sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn.checks import whole
from fastnn.network_checks import checked_dtype, checked_sizes, layer_shapes

__all__ = [
    "BookNetwork",
    "as_list",
    "sigmoid",
    "sigmoid_prime",
    "vectorized_result",
]


def sigmoid(z: Any) -> Any:
    """Return 1/(1 + exp(-z)), elementwise (the book, chapter 1, equation 3)."""
    with np.errstate(over="ignore"):  # exp of a saturated unit; 1/(1+inf) is the correct 0
        return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z: Any) -> Any:
    """Return the derivative of the sigmoid at `z`, elementwise."""
    return sigmoid(z) * (1 - sigmoid(z))


def vectorized_result(j: int) -> np.ndarray:
    """Return the unit vector (10, 1) with 1.0 at the index of the digit `j`."""
    return _unit_vector(j, 10)


class BookNetwork:
    """Sigmoid layers of the given sizes, with the book's attributes.

    Parameters
    ----------
    sizes : sequence of int
        The neurons of each layer, inputs first.
    dtype : {"float64", "float32"}
        The dtype of the arrays and computations.

    Raises
    ------
    TypeError, ValueError
        For fewer than two layers, a layer without neurons, or another dtype.
    """

    _monitors: ClassVar[tuple[str, ...]]  # the methods that evaluate a network

    num_layers: int
    sizes: list[int]
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    dtype: np.dtype[Any]

    def __init__(self, sizes: Sequence[int], dtype: DTypeLike) -> None:
        self.sizes = list(checked_sizes(sizes))
        self.num_layers = len(self.sizes)
        self.dtype = checked_dtype(dtype)

    def feedforward(self, a: ArrayLike) -> np.ndarray:
        """Return the output, (sizes[-1], 1), for the input `a`, (sizes[0], 1).

        `a` may also hold several inputs, one per column.
        """
        return self._layers(self._input("a", a))[1][-1]

    def backprop(self, x: ArrayLike, y: ArrayLike) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the gradient of the cost of one sample (the book, chapter 2, BP1 to BP4).

        Parameters
        ----------
        x : array-like, shape (sizes[0], 1)
        y : array-like, shape (sizes[-1], 1), or int
            The desired output, or the index of its class.

        Returns
        -------
        nabla_b, nabla_w : list of ndarray
            One array per layer, in the shapes of `biases` and `weights`.
        """
        zs, activations = self._layers(self._input("x", x))
        if len(activations[0][0]) != 1:
            raise ValueError(f"x must be one column ({self.sizes[0]}, 1), not {np.shape(x)}")
        weights = self._arrays()[0]
        delta = self._output_delta(zs[-1], activations[-1], self._target(y))
        nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]
        for layer in range(self.num_layers - 3, -1, -1):
            delta = np.dot(weights[layer + 1].T, delta) * sigmoid_prime(zs[layer])
            nabla_b.insert(0, delta)
            nabla_w.insert(0, np.dot(delta, activations[layer].T))
        return nabla_b, nabla_w

    def _is_overridden(self, name: str) -> bool:
        """Return whether the method `name` has been replaced by a user-defined one."""
        # Where its code is from: functools.wraps copies the name and __module__ of what it wraps.
        scope = getattr(getattr(self, name), "__globals__", {})
        return not str(scope.get("__name__")).startswith("fastnn.nielsen.")

    def _output_delta(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return a sample cost's derivative with respect to the output's weighted input `z`."""
        raise NotImplementedError

    def _draw(self, *, normalized: bool) -> None:
        """Draw biases and weights from N(0, 1), in the book's order: all biases come first.

        If `normalized`, weights are divided by the square root of their neuron's number of inputs.
        """
        self.biases = [np.random.randn(y, 1).astype(self.dtype) for y in self.sizes[1:]]
        self.weights = [
            (np.random.randn(y, x) / (np.sqrt(x) if normalized else 1.0)).astype(self.dtype)
            for x, y in zip(self.sizes[:-1], self.sizes[1:], strict=True)
        ]

    def _arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return (weights, biases), checked and in the network's dtype."""
        shapes = layer_shapes(self.sizes)
        return (
            _checked("weights", self.weights, shapes, self.dtype),
            _checked("biases", self.biases, [(y, 1) for y, _ in shapes], self.dtype),
        )

    def _layers(self, a: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return every layer's z, and the activations: the input `a`, then every layer's."""
        zs, activations = [], [a]
        for w, b in zip(*self._arrays(), strict=True):
            zs.append(np.dot(w, activations[-1]) + b)
            activations.append(sigmoid(zs[-1]))
        return zs, activations

    def _input(self, parameter: str, x: ArrayLike) -> np.ndarray:
        array = np.asarray(x, self.dtype)
        if array.ndim != 2 or len(array) != self.sizes[0]:
            raise ValueError(
                f"{parameter} must be a column of shape ({self.sizes[0]}, 1), not {array.shape}; "
                "use np.reshape(x, (-1, 1))"
            )
        return array

    def _target(self, y: ArrayLike) -> np.ndarray:
        outputs = self.sizes[-1]
        array = np.asarray(y)
        if array.ndim == 0 and outputs > 1:
            return _unit_vector(whole("y", array.item(), minimum=0), outputs)
        if array.ndim and array.shape != (outputs, 1):
            raise ValueError(f"y must be a column of shape ({outputs}, 1), not {array.shape}")
        return array.astype(self.dtype).reshape(outputs, 1)


def as_list(parameter: str, data: Iterable[Any]) -> list[Any]:
    """Return `data` itself if it is a list, else a list of its items."""
    if isinstance(data, list):
        return data
    try:
        return list(data)
    except TypeError:
        raise TypeError(
            f"{parameter} must be a list (or an iterator) of pairs (x, y), "
            f"not {type(data).__name__}"
        ) from None


def _unit_vector(j: int, length: int) -> np.ndarray:
    if not 0 <= j < length:
        raise ValueError(f"a label must be in 0..{length - 1}, not {j!r}")
    e = np.zeros((length, 1))
    e[j] = 1.0
    return e


def _checked(
    name: str, arrays: Any, shapes: list[tuple[int, int]], dtype: DTypeLike
) -> list[np.ndarray]:
    if not isinstance(arrays, list | tuple) or len(arrays) != len(shapes):
        count = len(arrays) if isinstance(arrays, list | tuple) else type(arrays).__name__
        raise ValueError(f"{name} must be a list of {len(shapes)} arrays, not {count}")
    checked = [np.asarray(array, dtype) for array in arrays]
    for layer, (array, shape) in enumerate(zip(checked, shapes, strict=True)):
        if array.shape != shape:
            raise ValueError(f"{name}[{layer}] must have the shape {shape}, not {array.shape}")
    return checked
