"""`MLPClassifier`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from fastnn.estimators import private
from fastnn.estimators.base import EngineMixin
from fastnn.penalties import Penalty

__all__ = ["MLPClassifier"]


class MLPClassifier(EngineMixin, private.MLPClassifier):  # type: ignore[misc] # sklearn has no types
    """scikit-learn's `sklearn.neural_network.MLPClassifier`, trained by fastnn's engine.

    The parameters up to `max_fun` are scikit-learn's, with the same meanings and defaults, and so
    are attributes and methods. The same `random_state` gives the same initial weights and the same
    order of rows, and therefore the same trained weights, up to rounding.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default (100,)
        The number of units in each hidden layer.
    activation : str or list of str, default "relu"
        The activation of the hidden layers, one for all or one for each: "identity", "logistic" (or
        "sigmoid"), "tanh" and "relu" as in scikit-learn, or any other of fastnn's except "softmax".
    solver : {"adam", "sgd", "lbfgs"}
        "lbfgs" is scipy's, on all rows at once.
    alpha : float, default 0.0001
        The strength of a penalty that is given by its name, over a batch: it is divided by the
        number of rows in the batch, or by the sum of their weights.
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, \
verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, \
beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.
    penalty : {"l2", "l1", "elasticnet"}, Penalty or list, default "l2"
        A penalty given by name has the strength `alpha`. "l2" is scikit-learn's. "l1" shrinks after
        each step and leaves exact zeros; "elasticnet" is a part of the gradient and leaves none. A
        penalty of fastnn such as ``fastnn.L1(5.0)``, or a list with one (or None) for each layer,
        has its own lmbda over all training rows; `alpha` must then keep its default. "sgd" accepts
        all penalties, "adam" all but truncated gradient and cumulative L1, which need steps of the
        same size for all weights, and "lbfgs" only L1, L2 and ElasticNet.
    l1_ratio : float, default 0.5
        The share of L1 in "elasticnet", from 0 to 1; used only there.
    dropout : float or list of float, default 0.0
        The share of hidden units dropped for each row, one for all hidden layers or one for each;
        for "sgd" and "adam".
    dtype : {"float32", "float64"} or None, default None
        The dtype of training and predictions. None means float32 for float32 rows, else float64.
        "lbfgs" trains in float64, and may leave float64 weights where this is None.
    n_threads : int, optional
        The number of training threads. By default 1 if a batch or an epoch is little work, else one
        for each CPU as far as OMP_NUM_THREADS allows, which joblib sets for its processes. The
        weights do not depend on it.
    n_rows : int, optional
        The n in the lmbda/n of a penalty of fastnn. `partial_fit` needs it with such a penalty: the
        total number of rows in all its calls. By default the number of rows that `fit` trains on.

    Raises
    ------
    ImportError
        On import, if scikit-learn is missing or lacks a private name that is used here.
    TypeError
        From `fit`: if a list holds something that is no penalty, or no dropout rate.
    ValueError
        From `fit`: as in scikit-learn, and if the added parameters contradict one another.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **private.MLPClassifier._parameter_constraints,
        **EngineMixin._additions,
    }

    def __init__(
        self,
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

    @private.available_if(lambda mlp: mlp._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> Any:
        """Train for one epoch, as scikit-learn does.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, features)
        y : array-like, shape (n,) or (n, labels)
        sample_weight : array-like, shape (n,), optional
        classes : array-like, optional
            The classes of all calls together; the first call needs them.

        Returns
        -------
        MLPClassifier
            The estimator.

        Raises
        ------
        ValueError
            As from `fit`, and if the first call has no `classes`, or a later one has others.
        """
        try:
            return super().partial_fit(X, y, sample_weight=sample_weight, classes=classes)
        except BaseException:
            if not hasattr(self, "coefs_"):  # scikit-learn sets these before it looks at y
                for name in ("classes_", "_label_binarizer"):
                    vars(self).pop(name, None)
            raise
