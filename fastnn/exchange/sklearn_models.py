"""Networks from scikit-learn's multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn import activations
from fastnn.checks import one_of
from fastnn.network import Network
from fastnn.network_checks import names_by_layer

__all__ = ["RENAMED", "from_sklearn", "named_in_hidden_layers"]

# Scikit-learn's names of output activations where they differ from fastnn's.
RENAMED = {"logistic": "sigmoid", "exp": "exponential"}
COSTS = {"softmax": "log_likelihood", "logistic": "cross_entropy"}


def from_sklearn(mlp: Any) -> Network:
    """Return a network with the outputs of a fitted ``MLPClassifier`` or ``MLPRegressor``.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        One of scikit-learn or fastnn, or an object with the same fitted attributes.

    Returns
    -------
    Network
        In the dtype of the weights, which are copied. The cost is the one used in training,
        "mean_squared" for a regressor's squared error. Classes are numbered from 0, so that
        ``mlp.classes_[network.predict(X)]`` is ``mlp.predict(X)``. If a row can have several
        labels, the network is multilabel.

    Raises
    ------
    TypeError
        If `mlp` is none of these.
    ValueError
        If it is not fitted, has an activation that fastnn lacks, or has a list of activations whose
        length is not the number of hidden layers.
    """
    name = type(mlp).__name__
    if not all(hasattr(mlp, parameter) for parameter in ("hidden_layer_sizes", "activation")):
        raise TypeError(f"mlp must be a fitted MLPClassifier or MLPRegressor, not {name}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"this {name} is not fitted: call its fit first")
    names = {a.name: a.name for a in activations.ALL} | RENAMED
    output = one_of("out_activation_", mlp.out_activation_, names)
    hidden = named_in_hidden_layers()
    cost = COSTS.get(output, "mean_squared") if hasattr(mlp, "classes_") else _loss(mlp)
    return Network._of(
        [np.ascontiguousarray(w.T).copy() for w in mlp.coefs_],
        [b.copy() for b in mlp.intercepts_],
        activation=[*(hidden[name] for name in _hidden(mlp, hidden)), names[output]],
        cost=cost,
        multilabel=output == "logistic" and mlp.n_outputs_ > 1,
        dtype=mlp.coefs_[0].dtype,
    )


def named_in_hidden_layers() -> dict[str, str]:
    """Return fastnn's name of the activation for each name that a hidden layer may have.

    A registered activation comes before one that scikit-learn calls so.
    """
    return {"logistic": RENAMED["logistic"]} | {a.name: a.name for a in activations.ALL}


def _hidden(mlp: Any, known: Iterable[str]) -> list[str]:
    """Return each hidden layer's activation; fastnn's estimators may have one for each."""
    which = "hidden layers that were fitted"
    return names_by_layer(mlp.activation, known, len(mlp.coefs_) - 1, which)


def _loss(mlp: Any) -> str:
    """Return a regressor's cost; releases without `loss` have squared error only."""
    loss = getattr(mlp, "loss", "squared_error")
    return {"squared_error": "mean_squared"}.get(loss, str(loss))
