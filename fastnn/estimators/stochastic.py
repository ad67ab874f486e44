"""The epochs of the solvers "sgd" and "adam"."""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastnn import engine
from fastnn.arrays import as_floats, as_inputs
from fastnn.checks import warn
from fastnn.estimators import settings
from fastnn.estimators.steps import Steps, steps_of
from fastnn.interrupts import signals_deferred
from fastnn.weighting import scaled_near_one

__all__ = ["fit"]


class Part(NamedTuple):
    """Some of the rows, with their targets and sample weights."""

    X: Any
    y: Any
    sample_weight: Any = None


def fit(mlp: Any, X: Any, y: np.ndarray, sample_weight: Any, *, incremental: bool) -> None:
    """Train, and set what scikit-learn's own solvers set.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        An estimator whose weights are initialised.
    X : ndarray or sparse matrix, shape (n, features)
    y : ndarray, shape (n, outputs)
        Of dtype bool for a classifier.
    sample_weight : ndarray, shape (n,), or None
    incremental : bool
        Whether to train just one more epoch (`partial_fit`).

    Raises
    ------
    ValueError
        If a target is too large for the dtype of the training, or too few rows would be held out.
    ZeroDivisionError
        If the sample weights of a batch sum to 0.
    """
    _check_targets(y, settings.dtype_of(mlp) or mlp.coefs_[0].dtype)
    kept = getattr(mlp, "_optimizer", None)
    goes_on = incremental and isinstance(kept, Steps)
    mlp._optimizer = copy(kept) if goes_on else steps_of(mlp)  # a copy, as this may be refused
    _begin_records(mlp)
    rows, held = Part(X, y, sample_weight), Part(None, None)
    if mlp.early_stopping:
        rows, held = _split(mlp, rows)
    # After early stopping the best arrays are `coefs_` themselves; a warm start trains both as one.
    was_best = mlp.coefs_ is getattr(mlp, "_best_coefs", None)
    epochs = Epochs(mlp, rows, _batch_size(mlp, rows.X.shape[0]))
    if was_best:
        mlp._best_coefs, mlp._best_intercepts = mlp.coefs_, mlp.intercepts_
    try:
        with signals_deferred():
            _run(mlp, epochs, held, incremental)
    except KeyboardInterrupt:
        if not mlp._has_begun:
            raise
        warn("Training interrupted by user.")
    finally:
        with signals_deferred():
            epochs.training.write_back()
            mlp._optimizer.state = epochs.training.state()
    if mlp.early_stopping:
        mlp._best_coefs = [np.asfortranarray(w) for w in mlp._best_coefs]  # as the engine's are
        mlp.coefs_, mlp.intercepts_ = mlp._best_coefs, mlp._best_intercepts


class Epochs:
    """The engine, ready for an estimator's rows; `mlp.coefs_` become views of its weights."""

    def __init__(self, mlp: Any, rows: Part, batch_size: int) -> None:
        dtype = settings.dtype_of(mlp) or mlp.coefs_[0].dtype
        self._mlp = mlp
        self.n, self._by_batch = rows.X.shape[0], settings.divided_by_batch(mlp)
        self._all_rows = mlp.n_rows or self.n
        self._weights = [np.require(w.T, dtype, ["C", "W"]) for w in mlp.coefs_]
        self._biases = [np.require(b, dtype, ["C", "W"]) for b in mlp.intercepts_]
        mlp.coefs_, mlp.intercepts_ = [w.T for w in self._weights], self._biases
        self._starts = np.arange(0, self.n, batch_size)
        self._rows = np.minimum(self.n - self._starts, batch_size)
        self._looked_at = mlp.early_stopping  # the estimator reads the weights after every epoch
        self._counts, exponent = None, 0
        if rows.sample_weight is not None:
            self._counts, exponent = scaled_near_one(np.asarray(rows.sample_weight, np.float64))
        self._penalties = settings.penalties_of(mlp, exponent)
        dropout, steps = settings.dropout_of(mlp), mlp._optimizer
        self.training = engine.Training(
            self._weights,
            self._biases,
            activations=settings.activations_of(mlp),
            cost=settings.cost_of(mlp, dtype),
            penalties=self._penalties,
            inputs=as_inputs(rows.X, dtype, 1.0, finite=True),  # scikit-learn has checked
            targets=_targets(mlp, rows.y, dtype),
            batch_size=batch_size,
            learning_rate=steps.learning_rate,
            n=self._all_rows,
            n_of_batch=self._by_batch,
            threads=settings.threads_of(mlp),
            row_weights=None if self._counts is None else self._counts.astype(dtype),
            dropout=dropout,
            seed=0 if dropout is None else int(mlp._random_state.randint(2**31)),
            optimizer=steps.optimizer,
            state=steps.state_for([*self._weights, *self._biases], settings.penalties_of(mlp)),
        )

    def run(self, order: np.ndarray) -> float:
        """Train on the rows in `order`; return their mean cost as it ran, plus the penalty.

        A batch's cost is the mean weighted by sample weights; the mean over batches weights each
        batch by its number of rows.
        """
        sums = rows = self._rows
        if self._counts is not None:
            sums = np.add.reduceat(self._counts[order], self._starts)
            if not sums.all():
                raise ZeroDivisionError(
                    "the sample weights of a batch sum to zero, so that it has no mean: leave "
                    "rows that weigh nothing out, or use a larger batch_size"
                )
        batches, rate = np.empty((len(self._rows), 3)), self._mlp._optimizer.learning_rate
        if not self._mlp._has_begun:
            self.training.prepare()  # Ctrl-C meanwhile leaves the estimator as it was
            self._mlp._has_begun = True
        self.training.epoch(order, learning_rate=rate, batches=batches, write_back=self._looked_at)
        costs, sizes, squares = batches.T
        if self._mlp.out_activation_ == "identity":  # scikit-learn's mean over the outputs
            costs = costs / len(self._biases[-1])
        first, of_all = self._penalties[0], 0.0
        if self._by_batch and first is not None:
            l1, l2 = first.strengths(1.0)
            costs = costs + l1 * sizes + 0.5 * l2 * squares
        else:
            with signals_deferred() as release:
                of_all = self.training.penalty_value()() / self._all_rows
                release()
        return float(np.sum(costs / sums * rows) / self.n + of_all)


def _begin_records(mlp: Any) -> None:
    """Begin the records that earlier fits, with other parameters, have not kept.

    scikit-learn begins them with the weights only, for the parameters of the first fit.
    """
    if not hasattr(mlp, "loss_curve_"):  # lbfgs has none
        mlp.loss_curve_ = []
    if getattr(mlp, "validation_scores_" if mlp.early_stopping else "best_loss_", None) is not None:
        return
    mlp._no_improvement_count = 0
    if mlp.early_stopping:
        mlp.validation_scores_, mlp.best_validation_score_, mlp.best_loss_ = [], -np.inf, None
        mlp._best_coefs = [w.copy() for w in mlp.coefs_]
        mlp._best_intercepts = [b.copy() for b in mlp.intercepts_]
    else:
        mlp.validation_scores_, mlp.best_validation_score_, mlp.best_loss_ = None, None, np.inf


def _run(mlp: Any, epochs: Epochs, held: Part, incremental: bool) -> None:
    order, mlp.n_iter_ = np.arange(epochs.n), 0
    while mlp.n_iter_ < mlp.max_iter:
        if mlp.shuffle:
            drawn = np.arange(epochs.n)  # the draws of sklearn.utils.shuffle, without its checks
            mlp._random_state.shuffle(drawn)
            order = order[drawn]
        mlp.loss_ = epochs.run(order)
        mlp.n_iter_ += 1
        mlp.t_ += epochs.n
        mlp.loss_curve_.append(mlp.loss_)
        if mlp.verbose:
            print(f"Iteration {mlp.n_iter_}, loss = {mlp.loss_:.8f}")
        mlp._update_no_improvement_count(mlp.early_stopping, *held)
        mlp._optimizer.epoch_ends(mlp.t_)
        if mlp._no_improvement_count > mlp.n_iter_no_change:
            what = "Validation score" if mlp.early_stopping else "Training loss"
            reason = (
                f"{what} did not improve more than tol={mlp.tol:f} for "
                f"{mlp.n_iter_no_change} consecutive epochs."
            )
            if mlp._optimizer.stop(reason, mlp.verbose):
                return
            mlp._no_improvement_count = 0
        if incremental:
            return
    warn(
        f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) reached and the optimization "
        "hasn't converged yet.",
        ConvergenceWarning,
    )


def _split(mlp: Any, rows: Part) -> tuple[Part, Part]:
    """Return the rows to train on and those held out for early stopping."""
    stratify = rows.y if is_classifier(mlp) and mlp.n_outputs_ == 1 else None
    parts = train_test_split(
        *(part for part in rows if part is not None),
        random_state=mlp._random_state,
        test_size=mlp.validation_fraction,
        stratify=stratify,
    )
    train, held = Part(*parts[::2]), Part(*parts[1::2])
    if held.X.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    if is_classifier(mlp):
        held = held._replace(y=mlp._label_binarizer.inverse_transform(held.y))
    return train, held


def _batch_size(mlp: Any, n: int) -> int:
    if mlp.batch_size == "auto":
        return min(200, n)
    if mlp.batch_size > n:
        warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
        )
    return int(np.clip(mlp.batch_size, 1, n))


def _check_targets(y: np.ndarray, dtype: np.dtype[Any]) -> None:
    """Raise a `ValueError` if a number is too large for `dtype`."""
    if y.dtype.kind == "f" and y.dtype != dtype:  # scikit-learn has checked y in its own dtype
        as_floats(lambda start, stop: y[start:stop], y.shape, dtype, "row {} of y")


def _targets(mlp: Any, y: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the engine's targets: class indices if the output is a softmax, else rows."""
    if mlp.out_activation_ == "softmax":
        labels: np.ndarray = y.argmax(axis=1)
        return labels.astype(np.int64, copy=False)
    return np.require(y, dtype, "C")
