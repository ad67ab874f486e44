"""Activations and costs; the parametrised tests cover every class in the tuples ALL."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import xlogy

from fastnn import activations, costs

Z = np.array([-6.0, -2.5, -1.0, -0.3, 0.2, 0.7, 1.5, 4.0])
Y = np.array([0.0, 1.0, 0.25, 1.0, 0.0, 0.9, 1.0, 0.5])
STEP = 1e-6

every_activation = pytest.mark.parametrize("activation", activations.ALL, ids=lambda c: c.name)
every_cost = pytest.mark.parametrize("cost", costs.ALL, ids=lambda c: c.name)
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
    slope = activation.derivative(np, zero, a)
    assert slope.dtype == zero.dtype
    assert np.isfinite([a, slope]).all()


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
    """The delta is the derivative of the cost with respect to z, for each output it names."""
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
    if output == "exponential":
        z = np.minimum(z, 80)  # exp(200) overflows in float32
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


def test_poisson_is_half_the_deviance() -> None:
    """The formula with scipy's xlogy gives the same, also at y = 0."""
    z, y = np.array([-1.0, 0.0, 2.0]), np.array([0.0, 1.0, 3.5])
    deviance = xlogy(y, y / np.exp(z)) - y + np.exp(z)
    np.testing.assert_allclose(costs.Poisson.value(np, z, np.exp(z), y), deviance, rtol=1e-14)


def test_quadratic_is_half_the_squared_error() -> None:
    assert costs.Quadratic.value(np, None, 0.75, 0.25) == 0.125


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
