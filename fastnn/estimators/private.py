"""The non-public parts of scikit-learn that the estimators use, and a check that they exist.

The estimators override the methods in `OVERRIDDEN` and use the members in `USED`. Both have stayed
the same since 1.7, the first release with sample weights.
"""

from __future__ import annotations

import inspect

from fastnn.checks import not_installed

try:
    import sklearn
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.utils.metaestimators import available_if
except ModuleNotFoundError as error:
    raise not_installed("an estimator of fastnn", "sklearn", "scikit-learn>=1.7") from error

__all__ = ["Interval", "MLPClassifier", "MLPRegressor", "StrOptions", "available_if"]

OVERRIDDEN = (
    "_fit", "_fit_stochastic", "_fit_lbfgs", "_forward_pass_fast", "_init_coef", "_validate_input",
)  # fmt: skip
USED = (
    "_initialize", "_update_no_improvement_count", "_parameter_constraints", "_check_solver",
)  # fmt: skip
SCRATCH = ["activations", "deltas", "coef_grads", "intercept_grads", "layer_units"]


def missing(estimator: type) -> str:
    """Return the first thing that scikit-learn's estimator lacks, or an empty string."""
    for name in (*OVERRIDDEN, *USED):
        if not hasattr(estimator, name):
            return name
    rest = {
        "_fit": ["incremental"],
        "_fit_stochastic": [*SCRATCH, "incremental"],
        "_fit_lbfgs": SCRATCH,
    }
    for name, last in rest.items():
        parameters = list(inspect.signature(getattr(estimator, name)).parameters)
        if parameters != ["self", "X", "y", "sample_weight", *last]:
            return f"{name}(X, y, sample_weight, ...)"
    return ""


try:
    from sklearn.utils._param_validation import Interval, StrOptions

    _missing = missing(MLPClassifier) or missing(MLPRegressor)
except ImportError as error:
    _missing = str(error)
if _missing:
    raise ImportError(
        f"fastnn's estimators do not fit scikit-learn {sklearn.__version__}, which has no "
        f"{_missing}: install a release from 1.7 on that they know, or a newer fastnn"
    )
