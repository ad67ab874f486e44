"""The contents of a specification are constants before a kernel's types are inferred."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn.engine import constants, jit
from fastnn.engine.constants import has_stepper, lanes, lazy, reads_rows, sorts
from fastnn.engine.lowering import constant_of
from fastnn.engine.spec import Spec, decode

pytestmark = [
    pytest.mark.skipif(not jit.is_on(), reason="the numpy path asks the problem"),
    pytest.mark.usefixtures("no_cache"),
]


has_values = constant_of(lambda text: bool(decode(text).values))


@jit.jit
def chosen(spec, x):
    """Return a number; the other branch has no type."""
    if lazy(spec) and not sorts(spec):
        return x + lanes(spec)
    return x.of_no_type


def kernel_of(spec: Spec) -> Any:
    text = spec.encode()

    @jit.kernel
    def kernel(X, x):
        of_bytes = 100 if reads_rows(text, X) else 0
        return chosen(text, x) + of_bytes

    return kernel


def test_branches_that_it_excludes_are_not_compiled() -> None:
    spec = Spec(4, rows=(1,), listed=1, lazy=True)
    assert kernel_of(spec)(np.zeros((2, 2)), 3) == 7
    with pytest.raises(Exception, match="of_no_type"):
        kernel_of(replace(spec, lazy=False))(np.zeros((2, 2)), 3)
    with pytest.raises(Exception, match="of_no_type"):
        kernel_of(replace(spec, groups=(1,)))(np.zeros((2, 2)), 3)


@pytest.mark.parametrize(
    ("dtype", "listed_widths", "more"),
    [("uint8", (1,), 100), ("uint8", (), 0), ("float32", (1,), 0)],
)
def test_further_arguments_are_known_by_their_types(
    dtype: str, listed_widths: tuple[int, ...], more: int
) -> None:
    spec = Spec(4, rows=(1,), listed=1, lazy=True, listed_widths=listed_widths)
    assert kernel_of(spec)(np.zeros((2, 2), dtype), 3) == 7 + more


def compiled(spec: Spec, function: Any) -> Any:
    """Return the result of a function in a kernel with this specification."""
    text = spec.encode()

    @jit.kernel
    def kernel():
        return function(text)

    return kernel()


SPEC = Spec(4, rows=(1,), listed=1)


def test_by_layout_a_function_serves_kernels_of_all_formulas() -> None:
    @constants.by_layout
    @jit.jit
    def width(spec):
        return lanes(spec) + 1

    for spec in (SPEC, replace(SPEC, cost="of a name"), replace(SPEC, lazy=True)):
        assert compiled(spec, width) == 5
    assert len(width.overloads) == 1
    assert compiled(replace(SPEC, lanes=8), width) == 9
    assert len(width.overloads) == 2


def test_by_rules_a_function_serves_kernels_of_all_costs() -> None:
    @constants.by_rules
    @jit.jit
    def number(spec):
        return lanes(spec) + 1 if lazy(spec) else lanes(spec)

    for spec in (SPEC, replace(SPEC, cost="of a name"), replace(SPEC, timed=True)):
        assert compiled(spec, number) == 4
    assert len(number.overloads) == 1
    assert compiled(replace(SPEC, lazy=True), number) == 5
    assert len(number.overloads) == 2


@pytest.mark.parametrize(
    ("part", "asks", "missing"),
    [
        (constants.by_layout, has_stepper, "'Layout' object has no attribute 'stepper'"),
        (constants.by_rules, has_values, "'Rules' object has no attribute 'values'"),
    ],
)
def test_to_ask_for_more_is_an_error(part: Any, asks: Any, missing: str) -> None:
    @part
    @jit.jit
    def asked(spec):
        return asks(spec)

    with pytest.raises(Exception, match=missing):
        compiled(SPEC, asked)


def test_they_are_for_compiled_code() -> None:
    with pytest.raises(NotImplementedError, match="compiled code"):
        lanes("")
