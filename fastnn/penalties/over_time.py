"""L1 rules for online learning that depend on the steps before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_field, real, whole
from fastnn.penalties.base import OfSizes, between

__all__ = ["CumulativeL1", "TruncatedGradient"]


class CumulativeL1(OfSizes):
    """L1 that a weight may owe: after the gradient, what all steps so far would have taken is due.

    Tsuruoka, Tsujii and Ananiadou, "Stochastic gradient descent training for L1-regularized
    log-linear models with cumulative penalty", 2009. u is the sum of kappa = eta*lmbda/n over the
    steps, q what a weight has been moved by the rule so far: v > 0 becomes max(0, v-(u+q)), v < 0
    becomes min(0, v+(u-q)). It leaves exact zeros.
    """

    name = "l1_cumulative"
    leaves_zeros = True
    after_gradient = True
    stateful = True

    def moving(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.lmbda * total,)

    @staticmethod
    def shrink(xp: Any, w: Any, q: Any, u: Any) -> Any:
        """Both signs at once: as abs(q) <= u, a weight owes between q - u <= 0 and q + u >= 0."""
        due = between(xp, w, q - u, q + u)
        return w - due, q - due

    @staticmethod
    def caught_up(xp: Any, w: Any, q: Any, steps: Any, u: Any) -> Any:
        """One step with the last u: what was due before is due still."""
        return CumulativeL1.shrink(xp, w, q, u)


@dataclass(frozen=True)
class TruncatedGradient(OfSizes):
    """L1 once in a while: every so many steps, small weights move towards 0 by so many shrinks.

    Langford, Li and Zhang, "Sparse online learning via truncated gradient", 2009, section 3.3:
    after the gradient of every `every`-th step, where abs(v) <= theta, by every*kappa and not past
    0; kappa = eta*lmbda/n. It leaves exact zeros.

    Parameters
    ----------
    lmbda : float
        Strength over the whole training set; finite and at least 0.
    every : int, default 10
        Steps from one shrink to the next.
    theta : float, optional
        Larger weights do not shrink; by default all do.
    biases : bool, default False
        Whether the biases are penalised too. Keyword only.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.
    """

    name = "truncated_gradient"
    rests = True
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

    def moving(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (count % self.every,)

    @staticmethod
    def shrink(xp: Any, w: Any, most: Any, theta: Any, inverse: Any, phase: Any) -> Any:
        return _truncated(xp, w, most, theta)

    @staticmethod
    def caught_up(
        xp: Any, w: Any, steps: Any, most: Any, theta: Any, inverse: Any, phase: Any
    ) -> Any:
        """Those of the last `steps` steps act that `every` divides: -floor((phase-steps)/every)."""
        return _truncated(xp, w, -xp.floor((phase - steps + 0.5) * inverse) * most, theta)

    def value(self, w: np.ndarray) -> float:
        return super().value(w if self.theta is None else np.minimum(np.abs(w), self.theta))


def _truncated(xp: Any, w: Any, most: Any, theta: Any) -> Any:
    """Return `w` moved towards 0 by `most`, and not past it, where it is not larger than theta."""
    return w - xp.where(abs(w) > theta, 0.0, between(xp, w, -most, most))
