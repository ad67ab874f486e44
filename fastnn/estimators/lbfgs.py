"""The solver "lbfgs" with what scikit-learn's own lacks: L1, and an activation for each layer.

L1 has no derivative at 0. Each weight under L1 is therefore the difference of two numbers of at
least 0, a bound that scipy's L-BFGS-B enforces. L1 is then their sum, which is smooth (Schmidt,
Fung and Rosales, "Fast optimization methods for L1 regularization", 2007, section 3.2). Weights
become exactly 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import Bounds, minimize
from sklearn.exceptions import ConvergenceWarning

from fastnn import penalties
from fastnn.checks import warn
from fastnn.engine import batched
from fastnn.estimators import settings

__all__ = ["check", "fit", "is_scikit_learns"]

OWN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
CONVEX = (
    penalties.L1, penalties.L2, penalties.ElasticNet, penalties.ProximalL1, penalties.CumulativeL1,
)  # fmt: skip


def is_scikit_learns(mlp: Any) -> bool:
    """Return whether scikit-learn's own solver supports the parameters."""
    return mlp.penalty == "l2" and mlp.activation in OWN_ACTIVATIONS


def check(mlp: Any) -> None:
    """Raise a `ValueError` if a parameter has no place in one function to be minimised."""
    for penalty in settings.penalties_of(mlp):
        if not (penalty is None or isinstance(penalty, CONVEX)):
            raise ValueError(
                f"penalty={penalty!r} is for solver='sgd' or 'adam': lbfgs takes L1, L2 and "
                "ElasticNet"
            )
    if mlp.n_rows is not None:
        raise ValueError("n_rows is for solver='sgd' or 'adam': lbfgs has all rows at once")
    if settings.dropout_of(mlp) is not None:
        raise ValueError(
            "dropout is for solver='sgd' or 'adam': lbfgs minimises one function, with every unit"
        )


def fit(mlp: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
    """Minimise the mean cost plus the penalty, starting from the estimator's weights."""
    objective = Objective(mlp, X, y, sample_weight)
    whole = WithL1(objective)
    start = np.concatenate([a.ravel() for a in (*mlp.coefs_, *mlp.intercepts_)], dtype=np.float64)
    result = minimize(
        whole,
        whole.start(start),
        method="L-BFGS-B",
        jac=True,
        bounds=whole.bounds,
        options={"maxfun": mlp.max_fun, "maxiter": mlp.max_iter, "gtol": mlp.tol},
    )
    parameters = whole.joined(result.x)
    mlp.n_iter_, mlp.loss_ = min(result.nit, mlp.max_iter), float(result.fun)
    if mlp.out_activation_ == "identity":  # scikit-learn's mean over the outputs
        penalty = whole.of_l1(result.x) + objective.of_l2(parameters)
        mlp.loss_ = (mlp.loss_ - penalty) / mlp.n_outputs_ + penalty
    if result.status:
        warn(
            f"lbfgs failed to converge after {mlp.n_iter_} iteration(s): {result.message}. "
            f"Increase max_iter ({mlp.max_iter}) or max_fun ({mlp.max_fun}), or scale the data",
            ConvergenceWarning,
        )
    mlp.coefs_, mlp.intercepts_ = objective.arrays(parameters)


class WithL1:
    """An objective plus its L1 as one smooth function of x.

    Each parameter with L1 is the difference of two numbers of at least 0. x holds the parameters
    and, after them, the numbers to be subtracted from those with L1.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective, self._count = objective, len(objective.l1)
        self._shrunk = np.flatnonzero(objective.l1)
        self._l1 = objective.l1[self._shrunk]

    def start(self, parameters: np.ndarray) -> np.ndarray:
        """Return the x that stands for `parameters`; one number of each pair is 0."""
        of_shrunk = parameters[self._shrunk]
        x = np.concatenate([parameters, np.maximum(-of_shrunk, 0)])
        x[self._shrunk] = np.maximum(of_shrunk, 0)
        return x

    @property
    def bounds(self) -> Bounds | None:
        """The bounds on x; None if no parameter has L1."""
        if not len(self._shrunk):
            return None
        least = np.full(self._count + len(self._shrunk), -np.inf)
        least[self._shrunk] = least[self._count :] = 0
        return Bounds(least, np.inf)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the cost with L1 and its gradient."""
        cost, slope = self._objective(self.joined(x))
        of_parts = np.concatenate([slope, self._l1 - slope[self._shrunk]])
        of_parts[self._shrunk] += self._l1
        return cost + self.of_l1(x), of_parts

    def of_l1(self, x: np.ndarray) -> float:
        """Return the value of L1."""
        return float(self._l1 @ (x[self._shrunk] + x[self._count :]))

    def joined(self, x: np.ndarray) -> np.ndarray:
        """Return the parameters."""
        parameters = x[: self._count].copy()
        parameters[self._shrunk] -= x[self._count :]
        return parameters


class Objective:
    """The mean cost of all rows plus L2, and its derivatives; the parameters are one vector.

    Attributes
    ----------
    l1 : ndarray
        The strength of L1 for each parameter. The cost does not include L1.
    """

    def __init__(self, mlp: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        self._shapes = [*(w.shape for w in mlp.coefs_), *(b.shape for b in mlp.intercepts_)]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        self._activations = settings.activations_of(mlp)
        self._cost = settings.cost_of(mlp, np.dtype(np.float64))
        weights = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        counted = weights.sum() if settings.divided_by_batch(mlp) else X.shape[0]
        kept = weights > 0
        if not kept.all():  # a cost that overflows, times 0, would be NaN
            X, y, weights = X[kept], y[kept], weights[kept]
        self._X, self._y = X, y.astype(np.float64)
        self._shares = (weights / weights.sum())[:, np.newaxis]
        chosen = settings.penalties_of(mlp)
        of_weights = [(0.0, 0.0) if p is None else p.strengths(1 / counted) for p in chosen]
        of_biases = [
            s if p is not None and p.on_biases else (0.0, 0.0)
            for s, p in zip(of_weights, chosen, strict=True)
        ]
        sizes = np.diff(self._ends, prepend=0)
        self.l1, self._l2 = np.repeat(np.array([*of_weights, *of_biases]), sizes, axis=0).T

    def arrays(self, parameters: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the layers' weights, (in, out), and biases, as views."""
        parts = np.split(parameters, self._ends[:-1])
        arrays = [p.reshape(shape) for p, shape in zip(parts, self._shapes, strict=True)]
        layers = len(arrays) // 2
        return arrays[:layers], arrays[layers:]

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the cost and its derivatives."""
        weights, biases = self.arrays(parameters)
        slopes = np.empty_like(parameters)
        of_weights, of_biases = self.arrays(slopes)
        turned, activations = [w.T for w in weights], self._activations
        with np.errstate(over="ignore"):  # exp of a saturated unit
            zs, layers = batched.forward(turned, biases, activations, self._X)
            z, a = zs[-1], layers[-1]
            derivative = activations[-1].derivative(np, z, a)
            delta = self._cost.delta(np, z, a, self._y, derivative) * self._shares
            cost = float((self._cost.value(np, z, a, self._y) * self._shares).sum())
            for layer, of_w, of_b in batched.gradients(turned, activations, zs, layers, delta):
                of_weights[layer][...], of_biases[layer][...] = of_w.T, of_b
        slopes += self._l2 * parameters
        return cost + self.of_l2(parameters), slopes

    def of_l2(self, parameters: np.ndarray) -> float:
        """Return what L2 adds to the cost."""
        return 0.5 * float(self._l2 @ parameters**2)
