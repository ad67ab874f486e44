"""Optimizers: rules that turn a batch's gradient into a step, each one small class.

The contract is in `fastnn.optimizers.base`. In all formulas g is the gradient, w a weight, and t
the number of the step, counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn.checks import one_named
from fastnn.optimizers.adaptive import Adagrad, Adam, AdamW, RMSprop
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.descent import SGD, Momentum, Nesterov
from fastnn.optimizers.ftrl import FTRL
from fastnn.penalties import Penalty

__all__ = [
    "ALL",
    "FTRL",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "check_penalties",
    "named",
]

ALL: tuple[type[Optimizer], ...] = (
    SGD,
    Momentum,
    Nesterov,
    RMSprop,
    Adagrad,
    Adam,
    AdamW,
    FTRL,
)
"""All optimizers, in the order of the documents."""


def named(parameter: str, name: object, learning_rate: float | None = None) -> Optimizer:
    """Return the optimizer called `name`; all parameters but its rate have their defaults.

    Raises
    ------
    ValueError
        If there is none; the message begins with `parameter` and suggests the nearest name.
    TypeError, ValueError
        If `learning_rate` is not a valid rate.
    """
    kind: Any = one_named(parameter, name, ALL)
    optimizer: Optimizer = kind() if learning_rate is None else kind(learning_rate)
    return optimizer


def check_penalties(optimizer: Optimizer, penalties: Sequence[Penalty | None]) -> None:
    """Raise a `ValueError` if a penalty cannot be combined with this optimizer."""
    for penalty in (p.simplified() for p in penalties if p is not None):
        if penalty is None:
            continue
        what = f"penalty {penalty!r} cannot be had with {optimizer!r}"
        if isinstance(optimizer, FTRL):
            raise ValueError(f"{what}, which has an l1 and an l2 of its own")
        before = penalty.shrink is not None and not penalty.after_gradient
        if type(optimizer) is not SGD and before and not penalty.slope:
            raise ValueError(
                f"{what}: its rule comes before the gradient, of which it has to be a part here: "
                "give it a slope, what its shrink subtracts, or use SGD"
            )
        if math.isinf(optimizer.gain) and not penalty.slope:
            raise ValueError(f"{what}, whose steps grow without end: give a momentum below 1")
        of_norms = penalty.norm_index is not None
        if optimizer.step_size is not None and not (
            penalty.slope or penalty.per_weight_steps or of_norms
        ):
            raise ValueError(
                f"{what}: its rule is for steps of one size, and this optimizer's differ from "
                "weight to weight. Use SGD, Momentum or Nesterov, or L1, L2, ElasticNet, proximal "
                "L1, a group lasso or MaxNorm"
            )
