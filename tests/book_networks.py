"""Networks of the book's programs, and the forms of their data."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

SIZES = [64, 12, 10]
Pairs = list[tuple[np.ndarray, Any]]
Kind = TypeVar("Kind")

MONITORS: dict[str, Any] = {
    "monitor_evaluation_cost": True,
    "monitor_evaluation_accuracy": True,
    "monitor_training_cost": True,
    "monitor_training_accuracy": True,
}


def seeded(kind: type[Kind], **keywords: Any) -> Kind:
    """Return a network whose initial values and shuffles are the same in every test."""
    np.random.seed(5)
    random.seed(6)
    return kind(SIZES, **keywords)


def vectors(pairs: Iterable[tuple[np.ndarray, Any]]) -> Pairs:
    """Return `pairs` with unit vectors in the place of class indices."""
    return [(x, np.eye(10)[:, [int(y)]]) for x, y in pairs]


def numbers(pairs: Pairs) -> Pairs:
    """Return `pairs` with class indices in the place of unit vectors."""
    return [(x, int(y.argmax())) for x, y in pairs]
