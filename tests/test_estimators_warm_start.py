"""Estimators that go on from an earlier fit, with other parameters, layers, targets or rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from comparisons import assert_same_weights
from estimator_data import CLASSES, SGD, TEN, VALUES, N, X

pytest.importorskip("sklearn", minversion="1.7")

from sklearn.base import clone

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_partial_fit_takes_the_n_of_all_rows() -> None:
    """Two calls with parts of the rows equal one epoch of `fit` with all of them."""
    whole = SGD | {"batch_size": 10, "max_iter": 1, "shuffle": False}
    penalty = fastnn.L1(20.0, method="proximal")
    with pytest.warns(match="Maximum iterations"):
        at_once = fastnn.MLPClassifier(**whole, penalty=penalty).fit(X, CLASSES)
    by_parts = fastnn.MLPClassifier(**whole, penalty=penalty, n_rows=N)
    for part in (slice(0, N // 20 * 10), slice(N // 20 * 10, N)):
        by_parts.partial_fit(X[part], CLASSES[part], classes=np.unique(CLASSES))
    assert_same_weights(by_parts, at_once)
    refused = clone(at_once)
    with pytest.raises(ValueError, match="together as n_rows"):
        refused.partial_fit(X, CLASSES, classes=at_once.classes_)
    assert not hasattr(refused, "coefs_")


@pytest.mark.usefixtures("numpy_path")
def test_other_hidden_layers_matter_to_the_next_fit_alone() -> None:
    mlp = fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=1)
    with pytest.warns(match="Maximum iterations"):
        mlp.fit(X, VALUES)
    before = mlp.predict(X)
    np.testing.assert_array_equal(mlp.set_params(hidden_layer_sizes=(5, 5)).predict(X), before)


@pytest.mark.parametrize("parameters", [{}, {"solver": "lbfgs", "penalty": "l1"}], ids=str)
@pytest.mark.parametrize("sizes", [5, (9, 6, 3), ()], ids=str)
def test_a_warm_start_has_the_same_layers(parameters: dict[str, Any], sizes: Any) -> None:
    mlp = fastnn.MLPClassifier(**TEN | parameters | {"max_iter": 2}, warm_start=True)
    mlp.fit(X, CLASSES).set_params(hidden_layer_sizes=sizes)
    with pytest.raises(ValueError, match=r"the hidden layers to go on from have \[9, 6\] units"):
        mlp.fit(X, CLASSES)
    mlp.set_params(warm_start=False).fit(X, CLASSES)


OTHERS = [
    ({"early_stopping": True}, {"early_stopping": False}),
    ({"early_stopping": False}, {"early_stopping": True}),
    ({"solver": "lbfgs"}, {"solver": "adam"}),
    ({"solver": "lbfgs", "early_stopping": True}, {"solver": "sgd", "early_stopping": True}),
    ({"solver": "lbfgs", "penalty": "l1"}, {"solver": "sgd"}),
]  # the first fit's parameters, and the next one's


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(("first", "then"), OTHERS, ids=str)
def test_a_fit_goes_on_from_one_with_other_parameters(
    first: dict[str, Any], then: dict[str, Any]
) -> None:
    net = fastnn.MLPClassifier(**TEN | first, warm_start=True, n_iter_no_change=20)
    net.fit(X, CLASSES).set_params(**then)
    epochs = len(getattr(net, "loss_curve_", []))
    net.fit(X, CLASSES)
    (net.fit if net.early_stopping else net.partial_fit)(X, CLASSES)
    new = net.loss_curve_[epochs:]
    assert len(new) == (20 if net.early_stopping else 11)
    if net.early_stopping:
        assert len(net.validation_scores_) == 20
        assert net.best_validation_score_ == max(net.validation_scores_)
        assert net.best_loss_ is None
    else:
        assert net.best_loss_ == min(new)
        assert net.validation_scores_ is net.best_validation_score_ is None


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (3, 1)])
def test_targets_must_be_those_of_the_weights(solver: str, first: int, then: int) -> None:
    """Otherwise, the compiled engine would read past the end of the targets."""
    targets = {1: VALUES[:, 0], 2: VALUES, 3: np.hstack([VALUES, VALUES[:, :1]])}
    net = fastnn.MLPRegressor(
        **TEN | {"max_iter": 2}, solver=solver, penalty="l1", warm_start=True
    ).fit(X, targets[first])
    with pytest.raises(ValueError, match=f"y is of {then} output units, and .* are of {first}"):
        net.fit(X, targets[then])


@pytest.mark.usefixtures("numpy_path")
def test_rows_must_be_those_of_the_weights() -> None:
    """This is checked even if scikit-learn's `n_features_in_` does not match the weights."""
    net = fastnn.MLPClassifier(**SGD).fit(X, CLASSES)
    with pytest.raises(ValueError, match=r"sample_weight.shape"):
        net.fit(X[:, :3], np.arange(N) % 9, sample_weight=[1.0])
    net.n_features_in_ = 3
    with pytest.raises(ValueError, match=r"coefs_\[0\] and .* must have the shapes \(3, units\)"):
        net.predict(X[:, :3])
    net.n_features_in_ = X.shape[1]
    net.coefs_[1] = np.zeros((7, 6))
    with pytest.raises(ValueError, match=r"coefs_\[1\] and .* must have the shapes \(9, units\)"):
        net.predict(X)
    net.coefs_[1], net.intercepts_[0] = np.zeros((9, 6)), np.zeros(3)
    with pytest.raises(ValueError, match=r"not \(11, 9\) and \(3,\)"):
        net.predict(X)


@pytest.mark.usefixtures("numpy_path")
def test_what_ends_a_fit_leaves_the_optimizers_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the fit, the next `partial_fit` continues with that memory."""
    whole, broken = (fastnn.MLPClassifier(**TEN).fit(X, CLASSES) for _ in range(2))
    monkeypatch.setattr(
        fastnn.MLPClassifier, "_update_no_improvement_count", lambda *_: [][0], raising=False
    )
    with pytest.raises(IndexError):
        broken.partial_fit(X, CLASSES)
    monkeypatch.undo()
    for _ in range(2):
        whole.partial_fit(X, CLASSES)
    broken.partial_fit(X, CLASSES)
    assert_same_weights(broken, whole)


def test_a_warm_start_in_another_dtype() -> None:
    """Training continues from the weights converted to the new dtype."""
    for first, then in (("float32", "float64"), ("float64", "float32")):
        mlp = fastnn.MLPClassifier(**TEN | {"max_iter": 2}, warm_start=True, dtype=first)
        same = fastnn.MLPClassifier(**TEN | {"max_iter": 2}, warm_start=True, dtype=first)
        for net, dtype in ((mlp, then), (same, first)):
            net.fit(X, CLASSES).set_params(dtype=dtype).fit(X, CLASSES)
        assert {array.dtype.name for array in (*mlp.coefs_, *mlp.intercepts_)} == {then}
        for one, other in zip(mlp.coefs_, same.coefs_, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_another_penalty_owes_nothing_for_earlier_steps() -> None:
    """Cumulative L1 starts over if its strength changes between two calls of `partial_fit`."""
    X, y = np.random.default_rng(0).random((40, 6)), np.arange(40) % 3
    options: dict[str, Any] = {"solver": "sgd", "n_rows": 40, "random_state": 1}
    mlp = fastnn.MLPClassifier((5,), penalty=fastnn.penalties.CumulativeL1(0.01), **options)
    for _ in range(50):
        mlp.partial_fit(X, y, classes=[0, 1, 2])
    before = np.abs(mlp.coefs_[0]).mean()
    mlp.set_params(penalty=fastnn.penalties.CumulativeL1(0.5)).partial_fit(X, y)
    assert abs(np.abs(mlp.coefs_[0]).mean() - before) < 0.001
