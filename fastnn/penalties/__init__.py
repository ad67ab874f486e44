"""Penalties: each is one small class whose mathematics is written once.

The contract is in `fastnn.penalties.base`. lmbda is always the strength over the whole training
set; `from_sklearn`, `to_sklearn` and their counterparts convert other libraries' strengths to
fastnn's and back.
"""

from __future__ import annotations

from typing import Any

from fastnn.checks import one_named
from fastnn.penalties.base import L1Like, Penalty, Shrinking
from fastnn.penalties.converters import (
    from_keras,
    from_sklearn,
    from_torch,
    to_keras,
    to_sklearn,
    to_torch,
)
from fastnn.penalties.groups import GroupLasso, MaxNorm, SparseGroupLasso
from fastnn.penalties.layers import PenaltyLike, per_layer, value_of
from fastnn.penalties.over_time import CumulativeL1, TruncatedGradient
from fastnn.penalties.shrinking import L1, L2, ElasticNet, ProximalL1

__all__ = [
    "ALL",
    "L1",
    "L2",
    "CumulativeL1",
    "ElasticNet",
    "GroupLasso",
    "L1Like",
    "MaxNorm",
    "Penalty",
    "PenaltyLike",
    "ProximalL1",
    "Shrinking",
    "SparseGroupLasso",
    "TruncatedGradient",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "named",
    "per_layer",
    "to_keras",
    "to_sklearn",
    "to_torch",
    "value_of",
]

ALL: tuple[type[Penalty], ...] = (
    L1,
    ProximalL1,
    CumulativeL1,
    TruncatedGradient,
    L2,
    ElasticNet,
    GroupLasso,
    SparseGroupLasso,
    MaxNorm,
)
"""All penalties, in the order of the documents."""


def named(parameter: str, name: object, strength: float) -> Penalty:
    """Return the penalty called `name`; for max_norm, `strength` is its limit.

    All its other parameters have their defaults.

    Raises
    ------
    ValueError
        If there is none; the message begins with `parameter` and suggests the nearest name.
    TypeError, ValueError
        If `strength` is not a valid strength.
    """
    kind: Any = one_named(parameter, name, ALL)
    penalty: Penalty = kind(strength)
    return penalty
