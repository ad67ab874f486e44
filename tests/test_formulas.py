"""Activations, costs and penalties: one row in a tuple ALL gives a class every test here."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn import activations, costs, penalties

Z = np.array([-6.0, -2.5, -1.0, -0.3, 0.2, 0.7, 1.5, 4.0])
Y = np.array([0.0, 1.0, 0.25, 1.0, 0.0, 0.9, 1.0, 0.5])
STEP = 1e-6

every_activation = pytest.mark.parametrize("activation", activations.ALL, ids=lambda c: c.name)
every_cost = pytest.mark.parametrize("cost", costs.ALL, ids=lambda c: c.name)
every_penalty = pytest.mark.parametrize("penalty", penalties.ALL, ids=lambda c: c.name)
every_pair = pytest.mark.parametrize(
    ("cost", "output"),
    [(cost, output) for cost in costs.ALL for output in cost.outputs],
    ids=lambda value: value if isinstance(value, str) else value.name,
)


def slope(function, at: np.ndarray) -> np.ndarray:
    """Return the derivative of an elementwise function by central differences."""
    return (function(at + STEP) - function(at - STEP)) / (2 * STEP)


@every_activation
def test_derivative_of_an_activation(activation) -> None:
    a = activation.value(np, Z)
    np.testing.assert_allclose(
        activation.derivative(np, Z, a), slope(lambda z: activation.value(np, z), Z), atol=1e-8
    )


@every_activation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_activation_keeps_the_dtype_and_is_finite_at_zero(activation, dtype: str) -> None:
    zero = np.zeros(3, dtype)
    a = activation.value(np, zero)
    assert a.dtype == zero.dtype
    assert np.isfinite(a).all()
    assert activation.derivative(np, zero, a).dtype == zero.dtype


@every_activation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_activation_of_any_finite_number_is_no_nan(activation, dtype: str) -> None:
    z = np.array([-1e4, -200, -50, 50, 200, 1e4], dtype)
    with np.errstate(over="ignore"):
        a = activation.value(np, z)
        assert not np.isnan(a).any()
        assert not np.isnan(activation.derivative(np, z, a)).any()


@every_activation
def test_an_activation_passes_nan_on(activation) -> None:
    with np.errstate(invalid="ignore"):  # np.logaddexp warns
        a = activation.value(np, np.array([np.nan]))
    assert np.isnan(a).all()


def test_sigmoid_at_zero() -> None:
    assert activations.Sigmoid.value(np, 0.0) == 0.5
    assert activations.Sigmoid.derivative(np, 0.0, 0.5) == 0.25


@every_pair
def test_delta_of_a_cost(cost, output: str) -> None:
    """The delta is the derivative of the cost by z, for each output that the cost names."""
    activation = activations.named("activation", output)

    y = Y / Y.sum() if activation.normalises else Y

    def total(z: np.ndarray) -> float:
        z = activations.log_normalised(z) if activation.normalises else z
        return float(cost.value(np, z, activation.value(np, z), y).sum())

    z = activations.log_normalised(Z) if activation.normalises else Z
    a = activation.value(np, z)
    delta = cost.delta(np, z, a, y, activation.derivative(np, z, a))
    steps = STEP * np.eye(len(Z))
    slopes = [(total(Z + step) - total(Z - step)) / (2 * STEP) for step in steps]
    np.testing.assert_allclose(delta, slopes, atol=1e-8)


@every_pair
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cost_of_a_saturated_output_is_finite(cost, output: str, dtype: str) -> None:
    z = np.array([-1e4, -200, 200, 1e4], dtype)
    activation = activations.named("activation", output)
    z = activations.log_normalised(z) if activation.normalises else z
    with np.errstate(over="ignore"):
        a = activation.value(np, z)
    for y in (0.0, 1.0):
        value = cost.value(np, z, a, np.full_like(z, y))
        assert value.dtype == z.dtype
        assert np.isfinite(value).all()
        assert (value >= 0).all()


@every_cost
def test_outputs_of_a_cost_are_known(cost) -> None:
    assert cost.outputs
    assert set(cost.outputs) <= {activation.name for activation in activations.ALL}


def test_cross_entropy_is_the_books_formula() -> None:
    a = activations.Sigmoid.value(np, Z)
    book = -Y * np.log(a) - (1 - Y) * np.log(1 - a)
    np.testing.assert_allclose(costs.CrossEntropy.value(np, Z, a, Y), book, rtol=1e-12)


def test_gelu_is_near_z_times_the_normal_distribution() -> None:
    z = np.linspace(-6, 6, 2401)
    phi = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in z])
    error = np.abs(activations.GELU.value(np, z) - z * phi).max()
    assert 1e-4 < error < 5e-4


def test_regression_costs_by_hand() -> None:
    y, a = 1.0, np.array([1.0, 1.5, 2.0, 3.0, -3.0])
    for cost, expected in (
        (costs.MeanSquared, [0, 0.25, 1, 4, 16]),
        (costs.Absolute, [0, 0.5, 1, 2, 4]),
        (costs.Huber, [0, 0.125, 0.5, 1.5, 3.5]),
    ):
        np.testing.assert_array_equal(cost.value(np, a, a, y), expected)


def test_quadratic_is_half_the_squared_error() -> None:
    assert costs.Quadratic.value(np, None, 0.75, 0.25) == 0.125


@every_penalty
def test_a_step_of_a_penalty_is_the_slope_of_its_value(penalty) -> None:
    """A small step moves each weight by -step/n times the derivative of value, away from 0."""
    w, step = np.array([-3.0, -1.0, -0.2, 0.1, 0.5, 2.0]), 1e-4
    strength = penalty(0.7)
    moved = strength.shrink(np, w, *strength.coefficients(step)) - w
    derivative = np.array([slope(lambda v: strength.value([np.array([v])]), v) for v in w])
    np.testing.assert_allclose(moved, -step * derivative, rtol=1e-6)


@every_penalty
def test_a_penalty_at_zero(penalty) -> None:
    strength = penalty(0.7)
    zero = np.zeros(4)
    np.testing.assert_array_equal(strength.shrink(np, zero, *strength.coefficients(0.1)), zero)
    assert strength.value([zero, zero]) == 0.0


@every_penalty
def test_a_penalty_of_strength_zero_is_none(penalty) -> None:
    none = penalty(0)
    assert none.simplified() is None
    assert none.value([Z]) == 0.0


@every_penalty
def test_many_steps_at_once_are_that_many_steps(penalty) -> None:
    """The closed form is the rule repeated, through changes of sign, within 1e-6 of one step."""
    strength, step = penalty(5.0), 1e-5
    coefficients = strength.coefficients(step)
    assert strength.waits(step)
    w = np.concatenate([np.random.default_rng(0).normal(0, 0.05, 500), [0.0, -0.0, 5e-5, 1e-4]])
    eager, checked = w.copy(), 0
    for steps in range(1, 3001):
        eager = strength.shrink(np, eager, *coefficients)
        if steps in (1, 2, 3, 10, 333, 1000, 2999, 3000):
            at_once = strength.caught_up(np, w, float(steps), *coefficients)
            np.testing.assert_allclose(at_once, eager, rtol=0, atol=1e-6 * coefficients[0])
            checked += 1
    assert checked == 8
    if penalty is not penalties.L2:
        assert (np.sign(eager) != np.sign(w)).any()


@every_penalty
def test_no_closed_form_beyond_what_weight_decay_can_keep(penalty) -> None:
    assert penalty(1.0).waits(2.5) == (penalty in (penalties.L1, penalties.ProximalL1))


def test_an_elastic_net_of_one_part_is_that_part() -> None:
    assert penalties.ElasticNet(3.0, 1.0).simplified() == penalties.L1(3.0)
    assert penalties.ElasticNet(3.0, 0.0).simplified() == penalties.L2(3.0)
    assert penalties.ElasticNet(3.0, 0.5).simplified() == penalties.ElasticNet(3.0, 0.5)


@pytest.mark.parametrize("l1_ratio", [-0.1, 1.1, float("nan")])
def test_an_l1_ratio_out_of_range(l1_ratio: float) -> None:
    with pytest.raises(ValueError, match="l1_ratio must be"):
        penalties.ElasticNet(1.0, l1_ratio)


@every_penalty
def test_value_of_a_penalty_sums_over_layers_in_float64(penalty) -> None:
    strength = penalty(2.0)
    w = np.full((300, 300), 0.1, np.float32)
    one = strength.value([w])
    assert isinstance(one, float)
    assert strength.value([w, w]) == pytest.approx(2 * one, rel=1e-12)
    assert one == pytest.approx(strength.value([w.astype(np.float64)]), rel=1e-6)


@every_penalty
def test_shrink_keeps_the_dtype_and_nan(penalty) -> None:
    strength = penalty(2.0)
    w = np.array([1, np.nan], np.float32)
    shrunk = strength.shrink(np, w, *map(np.float32, strength.coefficients(0.1)))
    assert shrunk.dtype == np.float32
    assert np.isnan(shrunk[1])
    assert 0 < shrunk[0] < 1


@every_penalty
@pytest.mark.parametrize("lmbda", [-1, float("nan"), float("inf")])
def test_a_strength_out_of_range(penalty, lmbda: float) -> None:
    with pytest.raises(ValueError, match="lmbda must be finite and at least 0"):
        penalty(lmbda)


@every_penalty
@pytest.mark.parametrize("lmbda", ["5", None, True, [1.0]])
def test_a_strength_that_is_no_number(penalty, lmbda) -> None:
    with pytest.raises(TypeError, match="lmbda must be a number"):
        penalty(lmbda)


def test_penalties_by_hand() -> None:
    w = np.array([[3.0, -4.0], [0.0, 0.5]])
    assert penalties.ElasticNet(2.0, 0.25).value([w]) == 0.25 * 15.0 + 0.75 * 25.25
    assert penalties.L1(2.0).value([w]) == 15.0
    assert penalties.L2(2.0).value([w]) == 25.25
    np.testing.assert_array_equal(penalties.L1.shrink(np, w, 1.0, 1.0), [[2.0, -3.0], [0.0, -0.5]])
    np.testing.assert_array_equal(penalties.L2.shrink(np, w, 0.5, 0.0), [[1.5, -2.0], [0.0, 0.25]])


@pytest.mark.parametrize("module", [activations, costs], ids=["activations", "costs"])
def test_names(module) -> None:
    names = [plugin.name for plugin in module.ALL]
    assert len(set(names)) == len(names)
    for plugin in module.ALL:
        assert type(module.named("parameter", plugin.name)) is plugin
    near = names[0][:-1]
    with pytest.raises(ValueError, match=f"parameter must be one of .* did you mean '{names[0]}'"):
        module.named("parameter", near)
    with pytest.raises(ValueError, match="parameter must be one of"):
        module.named("parameter", None)


def test_penalty_names() -> None:
    names = [penalty.name for penalty in penalties.ALL]
    assert len(set(names)) == len(names)
