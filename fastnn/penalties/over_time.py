"""L1 rules for online learning that depend on earlier steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, real, whole
from fastnn.penalties.base import L1Like, between

__all__ = ["CumulativeL1", "TruncatedGradient"]


class CumulativeL1(L1Like):
    """L1 as a running debt: after the gradient, a weight shrinks by all that it still owes.

    Tsuruoka, Tsujii and Ananiadou, "Stochastic gradient descent training for L1-regularized
    log-linear models with cumulative penalty", 2009. u is the sum of kappa = eta*lmbda/n over all
    steps so far, and q is how far the rule has moved a weight. A weight v > 0 becomes
    max(0, v-(u+q)), and v < 0 becomes min(0, v+(u-q)). The rule leaves exact zeros.
    """

    name = "l1_cumulative"
    leaves_zeros = True
    after_gradient = True
    stateful = True

    def step_coefficients(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.lmbda * total,)

    @staticmethod
    def shrink(xp: Any, w: Any, q: Any, u: Any) -> Any:
        """Subtract `w` clipped to [q - u, q + u]: as abs(q) <= u, this serves both signs."""
        due = between(xp, w, q - u, q + u)
        return w - due, q - due

    @staticmethod
    def caught_up(xp: Any, w: Any, q: Any, steps: Any, u: Any) -> Any:
        """Take one step with the last u, which includes all that was due before."""
        return CumulativeL1.shrink(xp, w, q, u)


@dataclass(frozen=True)
class TruncatedGradient(L1Like):
    """L1 once every `every` steps, `every` times as strong, on weights of at most `theta`.

    Langford, Li and Zhang, "Sparse online learning via truncated gradient", 2009, section 3.3.
    After the gradient of every `every`-th step, a weight v with abs(v) <= theta moves towards 0 by
    every*kappa, but not past it; kappa = eta*lmbda/n. The rule leaves exact zeros.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    every : int, default 10
        The number of steps from one shrink to the next.
    theta : float, optional
        Weights with a larger absolute value do not shrink; by default all do.
    biases : bool, default False
        Whether the biases are penalised too. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """

    name = "truncated_gradient"
    skips = True
    leaves_zeros = True
    after_gradient = True
    every: int = 10
    theta: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_field(self, "every", whole, minimum=1)
        if self.theta is not None:
            check_field(self, "theta", real)

    def coefficients(self, step: float) -> tuple[float, ...]:
        theta = float("inf") if self.theta is None else self.theta
        return step * self.lmbda * self.every, theta, 1 / self.every

    def step_coefficients(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (count % self.every,)

    @staticmethod
    def shrink(xp: Any, w: Any, most: Any, theta: Any, inverse: Any, phase: Any) -> Any:
        return _truncated(xp, w, most, theta)

    @staticmethod
    def caught_up(
        xp: Any, w: Any, steps: Any, most: Any, theta: Any, inverse: Any, phase: Any
    ) -> Any:
        """Apply the -floor((phase-steps)/every) shrinks that fall into the last `steps` steps."""
        return _truncated(xp, w, -xp.floor((phase - steps + 0.5) * inverse) * most, theta)

    def value(self, w: np.ndarray) -> float:
        return super().value(w if self.theta is None else np.minimum(np.abs(w), self.theta))


def _truncated(xp: Any, w: Any, most: Any, theta: Any) -> Any:
    """Return `w` moved towards 0 by `most`, but not past it; unchanged if abs(w) > theta."""
    return w - xp.where(abs(w) > theta, 0.0, between(xp, w, -most, most))
