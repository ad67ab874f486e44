"""Random networks, data and settings: the engine against the oracle, in thousands of cases.

kappa is the amount by which one L1 step shrinks a weight. If a weight comes within rounding error
of 0, engine and oracle may see different signs, and differ by two kappas from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from fastnn import L1, L2
from fastnn import reference as ref
from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs, as_inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import tiles
from fastnn.engine.training import Training

pytestmark = pytest.mark.cpu_tiles


@pytest.fixture(autouse=True)
def unsorted_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off sorted column lists: they take longer to compile; test_engine.py covers them."""
    unsorted = {cpu: found._replace(sorted_from=0) for cpu, found in tiles.TILES.items()}
    monkeypatch.setattr(tiles, "TILES", unsorted)


PENALTIES = {"none": None, "l1": L1, "l2": L2}
OF_LARGEST = {"float64": 1e-10, "float32": 2e-5}
KAPPA = 1e-5


class Case(NamedTuple):
    sizes: list[int]
    rows: int
    batch_size: int
    dtype: str
    penalty: str
    bytes: bool
    zeros: float
    threads: int
    epochs: int
    seed: int
    sparse: bool = False

    @property
    def usual(self) -> Case:
        """The case restricted to a third of the kernels: one storage each, sparse rows in one."""
        other = "none" if self.dtype == "float64" else "l2"
        penalty = "l1" if self.penalty == "l1" else other
        of_one = (self.dtype, penalty) == ("float64", "l1") and max(self.sizes[1:]) > 8
        in_bytes = (self.dtype == "float32") != (penalty == "l1")
        return self._replace(sparse=self.sparse and of_one, bytes=in_bytes, penalty=penalty)


units = st.integers(1, 70)
inputs = st.one_of(units, st.integers(64, 140))  # 64 or more columns are listed
cases = st.builds(
    Case,
    sizes=st.builds(
        lambda first, others: [first, *others], inputs, st.lists(units, min_size=1, max_size=4)
    ),
    rows=st.integers(1, 12),
    batch_size=st.integers(1, 13),
    dtype=st.sampled_from(["float64", "float32"]),
    penalty=st.sampled_from(list(PENALTIES)),
    bytes=st.booleans(),
    zeros=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    threads=st.integers(1, 2),
    epochs=st.integers(1, 2),
    seed=st.integers(0, 2**31),
    sparse=st.booleans(),
)


def check(case: Case, fault: Callable[[list[np.ndarray], list[np.ndarray]], None] | None = None):
    """Train a case with engine and oracle and compare; `fault` corrupts the engine's arrays."""
    rng, learning_rate = np.random.default_rng(case.seed), 0.3
    n, columns, outputs = case.rows, case.sizes[0], case.sizes[-1]
    X = rng.integers(1, 256, (n, columns)) * (rng.random((n, columns)) >= case.zeros)
    X = X.astype(np.uint8) if case.bytes else (X / 256).astype(case.dtype)
    y = rng.random((n, outputs)).astype(case.dtype)
    pairs = list(zip(case.sizes[1:], case.sizes[:-1], strict=True))
    start = [rng.normal(0, 1 / np.sqrt(size), (out, size)) for out, size in pairs]
    start += [rng.normal(0, 1, out) for out, _ in pairs]
    start = [a.astype(case.dtype) for a in start]
    arrays, layers = [a.copy() for a in start], len(pairs)
    lmbda = KAPPA * n / learning_rate
    penalty = None if case.penalty == "none" else PENALTIES[case.penalty](lmbda)
    inputs = Inputs(X, 1 / 256 if case.bytes else 1.0)
    if case.sparse:
        inputs = as_inputs(sparse.csr_array(X), case.dtype, inputs.scale)
    training = Training(
        arrays[:layers], arrays[layers:], activations=[Sigmoid()] * layers, cost=CrossEntropy(),
        penalties=[penalty] * layers, inputs=inputs, targets=y,
        batch_size=case.batch_size, learning_rate=learning_rate, threads=case.threads,
    )  # fmt: skip
    x = X / 256 if case.bytes else X.astype(float)
    data = [(a[:, None], b[:, None]) for a, b in zip(x, y.astype(float), strict=True)]
    weights = [w.astype(float) for w in start[:layers]]
    biases = [b.astype(float)[:, None] for b in start[layers:]]
    for _ in range(case.epochs):
        order = rng.permutation(n)
        training.epoch(order)
        weights, biases = ref.epoch(
            weights, biases, data, order, case.batch_size, learning_rate, lmbda,
            penalty=case.penalty,
        )  # fmt: skip
    if fault is not None:
        fault(arrays, start)
    steps = case.epochs * -(-n // case.batch_size)
    turned = 2 * KAPPA * (steps if case.dtype == "float32" else 1) if case.penalty == "l1" else 0
    for came, wanted in zip(arrays, weights + [b[:, 0] for b in biases], strict=True):
        most = OF_LARGEST[case.dtype] * max(1.0, np.abs(wanted).max()) + turned
        assert np.abs(came - wanted).max() <= most, case


@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(case=cases)
@example(case=Case([1, 9], 1, 1, "float64", "l1", False, 0.0, 2, 1, 0, True))  # 1 row, 2 threads
def test_two_thousand(case: Case) -> None:
    check(case.usual)


@pytest.mark.long
@settings(max_examples=50_000, deadline=None)
@given(case=cases)
def test_fifty_thousand(case: Case) -> None:
    check(case)


def tile(array: np.ndarray) -> np.ndarray:
    return array[:8, :5]


def skipped(arrays: Any, start: Any) -> None:
    tile(arrays[0])[...] = tile(start[0])


def zeroed(arrays: Any, start: Any) -> None:
    tile(arrays[0])[...] = 0


def flipped(arrays: Any, start: Any) -> None:
    tile(arrays[0])[...] = 2 * tile(start[0]) - tile(arrays[0])


@pytest.mark.parametrize("fault", [skipped, zeroed, flipped])
@pytest.mark.parametrize("dtype", OF_LARGEST)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_fault_of_one_tile_is_seen(fault, dtype: str, penalty: str) -> None:
    case = Case([70, 30, 10], 12, 5, dtype, penalty, True, 0.3, 1, 2, seed=7)
    check(case)
    with pytest.raises(AssertionError):
        check(case, fault)
