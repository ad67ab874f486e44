"""Arrays copied into panels and back are unchanged, in any memory layout and column order."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

from fastnn.activations import Sigmoid
from fastnn.arrays import as_inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import Training, jit, layout, records, spec
from fastnn.engine.panels import pack, places_of, unpack
from fastnn.engine.unpacking import build_unpack

pytestmark = pytest.mark.skipif(not jit.is_on(), reason="the way back is compiled")


def laid_out(sizes: list[int], lanes: int, widest: int, dtype: str) -> layout.Arrays:
    layers = len(sizes) - 1
    choices = (records.Choice(activation=0),) * layers
    shape = layout.Shape(
        tuple(sizes), choices, batch_size=4, listed=4, lanes=lanes, panels=(widest,) * layers,
        threads=1, stateful=False, memories=None, shortens=False, sparse=False, lists=False,
        parts=0, dtype=np.dtype(dtype),
    )  # fmt: skip
    return layout.allocate(shape)


@pytest.fixture(scope="module", params=[1, 4, jit.vector_bytes() // 8, jit.vector_bytes() // 4])
def copying(request: pytest.FixtureRequest) -> tuple[int, Any]:
    lanes = request.param
    return lanes, build_unpack(spec.Spec(lanes, rows=(1,), listed=1).encode())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("memory", ["C", "F", "every other"])
@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("sizes", [[1, 1], [3, 2, 5], [70, 33, 18, 1], [150, 16], [16, 90, 3]])
def test_there_and_back(
    sizes: list[int], placed: bool, memory: str, dtype: str, copying: tuple[int, Any]
) -> None:
    lanes, copies = copying
    if lanes * np.dtype(dtype).itemsize > jit.vector_bytes():
        pytest.skip("longer than a register")
    rng = np.random.default_rng(0)
    shapes = [(o, i) for i, o in itertools.pairwise(sizes)]
    given = [rng.standard_normal(shape).astype(dtype) for shape in [*shapes, *sizes[1:]]]
    arrays = laid_out(sizes, lanes, 4, dtype)
    order = rng.permutation(sizes[0]) if placed else None
    panels = arrays.weights, arrays.biases
    pack(places_of(arrays.table, panels, given, lanes), order)
    if memory == "every other":
        there = [np.zeros((*a.shape[:-1], 2 * a.shape[-1]), dtype)[..., ::2] for a in given]
    else:
        there = [np.zeros(a.shape, dtype, order=memory) for a in given]  # type: ignore[call-overload]
    columns = None if order is None else np.argsort(order).astype(np.int32)
    unpack(places_of(arrays.table, panels, there, lanes), copies, arrays.every, columns)
    for ours, theirs in zip(there, given, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_kernels_know_by_its_address_is_not_copied() -> None:
    rng = np.random.default_rng(0)
    training = Training(
        [rng.random((2, 3))], [rng.random(2)], activations=[Sigmoid()], cost=CrossEntropy(),
        penalties=[None], inputs=as_inputs(rng.random((4, 3)), np.dtype("float64"), None),
        targets=rng.random((4, 2)), batch_size=2, learning_rate=0.1,
    )  # fmt: skip
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(training)
