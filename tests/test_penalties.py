"""Penalties: every class in the tuple ALL is tested here.

test_beyond_the_book compares their steps with the rules written out in numpy, and test_engine
compares the compiled path with the numpy path.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import penalties
from fastnn.engine import batched
from fastnn.engine.coefficients import Coefficients

every_penalty = pytest.mark.parametrize("penalty", penalties.ALL, ids=lambda c: c.name)
of_strength = [p for p in penalties.ALL if p is not penalties.MaxNorm]
every_strength = pytest.mark.parametrize("penalty", of_strength, ids=lambda c: c.name)
with_zeros = [p for p in penalties.ALL if p.leaves_zeros]

STEP = 1e-6


def leave(strength, w: np.ndarray, step: float, count: int) -> np.ndarray:
    """Return a layer's weights after `count` steps of the penalty without a gradient."""
    table = Coefficients([strength]).rows(step, count).astype(w.dtype)
    w, q = w.copy(), np.zeros_like(w)
    for numbers in np.broadcast_to(table, (count + 1, table.shape[1]))[1:]:
        batched.shrink_layer(strength, w, q, numbers)
        batched.scale_groups(strength, w, numbers)
    return w


def some_weights(shape=(3, 4), scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(3).normal(0, scale, shape)


@every_penalty
def test_steps_of_a_penalty_are_the_slope_of_its_value(penalty) -> None:
    """Away from 0, a small step moves a weight by -STEP times the derivative of `value`."""
    strength, w, count = penalty(0.7 if penalty in of_strength else 50.0), some_weights(), 10
    slopes = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        change = np.zeros_like(w)
        change[place] = STEP
        slopes[place] = (strength.value(w + change) - strength.value(w - change)) / (2 * STEP)
    moved = leave(strength, w, STEP, count) - w
    np.testing.assert_allclose(moved, -count * STEP * slopes, rtol=1e-4, atol=1e-12)


@every_penalty
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_penalty_at_zero(penalty, dtype: str) -> None:
    zero = np.zeros((2, 3), dtype)
    np.testing.assert_array_equal(leave(penalty(0.7), zero, 0.1, 20), zero)
    assert penalty(0.7).value(zero) == 0.0


@every_strength
def test_a_penalty_of_strength_zero_is_none(penalty) -> None:
    none = penalty(0)
    assert none.simplified() is None
    assert none.value(some_weights()) == 0.0


@pytest.mark.parametrize("penalty", with_zeros, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_zeros(penalty, dtype: str) -> None:
    """A weight that would be pushed past 0 becomes exactly 0 and stays there."""
    left = leave(penalty(1.0), some_weights(scale=0.01).astype(dtype), 0.01, 10)
    np.testing.assert_array_equal(left, np.zeros_like(left))


@every_penalty
def test_many_steps_at_once_are_that_many_steps(penalty) -> None:
    """The closed form equals the repeated rule, also where signs change, to 1e-6 of one step."""
    strength, step = penalty(5.0), 1e-5
    if not strength.lazy(step) or strength.decays:
        pytest.skip("its unused columns do not wait, or for a factor only")
    w = np.concatenate([np.random.default_rng(0).normal(0, 0.05, 500), [0.0, -0.0, 5e-5, 1e-4]])
    w, shrink = w[None], 5e-5
    for count in (1, 2, 3, 10, 333, 1000, 2999, 3000):
        numbers = Coefficients([strength]).rows(step, count)[-1]
        steps = float(count)
        if strength.scale is not None:
            norm = np.sqrt(np.square(w).sum(axis=0))
            with np.errstate(divide="ignore", invalid="ignore"):
                at_once = w * strength.scale(np, norm, 1.0, steps, *numbers)
        elif strength.stateful:
            at_once, _ = strength.caught_up(np, w, np.zeros_like(w), steps, *numbers)
        else:
            at_once = strength.caught_up(np, w, steps, *numbers)
        eager = leave(strength, w, step, count)
        np.testing.assert_allclose(at_once, eager, rtol=0, atol=1e-6 * shrink)
    if penalty is penalties.L1:
        assert (np.sign(eager) != np.sign(w)).any()


@pytest.mark.parametrize("steps", [3000, 781_265, 9_000_001])
def test_many_steps_in_float32_leave_no_false_zeros(steps: int) -> None:
    w, kappa = np.random.default_rng(0).normal(0, 0.05, 10_000).astype("float32"), 1e-6
    numbers = np.array([kappa, 1 / kappa], "float32")
    left = penalties.L1.caught_up(np, w, np.float32(steps), *numbers)
    assert np.abs(left).max() < max(1.1 * kappa, np.abs(w).max() - 0.9 * steps * kappa)
    assert np.count_nonzero(left == 0) < 0.005 * len(w)


def test_a_truncated_gradient_that_waits_from_any_step() -> None:
    """Which of the deferred steps act depends on their numbers in the whole run."""
    strength, w = penalties.TruncatedGradient(1.0, every=4, theta=0.5), some_weights()
    table, q = Coefficients([strength]).rows(0.01, 30), np.zeros_like(w)
    for first in range(9):
        eager = w.copy()
        for last in range(first + 1, 31):
            batched.shrink_layer(strength, eager, q, table[last])
            at_once = strength.caught_up(np, w, float(last - first), *table[last])
            np.testing.assert_allclose(at_once, eager, rtol=0, atol=1e-12)


def test_what_a_cumulative_penalty_owes_is_kept() -> None:
    """A weight that the gradient moves away from 0 pays what it could not pay before."""
    rule, kappa = penalties.CumulativeL1.shrink, 0.25
    w, q = rule(np, np.array([0.125]), np.array([0.0]), kappa)
    assert (w[0], q[0]) == (0.0, -0.125)
    w, q = rule(np, w + 1.0, q, 2 * kappa)
    assert (w[0], q[0]) == (1.0 - 0.375, -0.5)


@pytest.mark.parametrize(
    "penalty", [penalties.L2, penalties.ElasticNet, penalties.L1], ids=lambda c: c.name
)
def test_no_closed_form_beyond_what_weight_decay_can_keep(penalty) -> None:
    assert penalty(1.0).lazy(0.5)
    assert penalty(1.0).lazy(2.5) == (penalty is penalties.L1)


def test_methods_of_l1() -> None:
    assert penalties.L1(3.0).simplified() == penalties.L1(3.0)
    assert penalties.L1(3.0, "proximal").simplified() == penalties.ProximalL1(3.0)
    cumulative = penalties.L1(3.0, method="cumulative", biases=True).simplified()
    assert cumulative == penalties.CumulativeL1(3.0, biases=True)
    with pytest.raises(ValueError, match=r"method must be one of .*'cumulative'"):
        penalties.L1(3.0, method="cumulativ")


def test_an_elastic_net_of_one_part_is_that_part() -> None:
    assert penalties.ElasticNet(3.0, 1.0).simplified() == penalties.L1(3.0)
    assert penalties.ElasticNet(3.0, 0.0, biases=True).simplified() == penalties.L2(
        3.0, biases=True
    )
    assert penalties.ElasticNet(3.0, 0.5).simplified() == penalties.ElasticNet(3.0, 0.5)


@pytest.mark.parametrize("l1_ratio", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("penalty", [penalties.ElasticNet, penalties.SparseGroupLasso])
def test_an_l1_ratio_out_of_range(penalty, l1_ratio: float) -> None:
    with pytest.raises(ValueError, match="l1_ratio must be"):
        penalty(1.0, l1_ratio=l1_ratio)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: penalties.GroupLasso(1.0, "outputs"), "groups must be one of 'inputs', 'neurons'"),
        (lambda: penalties.MaxNorm(0), "limit must be finite and above 0, not 0"),
        (lambda: penalties.MaxNorm(-1), "limit must be finite"),
        (lambda: penalties.TruncatedGradient(1.0, 0), "every must be a whole number of at least 1"),
        (lambda: penalties.TruncatedGradient(1.0, 5, -1), "theta must be finite and at least 0"),
    ],
)
def test_other_parameters_out_of_range(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_biases_is_no_number() -> None:
    with pytest.raises(TypeError, match="biases must be True or False"):
        penalties.L1(1.0, biases=1)


@every_penalty
def test_value_of_a_penalty_is_summed_in_float64(penalty) -> None:
    strength, w = penalty(2.0), np.full((300, 300), 0.1, np.float32)
    one = strength.value(w)
    assert isinstance(one, float)
    assert one == pytest.approx(strength.value(w.astype(np.float64)), rel=1e-6)


@every_penalty
def test_steps_keep_the_dtype_and_nan(penalty) -> None:
    w = np.array([[1, 2], [np.nan, 3]], np.float32)
    with np.errstate(invalid="ignore"):
        left = leave(penalty(2.0), w, 0.01, 10)
    assert left.dtype == np.float32
    assert np.isnan(left[1, 0])
    assert 0 < left[0, 1] <= 2


@every_strength
@pytest.mark.parametrize("lmbda", [-1, float("nan"), float("inf")])
def test_a_strength_out_of_range(penalty, lmbda: float) -> None:
    with pytest.raises(ValueError, match="lmbda must be finite and at least 0"):
        penalty(lmbda)


@every_strength
@pytest.mark.parametrize("lmbda", ["5", None, True, [1.0]])
def test_a_strength_that_is_no_number(penalty, lmbda) -> None:
    with pytest.raises(TypeError, match="lmbda must be a number"):
        penalty(lmbda)


def test_values_by_hand() -> None:
    w = np.array([[3.0, -4.0], [0.0, 3.0]])
    assert penalties.ElasticNet(2.0, 0.25).value(w) == 0.25 * 20.0 + 0.75 * 34.0
    assert penalties.L1(2.0).value(w) == 20.0
    assert penalties.L2(2.0).value(w) == 34.0
    assert penalties.GroupLasso(2.0).value(w) == pytest.approx(2 * 2**0.5 * (3.0 + 5.0))
    assert penalties.GroupLasso(2.0, "neurons").value(w) == pytest.approx(2 * 2**0.5 * (5.0 + 3.0))
    assert penalties.TruncatedGradient(2.0, theta=3.5).value(w) == 2 * (3.0 + 3.5 + 3.0)


def test_names() -> None:
    names = [penalty.name for penalty in penalties.ALL]
    assert len(set(names)) == len(names)


def test_one_penalty_for_all_layers_or_one_for_each() -> None:
    l1, groups = penalties.L1(1.0), penalties.GroupLasso(1.0)
    assert penalties.per_layer(None, 2) == (None, None)
    assert penalties.per_layer(l1, 3) == (l1, l1, l1)
    assert penalties.per_layer(groups, 3) == (groups, None, None)
    neurons = penalties.GroupLasso(1.0, "neurons")
    assert penalties.per_layer(neurons, 3) == (neurons, neurons, None)
    assert penalties.per_layer([None, l1], 2) == (None, l1)
    assert penalties.per_layer((neurons,), 1) == (neurons,)


@pytest.mark.parametrize(
    ("penalty", "error", "message"),
    [
        ([penalties.L1(1.0)], ValueError, "for each of the 2 layers after the input, not 1"),
        (["l1", None], TypeError, r"penalty\[0\] must be None or a penalty"),
        ("l1", TypeError, "such as fastnn.L1"),
        (5.0, TypeError, "such as fastnn.L1"),
    ],
)
def test_penalties_that_fit_no_network(penalty, error, message: str) -> None:
    with pytest.raises(error, match=message):
        penalties.per_layer(penalty, 2)


def test_no_hidden_unit_for_groups_of_neurons() -> None:
    with pytest.raises(ValueError, match="needs a hidden layer"):
        penalties.per_layer(penalties.GroupLasso(1.0, "neurons"), 1)


def test_value_of_all_layers() -> None:
    weights, biases = [np.full((2, 2), 2.0), np.full((1, 2), 3.0)], [np.full(2, 5.0), np.ones(1)]
    chosen = [penalties.L1(1.0, biases=True), penalties.L2(2.0)]
    assert penalties.value_of(chosen, weights, biases) == (8.0 + 10.0) + 18.0
    assert penalties.value_of([None, None], weights, biases) == 0.0


@pytest.mark.parametrize("step", [1e-36, 1e-38, 1e-42, 0.0])
def test_steps_next_to_nothing_leave_the_weights(step: float) -> None:
    """The divisors in an elastic net's closed form are then 0 in float32."""
    w = np.array([0.5, -0.25, 1e-3], np.float32)
    for penalty in penalties.ALL:
        one = penalty(1.0)
        if one.caught_up is None or one.stateful or not one.lazy(step):
            continue
        with np.errstate(all="ignore"):
            numbers = [np.float32(number) for number in Coefficients([one]).rows(step, 2)[-1]]
            left = one.caught_up(np, w, np.float32(900.0), *numbers)
        np.testing.assert_allclose(left, w, rtol=1e-6)
