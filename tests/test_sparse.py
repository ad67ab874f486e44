"""Sparse rows: the same weights as from dense rows, and checks of the index arrays."""

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
import pytest
from scipy import sparse

from fastnn import Network, activations, costs, optimizers, penalties
from fastnn.arrays import as_inputs
from fastnn.engine import Training, batched, compiled, jit, outputs

needs_jit = pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")

ROWS, COLUMNS = 40, 90


def rows_of(density: float = 0.08, dtype: str = "float64", seed: int = 0) -> sparse.csr_array:
    """Return a sparse matrix in which some rows are empty and some columns are unused."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 256, (ROWS, COLUMNS)) / (1 if dtype == "uint8" else 64)
    used = rng.random((ROWS, COLUMNS)) < density * rng.integers(0, 4, COLUMNS)
    used[::7] = False
    return sparse.csr_array((values * used).astype(dtype))


def trained(
    X: Any, sizes: list[int], *, batch_size: int = 1, dtype: str = "float64", penalty: Any = None,
    threads: int = 1, path: Any = None, optimizer: Any = None, epochs: int = 2,
    linear: bool = False,
) -> list[np.ndarray]:  # fmt: skip
    """Train, on the compiled path or the one given, and return the weights and biases."""
    rng = np.random.default_rng(1)
    weights = [
        (rng.standard_normal((o, i)) / np.sqrt(i)).astype(dtype)
        for i, o in itertools.pairwise([X.shape[1], *sizes])
    ]
    biases = [rng.standard_normal(o).astype(dtype) for o in sizes]
    targets = (rng.random((X.shape[0], sizes[-1])) < 0.5).astype(dtype)
    training = Training(
        weights,
        biases,
        activations=[activations.Identity() if linear else activations.Sigmoid()] * len(sizes),
        cost=costs.Quadratic() if linear else costs.CrossEntropy(),
        penalties=penalty if isinstance(penalty, list) else [penalty] * len(sizes),
        inputs=as_inputs(X, dtype, None),
        targets=targets,
        batch_size=batch_size,
        learning_rate=0.05 if linear else 0.5,
        optimizer=optimizer,
        threads=threads,
    )
    if path is not None:
        training._path = path(training._problem)
    for _ in range(epochs):
        training.epoch(rng.permutation(X.shape[0]))
    return [*weights, *biases]


def worst(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """Return the largest difference, relative to the largest number in its array."""
    return max(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, wanted, strict=True)
    )


# -------------------------------------------------------------------------- the same as dense rows


@needs_jit
@pytest.mark.parametrize(
    ("dtype", "sizes"), [("float64", [1]), ("float64", [20, 5, 3]), ("float32", [20, 1])]
)
def test_sparse_rows_leave_the_weights_of_dense_ones(dtype: str, sizes: list[int]) -> None:
    X, penalty = rows_of(), penalties.L1(0.05)
    for batch_size in (1, 7, ROWS):
        given = {"sizes": sizes, "batch_size": batch_size, "penalty": penalty, "dtype": dtype}
        wanted = trained(X.toarray(), **given, path=batched.Path)
        found = trained(X, **given)
        assert worst(found, wanted) < (1e-10 if dtype == "float64" else 1e-4)
        shared = trained(X, **given, threads=2)
        assert all(np.array_equal(a, b) for a, b in zip(found, shared, strict=True))
        assert worst(trained(X, **given, path=batched.Path), wanted) < (
            1e-12 if dtype == "float64" else 1e-5
        )


RULES = [
    None,
    penalties.L2(900.0),  # a step too large for the closed form
    penalties.ElasticNet(0.3),
    penalties.L1(0.05, method="proximal"),
    penalties.L1(0.05, method="cumulative", biases=True),
    penalties.TruncatedGradient(0.05),
    penalties.GroupLasso(0.05),
    penalties.SparseGroupLasso(0.05),
    penalties.MaxNorm(1.0),
]


@needs_jit
@pytest.mark.parametrize("penalty", RULES, ids=repr)
def test_every_penalty(penalty: Any) -> None:
    """Identity units and the quadratic cost share the kernels of test_unused_columns.py."""
    X = rows_of()
    for batch_size in (1, 7):
        given = {"sizes": [5, 1], "batch_size": batch_size, "penalty": penalty, "linear": True}
        wanted = trained(X.toarray(), **given, path=batched.Path)
        found = trained(X, **given)
        assert worst(found, wanted) < 1e-10
        shared = trained(X, **given, threads=2)
        assert all(np.array_equal(a, b) for a, b in zip(found, shared, strict=True))


@needs_jit
@pytest.mark.parametrize(
    ("penalty", "optimizer"),
    [
        (penalties.L1(0.05), None),
        (penalties.L1(0.05, method="cumulative", biases=True), None),
        (penalties.L2(0.5), optimizers.Adam(0.01)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_columns_that_no_row_uses(penalty: Any, optimizer: Any) -> None:
    """The engine keeps them aside or puts them last; the results are the same, resumed or not."""
    few = rows_of()
    X = sparse.csr_array((few.data, 5 * few.indices + 2, few.indptr), shape=(ROWS, 5 * COLUMNS))
    given = {"sizes": [5, 1], "penalty": penalty, "optimizer": optimizer, "batch_size": 7}
    given["linear"] = True
    wanted = trained(X.toarray(), **given, path=batched.Path)
    assert worst(trained(X, **given), wanted) < 1e-10

    def in_two_parts(rows: Any, path: Any) -> list[np.ndarray]:
        """Train one epoch, and another from the state that it leaves; return arrays and state."""
        weights = [np.ones((5, rows.shape[1])), np.ones((1, 5))]
        arrays, state = (weights, [np.zeros(5), np.zeros(1)]), None
        for _ in range(2):
            training = Training(
                *arrays, activations=[activations.Identity()] * 2, cost=costs.Quadratic(),
                penalties=[penalty] * 2, inputs=as_inputs(rows, "float64", None),
                targets=np.ones((ROWS, 1)), batch_size=7, learning_rate=1e-4, optimizer=optimizer,
                state=state,
            )  # fmt: skip
            training._path = path(training._problem, state)
            training.epoch(np.arange(ROWS))
            state = training.state()
        assert state is not None
        return [*weights, *state.kept, *(a for memory in state.memories for a in memory)]

    found, wanted = in_two_parts(X, compiled.Path), in_two_parts(X.toarray(), batched.Path)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@needs_jit
def test_an_optimizer_takes_sparse_rows() -> None:
    X = rows_of()
    given = {"sizes": [3, 2], "batch_size": 7, "penalty": penalties.L2(0.5)}
    given["optimizer"] = optimizers.Adam(0.01)
    wanted = trained(X.toarray(), **given, path=batched.Path)
    assert worst(trained(X, **given, threads=2), wanted) < 1e-10


@needs_jit
def test_the_waiting_columns_of_a_single_unit_are_taken_in_vectors() -> None:
    """The columns fill several vectors and a part of one; the second matrix has no nonzeros."""
    for X in (rows_of(0.01), sparse.csr_array((ROWS, COLUMNS), dtype=np.float64)):
        given = {"sizes": [1], "penalty": penalties.L1(0.05), "epochs": 3}
        assert worst(trained(X, **given), trained(X.toarray(), **given, path=batched.Path)) < 1e-10


def fitted(X: Any, y: np.ndarray, **options: Any) -> Network:
    network = Network([X.shape[1], 1], seed=3, dtype="float64")
    network.fit(X, y, epochs=2, learning_rate=0.5, penalty=penalties.L1(0.05), **options)
    return network


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 2, ROWS)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64", "bool"])
def test_network_takes_what_it_takes_as_an_array(
    dtype: str, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rows_of(dtype=dtype)

    def left_and_said(X: Any) -> list[Any]:
        net = fitted(X, labels)
        said = net.predict(X), net.predict_proba(X), net.score(X, labels), net.total_cost(X, labels)
        return [net.weights[0], *said]

    sparse = left_and_said(X)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    for one, other in zip(sparse, left_and_said(X.toarray()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("numpy_path")
def test_held_out_rows_and_dropped_columns(labels: np.ndarray) -> None:
    X, histories = rows_of(), []
    for given in (X, X.toarray()):
        network = Network([COLUMNS, 4, 1], seed=3, dtype="float64", activation="relu",
                          cost="mean_squared")  # fmt: skip
        network.weights[0][:, 20:50] = 0
        penalty = [penalties.L1(0.001, method="proximal"), None]
        histories.append(
            network.fit(
                given, labels, epochs=3, learning_rate=0.01, penalty=penalty,
                validation_fraction=0.25, compact_every=1,
            ).val_cost
        )  # fmt: skip
        assert network.sizes[0] < COLUMNS
    np.testing.assert_allclose(*histories, rtol=1e-10)


@needs_jit
def test_a_matrix_is_never_made_dense() -> None:
    """It could not be, as a dense one would hold 10**12 numbers."""
    columns = 2_000_000
    X = sparse.csr_array(
        (np.ones(3), (np.array([0, 1, 499_999]), np.array([5, 7, columns - 1]))),
        shape=(500_000, columns),
    )
    network = Network([columns, 1], seed=1)
    before = network.weights[0].copy()
    network.fit(X, np.zeros(500_000), epochs=1, batch_size=500_000, learning_rate=0.5)
    assert np.flatnonzero(network.weights[0] != before).tolist() == [5, 7, columns - 1]
    assert network.predict(X).shape == (500_000,)


# --------------------------------------------------------------------------------- its index arrays


def same(X: Any, dtype: str = "float64") -> bool:
    """Return whether `as_inputs` gives an equal matrix with sorted columns and keeps X as it is."""
    wanted, copy = X.toarray().astype(dtype), X.copy()
    found = as_inputs(X, dtype, 1.0).matrix
    parts = [name for name in ("data", "indices", "indptr", "row", "col") if hasattr(X, name)]
    untouched = all(np.array_equal(getattr(X, p), getattr(copy, p)) for p in parts)
    ascending = all(
        (np.diff(found.indices[a:b]) > 0).all() for a, b in itertools.pairwise(found.indptr)
    )
    untouched &= np.array_equal(X.toarray(), copy.toarray())
    return bool((found.toarray() == wanted).all()) and untouched and ascending


def test_formats_and_index_types() -> None:
    X = rows_of()
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr"):
        assert same(X.asformat(kind))
        assert same(sparse.csr_matrix(X).asformat(kind))
    wide = sparse.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert same(wide)
    assert as_inputs(wide, "float64", 1.0).matrix.indices.dtype == np.int32
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert same(X)
    assert np.shares_memory(as_inputs(X, "float64", None).matrix.data, X.data)


def test_unsorted_and_repeated_columns_are_put_right_in_a_copy() -> None:
    data, indices = np.array([200, 100, 3, 4], np.uint8), np.array([2, 2, 1, 0])
    starts = np.array([0, 3, 4])
    for values, kind in (
        (data, sparse.csr_array),
        (data.astype(np.float64), sparse.csr_array),
        (data.astype(np.float32), sparse.csr_matrix),
    ):
        given = kind((values, indices, starts), shape=(2, 3))
        found = as_inputs(given, "float32", 1.0).matrix
        assert found.toarray().tolist() == [[0, 3, 300], [4, 0, 0]]
        assert found.indices.tolist() == [1, 2, 0]
        assert given.indices.tolist() == indices.tolist()
        assert given.data.tolist() == data.tolist()
    coo = sparse.coo_array((data, (np.array([0, 0, 0, 1]), indices)), shape=(2, 3))
    assert as_inputs(coo, "float32", 1.0).matrix.toarray().tolist() == [[0, 3, 300], [4, 0, 0]]


def test_a_bit_that_is_there_twice_is_one() -> None:
    """As in scipy, the sum of True and True is True."""
    given = sparse.csr_array((np.ones(3, bool), np.array([1, 1, 0]), np.array([0, 2, 3])), (2, 2))
    assert as_inputs(given, "float32", None).matrix.toarray().tolist() == [[0, 1], [1, 0]]


def broken(part: str, place: int, value: Any, kind: str = "csr") -> Any:
    X = sparse.csr_array(np.eye(3)).asformat(kind)
    getattr(X, part)[place] = [value] if kind == "lil" else value
    return X


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (broken("indices", 1, 3), ValueError, "do not make a CSR matrix of shape"),
        (broken("indices", 1, -1), ValueError, "do not make a CSR matrix of shape"),
        (broken("indptr", 1, 3), ValueError, "do not make a CSR matrix of shape"),
        (broken("indptr", 3, 9), ValueError, "do not make a CSR matrix of shape"),
        (broken("indices", 1, 3, "csc"), ValueError, "do not make a CSC matrix of shape"),
        (broken("indices", 1, 3, "bsr"), ValueError, "do not make a BSR matrix of shape"),
        (broken("col", 1, 3, "coo"), ValueError, "do not make a COO matrix of shape"),
        (broken("col", 1, -1, "coo"), ValueError, "do not make a COO matrix of shape"),
        (broken("row", 1, 10**8, "coo"), ValueError, "do not make a COO matrix of shape"),
        (broken("rows", 1, 3, "lil"), ValueError, "do not make a CSR matrix of shape"),
        (broken("data", 2, np.nan), ValueError, "row 2 of X holds NaN"),
        (broken("data", 1, 1e300), ValueError, "row 1 of X holds .* too large for float32"),
        (sparse.csr_array(np.eye(3) * 1j), TypeError, "real numbers, not dtype complex128"),
        (sparse.csr_array((0, 3)), ValueError, "at least one row"),
        (sparse.csr_array(np.eye(4)), ValueError, "must have 3 columns"),
    ],
)  # fmt: skip
def test_bad_matrices(X: Any, error: type[Exception], words: str) -> None:
    network = Network([3, 1], seed=1)
    with pytest.raises(error, match=words):
        network.predict(X)
    with pytest.raises(error, match=words):
        network.fit(X, np.zeros(X.shape[0]), epochs=1)


def test_noise_would_fill_the_zeros(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="input_noise fills the zeros"):
        fitted(rows_of(), labels, input_noise=0.1)


@needs_jit
def test_outputs_are_the_numpy_paths() -> None:
    inputs, rng = as_inputs(rows_of(), "float64", 0.5), np.random.default_rng(4)
    weights = [rng.standard_normal((20, COLUMNS)), rng.standard_normal((3, 20))]
    given = weights, [np.zeros(20), np.zeros(3)], [activations.Tanh(), activations.Softmax()]
    for one, other in zip(outputs(*given, inputs), batched.outputs(*given, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("strided", ["data", "indices", "indptr"])
def test_arrays_that_are_not_contiguous(strided: str, labels: np.ndarray) -> None:
    X = rows_of()
    other = X.copy()
    spread = np.zeros(2 * len(getattr(X, strided)), getattr(X, strided).dtype)
    spread[::2] = getattr(X, strided)
    setattr(other, strided, spread[::2])
    assert not getattr(other, strided).flags.c_contiguous
    network, expected = fitted(other, labels), fitted(X, labels)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])
    np.testing.assert_array_equal(network.predict_proba(other), expected.predict_proba(X))


def test_what_one_sparse_weight_is_owed_is_left_to_the_next_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, y = np.random.default_rng(0).random((20, 1)), np.arange(20) % 2
    kept = []
    for X in (sparse.csr_array(values), values):
        network = Network([1, 1], seed=1, dtype="float64")
        penalty = penalties.L1(0.5, method="cumulative")
        network.fit(X, y, epochs=2, penalty=penalty, shuffle=False)
        kept.append(network.optimizer_state.kept[0])
        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)  # for the array
    np.testing.assert_allclose(kept[1], kept[0], rtol=1e-12)
    assert kept[0] != 0
