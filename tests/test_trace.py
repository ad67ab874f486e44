"""Traced functions against numpy, over the whole range of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from fastnn import activations, penalties  # noqa: E402
from fastnn.engine import jit, spec  # noqa: E402
from fastnn.engine.coefficients import Coefficients  # noqa: E402
from fastnn.engine.formulas import register  # noqa: E402

pytestmark = pytest.mark.skipif(not jit.is_on(), reason="traced formulas are for the compiler")

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def traced(function: Any, *arrays: np.ndarray) -> np.ndarray:
    """Compile an elementwise formula and return its values for the arrays."""
    from fastnn.engine.pointers import at
    from fastnn.engine.rows import each

    dtype, count = arrays[0].dtype, len(arrays[0])
    lanes = spec.lanes(dtype)
    padded = [np.concatenate([a, np.ones(-count % lanes, dtype)]) for a in arrays]
    key = register(function)
    text = spec.Spec(lanes, rows=(1,), listed=1, values=(key,)).encode()

    names = [f"x{i}" for i in range(len(arrays))]
    pointers = "".join(f"at({name}, 0), " for name in names)
    source = f"""
def run(out, {", ".join(names)}):
    each(text, "values", 0, at(out, 0), ({pointers}), 1.0, len(out))
"""
    namespace: dict[str, Any] = {"text": text, "each": each, "at": at}
    exec(source, namespace)
    out = np.empty_like(padded[0])
    numba.njit(error_model="numpy")(namespace["run"])(out, *padded)
    return out[:count]


def grid(low: float, high: float, dtype: str) -> np.ndarray:
    """Return numbers from `low` to `high`, some spaced evenly and some logarithmically."""
    size = max(abs(low), abs(high))
    small = np.geomspace(1e-30, size, 20_001)
    x = np.concatenate([np.linspace(low, high, 100_001), small, -small, [0.0]])
    return x[(x >= low) & (x <= high)].astype(dtype)


FUNCTIONS = {
    "exp": (lambda xp, x: xp.exp(x), np.exp, -87, 87),
    "expm1": (lambda xp, x: xp.expm1(x), np.expm1, -87, 87),
    "tanh": (lambda xp, x: xp.tanh(x), np.tanh, -100, 100),
    "softplus": (activations.Softplus.value, lambda x: np.logaddexp(x, 0), -80, 80),
    "elu": (activations.ELU.value, lambda x: np.where(x > 0, x, np.expm1(x)), -80, 80),
    "sigmoid": (activations.Sigmoid.value, lambda x: 1 / (1 + np.exp(-x)), -80, 80),
}


@DTYPES
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_overflow_is_infinite(name: str, dtype: str) -> None:
    low = {"float32": 88.4, "float64": 709.5}[dtype]
    x = np.array([low, 1e3, np.inf, np.nan, -np.inf], dtype)
    given, least = traced(FUNCTIONS[name][0], x), FUNCTIONS[name][1](-np.inf)
    np.testing.assert_allclose(given, [np.inf] * 3 + [np.nan, least], atol=1e-37)


@DTYPES
@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_4_ulp(name: str, dtype: str) -> None:
    formula, exact, low, high = FUNCTIONS[name]
    x = grid(low, high, dtype)
    true = exact(x.astype(np.longdouble))
    error = np.abs(traced(formula, x).astype(np.longdouble) - true)
    spacing = np.spacing(np.abs(true).astype(dtype)).astype(np.longdouble)
    assert (error / spacing).max() <= 4


@DTYPES
def test_gelu_within_4_ulp_of_the_larger_of_value_and_1(dtype: str) -> None:
    z = grid(-40, 40, dtype)
    wide = z.astype(np.longdouble)
    u = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    true = wide / (1 + np.exp(-2 * u))
    error = np.abs(traced(activations.GELU.value, z) - true)
    assert (error <= 4 * np.finfo(dtype).eps * np.maximum(1, abs(true))).all()


@DTYPES
def test_logarithms_within_4_ulp_of_the_larger_of_value_and_1(dtype: str) -> None:
    unit = 4 * np.finfo(dtype).eps
    x = np.geomspace(1e-30, 1e30, 50_001).astype(dtype)
    true = np.log(x.astype(np.longdouble))
    error = np.abs(traced(lambda xp, v: xp.log(v), x) - true)
    assert (error <= unit * np.maximum(1, abs(true))).all()
    z = grid(-200, 200, dtype)
    true = np.logaddexp(z.astype(np.longdouble), 0)
    error = np.abs(traced(lambda xp, v: xp.logaddexp(v, 0.0), z) - true)
    assert (error <= unit * np.maximum(1, true)).all()


@DTYPES
def test_beyond_the_range_the_edge(dtype: str) -> None:
    x = np.array([-1e30, -1000, 1000, 1e30, -np.inf, np.inf], dtype)
    sigmoid = traced(activations.Sigmoid.value, x)
    np.testing.assert_allclose(sigmoid, [0, 0, 1, 1, 0, 1], atol=1e-30)
    np.testing.assert_array_equal(traced(activations.Tanh.value, x), [-1, -1, 1, 1, -1, 1])


@DTYPES
def test_sign(dtype: str) -> None:
    x = np.array([-2.0, -0.0, 0.0, 3.0, np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(traced(lambda xp, v: xp.sign(v), x), np.sign(x))


@DTYPES
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_larger_and_the_smaller(name: str, dtype: str) -> None:
    some = [-2.0, 0.0, 3.0, np.inf, -np.inf, np.nan]
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(some, some))
    expected = getattr(np, name)
    chosen = traced(lambda xp, v, w: getattr(xp, name)(v, w), x, y)
    np.testing.assert_array_equal(chosen, expected(x, y))
    chosen = traced(lambda xp, v, w: getattr(xp, name)(v, 0.5), x, y)
    np.testing.assert_array_equal(chosen, expected(x, np.asarray(0.5, dtype)))


@DTYPES
def test_less_a_number_with_the_sign(dtype: str) -> None:
    x = np.array([-2.0, -0.25, -0.0, 0.0, 0.25, 3.0, np.inf, -np.inf, np.nan], dtype)
    less = traced(lambda xp, v: v - 0.5 * xp.sign(v), x)
    np.testing.assert_array_equal(less, x - 0.5 * np.sign(x))


@DTYPES
@pytest.mark.parametrize("formula", [a.value for a in activations.ALL],
                         ids=[a.name for a in activations.ALL])  # fmt: skip
def test_nan_passes_through_an_activation(formula: Any, dtype: str) -> None:
    x = np.array([np.nan, 0.5], dtype)
    result = traced(formula, x)
    assert np.isnan(result[0])
    assert np.isfinite(result[1])


@DTYPES
@pytest.mark.parametrize("activation", activations.ALL, ids=lambda a: a.name)
def test_an_activation_and_its_derivative_are_numpys(activation: Any, dtype: str) -> None:
    z = np.linspace(-20, 5 if activation.normalises else 20, 4001).astype(dtype)
    with np.errstate(over="ignore"):  # 1/(1+inf) is the right 0
        a, slope = activation.value(np, z), activation.derivative(np, z, activation.value(np, z))
    tolerance = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(traced(activation.value, z), a, rtol=tolerance, atol=tolerance)
    found = traced(lambda xp, x, y: activation.derivative(xp, x, y), z, a)
    np.testing.assert_allclose(found, slope, rtol=tolerance, atol=tolerance)


@DTYPES
@pytest.mark.parametrize("penalty", penalties.ALL, ids=lambda p: p.name)
def test_a_penalty_is_numpys(penalty: Any, dtype: str) -> None:
    strength, tolerance = penalty(5.0), 4 * np.finfo(dtype).eps
    w = np.concatenate([np.linspace(-1, 1, 4001), [0.0]]).astype(dtype)
    numbers = [np.full_like(w, n) for n in Coefficients([strength]).rows(1e-4, 10)[-1]]
    state = [0.1 * w] if strength.stateful else []
    formulas, shrink = [], strength.shrink
    if strength.stateful:
        formulas = [lambda xp, *given, i=i: shrink(xp, *given)[i] for i in range(2)]
    elif shrink is not None:
        formulas = [shrink]
    for formula in formulas:
        given = (w, *state, *numbers)
        expected = formula(np, *given)
        np.testing.assert_allclose(traced(formula, *given), expected, rtol=tolerance, atol=1e-12)
    if strength.scale is not None:
        given = (
            abs(w) + np.dtype(dtype).type(1e-6),
            np.full_like(w, 7),
            np.full_like(w, 3),
            *numbers,
        )
        expected = strength.scale(np, *given)
        found = traced(strength.scale, *given)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=4 * tolerance)
    assert formulas or strength.scale


def test_a_changed_formula_has_another_key() -> None:
    def constant(number: float) -> Any:
        return eval(f"lambda xp, x: x * {number}")

    assert register(constant(2.0)) != register(constant(3.0))
    assert register(constant(2.0)) == register(constant(2.0))


MODULE = """
import types

SCALE = 2.0

class Other:
    class Inner:
        least = 23.0

    @staticmethod
    def value(x):
        return x + 5.0

numbers = types.ModuleType("numbers")
numbers.most = 7.0
numbers.inner = types.ModuleType("numbers.inner")
numbers.inner.other = 29.0
PAIR = (11.0, 1.0)
SINGLE = np.float32(13.0)

class Held:
    least = 37.0

class Late:
    least = 41.0

def closed(least, held):
    return lambda x, most=17.0, other=Late: x - least + most + held.least * other.least

inner = closed(19.0, Held)

def helper(x):
    return x * 3.0

def formula(xp, z):
    def nested(x):
        return x * PAIR[0] + SINGLE
    several = sum(x * 31.0 for x in (z, z))
    beyond = Other.Inner.least + numbers.inner.other + several
    return nested(helper(z)) * SCALE + Other.value(z) - numbers.most + inner(z) + beyond
"""
EDITS = [
    ("2.0", "2.5"), ("* 3.0", "* 3.5"), ("* SCALE", "+ SCALE"), ("5.0", "5.5"), (" 7.0", " 7.5"),
    ("11.0", "11.5"), ("13.0", "13.5"), ("17.0", "17.5"), ("19.0", "19.5"),
    ("23.0", "23.5"), ("29.0", "29.5"), ("31.0", "31.5"), ("37.0", "37.5"),
    ("41.0", "41.5"),
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_a_formula_has_another_key_when_it_or_what_it_uses_changes(edit: tuple[str, str]) -> None:
    keys = []
    for text in (MODULE, MODULE, MODULE.replace(*edit)):
        names = {"__name__": "module", "np": np}
        exec(text, names)
        keys.append(register(names["formula"]))
    assert keys[0] == keys[1] != keys[2]


def test_documentation_is_not_in_the_key() -> None:
    keys = []
    for text in ("once", "twice"):
        names: dict[str, Any] = {"__name__": "module"}
        exec(f'def formula(xp, z):\n    "{text}"\n    return z', names)
        keys.append(register(names["formula"]))
    assert keys[0] == keys[1]


class Limited:
    """Its method cannot be a formula, and a formula cannot compute with an instance."""

    limit = 0.5

    def formula(self, xp: Any, w: Any) -> Any:
        return xp.minimum(w, self.limit)


LIMITED = Limited()


class Table:
    """A formula cannot take numbers from its list, nor call its class method."""

    steps = [0.5]  # noqa: RUF012 - as users write it

    @classmethod
    def half(cls, w: Any) -> Any:
        return cls.steps[0] * w


def test_numbers_that_a_key_would_not_see_are_refused() -> None:
    with pytest.raises(TypeError, match="must be a function or a staticmethod, not <bound method"):
        register(LIMITED.formula)
    with pytest.raises(TypeError, match=r"computes with .*Limited object.*take numbers"):
        register(lambda xp, w: xp.minimum(w, LIMITED.limit))
    with pytest.raises(TypeError, match=r"computes with \[0\.5\].*take numbers"):
        register(lambda xp, w: w * Table.steps[0])
    with pytest.raises(TypeError, match=r"computes with <bound method Table\.half"):
        register(lambda xp, w: Table.half(w))


CHOICES = {
    "if": lambda xp, x: x if x > 0 else 0 * x,
    "and": lambda xp, x: xp.where(x > 0 and x < 1, x, 0.0),
    "or": lambda xp, x: xp.where(x < 0 or x > 1, x, 0.0),
    "not": lambda xp, x: xp.where(not x > 0, x, 0.0),
    "between": lambda xp, x: xp.where(0 < x < 1, x, 0.0),
    "max": lambda xp, x: max(x, 0 * x),
    "min": lambda xp, x: min(x, 0 * x),
    "truth": lambda xp, x: x or 1.0,
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_would_choose_once_for_all_numbers_is_refused(choice: str) -> None:
    """With numpy arrays, the same formulas are errors."""
    x = np.linspace(-2, 2, 64)
    with pytest.raises(ValueError, match="ambiguous"):
        CHOICES[choice](np, x)
    with pytest.raises(Exception, match=r"use xp\.where\(condition, x, y\)"):
        traced(CHOICES[choice], x)


def test_what_kernels_lack_is_refused() -> None:
    with pytest.raises(Exception, match=r"use its argument xp, as in xp\.maximum"):
        traced(lambda xp, x: np.maximum(x, 0.0), np.ones(16))
    with pytest.raises(
        Exception, match=r"cannot use xp\.cos, which kernels lack: xp has sign, where"
    ):
        traced(lambda xp, x: xp.cos(x), np.ones(16))
    with pytest.raises(Exception, match=r"cannot use \*\*, which kernels lack: write products"):
        traced(lambda xp, x: x**2, np.ones(16))


COMPARISONS = {
    "both": lambda xp, x: xp.where((x > -1) & (x <= 1), 1.0, 2.0),
    "either": lambda xp, x: xp.where((x < -1) | (x >= 1), x, 3.0),
    "neither": lambda xp, x: xp.where(~((x < -1) | (x >= 1)), x, 3.0),
    "equal": lambda xp, x: xp.where(x == 1, 5.0, x),
    "unequal": lambda xp, x: xp.where(x != 1, x, 5.0),
    "numpys_less": lambda xp, x: xp.where(np.float64(0.5) < x, 1.0, x),
    "numpy_number": lambda xp, x: np.float64(0.5) * x + np.float64(2),
}


@DTYPES
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons_are_numpys(comparison: str, dtype: str) -> None:
    x = np.array([-np.inf, -2, -1, -0.5, -0.0, 0, 0.5, 1, 2, np.inf, np.nan], dtype)
    found = traced(COMPARISONS[comparison], x)
    np.testing.assert_array_equal(found, COMPARISONS[comparison](np, x))
