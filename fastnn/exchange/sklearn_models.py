"""Networks from scikit-learn's multilayer perceptrons."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import activations
from fastnn.checks import one_of
from fastnn.network import Network
from fastnn.network_checks import names_by_layer

__all__ = ["from_sklearn"]

# fastnn's names, and scikit-learn's where they are others.
NAMES = {a.name: a.name for a in activations.ALL} | {"logistic": "sigmoid", "exp": "exponential"}
COSTS = {"softmax": "log_likelihood", "logistic": "cross_entropy"}


def from_sklearn(mlp: Any) -> Network:
    """Return the network of a fitted ``MLPClassifier`` or ``MLPRegressor``, with its outputs.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        Of scikit-learn or of fastnn, or a class with the same fitted attributes.

    Returns
    -------
    Network
        In the dtype of the weights, which are copied. The cost is the one that was trained with,
        "mean_squared" for a regressor's squared error. Classes are numbers from 0 on, so that
        ``mlp.classes_[network.predict(X)]`` is ``mlp.predict(X)``; with several labels to a row the
        network is multilabel.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is not fitted, has an activation that fastnn has not, or has not as many as it has
        hidden layers.
    """
    name = type(mlp).__name__
    if not all(hasattr(mlp, parameter) for parameter in ("hidden_layer_sizes", "activation")):
        raise TypeError(f"mlp must be a fitted MLPClassifier or MLPRegressor, not {name}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"this {name} is not fitted: call its fit first")
    output = one_of("out_activation_", mlp.out_activation_, NAMES)
    cost = COSTS.get(output, "mean_squared") if hasattr(mlp, "classes_") else _loss(mlp)
    return Network._of(
        [np.ascontiguousarray(w.T).copy() for w in mlp.coefs_],
        [b.copy() for b in mlp.intercepts_],
        activation=[*_hidden(mlp), NAMES[output]],
        cost=cost,
        multilabel=output == "logistic" and mlp.n_outputs_ > 1,
        dtype=mlp.coefs_[0].dtype,
    )


def _hidden(mlp: Any) -> list[str]:
    """Return the activation of each hidden layer; fastnn's estimators may have one for each."""
    layers = len(mlp.coefs_) - 1
    which = "hidden layers that were fitted"
    return [NAMES[name] for name in names_by_layer(mlp.activation, NAMES, layers, which)]


def _loss(mlp: Any) -> str:
    """Return the cost of a regressor; releases before the parameter `loss` have one."""
    loss = getattr(mlp, "loss", "squared_error")
    return {"squared_error": "mean_squared"}.get(loss, str(loss))
