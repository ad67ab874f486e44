"""Group lasso with optimizers whose step sizes differ from weight to weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import fastnn
from fastnn import Network
from fastnn.engine import jit
from fastnn.penalties import GroupLasso, SparseGroupLasso
from fastnn.penalties.groups import shortened

RNG = np.random.default_rng(3)
N, COLUMNS = 30, 21
X, Y = RNG.random((N, COLUMNS)), RNG.integers(0, 3, N)
STRENGTHS = [GroupLasso(0.6), GroupLasso(0.6, groups="neurons"), SparseGroupLasso(0.4)]
OPTIMIZERS = [fastnn.Adam(0.05), fastnn.AdamW(0.05), fastnn.Adagrad(0.1), fastnn.RMSprop(0.02)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_it_is_the_optimum(axis: int, dtype: str) -> None:
    """The derivative of a group that stays is 0; otherwise, 0 is in the subdifferential."""
    v = RNG.standard_normal((30, 40)).astype(dtype)
    of_groups = RNG.uniform(-2, 3, (1, 40) if axis == 0 else (30, 1))
    most = (10.0 ** (of_groups + RNG.uniform(-1.5, 1.5, (30, 40)))).astype(dtype)
    w = shortened(v, most, axis)
    assert w.dtype == v.dtype
    v, most, w = (a.astype(float) for a in (v, most, w))
    norm = np.linalg.norm(w, axis=axis, keepdims=True)
    stays = np.broadcast_to(norm > 0, w.shape)
    assert stays.any()
    assert not stays.all()
    with np.errstate(divide="ignore", invalid="ignore"):
        derivative = (w - v) / most + w / norm
    # The error of (w-v)/most is that of w divided by `most`.
    close = (1e-6 if dtype == "float32" else 1e-14) * (1 + np.abs(v) / most)
    assert (np.abs(derivative) <= 50 * close)[stays].all()
    gone = ~(norm > 0)
    assert (np.linalg.norm(v / most, axis=axis, keepdims=True)[gone] <= 1 + 1e-6).all()


def test_equal_paces_are_the_plain_rule() -> None:
    v = RNG.standard_normal((7, 9))
    norm = np.linalg.norm(v, axis=0)
    wanted = v * np.maximum(0, 1 - 2.5 / norm)
    np.testing.assert_allclose(shortened(v, np.full_like(v, 2.5), 0), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1])
def test_no_strength_changes_nothing_and_nan_stays(axis: int) -> None:
    v = RNG.standard_normal((4, 5))
    v[0, 0] = v[1, 1] = 0
    np.testing.assert_array_equal(shortened(v, np.zeros_like(v), axis), v)
    assert not shortened(np.zeros_like(v), np.zeros_like(v), axis).any()
    v[2, 2] = np.nan
    assert np.isnan(shortened(v, np.full_like(v, 0.1), axis)[2, 2])


def test_all_of_it_on_the_single_weights_is_proximal_l1(numpy_path: None) -> None:
    nets = []
    for penalty in (SparseGroupLasso(0.9, l1_ratio=1 - 1e-12), fastnn.L1(0.9, method="proximal")):
        net = Network([COLUMNS, 4, 3], dtype="float64", seed=1)
        net.fit(X, Y, epochs=3, optimizer=fastnn.Adam(0.01), penalty=[penalty, None])
        nets.append(net.weights[0])
    np.testing.assert_allclose(*nets, rtol=0, atol=1e-10)
    assert 0 < (nets[0] == 0).mean() < 1


def by_hand(v: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return what is left of one group; Brent's method finds its norm."""
    if np.linalg.norm(v / most) <= 1:
        return np.zeros_like(v)
    t = brentq(lambda t: np.linalg.norm(v / (t + most)) - 1, 0, 2 * np.linalg.norm(v), xtol=1e-15)
    return v * t / (t + most)


@pytest.mark.parametrize("penalty", STRENGTHS, ids=str)
def test_the_first_step(penalty: Any, numpy_path: None) -> None:
    rate, n = 0.05, N
    net, plain = (Network([COLUMNS, 4, 3], dtype="float64", seed=1) for _ in range(2))
    start = [w.copy() for w in net.weights]
    for one, strength in ((net, penalty), (plain, None)):
        one.fit(
            X, Y, epochs=1, batch_size=N, optimizer=fastnn.Adam(rate), penalty=strength,
            shuffle=False,
        )  # fmt: skip
    v, step = plain.weights[0], start[0] - plain.weights[0]  # the step is nearly rate*sign(g)
    assert plain.optimizer_state is not None
    square = plain.optimizer_state.memories[1][0] / (1 - 0.999)
    step_size = 1 / (np.sqrt(square) + 1e-8)
    assert np.abs(np.abs(step) - rate).max() < 1e-3
    ratio = getattr(penalty, "l1_ratio", 0.0)
    kappa, by_inputs = rate * penalty.lmbda / n * step_size, penalty.groups == "inputs"
    v = np.sign(v) * np.maximum(0, np.abs(v) - ratio * kappa)
    most = (1 - ratio) * kappa * np.sqrt(v.shape[0 if by_inputs else 1])
    groups = zip(v.T, most.T, strict=True) if by_inputs else zip(v, most, strict=True)
    wanted = np.array([by_hand(*group) for group in groups])
    np.testing.assert_allclose(net.weights[0], wanted.T if by_inputs else wanted, atol=1e-10)
    np.testing.assert_array_equal(net.weights[1], plain.weights[1])


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize(
    ("penalty", "optimizer", "dtype"),
    [
        (STRENGTHS[0], OPTIMIZERS[0], "float64"),
        ([STRENGTHS[2], STRENGTHS[1], None], OPTIMIZERS[2], "float64"),
        ([STRENGTHS[1], STRENGTHS[0], fastnn.L2(0.3)], OPTIMIZERS[1], "float32"),
    ],
    ids=str,
)
def test_compiled_is_numpy(
    penalty: Any, optimizer: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers have several panels, or less than one; there are one or three threads."""
    results = []
    for compiled, threads in ((True, 1), (True, 3), (False, 1)):
        monkeypatch.setattr(jit, "is_on", lambda compiled=compiled: compiled)
        net = Network([COLUMNS, 45, 5, 3], dtype=dtype, seed=1)
        net.fit(X, Y, epochs=4, batch_size=7, optimizer=optimizer, penalty=penalty, threads=threads)
        results.append(net.weights + net.biases)
    one, several, numpys = results
    for a, b, c in zip(one, several, numpys, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=0, atol=1e-10 if dtype == "float64" else 1e-3)
    assert not numpys[0].any(axis=0).all() or not numpys[0].any(axis=1).all()


def test_inputs_that_say_nothing_go(numpy_path: None) -> None:
    X = RNG.standard_normal((200, 10))
    y = (X[:, 2] > 0).astype(int)
    net = Network([10, 6, 1], dtype="float64", seed=1)
    net.fit(X, y, epochs=60, optimizer=fastnn.Adam(0.01), penalty=GroupLasso(4.0))
    left = np.flatnonzero(net.weights[0].any(axis=0))
    assert 2 in left
    assert len(left) < 6
    assert net.score(X, y) > 0.95
