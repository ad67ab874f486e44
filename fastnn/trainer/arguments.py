"""Checks of the arguments of `fit`; errors say what was expected, what came and what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.arrays import Inputs
from fastnn.callbacks import BestWeights, Callback, EarlyStopping
from fastnn.checks import checked_name, real, whole
from fastnn.optimizers import ALL, SGD, Optimizer
from fastnn.schedules import Schedule

__all__ = [
    "checked_callbacks",
    "checked_dropout",
    "checked_optimizer",
    "held_out",
    "refuse_noise",
    "refuse_unwatched",
]


def checked_optimizer(optimizer: object, learning_rate: float | Schedule | None) -> Optimizer:
    """Return the optimizer: plain gradient descent unless one is given.

    Raises
    ------
    TypeError, ValueError
        If it is none, its class has no name, or a learning rate is given as well.
    """
    if optimizer is None:
        return SGD() if learning_rate is None else SGD(learning_rate)
    if not isinstance(optimizer, Optimizer):
        known = ", ".join(f"fastnn.{kind.__name__}()" for kind in ALL)
        raise TypeError(f"optimizer must be one of {known}, not {optimizer!r}")
    checked_name(type(optimizer), "signum")
    if learning_rate is not None:
        raise ValueError(
            f"give learning_rate or optimizer, not both: {optimizer!r} has a rate of its own"
        )
    _check_step(optimizer)
    return optimizer


def _check_step(optimizer: Optimizer) -> None:
    """Refuse an optimizer whose ``step`` does not return a weight and its memories."""
    w, wanted = np.zeros((1, 1)), optimizer.memories
    numbers = optimizer.numbers(0.1, np.ones(1), False)
    with np.errstate(all="ignore"):
        found: Any = optimizer.step(np, w, w, *optimizer.start(w), *numbers)
    if not isinstance(found, tuple) or len(found) != 1 + wanted:
        raise TypeError(
            f"{type(optimizer).__qualname__}.step must return a tuple: the weight, then the "
            f"numbers kept for it, memories={wanted} of them"
        )


def held_out(n: int, fraction: object, *, validates: bool) -> int:
    """Return how many of `n` rows to hold out for validation.

    `validates` says whether validation data are given as well.
    """
    if fraction is None:
        return 0
    share = real("validation_fraction", fraction)
    if validates:
        raise ValueError("give validation_data or validation_fraction, not both")
    count = math.ceil(round(n * share, 9))  # in floats, 0.07 * 100 is slightly above 7
    if not 0 < share < 1 or count == n:
        raise ValueError(
            "validation_fraction must be above 0, below 1, and leave rows to train on; "
            f"{fraction!r} of {n} rows is {count}"
        )
    return count


def checked_dropout(dropout: object, layers: int) -> list[float] | None:
    """Return the dropout rate of each hidden layer, or None if nothing is dropped."""
    if dropout is None:
        return None
    if isinstance(dropout, (list, tuple)):
        if len(dropout) != layers:
            raise ValueError(
                f"dropout must be a number, or one for each of the {layers} hidden layers, "
                f"not {len(dropout)} numbers"
            )
        rates = [real(f"dropout[{i}]", rate, below=1) for i, rate in enumerate(dropout)]
    else:
        rates = [real("dropout", dropout, below=1)] * layers
    if not layers and dropout:
        raise ValueError("dropout is of hidden units, and this network has none")
    return rates if any(rates) else None


def checked_callbacks(
    callbacks: object, early_stopping: object
) -> tuple[list[Callback], BestWeights | None]:
    """Return the callbacks, and the early-stopping callback if one is requested, else None."""
    if not isinstance(callbacks, Sequence) or not all(isinstance(c, Callback) for c in callbacks):
        given = callbacks if isinstance(callbacks, Sequence) else [callbacks]
        stops = any(isinstance(c, EarlyStopping) for c in given)
        hint = "; give EarlyStopping as early_stopping=" if stops else ""
        raise TypeError(
            f"callbacks must be a list of fastnn.Callback objects, not {callbacks!r}{hint}"
        )
    if early_stopping is None:
        return list(callbacks), None
    if not isinstance(early_stopping, EarlyStopping):
        early_stopping = EarlyStopping(_patience(early_stopping))
    return list(callbacks), BestWeights(early_stopping)


def _patience(early_stopping: object) -> int:
    try:
        return whole("early_stopping", early_stopping, minimum=1)
    except TypeError:
        raise TypeError(
            "early_stopping must be a number of epochs or a fastnn.EarlyStopping, "
            f"not {early_stopping!r} ({type(early_stopping).__name__})"
        ) from None


def refuse_unwatched(
    schedule: Schedule,
    best: BestWeights | None,
    *,
    validates: bool,
    give: str = "validation_data",
) -> None:
    """Raise a `ValueError` if something watches validation rows and there are none.

    `give` says which arguments there are for them.
    """
    if validates:
        return
    for what, needs in (
        ("this learning rate", schedule.needs_scores),
        ("early_stopping", best is not None and best.stopping.needs_validation),
    ):
        if needs:
            raise ValueError(f"{what} watches validation rows: give {give}")


def refuse_noise(input_noise: float, inputs: Inputs) -> None:
    """Raise a `ValueError` if noise is requested for sparse rows."""
    if input_noise and inputs.is_sparse:
        raise ValueError(
            "input_noise fills the zeros of X, which a sparse matrix is without: leave it out, or "
            "give X.toarray()"
        )
