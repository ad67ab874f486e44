"""Initializers: each is one small class that draws the weights a network starts with.

The contract, for a class listed in `ALL`: ``weights(rng, inputs, units)`` and
``biases(rng, units)`` draw the weights (units, inputs) and the biases (units,) of a layer from a
numpy `Generator`, in float64. A network draws layer by layer, the weights first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import one_named

__all__ = ["ALL", "Book", "BookLarge", "Glorot", "He", "Initializer", "named"]


class Initializer:
    """What a network needs from an initializer; biases are 0 by default."""

    name: ClassVar[str]

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        """Draw the weights of a layer."""
        raise NotImplementedError

    def biases(self, rng: np.random.Generator, units: int) -> np.ndarray:
        """Draw the biases of a layer."""
        return np.zeros(units)

    def draw(
        self, rng: np.random.Generator, sizes: Sequence[int], dtype: np.dtype[Any]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the weights and biases of all layers; the draws are the same for both dtypes."""
        weights, biases = [], []
        for inputs, units in itertools.pairwise(sizes):
            weights.append(self.weights(rng, inputs, units).astype(dtype))
            biases.append(self.biases(rng, units).astype(dtype))
        return weights, biases


class Book(Initializer):
    """Weights from N(0, 1/inputs), biases from N(0, 1) (the book, chapter 3)."""

    name = "book"

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        return rng.standard_normal((units, inputs)) / math.sqrt(inputs)

    def biases(self, rng: np.random.Generator, units: int) -> np.ndarray:
        return rng.standard_normal(units)


class BookLarge(Book):
    """Weights and biases from N(0, 1) (the book, chapter 1)."""

    name = "book_large"

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        return rng.standard_normal((units, inputs))


class Glorot(Initializer):
    """Weights uniform within +-sqrt(6/(inputs+units)), biases 0 (Glorot and Bengio 2010)."""

    name = "glorot"

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        bound = math.sqrt(6 / (inputs + units))
        return rng.uniform(-bound, bound, (units, inputs))


class He(Initializer):
    """Weights from N(0, 2/inputs), biases 0: for ReLU and its variants (He et al. 2015)."""

    name = "he"

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        return rng.standard_normal((units, inputs)) * math.sqrt(2 / inputs)


ALL: tuple[type[Initializer], ...] = (Book, BookLarge, Glorot, He)
"""All initializers, in the order of the documents."""


def named(parameter: str, name: object) -> Initializer:
    """Return the initializer called `name`, or raise a `ValueError` that lists the known ones."""
    return one_named(parameter, name, ALL, registered=True)()
