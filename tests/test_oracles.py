"""Penalties compared with other programs, optimality conditions, and several threads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastnn
from fastnn import penalties
from fastnn.engine import jit

RNG = np.random.default_rng(0)
ROWS = RNG.integers(0, 256, (60, 80), dtype=np.uint8) * (RNG.random((60, 80)) < 0.3)
LABELS = RNG.integers(0, 3, 60)


def one_unit(inputs: int) -> fastnn.Network:
    """Return a logistic regression that starts at 0."""
    net = fastnn.Network([inputs, 1], dtype="float64", seed=1)
    net.weights, net.biases = [np.zeros((1, inputs))], [np.zeros(1)]
    return net


@pytest.mark.parametrize("lmbda", [0.5, 4.0])
def test_proximal_l1_finds_the_optimum_of_a_convex_problem(lmbda: float) -> None:
    """One sigmoid unit on all rows at once is scikit-learn's logistic regression with L1."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    X = rng.standard_normal((80, 12))
    y = (X[:, 0] - 2 * X[:, 1] + rng.standard_normal(80) > 0).astype(float)
    peer = linear_model.LogisticRegression(
        C=1 / lmbda, l1_ratio=1, solver="saga", tol=1e-9, max_iter=100_000
    ).fit(X, y)
    net = one_unit(12)
    penalty = fastnn.L1(lmbda, method="proximal")
    net.fit(
        X, y[:, None], epochs=4000, batch_size=80, learning_rate=1.0, penalty=penalty, shuffle=False
    )

    def objective(w: np.ndarray, b: np.ndarray) -> float:
        z = X @ w + b
        return float((np.logaddexp(0, z) - y * z).sum() + lmbda * abs(w).sum())

    ours = objective(net.weights[0][0], net.biases[0])
    theirs = objective(peer.coef_[0], peer.intercept_)
    assert ours == pytest.approx(theirs, rel=1e-4)
    zeros = net.weights[0][0] == 0
    np.testing.assert_array_equal(zeros, peer.coef_[0] == 0)
    assert zeros.any()


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("optimizer", [fastnn.Momentum, fastnn.Nesterov])
@pytest.mark.parametrize(
    "penalty", [penalties.ProximalL1, penalties.GroupLasso, penalties.SparseGroupLasso]
)
def test_momentum_comes_to_the_optimum_of_plain_descent(optimizer, penalty) -> None:
    """A gradient moves a weight 1/(1-momentum) times as far; the penalty must match this."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((80, 12))
    y = (X[:, 0] - 2 * X[:, 1] + rng.standard_normal(80) > 0).astype(float)[:, None]
    given = {"batch_size": 80, "shuffle": False, "penalty": penalty(6.0)}
    plain, net = one_unit(12), one_unit(12)
    plain.fit(X, y, epochs=4000, learning_rate=1.0, **given)
    net.fit(X, y, epochs=4000, optimizer=optimizer(0.1, 0.9), **given)
    np.testing.assert_allclose(net.weights[0], plain.weights[0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(net.weights[0] == 0, plain.weights[0] == 0)
    assert 0 < net.sparsity()[0] < 1


@pytest.mark.parametrize("epochs", [1, 3])
def test_cumulative_l1_is_scikit_learns(epochs: int) -> None:
    """Weights agree after any number of rows; scikit-learn's u and q start at 0 in each `fit`."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    X, eta, alpha = rng.standard_normal((60, 12)), 0.1, 0.02
    y = (X[:, 0] - 2 * X[:, 1] + rng.standard_normal(60) > 0).astype(float)
    zeros = 0
    for rows in (2, 3, 10, 35, 60):
        peer = linear_model.SGDClassifier(
            loss="log_loss", penalty="l1", alpha=alpha, learning_rate="constant", eta0=eta,
            shuffle=False, max_iter=epochs, tol=None,
        )  # fmt: skip
        y[:2] = 0, 1  # both classes even in the first two rows
        peer.fit(X[:rows], y[:rows])
        net = one_unit(12)
        net.fit(
            X[:rows], y[:rows, None], epochs=epochs, batch_size=1, learning_rate=eta, shuffle=False,
            penalty=fastnn.L1(alpha * rows, method="cumulative"),
        )  # fmt: skip
        np.testing.assert_allclose(net.weights[0], peer.coef_, rtol=0, atol=1e-12)
        np.testing.assert_allclose(net.biases[0], peer.intercept_, rtol=0, atol=1e-12)
        zeros += int((net.weights[0] == 0).sum())
    assert zeros


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("penalty", [penalties.GroupLasso, penalties.SparseGroupLasso])
def test_a_group_lasso_ends_at_an_optimum(penalty) -> None:
    """Training on a convex problem satisfies the optimality conditions of Simon et al. (2013).

    The penalty's gradient cancels that of each nonzero group. The gradient of a group of zeros,
    soft-thresholded by L1, has a norm of at most the group's strength.
    """
    rng = np.random.default_rng(5)
    X = rng.standard_normal((80, 10))
    y = np.stack([X[:, 0] - 2 * X[:, 1] > 0, X[:, 1] + X[:, 2] > 0], axis=1).astype(float)
    net = fastnn.Network([10, 2], dtype="float64", seed=1)
    net.weights[0][:] = 0
    strength = penalty(8.0)
    net.fit(X, y, epochs=6000, batch_size=80, learning_rate=1.0, penalty=strength, shuffle=False)
    w = net.weights[0]
    gradient = (net.predict_proba(X) - y).T @ X
    l1 = strength.lmbda * getattr(strength, "l1_ratio", 0.0)
    of_groups = (strength.lmbda - l1) * 2**0.5
    kept = 0
    for group, slope in zip(w.T, gradient.T, strict=True):
        if group.any():
            kept += 1
            left = slope + of_groups * group / np.linalg.norm(group) + l1 * np.sign(group)
            np.testing.assert_allclose(left[group != 0], 0, atol=1e-6)
        rest = np.maximum(0, abs(slope) - l1)
        assert group.any() or np.linalg.norm(rest) <= of_groups + 1e-6
    assert 2 <= kept < 10


@pytest.mark.usefixtures("numpy_path")
def test_group_lasso_finds_the_inputs_that_are_never_used() -> None:
    rows = ROWS.copy()
    rows[:, ::4] = 0
    net = fastnn.Network([80, 6, 3], dtype="float32", seed=1)
    labels = rows[:, 1] // 86
    net.fit(rows, labels, epochs=100, penalty=fastnn.GroupLasso(0.3))
    empty = ~net.weights[0].any(axis=0)
    assert empty[::4].all()
    assert not empty.all()


@pytest.mark.usefixtures("numpy_path")
def test_max_norm_holds() -> None:
    net = fastnn.Network([80, 6, 3], dtype="float64", seed=1)
    net.fit(ROWS, LABELS, epochs=5, penalty=fastnn.MaxNorm(0.75), learning_rate=3.0)
    norms = np.concatenate([np.linalg.norm(w, axis=1) for w in net.weights])
    assert (norms <= 0.75 + 1e-12).all()
    assert norms.max() == pytest.approx(0.75)


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize("batch_size", [1, 7, 13])
@pytest.mark.parametrize(
    "penalty",
    [
        fastnn.L1(3.0, "proximal"),
        [fastnn.GroupLasso(2.0), fastnn.L1(3.0, "cumulative", biases=True)],
        [fastnn.SparseGroupLasso(1.0), fastnn.MaxNorm(0.5)],
    ],
    ids=str,
)
def test_threads_change_no_bit(penalty, batch_size: int) -> None:
    nets = []
    for threads in (1, 2, 3):
        net = fastnn.Network([80, 20, 3], dtype="float64", seed=1)
        net.fit(
            ROWS, LABELS, epochs=5, batch_size=batch_size, penalty=penalty, threads=threads,
            shuffle=False,
        )  # fmt: skip
        nets.append(net)
    for net in nets[1:]:
        for one, other in zip(nets[0].weights, net.weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("numpy_path")
def test_history_and_total_cost_have_the_penalty_in_them() -> None:
    net = fastnn.Network([80, 6, 3], dtype="float64", seed=1)
    penalty = [fastnn.GroupLasso(2.0), fastnn.L1(3.0, biases=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = net.fit(ROWS, LABELS, epochs=2, penalty=penalty, validation_data=(ROWS, LABELS))
    value = penalties.value_of(penalty, net.weights, net.biases)
    plain, whole = net.total_cost(ROWS, LABELS), net.total_cost(ROWS, LABELS, penalty=penalty)
    assert whole - plain == pytest.approx(value / len(ROWS))
    assert history.val_cost[-1] == pytest.approx(whole)
    assert value > 0
