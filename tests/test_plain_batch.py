"""`partial_fit` on plain arrays: its checks return what scikit-learn's would, or defer to them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

sk = pytest.importorskip("sklearn.neural_network")

from fastnn.estimators import plain_batch, private  # noqa: E402 # needs scikit-learn

SMALL: dict[str, Any] = {"hidden_layer_sizes": (3,), "random_state": 0, "batch_size": 4}
RNG = np.random.default_rng(5)
X = RNG.random((12, 4))
VALUES = RNG.random(12)
LABELS = np.arange(12) % 3


def fitted(kind: str, labels: np.ndarray = LABELS, **settings: Any) -> Any:
    """Return an estimator that has seen one batch."""
    if kind == "classifier":
        net = fastnn.MLPClassifier(**SMALL, **settings)
        return net.partial_fit(X, labels, classes=np.unique(labels))
    return fastnn.MLPRegressor(**SMALL, **settings).partial_fit(X, VALUES)


PLAIN: dict[str, tuple[str, Any, Any]] = {
    "integers": ("classifier", X[:5], LABELS[:5]),
    "bytes": ("classifier", X[:5], LABELS[:5].astype(np.uint8)),
    "one class of three": ("classifier", X[:2], LABELS[[1, 1]]),
    "float32": ("classifier", X[:5].astype(np.float32), LABELS[:5]),
    "not contiguous": ("classifier", X[::2], LABELS[::2]),
    "values": ("regressor", X[:5], VALUES[:5]),
    "values in float32": ("regressor", X[:5], VALUES[:5].astype(np.float32)),
}


@pytest.mark.parametrize("case", PLAIN)
def test_a_plain_batch_is_what_scikit_learn_makes_of_it(case: str) -> None:
    kind, rows, y = PLAIN[case]
    net = fitted(kind)
    base = private.MLPClassifier if kind == "classifier" else private.MLPRegressor
    ours = plain_batch.checked(net, rows, y)
    assert ours is not None
    for mine, theirs in zip(ours, base._validate_input(net, rows, y, True, False), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("names", [(0, 1), (-3, 8)])
def test_of_two_classes_the_second_is_the_output(names: tuple[int, int]) -> None:
    labels = np.array(names)[np.arange(12) % 2]
    net = fitted("classifier", labels)
    ours = plain_batch.checked(net, X, labels)
    assert ours is not None
    theirs = private.MLPClassifier._validate_input(net, X, labels, True, False)[1]
    assert ours[1].dtype == theirs.dtype
    np.testing.assert_array_equal(ours[1], theirs)


NOT_FINITE = np.where(X > 0.9, np.nan, X)
LEFT: dict[str, tuple[str, Any, Any]] = {
    "a list": ("classifier", X.tolist(), LABELS),
    "labels in a list": ("classifier", X, LABELS.tolist()),
    "strings": ("classifier", X, LABELS.astype(str)),
    "floats as labels": ("classifier", X, LABELS.astype(float)),
    "a column of labels": ("classifier", X, LABELS[:, np.newaxis]),
    "a new class": ("classifier", X, LABELS + 1),
    "NaN": ("classifier", NOT_FINITE, LABELS),
    "infinity": ("regressor", np.where(X > 0.9, np.inf, X), VALUES),
    "NaN as a value": ("regressor", X, np.where(VALUES > 0.5, np.nan, VALUES)),
    "integers as values": ("regressor", X, LABELS),
    "too few columns": ("regressor", X[:, :3], VALUES),
    "too few values": ("regressor", X, VALUES[:-1]),
    "one row, without its axis": ("regressor", X[0], VALUES[:1]),
    "no rows": ("regressor", X[:0], VALUES[:0]),
    "integers as rows": ("regressor", (9 * X).astype(int), VALUES),
    "half precision": ("regressor", X.astype(np.float16), VALUES),
    "bytes in the other order": ("regressor", X.astype(X.dtype.newbyteorder()), VALUES),
    "a matrix of numpy": ("regressor", X.view(np.ma.MaskedArray), VALUES),
}


def outcome(net: Any, rows: Any, y: Any) -> Any:
    """Train on one more batch; return a refusal, or the warnings and the rounded weights."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            net.partial_fit(rows, y)
        except (TypeError, ValueError) as error:
            return type(error), str(error).replace(type(net).__name__, "MLP")
    return [str(one.message) for one in told], [w.round(9).tolist() for w in net.coefs_]


@pytest.mark.parametrize("case", LEFT)
def test_anything_else_is_left_to_scikit_learn(case: str) -> None:
    kind, rows, y = LEFT[case]
    net = fitted(kind)
    assert plain_batch.checked(net, rows, y) is None
    if kind == "classifier":
        peer = sk.MLPClassifier(**SMALL).partial_fit(X, LABELS, classes=np.unique(LABELS))
    else:
        peer = sk.MLPRegressor(**SMALL).partial_fit(X, VALUES)
    assert outcome(net, rows, y) == outcome(peer, rows, y)


def test_names_of_columns_and_warm_starts_are_left_to_scikit_learn() -> None:
    named = fitted("classifier")
    named.feature_names_in_ = np.array(list("abcd"), object)
    assert plain_batch.checked(named, X, LABELS) is None
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        named.partial_fit(X, LABELS)
    warm = fitted("classifier", warm_start=True)
    assert plain_batch.checked(warm, X, LABELS) is None
    with pytest.raises(ValueError, match="same classes"):
        warm.partial_fit(X[:2], LABELS[:2])


def test_two_values_a_row_are_left_to_what_knows_the_weights() -> None:
    assert plain_batch.checked(fitted("regressor"), X, X[:, :2]) is None


def test_labels_by_columns_are_left_to_scikit_learn() -> None:
    indicators = np.eye(3, dtype=int)[LABELS]
    net = fastnn.MLPClassifier(**SMALL).partial_fit(X, indicators, classes=[0, 1, 2])
    assert plain_batch.checked(net, X, indicators) is None
    assert plain_batch.checked(net, X, LABELS) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_weights_are_the_same_either_way(dtype: str) -> None:
    at_once, listed = fitted("classifier", dtype=dtype), fitted("classifier", dtype=dtype)
    at_once.partial_fit(X, LABELS, sample_weight=VALUES)
    listed.partial_fit(X.tolist(), LABELS.tolist(), sample_weight=VALUES)
    for mine, theirs in zip(at_once.coefs_, listed.coefs_, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_array_equal(mine, theirs)
