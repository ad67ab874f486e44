"""`MLPClassifier` and `MLPRegressor` compared with scikit-learn's own.

Every combination of activation, cost, solver, penalty and row weights needs its own kernel, which
must be compiled, so the cases share a few combinations.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastnn
from comparisons import assert_same_weights
from estimator_data import BINARY, CLASSES, COUNTS, SGD, VALUES, WEIGHTS, N, X

sklearn = pytest.importorskip("sklearn", minversion="1.7")

from scipy.sparse import csr_array  # noqa: E402
from sklearn import neural_network  # noqa: E402
from sklearn.datasets import make_multilabel_classification  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LABELS = make_multilabel_classification(N, 11, n_classes=3, random_state=1)[1]


def pair(ours: type, **parameters: Any) -> tuple[Any, Any]:
    """Return fastnn's estimator and scikit-learn's, with the same parameters."""
    theirs = getattr(neural_network, ours.__name__)
    return ours(**parameters), theirs(**parameters)


def assert_same(ours: Any, theirs: Any, rows: np.ndarray = X) -> None:
    """Compare the fitted attributes and the predictions."""
    assert_same_weights(ours, theirs)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-8)
    for name in ("n_iter_", "t_", "n_outputs_", "n_layers_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    predict = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
    one, other = getattr(ours, predict)(rows), getattr(theirs, predict)(rows)
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    one, other = ours.predict(rows), theirs.predict(rows)
    if one.dtype.kind == "f":
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    else:
        np.testing.assert_array_equal(one, other)


# --------------------------------------------------------- the same weights as scikit-learn's


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"learning_rate": "invscaling", "power_t": 0.2},
        {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
        {"early_stopping": True, "max_iter": 40, "n_iter_no_change": 2, "validation_fraction": 0.2},
        {"alpha": 0.5, "shuffle": False},
        {"nesterovs_momentum": False, "momentum": 0.7, "batch_size": 1000},
        {"momentum": 0},
        {"momentum": 1.0, "max_iter": 3, "verbose": True},
        {"solver": "adam", "beta_1": 0.8, "epsilon": 1e-3},
        {"solver": "adam", "hidden_layer_sizes": 5, "batch_size": "auto"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")
def test_weights_are_scikit_learns(parameters: dict[str, Any], capsys) -> None:
    printed = []
    for mlp in (estimators := pair(fastnn.MLPClassifier, **(SGD | parameters))):
        mlp.fit(X, CLASSES)
        printed.append(capsys.readouterr().out)
    assert_same(*estimators)
    assert printed[0] == printed[1]


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_without_hidden_layers_the_name_of_their_activation_counts(activation: str) -> None:
    """scikit-learn draws the initial weights with that activation's spread."""
    parameters = SGD | {"hidden_layer_sizes": (), "activation": activation}
    for mlp in (estimators := pair(fastnn.MLPClassifier, **parameters)):
        mlp.fit(X, CLASSES)
    assert_same(*estimators)


TASKS = {
    "binary": (fastnn.MLPClassifier, BINARY, {"activation": "tanh"}),
    "labels": (fastnn.MLPClassifier, LABELS, {"activation": "tanh"}),
    "values": (fastnn.MLPRegressor, VALUES, {"activation": "logistic", "solver": "adam"}),
    "value": (fastnn.MLPRegressor, VALUES[:, 0], {"activation": "logistic", "solver": "adam"}),
    "counts": (
        fastnn.MLPRegressor,
        COUNTS,
        {"loss": "poisson", "activation": "identity", "learning_rate_init": 0.002},
    ),
}


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_weights_of_every_task(task: str, early_stopping: bool) -> None:
    kind, y, parameters = TASKS[task]
    estimators = pair(kind, **(SGD | parameters), early_stopping=early_stopping)
    for mlp in estimators:
        mlp.fit(X, y, sample_weight=WEIGHTS)
    assert_same(*estimators)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_and_warm_start_go_on(solver: str) -> None:
    """The optimizer's memory is kept from one `partial_fit` to the next, and reset by `fit`."""
    estimators = pair(fastnn.MLPClassifier, **(SGD | {"solver": solver, "warm_start": True}))
    for mlp in estimators:
        for _ in range(3):
            mlp.partial_fit(X[:50], CLASSES[:50], classes=np.unique(CLASSES))
        mlp.partial_fit(X[50:], CLASSES[50:])
    assert_same(*estimators)
    for mlp in estimators:
        mlp.fit(X, CLASSES)
        mlp.set_params(max_iter=3).fit(X, CLASSES)
    assert_same(*estimators)
    again = pickle.loads(pickle.dumps(estimators[0]))
    for mlp in (again, *estimators):
        mlp.partial_fit(X, CLASSES)
    assert_same(*estimators)
    assert_same(again, estimators[1])


def test_warm_start_with_early_stopping() -> None:
    """The second fit continues from the best weights of the first one, and finds none better."""
    parameters = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.2}
    estimators = pair(fastnn.MLPClassifier, **(SGD | parameters))
    for mlp in estimators:
        mlp.fit(X, CLASSES)
    assert_same(*estimators)
    again = pickle.loads(pickle.dumps(estimators[0]))
    for mlp in (again, *estimators):
        mlp.set_params(max_iter=3, learning_rate_init=1.0).fit(X, CLASSES)
    assert_same(*estimators)
    assert_same(again, estimators[1])


def test_float32_and_sparse_rows() -> None:
    small = X.astype(np.float32)
    estimators = pair(fastnn.MLPClassifier, **SGD)
    for mlp in estimators:
        mlp.fit(csr_array(small), CLASSES)
    assert all(w.dtype == np.float32 for w in estimators[0].coefs_)
    for rows in (small, csr_array(small)):
        one, other = (mlp.predict_proba(rows) for mlp in estimators)
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert estimators[0].predict_proba(X).dtype == np.float64


def test_a_saturated_loss_is_scikit_learns() -> None:
    """A wrong output of exactly 0 or 1 costs -log(eps), no more."""
    estimators = pair(fastnn.MLPClassifier, **(SGD | {"max_iter": 2, "learning_rate_init": 30.0}))
    for mlp in estimators:
        mlp.fit(X, CLASSES)
    assert max(estimators[1].loss_curve_) > 10
    np.testing.assert_allclose(estimators[0].loss_curve_, estimators[1].loss_curve_, rtol=1e-6)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_negative_counts_have_no_loss(dtype: str) -> None:
    """As in scikit-learn, targets below 0 make the loss NaN, so that no epoch is the best."""
    parameters = SGD | TASKS["counts"][2] | {"n_iter_no_change": 1, "tol": 10.0}
    estimators = pair(fastnn.MLPRegressor, **parameters)
    for mlp in estimators:
        mlp.fit(X.astype(dtype), COUNTS - 1.0)
    assert np.isnan(estimators[0].loss_curve_).all()
    assert estimators[0].n_iter_ == estimators[1].n_iter_ == 10
    if dtype == "float64":
        assert_same(*estimators)


# ------------------------------------------------------------------------- scikit-learn's tests


# All of scikit-learn's tests of the two classes, with ours in their place.
OWN_TESTS = """
import os, sys
import pytest
from sklearn import neural_network
import fastnn
ours = fastnn.MLPClassifier, fastnn.MLPRegressor
neural_network.MLPClassifier, neural_network.MLPRegressor = ours
sys.exit(pytest.main([
    "--pyargs", "sklearn.neural_network.tests.test_mlp", "-q", "-c", os.devnull,
    "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:benchmark",
]))
"""

CHECKS = """
import warnings
import fastnn
from sklearn.utils.estimator_checks import check_estimator
warnings.simplefilter("ignore")
for estimator in (fastnn.MLPClassifier(), fastnn.MLPRegressor()):
    results = check_estimator(estimator)
    passed = [result for result in results if result["status"] == "passed"]
    print(len(passed), "passed", [r["check_name"] for r in results if r["status"] != "passed"])
"""


@pytest.mark.parametrize(
    "jit_off", ["1", pytest.param("0", marks=pytest.mark.long)], ids=["numpy", "compiled"]
)
@pytest.mark.parametrize("program", [OWN_TESTS, CHECKS], ids=["its tests", "check_estimator"])
def test_scikit_learns_own(program: str, jit_off: str, tmp_path) -> None:
    """On the compiled path they take minutes, mostly to compile kernels."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_DISABLE_JIT": jit_off, "PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [int(n) for n in re.findall(r"(\d+) passed", done.stdout)]
    assert min(counts) > 50, done.stdout


# The weights are scikit-learn's on the numpy path, too.
PLAIN = """
import warnings
import numpy as np
from sklearn import neural_network
import fastnn
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y, w = rng.standard_normal((50, 6)), rng.integers(0, 3, 50), rng.random(50)
for solver in ("sgd", "adam"):
    ours, theirs = (
        module.MLPClassifier(
            (5,), solver=solver, batch_size=20, max_iter=5, random_state=1, alpha=0.1
        ).fit(X, y, sample_weight=w)
        for module in (fastnn, neural_network)
    )
    for one, other in zip(ours.coefs_, theirs.coefs_):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
from fastnn.engine import jit
assert not jit.is_on()
"""


def test_the_numpy_path() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-c", PLAIN], env=environment, check=True)
