"""FTRL-Proximal: follow the regularised leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.checks import check_field, real
from fastnn.optimizers.base import Numbers, Optimizer
from fastnn.schedules import Schedule

__all__ = ["FTRL"]


@dataclass(frozen=True)
class FTRL(Optimizer):
    """FTRL-Proximal (follow the regularised leader), with L1 and L2 (McMahan et al. 2013).

    McMahan et al., "Ad click prediction: a view from the trenches", 2013, algorithm 1. For each
    weight, s grows by g**2 and z by g - (sqrt(new s)-sqrt(s))/alpha*w. Then w is 0 where
    abs(z) <= l1, else -(z-l1*sign(z))/((beta+sqrt(s))/alpha+l2). The first z is the one that gives
    the network's initial weights. The rule leaves exact zeros.

    Parameters
    ----------
    alpha : float, default 0.1
        The paper's learning rate, above 0.
    beta : float, default 1.0
        Above 0.
    l1, l2 : float, default 0.0
        Strengths as in the paper, at least 0; they act on weights and not on biases.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "ftrl"
    memories = 2
    separate_biases = True
    learning_rate: float | Schedule = field(init=False, repr=False)
    alpha: float = 0.1
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        check_field(self, "alpha", real, above=0)
        check_field(self, "beta", real, above=0)
        check_field(self, "l1", real)
        check_field(self, "l2", real)
        object.__setattr__(self, "learning_rate", self.alpha)

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Numbers:
        l1, l2 = self._strengths(of_biases)
        return 1 / self.alpha, self.beta, l1, l2

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        s = np.zeros_like(w)
        return [self._z_of(w, s), s]

    def resume(self, w: np.ndarray, memories: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Keep z where it still gives the weight, up to rounding; else take the z that does."""
        (z, s), (l1, l2) = memories, self._strengths(w.ndim == 1)
        by = (self.beta + np.sqrt(s)) / self.alpha + l2
        given = np.where(np.abs(z) > l1, (np.copysign(l1, z) - z) / by, 0.0)
        near = np.abs(given - w) <= 64 * np.finfo(w.dtype).eps * (np.abs(z) + l1) / by
        return [np.where(near, z, self._z_of(w, s)), s]

    def _strengths(self, of_biases: bool) -> tuple[float, float]:
        return (0.0, 0.0) if of_biases else (self.l1, self.l2)

    def _z_of(self, w: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Return the z that gives the weights or biases `w`."""
        l1, l2 = self._strengths(w.ndim == 1)
        z: np.ndarray = -w * ((self.beta + np.sqrt(s)) / self.alpha + l2) - l1 * np.sign(w)
        return z.astype(w.dtype)

    @staticmethod
    def step(
        xp: Any, w: Any, g: Any, z: Any, s: Any, inverse: Any, beta: Any, l1: Any, l2: Any
    ) -> tuple[Any, ...]:
        grown = s + g * g
        root = xp.sqrt(grown)
        z = z + (g - (root - xp.sqrt(s)) * inverse * w)
        moved = (xp.copysign(l1, z) - z) / ((beta + root) * inverse + l2)
        return xp.where(abs(z) > l1, moved, z * 0), z, grown
