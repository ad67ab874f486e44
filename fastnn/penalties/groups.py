"""Penalties on groups of weights, each of which is shrunk or scaled as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, one_of, real
from fastnn.penalties.base import Penalty, soft, sum_of_sizes
from fastnn.penalties.shrinking import ProximalL1

__all__ = ["GroupLasso", "MaxNorm", "SparseGroupLasso", "shortened"]

# Newton's method ends when the sum that is to be 1 exceeds 1 by at most _CLOSE, or after so many
# steps.
_CLOSE, _NEWTON_STEPS = 1e-13, 100


@dataclass(frozen=True)
class _OfGroups(Penalty):
    """A penalty on the norms of groups of weights."""

    leaves_zeros = True
    lmbda: float
    groups: str = "inputs"

    def __post_init__(self) -> None:
        check_field(self, "lmbda", real)
        one_of("groups", self.groups, ("inputs", "neurons"))

    @property
    def grouping(self) -> str:
        return self.groups

    def acts_on(self, number: int, layers: int) -> bool:
        return number == 1 if self.groups == "inputs" else number < layers

    def simplified(self) -> Penalty | None:
        return self if self.lmbda > 0 else None

    def strengths(self, step: float) -> tuple[float, float]:
        return step * self.lmbda, 0.0


class GroupLasso(_OfGroups):
    """lmbda/n times the sum over groups of sqrt(size)*norm; whole groups become 0.

    Yuan and Lin, "Model selection and estimation in regression with grouped variables", 2006. After
    the gradient step, a group v becomes v*max(0, 1 - kappa*sqrt(size)/norm(v)), where kappa is
    eta*lmbda/n.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    groups : {"inputs", "neurons"}
        "inputs": a group is the weights that leave one input, and only the first layer has groups.
        "neurons": a group is the weights that enter one hidden unit, in every layer but the last.
        In a list with a penalty for each layer, a group is the weights that leave one unit (or
        input) of the layer below, or that enter one unit of this layer.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "group_lasso"
    norm_index = 0

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda,)

    def lazy(self, step: float) -> bool:
        return self.groups == "inputs"

    @staticmethod
    def scale(xp: Any, norm: Any, size: Any, steps: Any, kappa: Any) -> Any:
        return _block_soft(xp, norm, steps * kappa * xp.sqrt(size))

    def value(self, w: np.ndarray) -> float:
        return self.lmbda * _sum_of_norms(w, self.groups)


@dataclass(frozen=True)
class SparseGroupLasso(_OfGroups):
    """L1 with the strength l1_ratio*lmbda, and group lasso with (1-l1_ratio)*lmbda.

    Simon, Friedman, Hastie and Tibshirani, "A sparse-group lasso", 2013. After the gradient step,
    every weight is shrunk as by proximal L1, then every group as by group lasso.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    groups : {"inputs", "neurons"}
        As in `GroupLasso`.
    l1_ratio : float, default 0.5
        The share of L1, from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "sparse_group_lasso"
    after_gradient = True
    norm_index = 1
    l1_ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "l1_ratio", real, maximum=1)

    def simplified(self) -> Penalty | None:
        if self.l1_ratio == 1:
            return ProximalL1(self.lmbda).simplified()
        return super().simplified()

    def coefficients(self, step: float) -> tuple[float, ...]:
        kappa = step * self.lmbda
        return kappa * self.l1_ratio, kappa * (1 - self.l1_ratio)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, group_kappa: Any) -> Any:
        return soft(xp, w, kappa)

    @staticmethod
    def scale(xp: Any, norm: Any, size: Any, steps: Any, kappa: Any, group_kappa: Any) -> Any:
        return _block_soft(xp, norm, group_kappa * xp.sqrt(size))

    def value(self, w: np.ndarray) -> float:
        groups = _sum_of_norms(w, self.groups)
        return self.lmbda * (self.l1_ratio * sum_of_sizes(w) + (1 - self.l1_ratio) * groups)


@dataclass(frozen=True)
class MaxNorm(Penalty):
    """The weights that enter a unit are scaled back where their norm exceeds a limit.

    Srebro and Shraibman, "Rank, trace-norm and max-norm", 2005; Srivastava et al., "Dropout", 2014,
    section 5.1. After the gradient step, w becomes w*min(1, limit/norm(w)).

    Parameters
    ----------
    limit : float
        The largest norm; finite and above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "max_norm"
    per_weight_steps = True
    limit: float

    def __post_init__(self) -> None:
        check_field(self, "limit", real, above=0)

    @property
    def grouping(self) -> str:
        return "neurons"

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (self.limit,)

    @staticmethod
    def scale(xp: Any, norm: Any, size: Any, steps: Any, limit: Any) -> Any:
        return limit / xp.maximum(norm, limit) + norm * 0  # NaN, not 0, if the norm overflowed

    def value(self, w: np.ndarray) -> float:
        return 0.0

    def strengths(self, step: float) -> tuple[float, float]:
        return 0.0, 0.0


def _block_soft(xp: Any, norm: Any, most: Any) -> Any:
    """Return the factor that shortens a group's `norm` by `most`, or to 0 if it is shorter."""
    return xp.where(norm > most, 1 - most / norm, norm * 0)


def shortened(v: np.ndarray, most: np.ndarray, axis: int) -> np.ndarray:
    """Return groups of weights after a group lasso step whose size differs from weight to weight.

    A group v becomes the w that minimises sum((w-v)**2/(2*s)) + strength*norm(w), with the step
    sizes s. It is 0 where norm(v/(strength*s)) <= 1 (Deleu and Bengio, "Structured sparsity
    inducing adaptive optimizers for deep learning", 2021). With `most` = strength*s, w is
    v*t/(t+most), where t = norm(w) solves sum((v/(t+most))**2) = 1. One over the square root of
    this sum is concave in t, so that Newton's method on it approaches from below; with equal step
    sizes it starts at the solution.

    Parameters
    ----------
    v : ndarray
    most : ndarray, of the same shape
        Above 0.
    axis : int
        The axis along which a group lies.
    """
    x, m = v.astype(np.float64), most.astype(np.float64)
    norm = np.sqrt(np.square(x).sum(axis=axis, keepdims=True))
    t = np.maximum(0.0, norm - m.max(axis=axis, keepdims=True))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # most may underflow to 0
        ratio = np.where(x == 0, 0.0, x / m)
        stays = ~(np.square(ratio).sum(axis=axis, keepdims=True) <= 1)  # NaN stays
        for _ in range(_NEWTON_STEPS):
            share = np.square(x / (t + m))
            f = share.sum(axis=axis, keepdims=True)
            further = stays & (f > 1 + _CLOSE)
            if not further.any():
                break
            slope = (share / (t + m)).sum(axis=axis, keepdims=True)
            t = np.where(further, t + f * (np.sqrt(f) - 1) / slope, t)
        left: np.ndarray = np.where(stays, x * (t / (t + m)), 0.0)
    return left.astype(v.dtype)


def _sum_of_norms(w: np.ndarray, groups: str) -> float:
    """Return the sum of the groups' norms, each times the root of the group's size."""
    axis = 0 if groups == "inputs" else 1
    norms = np.sqrt(np.square(w, dtype=np.float64).sum(axis=axis))
    return math.sqrt(w.shape[axis]) * float(norms.sum())
