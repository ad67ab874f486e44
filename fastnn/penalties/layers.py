"""Which penalty acts on which layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.penalties.base import Penalty

__all__ = ["PenaltyLike", "per_layer", "value_of"]

PenaltyLike = Penalty | Sequence[Penalty | None] | None
"""What `fit` takes: one penalty for all layers, or one (or None) for each."""


def per_layer(penalty: PenaltyLike, layers: int) -> tuple[Penalty | None, ...]:
    """Return each layer's penalty, in order from the first layer.

    Parameters
    ----------
    penalty : Penalty, sequence of Penalty or None, or None
        One for all layers, or one (or None) for each.
    layers : int
        The number of layers after the input.

    Raises
    ------
    TypeError
        If `penalty` is none of these.
    ValueError
        If a list has another length, or the penalty acts on none of the layers.
    """
    if penalty is None:
        return (None,) * layers
    if isinstance(penalty, Penalty):
        chosen = tuple(
            penalty if penalty.acts_on(number, layers) else None for number in range(1, layers + 1)
        )
        if not any(chosen):
            raise ValueError(f"penalty {penalty!r} needs a hidden layer, and the network has none")
        return chosen
    if isinstance(penalty, str) or not isinstance(penalty, Sequence):
        raise TypeError(
            "penalty must be None or a penalty with its strength, such as fastnn.L1(5.0), or a "
            f"list with one for each layer, not {penalty!r}"
        )
    if len(penalty) != layers:
        raise ValueError(
            f"penalty must be one, or a list with one (or None) for each of the {layers} layers "
            f"after the input, not {len(penalty)}"
        )
    for number, one in enumerate(penalty):
        if one is not None and not isinstance(one, Penalty):
            raise TypeError(
                f"penalty[{number}] must be None or a penalty, such as fastnn.L1(5.0), not {one!r}"
            )
    return tuple(penalty)


def value_of(
    penalties: Sequence[Penalty | None], weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]
) -> float:
    """Return the value of all layers' penalties, times n."""
    total = 0.0
    with np.errstate(over="ignore"):  # with diverging weights it is infinite
        for penalty, w, b in zip(penalties, weights, biases, strict=True):
            if penalty is not None:
                total += penalty.value(w)
                total += penalty.value(b) if penalty.on_biases else 0.0
    return total
