"""What `MLPClassifier` and `MLPRegressor` add to scikit-learn's, and what they refuse."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from comparisons import assert_same_weights
from estimator_data import BINARY, CLASSES, COUNTS, RNG, SGD, TEN, VALUES, WEIGHTS, N, X

sklearn = pytest.importorskip("sklearn", minversion="1.7")

from joblib.externals.loky import get_reusable_executor  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import config_context, neural_network  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_acts(plain: Any, penalty: Any) -> None:
    """Assert that a penalty changes the weights of a fitted estimator and leaves them finite."""
    without = clone(plain).set_params(alpha=0.0).fit(X, CLASSES)
    strength = {"alpha": 0.5} if isinstance(penalty, str) else {}
    penalised = clone(plain).set_params(penalty=penalty, **strength).fit(X, CLASSES)
    for one, other in zip(penalised.coefs_, without.coefs_, strict=True):
        assert np.isfinite(one).all()
        assert not np.allclose(one, other)


@pytest.mark.usefixtures("numpy_path")
def test_a_rate_that_comes_as_float32() -> None:
    given = SGD | {"learning_rate": "invscaling", "penalty": fastnn.L2(1.0)}
    net = fastnn.MLPClassifier(**given, power_t=np.float32(0.5)).fit(X, CLASSES)
    assert_same_weights(net, fastnn.MLPClassifier(**given, power_t=0.5).fit(X, CLASSES))


@pytest.mark.usefixtures("numpy_path")
def test_penalties_by_name_and_as_objects() -> None:
    """If a batch has all rows, alpha acts as lmbda; l1 leaves zeros, and l1_ratio=0 is l2."""
    whole = SGD | {"batch_size": N, "max_iter": 20}
    by_name = fastnn.MLPClassifier(**whole, penalty="l1", alpha=20.0).fit(X, CLASSES)
    given = fastnn.MLPClassifier(**whole, penalty=fastnn.L1(20.0, method="proximal"))
    given.fit(X, CLASSES)
    for one, other in zip(by_name.coefs_, given.coefs_, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert (by_name.coefs_[0] == 0).any()
    net = fastnn.MLPClassifier(**SGD, penalty="elasticnet", l1_ratio=0.0, alpha=0.8)
    l2 = neural_network.MLPClassifier(**SGD, alpha=0.8).fit(X, CLASSES)
    assert_same_weights(net.fit(X, CLASSES), l2)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(
    "parameters", [{"momentum": 0}, {"nesterovs_momentum": False}, {}], ids=str
)
def test_steps_of_one_size_have_every_penalty(parameters: dict[str, Any]) -> None:
    mlp = fastnn.MLPClassifier(**SGD | parameters | {"max_iter": 2})
    for penalty in ("l1", fastnn.L1(9.0, method="cumulative"), fastnn.GroupLasso(9.0)):
        assert_acts(mlp, penalty)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(
    "penalty",
    ["l2", "l1", "elasticnet", fastnn.L1(9.0), fastnn.L2(9.0), fastnn.MaxNorm(1.0)],
    ids=str,
)
def test_adam_has_the_others(penalty: Any) -> None:
    assert_acts(fastnn.MLPClassifier(**TEN | {"max_iter": 2}), penalty)


@pytest.mark.usefixtures("numpy_path")
def test_loss_curve_has_the_penalty() -> None:
    """The only batch's loss is that of the initial weights, plus alpha/n times their L1 norm."""
    parameters = SGD | {"batch_size": N, "max_iter": 1}
    small, large = (
        fastnn.MLPClassifier(**parameters, penalty="l1", alpha=alpha).fit(X, CLASSES).loss_
        for alpha in (0.2, 0.7)
    )
    start = fastnn.MLPClassifier(**parameters | {"learning_rate_init": 1e-12}).fit(X, CLASSES)
    size = sum(float(abs(w).sum()) for w in start.coefs_)
    assert large - small == pytest.approx(0.5 * size / N, rel=1e-9)


def test_lbfgs_with_l1_is_logistic_regression() -> None:
    """Without hidden layers, the optimum and its zeros are those of scikit-learn's linear model."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    peer = linear_model.LogisticRegression(
        C=0.25, l1_ratio=1, solver="saga", tol=1e-9, max_iter=100_000
    ).fit(X, BINARY)
    mlp = fastnn.MLPClassifier(
        (), solver="lbfgs", penalty="l1", alpha=4.0, tol=1e-8, random_state=1, max_iter=1000
    ).fit(X, BINARY)
    np.testing.assert_allclose(mlp.coefs_[0].T, peer.coef_, atol=2e-4)
    np.testing.assert_array_equal(mlp.coefs_[0].T == 0, peer.coef_ == 0)
    assert (mlp.coefs_[0] == 0).any()


def test_lbfgs_takes_the_objectives_derivatives() -> None:
    from fastnn.estimators.lbfgs import Objective

    mlp = fastnn.MLPRegressor(
        "poisson", (4, 3), activation=["tanh", "softplus"], solver="lbfgs", max_iter=1,
        penalty=[fastnn.L2(0.5), fastnn.ElasticNet(0.5, biases=True), None], random_state=0,
    ).fit(X, COUNTS)  # fmt: skip
    objective = Objective(mlp, X, COUNTS[:, np.newaxis], WEIGHTS)
    parameters = RNG.standard_normal(len(objective.l1)) / 4
    steps = 1e-6 * np.eye(len(parameters))
    slopes = [(objective(parameters + s)[0] - objective(parameters - s)[0]) / 2e-6 for s in steps]
    np.testing.assert_allclose(objective(parameters)[1], slopes, atol=1e-7)


def test_lbfgs_leaves_out_rows_that_weigh_nothing() -> None:
    """Even if their cost overflows; they still count in the n of a penalty's lmbda/n."""
    rows, weights = X.copy(), WEIGHTS.copy()
    rows[5], weights[5] = 1e200, 0
    given = TEN | {"solver": "lbfgs", "activation": "identity"}
    for penalty in ("l1", fastnn.L1(0.1)):
        net, other = (fastnn.MLPRegressor(**given, penalty=penalty) for _ in range(2))
        net.fit(rows, VALUES, weights)
        for w, v in zip(net.coefs_, other.fit(X, VALUES, weights).coefs_, strict=True):
            np.testing.assert_array_equal(w, v)


def test_lbfgs_is_scikit_learns() -> None:
    kinds = fastnn.MLPRegressor, neural_network.MLPRegressor
    estimators = [kind(solver="lbfgs", max_iter=20, random_state=2) for kind in kinds]
    for mlp in estimators:
        mlp.fit(X, VALUES, sample_weight=WEIGHTS)
    for one, other in zip(*(mlp.coefs_ for mlp in estimators), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("outputs", [1, 2])
def test_lbfgs_has_scikit_learns_loss(outputs: int) -> None:
    """The loss is half the squared error, averaged over rows and outputs, plus the penalty once."""
    penalty = fastnn.ElasticNet(9.0, l1_ratio=0.4)
    for parameters in {"penalty": "l2", "activation": ["relu"]}, {"penalty": penalty}:
        mlp = fastnn.MLPRegressor(
            hidden_layer_sizes=(7,), solver="lbfgs", max_iter=300, random_state=2, **parameters
        )
        y = VALUES[:, :outputs] - 3
        errors = mlp.fit(X, y.squeeze()).predict(X).reshape(y.shape) - y
        l1, l2 = (0, 1e-4) if parameters["penalty"] == "l2" else penalty.strengths(1)
        sizes = sum(l1 * abs(w).sum() + 0.5 * l2 * (w**2).sum() for w in mlp.coefs_)
        assert mlp.loss_ == pytest.approx(0.5 * (errors**2).mean() + sizes / N, rel=1e-6)


@pytest.mark.usefixtures("numpy_path")
def test_activations_by_layer() -> None:
    parameters = SGD | {"max_iter": 3}
    one = fastnn.MLPClassifier(**parameters, activation=["relu", "relu"]).fit(X, CLASSES)
    assert_same_weights(one, neural_network.MLPClassifier(**parameters).fit(X, CLASSES))
    mixed = fastnn.MLPRegressor(
        hidden_layer_sizes=(9, 6), activation=["gelu", "logistic"], solver="lbfgs", max_iter=9
    )
    a = mixed.fit(X, VALUES).predict(X)
    hidden = fastnn.activations.GELU.value(np, X @ mixed.coefs_[0] + mixed.intercepts_[0])
    hidden = 1 / (1 + np.exp(-(hidden @ mixed.coefs_[1] + mixed.intercepts_[1])))
    np.testing.assert_allclose(a, hidden @ mixed.coefs_[2] + mixed.intercepts_[2], rtol=1e-9)


@pytest.mark.usefixtures("numpy_path", "registered_for_one_test")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_an_activation_that_is_registered_later(solver: str) -> None:
    """The estimators have been imported before."""
    plain = fastnn.MLPClassifier(**TEN, solver=solver, activation="tanh", penalty="l1")

    class Same(fastnn.activations.Tanh):
        name = "same"

    fastnn.register(Same)
    net = clone(plain).set_params(activation="same").fit(X, CLASSES)
    assert_same_weights(net, plain.fit(X, CLASSES))
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))


@pytest.mark.usefixtures("numpy_path")
def test_dropout_is_drawn_from_the_random_state() -> None:
    parameters = SGD | {"max_iter": 3, "dropout": [0.5, 0.0]}
    one, other, third = (
        fastnn.MLPClassifier(**parameters | {"random_state": seed}).fit(X, CLASSES)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    assert not np.array_equal(one.coefs_[0], third.coefs_[0])
    np.testing.assert_array_equal(one.predict_proba(X), one.predict_proba(X))
    plain = fastnn.MLPClassifier(**SGD | {"max_iter": 3}).fit(X, CLASSES)
    assert not np.allclose(one.coefs_[0], plain.coefs_[0], atol=1e-3)


@pytest.mark.usefixtures("numpy_path")
def test_dropout_begins_and_ends_between_parts() -> None:
    mlp = fastnn.MLPRegressor(**SGD)
    for rate in (0.0, 0.5, 0.0, [0.5, 0.2], 0.5):
        before = mlp.set_params(dropout=rate).partial_fit(X, VALUES).coefs_[0].copy()
        plain = pickle.loads(pickle.dumps(mlp)).set_params(dropout=0.0).partial_fit(X, VALUES)
        dropped = pickle.loads(pickle.dumps(mlp)).set_params(dropout=0.5).partial_fit(X, VALUES)
        assert not np.array_equal(plain.coefs_[0], before)
        assert not np.allclose(plain.coefs_[0], dropped.coefs_[0], atol=1e-3)


def test_dtype_and_threads() -> None:
    parameters = SGD | {"max_iter": 2, "dtype": "float32"}
    one, two = (
        fastnn.MLPClassifier(**parameters, n_threads=threads).fit(X, CLASSES) for threads in (1, 2)
    )
    assert one.predict_proba(X).dtype == one.coefs_[0].dtype == np.float32
    for mine, other in zip(one.coefs_, two.coefs_, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.fixture
def fresh_processes() -> Iterator[None]:
    """End joblib's worker processes, which keep the environment that they were started in."""
    get_reusable_executor().shutdown()
    yield
    get_reusable_executor().shutdown()


def test_a_registered_activation_goes_along_to_other_processes(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        """
import fastnn
from fastnn import activations

class Double(activations.Tanh):
    name = "double"

    @staticmethod
    def value(xp, z):
        return 2 * xp.tanh(z)

    @staticmethod
    def derivative(xp, z, a):
        return 2 - 0.5 * a * a

fastnn.register(Double)
"""
    )
    first = """
import own, pickle, numpy as np, fastnn
X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
mlp = fastnn.MLPClassifier((4,), activation="double", max_iter=2, random_state=1).fit(X, y)
pickle.dump(mlp, open("mlp", "wb"))
"""
    second = """
import pickle
mlp = pickle.load(open("mlp", "rb"))
assert "_registered" not in vars(mlp)
print(mlp.predict([[1.0, 2.0, 3.0]]), mlp.fit([[0.0] * 3, [1.0] * 3], [0, 1]).n_iter_)
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    for program in (first, second):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("numpy_path", "fresh_processes")
def test_grid_search_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample weights are routed, and clones have all parameters. The processes do not compile."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    mlp = fastnn.MLPClassifier(**SGD, activation="tanh", penalty=fastnn.L2(0.1))
    grid = {"mlpclassifier__penalty": [fastnn.L2(0.1), fastnn.L2(5.0)]}
    with config_context(enable_metadata_routing=True):
        mlp.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        search = GridSearchCV(make_pipeline(scaler, mlp), grid, n_jobs=2, cv=2)
        search.fit(X, BINARY, sample_weight=WEIGHTS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    found = clone(search.best_estimator_).get_params()["mlpclassifier__penalty"]
    assert found in grid["mlpclassifier__penalty"]


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"penalty": "l3"}, "'penalty' parameter"),
        ({"penalty": fastnn.L1(3.0), "alpha": 0.01}, "strength of its own: leave alpha"),
        ({"penalty": [fastnn.L1(3.0)]}, "one .or None. for each of the 3 layers"),
        ({"l1_ratio": 1.5}, "'l1_ratio' parameter"),
        ({"activation": "softmax"}, "activation must be one of .* not 'softmax'"),
        ({"activation": "rely"}, r"activation must be one of .*'relu'\?"),
        ({"activation": 3}, "'activation' parameter"),
        ({"activation": ["relu"]}, "one for each of the 2 hidden layers, not 1"),
        ({"activation": ["relu", "rely"]}, r"activation\[1\] must be one of .*'relu'\?"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"dropout": [0.5]}, "one for each of the 2 hidden layers, not 1"),
        ({"dropout": 0.5, "hidden_layer_sizes": ()}, "dropout is of hidden units"),
        ({"dropout": 0.5, "solver": "lbfgs"}, "dropout is for solver='sgd' or 'adam'"),
        ({"penalty": fastnn.GroupLasso(1.0), "solver": "lbfgs"}, "lbfgs takes L1, L2 and Elastic"),
        *(
            ({"penalty": penalty, "solver": "adam"}, r"cannot be had with Adam\(.* Use SGD")
            for penalty in (
                fastnn.TruncatedGradient(1.0),
                [None, fastnn.L1(1.0, method="cumulative"), None],
            )
        ),
        ({"dtype": "float16"}, "'dtype' parameter"),
        ({"dtype": np.int32}, "dtype must be one of 'float32', 'float64', not 'int32'"),
        ({"n_threads": 0}, "'n_threads' parameter"),
        ({"n_rows": 0}, "'n_rows' parameter"),
        ({"n_rows": 9}, "n_rows is for a penalty of fastnn"),
        ({"n_rows": 9, "penalty": fastnn.L1(1.0), "solver": "lbfgs"}, "has all rows at once"),
        ({"solver": "rmsprop"}, "'solver' parameter"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_parameters_out_of_range(parameters: dict[str, Any], words: str) -> None:
    mlp = fastnn.MLPRegressor(**(TEN | parameters))
    with pytest.raises(ValueError, match=words):
        mlp.fit(X, VALUES)
    with pytest.raises(NotFittedError):
        mlp.predict(X)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("parameters", [{}, {"solver": "lbfgs", "penalty": "l1"}], ids=str)
def test_values_are_numbers(parameters: dict[str, Any]) -> None:
    """Strings are refused as in scikit-learn, even if they contain numbers."""
    for y in (VALUES.astype(str), VALUES[:, 0].astype(bytes)):
        with pytest.raises(TypeError, match=r"y must be numbers, not of dtype .*astype"):
            fastnn.MLPRegressor(**TEN | parameters).fit(X, y)
    for kind in (bool, np.uint8, np.float32, object):
        fastnn.MLPRegressor(**TEN | parameters).fit(X, abs(VALUES).astype(kind))


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_rows_that_weigh_less_than_nothing(solver: str) -> None:
    net = fastnn.MLPClassifier(**TEN, solver=solver, penalty="l1")
    with pytest.raises(ValueError, match=r"sample_weight must be .* at least 0; row 7 is -0\.5"):
        net.fit(X, CLASSES, sample_weight=np.where(np.arange(N) == 7, -0.5, 1.0))


@pytest.mark.usefixtures("numpy_path")
def test_float32_that_is_asked_for() -> None:
    for penalty in ("l1", "l2"):
        net = fastnn.MLPClassifier(**TEN, solver="lbfgs", penalty=penalty, dtype="float32")
        net.fit(X, CLASSES)
        assert {a.dtype.name for a in (*net.coefs_, *net.intercepts_)} == {"float32"}
        net.set_params(dtype=None).fit(X.astype(np.float32), CLASSES)  # as in scikit-learn
        assert {a.dtype.name for a in (*net.coefs_, *net.intercepts_)} == {"float64"}
    for huge in (np.where(X > 1, 1e39, X), sparse.csr_array(np.where(X > 1, 1e39, 0))):
        with pytest.raises(ValueError, match="too large for float32"):
            fastnn.MLPClassifier(**SGD, dtype="float32").fit(huge, CLASSES)


@pytest.mark.usefixtures("numpy_path")
def test_a_row_that_is_not_a_number_where_none_is_looked_for() -> None:
    net, rows = fastnn.MLPClassifier(**SGD).fit(X, CLASSES), np.array(X)
    rows[3] = np.nan
    with config_context(assume_finite=True):
        found = net.predict(rows)
    np.testing.assert_array_equal(np.delete(found, 3), np.delete(net.predict(X), 3))


def test_a_batch_without_weight_has_no_mean() -> None:
    """The exception is the same as scikit-learn's."""
    weights = np.arange(N) >= 20
    for kind in (fastnn.MLPClassifier, neural_network.MLPClassifier):
        mlp = kind(**SGD, shuffle=False)
        with pytest.raises(ZeroDivisionError):
            mlp.fit(X, CLASSES, sample_weight=weights)


def test_without_scikit_learn() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None; import fastnn; fastnn.Network\n"
        "try: fastnn.MLPClassifier\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b'needs sklearn: pip install "scikit-learn>=1.7"' in done.stdout


def test_another_scikit_learn() -> None:
    """If a release lacks a method that fastnn overrides, the message names both."""
    program = (
        "import sklearn.neural_network as n\n"
        "base = n.MLPClassifier.__mro__[2]\n"
        "base._fit_lbfgs = lambda self, X, y: None\n"
        "try: import fastnn.estimators\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert sklearn.__version__.encode() in done.stdout
    assert b"_fit_lbfgs(X, y, sample_weight, ...)" in done.stdout
