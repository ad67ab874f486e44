"""What the estimators refuse, without changing anything; and row weights of any magnitude."""

from __future__ import annotations

import signal
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

sklearn = pytest.importorskip("sklearn", minversion="1.7")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("numpy_path"),
]

from sklearn.exceptions import NotFittedError  # noqa: E402

from fastnn.engine import batched  # noqa: E402
from fastnn.estimators import settings  # noqa: E402

RNG = np.random.default_rng(17)
N = 60
X = RNG.standard_normal((N, 5))
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > -0.5).astype(int) + (X[:, 0] > 0.5)]
VALUES = X[:, :2] @ RNG.standard_normal((2, 2))
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0}
NEGATIVE = np.where(np.arange(N) == 3, -1.0, 1.0)
REFUSED = r"at least 0|weight 0|non-zero|too large for float32"


def assert_the_same(now: dict[str, Any], before: dict[str, Any]) -> None:
    assert now.keys() == before.keys()
    for name, value in before.items():
        assert now[name] is value, name


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_lbfgs_refuses_what_other_solvers_do(penalty: str) -> None:
    net = fastnn.MLPRegressor(**SMALL, solver="lbfgs", penalty=penalty, warm_start=True)
    with pytest.raises(ValueError, match="at least 0"):
        net.fit(X, VALUES, sample_weight=NEGATIVE)
    with pytest.raises(ValueError, match=r"weight 0|non-zero"):
        net.fit(X, VALUES, sample_weight=np.zeros(N))
    net.fit(X, VALUES)
    with pytest.raises(ValueError, match="2: fit a clone"):
        net.fit(X, VALUES[:, 0])


def bad_weights() -> dict[str, Any]:
    return {"y": CLASSES, "sample_weight": NEGATIVE}


def no_weights() -> dict[str, Any]:
    return {"y": CLASSES, "sample_weight": np.zeros(N)}


def too_large() -> dict[str, Any]:
    large = X.copy()
    large[0, 0] = 1e39
    return {"X": large, "y": np.where(X[:, 1] > 0, "yes", "no")}


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("wrong", [bad_weights, no_weights, too_large])
def test_a_refused_fit_changes_nothing(wrong: Any, solver: str) -> None:
    net = fastnn.MLPClassifier(**SMALL, solver=solver, dtype="float32")
    with pytest.raises(ValueError, match=REFUSED):
        net.fit(**{"X": X} | wrong())
    with pytest.raises(NotFittedError):
        net.predict(X)
    net.fit(X, CLASSES)
    before, answers = dict(vars(net)), net.predict(X)
    weights = [w.copy() for w in net.coefs_]
    with pytest.raises(ValueError, match=REFUSED):
        net.fit(**{"X": X} | wrong())
    assert_the_same(vars(net), before)
    assert all(map(np.array_equal, net.coefs_, weights))
    np.testing.assert_array_equal(net.predict(X), answers)


@pytest.mark.parametrize("rows", [np.float32, np.float64])
@pytest.mark.parametrize("given", [{}, {"early_stopping": True}], ids=str)
def test_targets_too_large_for_the_dtype(given: dict[str, Any], rows: type) -> None:
    dtype = None if rows is np.float32 else "float32"
    net = fastnn.MLPRegressor(**SMALL | given, dtype=dtype).fit(X.astype(rows), VALUES)
    before, large = dict(vars(net)), VALUES.copy()
    large[7, 1] = 1e39
    with pytest.raises(ValueError, match=r"row 7 of y holds .* too large for float32"):
        net.fit(X.astype(rows), large)
    assert_the_same(vars(net), before)


@pytest.mark.parametrize(
    ("y", "weights", "message"),
    [(CLASSES, np.zeros(N), r"weight 0|non-zero"), (None, None, "array-like")],
    ids=["by fastnn", "by scikit-learn, before the fit"],
)
def test_a_first_partial_fit_that_is_refused_leaves_no_classes(
    y: Any, weights: Any, message: str
) -> None:
    net = fastnn.MLPClassifier(**SMALL)
    before = dict(vars(net))
    with pytest.raises(ValueError, match=message):
        net.partial_fit(X, y, weights, classes=["a", "b", "c", "d"])
    assert_the_same(vars(net), before)
    with pytest.raises(NotFittedError):
        net.predict(X)
    net.partial_fit(X, CLASSES, classes=["a", "b", "c"])
    assert net.classes_.tolist() == ["a", "b", "c"]


def test_lbfgs_has_no_partial_fit() -> None:
    net = fastnn.MLPClassifier(**SMALL | {"solver": "lbfgs"})
    assert not hasattr(net, "partial_fit")
    assert hasattr(net.set_params(solver="sgd"), "partial_fit")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_refused_fit_draws_nothing_from_a_random_state(solver: str) -> None:
    drawn = np.random.RandomState(3)
    net = fastnn.MLPClassifier(**SMALL | {"solver": solver, "random_state": drawn})
    with pytest.raises(ValueError, match=REFUSED):
        net.fit(X, CLASSES, NEGATIVE)
    assert drawn.randint(2**31) == np.random.RandomState(3).randint(2**31)


def test_a_refused_partial_fit_leaves_the_solvers_memory() -> None:
    net = fastnn.MLPClassifier(**SMALL, penalty=fastnn.L1(0.1), n_rows=N)
    net.fit(X, CLASSES).set_params(penalty=fastnn.L2(0.1), batch_size=2)
    steps, before = net._optimizer, dict(vars(net._optimizer))
    with pytest.raises(ZeroDivisionError, match="sum to zero"):
        net.partial_fit(X, CLASSES, np.eye(N)[0])
    assert net._optimizer is steps
    assert_the_same(vars(steps), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_before_training_changes_nothing(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = fastnn.MLPClassifier(**SMALL, solver=solver).fit(X, CLASSES)
    before = dict(vars(net))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(settings, "check_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, CLASSES)
    assert_the_same(vars(net), before)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ctrl_c_while_a_kernel_compiles_changes_nothing(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = fastnn.MLPClassifier(**SMALL).fit(X, CLASSES)
    before, arrays, run = dict(vars(net)), [w.copy() for w in net.coefs_], batched.Path.run

    def interrupted(path: batched.Path, *arguments: Any) -> float:
        signal.raise_signal(signal.SIGINT)
        return run(path, *arguments)

    monkeypatch.setattr(batched.Path, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(net, method)(X, CLASSES)
    assert_the_same(vars(net), before)
    assert all(map(np.array_equal, net.coefs_, arrays))


def test_a_fit_that_has_begun_is_not_undone() -> None:
    """A fit that diverges leaves the weights that it has reached, as in scikit-learn."""
    net = fastnn.MLPRegressor(**SMALL, solver="sgd").fit(X, VALUES)
    before = net.coefs_
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite"):
        net.set_params(learning_rate_init=1e200, max_iter=20).fit(X, VALUES)
    assert net.coefs_ is not before
    assert not hasattr(net, "_has_begun")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("factor", [2.0**-160, 2.0**130])
def test_a_common_factor_of_the_weights_of_rows_does_not_matter(
    factor: float, penalty: str, dtype: str
) -> None:
    """The factors are outside float32's range; alpha, divided by the weights' sum, has them too."""
    given = SMALL | {"solver": "sgd", "learning_rate_init": 0.1, "penalty": penalty, "dtype": dtype}
    weights = RNG.random(N)
    plain = fastnn.MLPClassifier(**given, alpha=0.01).fit(X, CLASSES, weights)
    scaled = fastnn.MLPClassifier(**given, alpha=0.01 * factor).fit(X, CLASSES, factor * weights)
    assert scaled.loss_curve_ == plain.loss_curve_
    assert all(map(np.array_equal, scaled.coefs_, plain.coefs_))


@pytest.mark.parametrize("units", [(6, 4), (3,), (9,)])
def test_partial_fit_refuses_what_the_solver_remembers_of_other_layers(units: Any) -> None:
    net = fastnn.MLPRegressor(**SMALL).fit(X, VALUES)
    other = fastnn.MLPRegressor(**SMALL | {"hidden_layer_sizes": units}).fit(X, VALUES)
    net.set_params(hidden_layer_sizes=units)
    net.coefs_, net.intercepts_ = other.coefs_, other.intercepts_
    before = [w.copy() for w in net.coefs_]
    with pytest.raises(ValueError, match="layers of other sizes"):
        net.partial_fit(X, VALUES)
    assert all(map(np.array_equal, net.coefs_, before))


def test_partial_fit_looks_at_the_solver_that_goes_on() -> None:
    net = fastnn.MLPRegressor(**SMALL, solver="adam").partial_fit(X, VALUES)
    net.set_params(solver="sgd", penalty=fastnn.TruncatedGradient(0.1), n_rows=N)
    with pytest.raises(ValueError, match="cannot be had with Adam"):
        net.partial_fit(X, VALUES)


@pytest.mark.parametrize(
    "given", [{"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "lbfgs", "penalty": "l1"}]
)
def test_weights_lie_as_the_engine_takes_them(given: dict[str, Any]) -> None:
    """Predictions need no copies, and a warm start trains what early stopping has restored."""
    net = fastnn.MLPClassifier(**SMALL, **given).fit(X, CLASSES)
    assert all(w.flags.f_contiguous for w in net.coefs_)
    if "early_stopping" in given:
        assert net.coefs_ is net._best_coefs


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_n_threads_limits_lbfgs(penalty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.engine import blas

    limits, limited = [], blas.limited

    def noted(threads: int) -> Any:
        limits.append(threads)
        return limited(threads)

    monkeypatch.setattr(blas, "limited", noted)
    net = fastnn.MLPClassifier(**SMALL, solver="lbfgs", penalty=penalty, n_threads=np.int64(1))
    net.fit(X, CLASSES)
    assert limits == [1]
    assert type(limits[0]) is int


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_warm_start_has_the_widths_it_had(solver: str, penalty: str) -> None:
    """scikit-learn trains on with the old ones, or writes past its arrays."""
    parameters = SMALL | {"solver": solver, "penalty": penalty, "warm_start": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = fastnn.MLPRegressor(**parameters).fit(X, VALUES)
    before = [w.copy() for w in net.coefs_]
    net.set_params(hidden_layer_sizes=(7,))
    with pytest.raises(ValueError, match=r"the hidden layers to go on from have \[6\] units"):
        net.fit(X, VALUES)
    for now, old in zip(net.coefs_, before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("losses", [("squared_error", "poisson"), ("poisson", "squared_error")])
def test_a_warm_start_has_the_loss_it_had(solver: str, losses: tuple[str, str]) -> None:
    """The output's activation goes with the loss."""
    first, then = losses
    net = fastnn.MLPRegressor(first, **SMALL, solver=solver, warm_start=True)
    net.fit(X, abs(VALUES)).fit(X, abs(VALUES))
    before = dict(vars(net.set_params(loss=then)))
    with pytest.raises(ValueError, match=f"loss='{then}', and the weights to go on from are of"):
        net.fit(X, abs(VALUES))
    assert_the_same(vars(net), before)
