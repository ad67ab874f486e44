"""What both estimators do instead of scikit-learn's own code."""

from __future__ import annotations

from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import validate_data

from fastnn import activations, engine
from fastnn.arrays import as_inputs
from fastnn.engine import blas
from fastnn.estimators import lbfgs, plain_batch, settings, stochastic
from fastnn.estimators.private import Interval, StrOptions
from fastnn.penalties import Penalty
from fastnn.plugin_digests import package_of
from fastnn.registering import register

__all__ = ["EngineMixin"]


class EngineMixin:
    """scikit-learn's multilayer perceptron with fastnn's training and predictions.

    It precedes scikit-learn's class in the bases, and has all that classifier and regressor share.
    """

    _additions: ClassVar[dict[str, list[Any]]] = {
        "activation": [str, list, tuple],  # settings.check knows the names
        "penalty": [StrOptions(set(settings.PENALTIES)), Penalty, list, tuple],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "n_rows": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __getstate__(self: Any) -> dict[str, Any]:
        """Return the state, with the user-defined activations that the estimator names.

        So a copy in another process, such as a worker of joblib's, knows them.
        """
        state: Any = super().__getstate__()
        given = self.activation
        names = list(given) if isinstance(given, (list, tuple)) else [given]
        own = [a for a in activations.ALL if a.name in names and package_of(a) != "fastnn"]
        return {**state, "_registered": own} if own else state

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        for activation in state.pop("_registered", ()):
            register(activation)
        super().__setstate__(state)  # type: ignore[misc]

    def _fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False
    ) -> Any:
        """Train; if this is refused before training begins, leave the estimator unchanged."""
        before, self._has_begun = dict(vars(self)), False
        random_state = self.random_state
        drawn = isinstance(random_state, np.random.RandomState) and random_state.get_state()
        try:
            return super()._fit(X, y, sample_weight, incremental)  # type: ignore[misc]
        except BaseException:  # Ctrl-C too
            if not self._has_begun:
                vars(self).clear()
                vars(self).update(before)
                if drawn:
                    random_state.set_state(drawn)
            raise
        finally:
            vars(self).pop("_has_begun", None)

    def _validate_input(self: Any, X: Any, y: Any, incremental: bool, reset: bool) -> Any:
        settings.check(self)
        if incremental:
            settings.check_incremental(self)
        if self.solver == "lbfgs":
            lbfgs.check(self)
        batch = plain_batch.checked(self, X, y) if incremental and not reset else None
        if batch is not None:
            return settings.with_dtype(self, batch[0]), batch[1]
        X, y = super()._validate_input(X, y, incremental, reset)  # type: ignore[misc]
        if y.dtype.kind not in "fiub":  # numpy would parse strings as numbers
            raise TypeError(
                f"y must be numbers, not of dtype {y.dtype}: convert it with y.astype(float)"
            )
        return settings.with_dtype(self, X), y

    def _init_coef(
        self: Any, fan_in: int, fan_out: int, dtype: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a layer's weights, (in, out), and biases (Glorot and Bengio 2010).

        The output layer has the range of the last hidden layer's activation, as in scikit-learn;
        without hidden layers, that of the activation given.
        """
        names = settings.hidden_names(self)
        name = names[min(len(self.coefs_), len(names) - 1)] if names else self.activation
        bound = np.sqrt((2.0 if name in ("logistic", "sigmoid") else 6.0) / (fan_in + fan_out))
        weights = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        biases = self._random_state.uniform(-bound, bound, fan_out)
        return weights.astype(dtype, copy=False), biases.astype(dtype, copy=False)

    def _fit_stochastic(self: Any, X: Any, y: Any, sample_weight: Any, *scratch: Any) -> None:
        settings.check_start(self, X, y, sample_weight)
        stochastic.fit(self, X, y, sample_weight, incremental=scratch[-1])

    def _fit_lbfgs(self: Any, X: Any, y: Any, sample_weight: Any, *scratch: Any) -> None:
        settings.check_start(self, X, y, sample_weight)
        self._has_begun, threads = True, settings.threads_of(self)
        with nullcontext() if threads is None else blas.limited(threads):
            if lbfgs.is_scikit_learns(self):
                super()._fit_lbfgs(X, y, sample_weight, *scratch)  # type: ignore[misc]
            else:
                lbfgs.fit(self, X, y, sample_weight)
        dtype = settings.dtype_of(self) or self.coefs_[0].dtype  # float64 from scikit-learn
        self.coefs_ = [np.asfortranarray(w, dtype) for w in self.coefs_]
        self.intercepts_ = [np.asarray(b, dtype) for b in self.intercepts_]

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> np.ndarray:
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        settings.check_shapes(self, X.shape[1])
        given = np.result_type(X.dtype, *self.coefs_)
        dtype = settings.dtype_of(self) or (given if given == np.float32 else np.float64)
        weights = [np.require(w.T, dtype, "C") for w in self.coefs_]
        biases = [np.require(b, dtype, "C") for b in self.intercepts_]
        inputs = as_inputs(X, dtype, 1.0, finite=get_config()["assume_finite"])
        chosen = settings.activations_of(self, len(weights) - 1)
        return engine.outputs(weights, biases, chosen, inputs).a
