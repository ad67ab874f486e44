"""`MLPRegressor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from fastnn.estimators import private
from fastnn.estimators.base import EngineMixin
from fastnn.penalties import Penalty

__all__ = ["MLPRegressor"]


class MLPRegressor(EngineMixin, private.MLPRegressor):  # type: ignore[misc] # sklearn has no types
    """scikit-learn's `sklearn.neural_network.MLPRegressor`, trained by fastnn's engine.

    Everything else is as in `fastnn.MLPClassifier` and in scikit-learn's `MLPRegressor`.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        "poisson" is half the Poisson deviance, for targets of at least 0, with an exponential
        output.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, \
learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, \
nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, \
n_iter_no_change, max_fun, penalty, l1_ratio, dropout, dtype, n_threads, n_rows
        As in `fastnn.MLPClassifier`.

    Raises
    ------
    ImportError, TypeError, ValueError
        As in `fastnn.MLPClassifier`; a `TypeError` also if y is not of numbers.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **private.MLPRegressor._parameter_constraints,
        **EngineMixin._additions,
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        penalty: str | Penalty | Sequence[Penalty | None] = "l2",
        l1_ratio: float = 0.5,
        dropout: float | Sequence[float] = 0.0,
        dtype: DTypeLike | None = None,
        n_threads: int | None = None,
        n_rows: int | None = None,
    ) -> None:
        super().__init__(
            loss,
            hidden_layer_sizes,
            activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.dropout = dropout
        self.dtype = dtype
        self.n_threads = n_threads
        self.n_rows = n_rows
