"""Sparse rows: an epoch against scikit-learn's SGD, against dense rows, and with twice the columns.

The rows are RCV1's, read from the svmlight file that ``FASTNN_RCV1`` names. Without it they are
synthetic, of the same shape: few nonzeros per row, and later columns used less. A round is five
epochs (``epochs`` in the saved results), run as `fit` runs them when nothing reads the weights in
between, with the penalty's values for the history. scikit-learn's round is a fit of as many epochs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fastnn import L1, L2, Network, engine
from fastnn.activations import Sigmoid
from fastnn.arrays import as_inputs
from fastnn.costs import CrossEntropy
from fastnn.svmlight import read_svmlight

linear_model = pytest.importorskip("sklearn.linear_model")

COLUMNS, ROWS, ROW_NONZEROS = 47_236, 20_000, 75
LEARNING_RATE, LMBDA, EPOCHS = 0.5, 0.01, 5
LAYERS = {"[D,1]": (1,), "[D,30,1]": (30, 1)}
PENALTIES = {"l1": L1(LMBDA), "l2": L2(LMBDA)}


def synthetic(rows: int, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Return rows with columns drawn by Zipf's law, and labels that a linear model can learn."""
    rng = np.random.default_rng(seed)
    drawn = rng.zipf(1.3, (rows, 4 * ROW_NONZEROS))
    columns = [np.unique(row[row <= COLUMNS])[:ROW_NONZEROS] - 1 for row in drawn]
    starts = np.cumsum([0, *map(len, columns)])
    values = np.concatenate([np.full(len(c), 1 / np.sqrt(max(1, len(c)))) for c in columns])
    X = sparse.csr_array((values, np.concatenate(columns), starts), shape=(rows, COLUMNS))
    return X, (X @ rng.standard_normal(COLUMNS) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def rows(runs_once: bool) -> tuple[Any, np.ndarray, str]:
    path = os.environ.get("FASTNN_RCV1")
    if runs_once or path is None:
        return *synthetic(200 if runs_once else ROWS), "synthetic"
    return *read_svmlight(path, COLUMNS), "rcv1"


def training(
    X: Any, y: np.ndarray, units: tuple[int, ...], batch_size: int, penalty: Any
) -> Callable[[Sequence[np.ndarray]], list[float]]:
    network = Network([X.shape[1], *units], seed=1)
    trained = engine.Training(
        network.weights,
        network.biases,
        activations=[Sigmoid()] * len(units),
        cost=CrossEntropy(),
        penalties=[penalty] * len(units),
        inputs=as_inputs(X, "float32", 1.0),
        targets=y.astype(np.float32)[:, np.newaxis],
        batch_size=batch_size,
        learning_rate=LEARNING_RATE,
        threads=1,
    )

    def epochs(orders: Sequence[np.ndarray]) -> list[float]:
        costs, penalties = [], []
        for order in orders:
            costs.append(trained.epoch(order, write_back=False))
            penalties.append(trained.penalty_value())
        return [cost + of_all() / len(y) for cost, of_all in zip(costs, penalties, strict=True)]

    return epochs


def orders_of(y: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Return a function that draws the orders of a round's epochs."""
    rng = np.random.default_rng(5)
    return lambda: [rng.permutation(len(y)) for _ in range(EPOCHS)]


def widened(X: Any) -> Any:
    """Return the same nonzeros in twice the columns, every other one unused."""
    return sparse.csr_array((X.data, 2 * X.indices, X.indptr), shape=(X.shape[0], 2 * X.shape[1]))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("columns", ["D", "2 D"])
@pytest.mark.parametrize("layers", LAYERS)
def test_epoch(
    benchmark: Any, timed: Callable[..., Any], rows: Any, layers: str, columns: str,
    batch_size: int, penalty: str,
) -> None:  # fmt: skip
    X, y, data = rows
    benchmark.group = f"sparse, {layers}, batch {batch_size}, {penalty}"
    given = widened(X) if columns == "2 D" else X
    run = training(given, y, LAYERS[layers], batch_size, PENALTIES[penalty])
    timed(
        run,
        orders_of(y),
        contestant="fastnn",
        epochs=EPOCHS,
        columns=columns,
        nonzeros=int(X.nnz),
        data=data,
    )


@pytest.mark.parametrize("penalty", PENALTIES)
def test_scikit_learn(benchmark: Any, timed: Callable[..., Any], rows: Any, penalty: str) -> None:
    """Time SGDClassifier's fit of as many epochs, from its own initial weights."""
    X, y, data = rows
    benchmark.group = f"sparse, [D,1], batch 1, {penalty}"
    narrow, alpha = sparse.csr_matrix(X).astype(np.float32), LMBDA / len(y)

    def run(_: Any) -> None:
        model(penalty, alpha, EPOCHS).fit(narrow, y)

    timed(
        run, lambda: None, contestant="scikit-learn", epochs=EPOCHS, nonzeros=int(X.nnz), data=data
    )


def model(penalty: str, alpha: float, epochs: int) -> Any:
    return linear_model.SGDClassifier(
        loss="log_loss", penalty=penalty, alpha=alpha, max_iter=epochs, tol=None,
        learning_rate="constant", eta0=LEARNING_RATE,
    )  # fmt: skip


@pytest.mark.parametrize("rows_are", ["sparse", "dense"])
def test_dense_rows(benchmark: Any, timed: Callable[..., Any], rows: Any, rows_are: str) -> None:
    """Time the first 1,000 rows as a dense matrix of 190 MB, and as sparse rows."""
    X, y, data = rows
    benchmark.group = "sparse against dense, [D,1], batch 10, l1"
    X, y = X[:1000], y[:1000]
    given = X.astype(np.float32).toarray() if rows_are == "dense" else X
    run = training(given, y, (1,), 10, PENALTIES["l1"])
    timed(run, orders_of(y), contestant=rows_are, epochs=EPOCHS, data=data)
