"""An estimator's parameters in the form that the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import activations, penalties
from fastnn.activations import Activation
from fastnn.arrays import as_floats
from fastnn.costs import Cost, Quadratic
from fastnn.csr import as_csr, is_sparse
from fastnn.estimators import clipped
from fastnn.estimators.steps import Steps, steps_of
from fastnn.exchange.sklearn_models import RENAMED, named_in_hidden_layers
from fastnn.network_checks import checked_dtype, names_by_layer
from fastnn.optimizers import SGD, check_penalties
from fastnn.penalties import Penalty
from fastnn.trainer.arguments import checked_dropout
from fastnn.weighting import checked_weights

__all__ = [
    "DEFAULT_ALPHA",
    "PENALTIES",
    "activations_of",
    "check",
    "check_incremental",
    "check_shapes",
    "check_start",
    "cost_of",
    "divided_by_batch",
    "dropout_of",
    "dtype_of",
    "hidden_layers",
    "hidden_names",
    "penalties_of",
    "threads_of",
    "with_dtype",
]

DEFAULT_ALPHA = 1e-4

PENALTIES = ("l2", "l1", "elasticnet")


def check(mlp: Any) -> None:
    """Raise a `ValueError` if parameters contradict one another, before anything changes."""
    hidden_names(mlp)
    penalties_of(mlp)
    dropout_of(mlp)
    dtype_of(mlp)
    if mlp.n_rows is not None and divided_by_batch(mlp):
        raise ValueError(
            f"n_rows is for a penalty of fastnn with its own lmbda: {mlp.penalty!r} has the "
            "strength alpha over a batch"
        )
    if mlp.solver != "lbfgs":
        check_penalties(steps_of(mlp).optimizer or SGD(), penalties_of(mlp))


def check_incremental(mlp: Any) -> None:
    """Raise a `ValueError` for what `fit` can do and `partial_fit` cannot."""
    if mlp.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    if isinstance(kept := getattr(mlp, "_optimizer", None), Steps):  # even if the solver changed
        check_penalties(kept.optimizer or SGD(), penalties_of(mlp))
    if mlp.n_rows is None and not divided_by_batch(mlp):
        raise ValueError(
            f"partial_fit cannot know the n in the lmbda/n of penalty={mlp.penalty!r}: give the "
            "rows of all calls together as n_rows"
        )


def check_start(mlp: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
    """Raise an error if training cannot start from the weights, or not with `sample_weight`.

    Raises
    ------
    ValueError
        If they do not fit `hidden_layer_sizes`, `loss`, the columns of `X` or `y`, or one another;
        or if a sample weight is below 0, or all are 0.
    """
    if sample_weight is not None:
        checked_weights(sample_weight, X.shape[0])
    check_shapes(mlp, X.shape[1])
    widths = [len(b) for b in mlp.intercepts_[:-1]]
    if widths != np.atleast_1d(mlp.hidden_layer_sizes).tolist():
        raise ValueError(
            f"hidden_layer_sizes={mlp.hidden_layer_sizes!r}, and the hidden layers to go on from "
            f"have {widths} units: fit a clone, or with warm_start=False"
        )
    outputs = len(mlp.intercepts_[-1])
    if y.shape[1] != outputs:
        raise ValueError(
            f"y is of {y.shape[1]} output units, and the weights to go on from are of {outputs}: "
            "fit a clone, or with warm_start=False"
        )
    if (mlp.loss == "poisson") != (mlp.out_activation_ == "exp"):
        raise ValueError(
            f"loss={mlp.loss!r}, and the weights to go on from are of an output layer with the "
            f"activation {mlp.out_activation_!r}: fit a clone, or with warm_start=False"
        )


def check_shapes(mlp: Any, features: int) -> None:
    """Raise a `ValueError` if the weights do not fit the number of features or one another."""
    units = features
    for layer, (w, b) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True)):
        if np.ndim(w) != 2 or len(w) != units or np.shape(b) != np.shape(w)[1:]:
            raise ValueError(
                f"coefs_[{layer}] and intercepts_[{layer}] must have the shapes ({units}, units) "
                f"and (units,), not {np.shape(w)} and {np.shape(b)}"
            )
        units = len(b)


def with_dtype(mlp: Any, X: Any) -> Any:
    """Return the rows in the dtype asked for, if any.

    Raises
    ------
    ValueError
        If a number is too large for that dtype.
    """
    dtype = dtype_of(mlp)
    if dtype is None or X.dtype == dtype:
        return X
    if is_sparse(X):
        return as_csr(X, dtype, 1.0)
    return as_floats(lambda start, stop: X[start:stop], X.shape, dtype, "row {} of X")


def hidden_layers(mlp: Any) -> int:
    """Return the number of hidden layers."""
    sizes = mlp.hidden_layer_sizes
    return len(sizes) if hasattr(sizes, "__len__") else 1


def hidden_names(mlp: Any, layers: int | None = None) -> list[str]:
    """Return the activation of each hidden layer, as the caller named it.

    There are `layers` of them, by default as many as `hidden_layer_sizes` says.
    """
    layers = hidden_layers(mlp) if layers is None else layers
    known = ["logistic", *(a.name for a in activations.ALL if not a.normalises)]
    return names_by_layer(mlp.activation, known, layers, "hidden layers")


def activations_of(mlp: Any, layers: int | None = None) -> list[Activation]:
    """Return the activation of each layer after the input; `layers` as in `hidden_names`."""
    known, output = named_in_hidden_layers(), mlp.out_activation_
    names = [*(known[name] for name in hidden_names(mlp, layers)), RENAMED.get(output, output)]
    return [activations.named("activation", name) for name in names]


def cost_of(mlp: Any, dtype: np.dtype[Any]) -> Cost:
    """Return the cost that goes with the output activation."""
    output = mlp.out_activation_
    if output in ("softmax", "logistic"):
        return (clipped.log_likelihood if output == "softmax" else clipped.cross_entropy)(dtype)
    return clipped.poisson() if output == "exp" else Quadratic()


def divided_by_batch(mlp: Any) -> bool:
    """Return whether the strength is `alpha`, which each batch divides by its number of rows."""
    return isinstance(mlp.penalty, str)


def dtype_of(mlp: Any) -> np.dtype[Any] | None:
    """Return the dtype asked for, or None if that of the rows is to be used."""
    return None if mlp.dtype is None else checked_dtype(mlp.dtype)


def penalties_of(mlp: Any, exponent: int = 0) -> Sequence[Penalty | None]:
    """Return each layer's penalty; alpha is scaled by 2**exponent, as sample weights are."""
    layers = hidden_layers(mlp) + 1
    if not divided_by_batch(mlp):
        if mlp.alpha != DEFAULT_ALPHA:
            raise ValueError(
                f"penalty={mlp.penalty!r} has a strength of its own: leave alpha at its default "
                f"{DEFAULT_ALPHA}, not {mlp.alpha!r}"
            )
        return penalties.per_layer(mlp.penalty, layers)
    alpha = float(np.ldexp(mlp.alpha, exponent))
    if mlp.penalty == "elasticnet":
        return [penalties.ElasticNet(alpha, mlp.l1_ratio)] * layers
    if mlp.penalty == "l1":
        return [penalties.L1(alpha, method="proximal")] * layers
    return [penalties.L2(alpha)] * layers


def threads_of(mlp: Any) -> int | None:
    """Return the number of threads; None lets the engine, or BLAS, choose."""
    return None if mlp.n_threads is None else int(mlp.n_threads)


def dropout_of(mlp: Any) -> list[float] | None:
    """Return the dropout rate of each hidden layer; None if nothing is dropped."""
    nothing = np.ndim(mlp.dropout) == 0 and mlp.dropout == 0
    return checked_dropout(None if nothing else mlp.dropout, hidden_layers(mlp))
