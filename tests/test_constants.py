"""What a specification says is known in a kernel before its types are inferred."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn.engine import jit
from fastnn.engine.constants import lanes, reads_rows, sorts, waits
from fastnn.engine.spec import Spec

pytestmark = pytest.mark.skipif(not jit.is_on(), reason="the numpy path asks the problem")


@jit.jit
def chosen(spec, x):
    """Return a number; of the other branch there is no type."""
    if waits(spec) and not sorts(spec):
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
    spec = Spec(4, rows=(1,), listed=1, waits=True)
    assert kernel_of(spec)(np.zeros((2, 2)), 3) == 7
    with pytest.raises(Exception, match="of_no_type"):
        kernel_of(replace(spec, waits=False))(np.zeros((2, 2)), 3)
    with pytest.raises(Exception, match="of_no_type"):
        kernel_of(replace(spec, sorts=True))(np.zeros((2, 2)), 3)


@pytest.mark.parametrize(
    ("dtype", "listed_widths", "more"),
    [("uint8", (1,), 100), ("uint8", (), 0), ("float32", (1,), 0)],
)
def test_further_arguments_are_known_by_their_types(
    dtype: str, listed_widths: tuple[int, ...], more: int
) -> None:
    spec = Spec(4, rows=(1,), listed=1, waits=True, listed_widths=listed_widths)
    assert kernel_of(spec)(np.zeros((2, 2), dtype), 3) == 7 + more


def test_they_are_for_compiled_code() -> None:
    with pytest.raises(NotImplementedError, match="compiled code"):
        lanes("")
