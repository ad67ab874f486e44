"""Quick checks of a plain batch for `partial_fit`.

scikit-learn's own checks take 0.7 ms for a batch of any size, mostly to find out what kind of array
it was given. For the plain arrays that most callers pass, a few comparisons give the same result.
Anything else, and anything wrong, is left to scikit-learn and its messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier

__all__ = ["checked"]

FLOATS = (np.float32, np.float64)


def checked(mlp: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a batch as scikit-learn's checks would, or None if they must check it.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        Already fitted, at least once.
    X, y : object
        As passed to `partial_fit`.

    Returns
    -------
    tuple of ndarray, or None
        X itself: finite, float32 or float64, (n, features). For a regressor y itself: finite, (n,).
        For a classifier, bool indicators of the classes: (n, 1) for two classes, else (n, classes).
    """
    if not _is_plain(X, 2, "f") or X.dtype not in FLOATS or not len(X):
        return None
    if X.shape[1] != mlp.n_features_in_ or hasattr(mlp, "feature_names_in_"):
        return None
    if get_config()["array_api_dispatch"] or not np.isfinite(X).all():
        return None
    found = _indicators(mlp, y) if is_classifier(mlp) else _real(y)
    return None if found is None or len(found) != len(X) else (X, found)


def _is_plain(array: Any, ndim: int, kinds: str) -> bool:
    """Return whether `array` is a numpy array, of no subclass, with such axes and dtype."""
    return type(array) is np.ndarray and array.ndim == ndim and array.dtype.kind in kinds


def _real(y: Any) -> np.ndarray | None:
    """Return a regressor's targets if they can be used as they are."""
    is_finite = _is_plain(y, 1, "f") and y.dtype in FLOATS and np.isfinite(y).all()
    return y if is_finite else None


def _indicators(mlp: Any, y: Any) -> np.ndarray | None:
    """Return a column of indicators for each class; for two classes, only that of the second."""
    classes = mlp.classes_
    of_classes = mlp._label_binarizer.y_type_ in ("binary", "multiclass")
    if mlp.warm_start or not of_classes or len(classes) < 2:
        return None
    if not _is_plain(y, 1, "iu") or classes.dtype.kind not in "iu":
        return None
    found: np.ndarray = y[:, np.newaxis] == classes
    if not found.any(axis=1).all():
        return None
    return found if len(classes) > 2 else found[:, 1:]
