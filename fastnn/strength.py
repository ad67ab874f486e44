"""A check before training for penalties whose single step is out of proportion to the weights.

Such a strength cannot work: L1, for example, then throws weights back and forth across zero, which
drowns the gradient. It nearly always comes from a mistaken n or another library's convention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastnn.checks import warn
from fastnn.penalties import Penalty

__all__ = ["RegularizationWarning", "warn_if_too_strong"]

# The largest share that one step may take: of a layer's rms weight for L1, of each weight for L2.
MOST_OF_RMS, MOST_KEPT_BACK = 0.25, 0.5

# The book's setting in chapter 3: [784,30,10], eta 0.5, lmbda 5, n 50,000.
BOOK_STEP = 0.5 * 5 / 50_000
BOOK_OF_RMS = BOOK_STEP * math.sqrt(784)


class RegularizationWarning(UserWarning):
    """One step of the penalty is too large, relative to the weights, for training to work."""


def warn_if_too_strong(
    weights: Sequence[np.ndarray],
    penalties: Sequence[Penalty | None],
    *,
    learning_rate: float,
    n: int,
    batch_size: int,
    gain: float = 1.0,
) -> None:
    """Warn if one L1 step takes over a quarter of a layer's rms weight, or one L2 step over half.

    Parameters
    ----------
    weights : sequence of ndarray, shape (out, in)
    penalties : sequence of Penalty or None
        One for each layer.
    learning_rate : float
    n : int
        The n of lmbda/n.
    batch_size : int
        The warning names it if it seems to have been mistaken for n.
    gain : float, default 1
        The optimizer's: how much larger its steps become than those of plain descent.
    """
    step = learning_rate * gain / n
    steps = [p.strengths(step) if p is not None else (0.0, 0.0) for p in penalties]
    with np.errstate(over="ignore"):  # an infinite root mean square is beyond any penalty
        rms = [float(np.sqrt(np.mean(np.square(w, dtype=np.float64)))) for w in weights]
    shares = [l1 / r if r else 0.0 for (l1, _), r in zip(steps, rms, strict=True)]
    layer, hardest = int(np.argmax(shares)), int(np.argmax([l2 for _, l2 in steps]))
    of_rms, kept_back = shares[layer], steps[hardest][1]
    if of_rms > MOST_OF_RMS:
        lmbda, excess = _lmbda(penalties[layer]), of_rms / MOST_OF_RMS
        usual = lmbda * BOOK_OF_RMS / of_rms
        what = (
            f"one step of the L1 penalty shrinks weights by {steps[layer][0]:.3g}, {of_rms:.3g} "
            f"times the root mean square {rms[layer]:.3g} of layer {layer + 1}'s weights"
        )
    elif kept_back > MOST_KEPT_BACK:
        lmbda, excess = _lmbda(penalties[hardest]), kept_back / MOST_KEPT_BACK
        usual = lmbda * BOOK_STEP / kept_back
        what = f"one step of the L2 penalty multiplies the weights by 1 - {kept_back:.3g}"
    else:
        return
    if batch_size < n and excess * batch_size <= n:
        guess = (
            f"lmbda={lmbda:g} looks as if it were meant to be divided by the batch size "
            f"{batch_size}: fastnn divides it by the number of training rows, {n}"
        )
    else:
        guess = (
            f"lmbda={lmbda:g} looks like another convention's, or the learning rate "
            f"{learning_rate:g} is too large: a step is learning_rate*lmbda/n, n = {n}"
        )
    warn(
        f"{what}; this cannot train. {guess}. lmbda={usual:.3g} would give the ratio of the book's "
        "setting; see fastnn.penalties.from_sklearn, from_keras and from_torch",
        RegularizationWarning,
    )


def _lmbda(penalty: Penalty | None) -> float:
    """Return the strength of a penalty; every built-in one with steps above 0 has it."""
    return float(getattr(penalty, "lmbda", 0.0))
