"""The book's pairs are converted to arrays as a caller's rows are, or refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exact_rows import FLOATS, extra_bytes, grid, meant
from fastnn import data
from fastnn.arrays import EXACT_SCALES
from fastnn.pairs import from_pairs

pytestmark = pytest.mark.usefixtures("bytes_of_few_rows")


def unit(j: int, outputs: int = 3, dtype: Any = np.float64) -> np.ndarray:
    y = np.zeros((outputs, 1), dtype)
    y[j] = 1
    return y


def pairs(X: np.ndarray, targets: list[Any]) -> list[tuple[Any, Any]]:
    return [(row.reshape(-1, 1), y) for row, y in zip(X, targets, strict=True)]


ONE_HOT = [unit(j % 3) for j in (4, 0, 2, 1, 1, 5)]
LABELS = [1, 0, 2, 1, 1, 2]


@pytest.mark.parametrize("scale", EXACT_SCALES)
@pytest.mark.parametrize("dtype", [*FLOATS, ">f4", ">f8", np.longdouble])
@pytest.mark.usefixtures("small_blocks")
def test_pairs_of_exact_multiples(scale: float, dtype: Any) -> None:
    k = grid()
    X = (k * scale).astype(dtype)
    for data_list in (pairs(X, ONE_HOT), pairs(np.asfortranarray(X), ONE_HOT)):
        inputs, targets = from_pairs(data_list, 5, 3, np.float64)
        assert inputs.matrix.dtype == np.uint8
        assert inputs.matrix.flags.c_contiguous
        assert inputs.scale == scale
        np.testing.assert_array_equal(inputs.matrix, k)
        assert targets.dtype == np.int64
        assert targets.tolist() == LABELS


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", range(6))
def test_pairs_of_other_floats(dtype: type, row: int) -> None:
    X = grid().astype(dtype)
    X[row, 4] = 0.1
    inputs, _ = from_pairs(pairs(X, LABELS), 5, 3, dtype)
    assert inputs.matrix.dtype == dtype
    assert inputs.scale == 1
    np.testing.assert_array_equal(inputs.matrix, X)


def test_pairs_of_uint8_are_taken_as_they_are() -> None:
    X = grid().astype(np.uint8)
    inputs, _ = from_pairs(pairs(X, LABELS), 5, 3, np.float32)
    assert inputs.scale == 1
    assert inputs.matrix.dtype == np.uint8
    np.testing.assert_array_equal(inputs.matrix, X)


def test_pairs_of_mixed_dtypes_and_of_lists() -> None:
    mixed = [
        (np.array([[0.5], [1.0]], np.float32), 0),
        (np.array([[0.1], [2.0]]), np.int8(1)),
        (np.array([[3], [4]], np.uint8), np.uint64(2)),
        ([[5], [6]], True),
    ]
    inputs, targets = from_pairs(mixed, 2, 3, np.float64)
    np.testing.assert_array_equal(meant(inputs), [[0.5, 1], [0.1, 2], [3, 4], [5, 6]])
    assert targets.tolist() == [0, 1, 2, 1]
    assert targets.dtype == np.int64


def test_pairs_that_are_nearly_exact_stay_floats() -> None:
    X = np.full((2, 5), np.nextafter(0.5, 1))
    inputs, _ = from_pairs([*pairs(X, LABELS[:2]), (np.ones((5, 1), np.float32), 1)], 5, 3, "f8")
    np.testing.assert_array_equal(inputs.matrix, [X[0], X[0], np.ones(5)])


def test_pairs_share_no_memory_with_the_caller() -> None:
    X = np.full((1, 5), 0.1)
    inputs, _ = from_pairs(pairs(X, [1]), 5, 3, np.float64)
    assert not np.shares_memory(inputs.matrix, X)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "second",
    [
        [[0.0], [0.0], [0.0]],
        [[1.0], [1.0], [0.0]],
        [[0.2], [0.3], [0.5]],
        [[2.0], [0.0], [0.0]],
        [[-1.0], [1.0], [1.0]],
    ],
)
def test_pairs_with_targets_that_are_not_one_hot(dtype: type, second: list[list[float]]) -> None:
    X = grid(2)
    _, targets = from_pairs(pairs(X, [unit(0), np.array(second)]), 5, 3, dtype)
    assert targets.dtype == dtype
    np.testing.assert_array_equal(targets, np.array([[1, 0, 0], np.ravel(second)], dtype))


@pytest.mark.parametrize("y", [[1, 0], [np.array([[1.0]]), np.array([[0.0]])]])
def test_pairs_with_one_output_unit(y: list[Any]) -> None:
    _, targets = from_pairs(pairs(grid(2), y), 5, 1, np.float32)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, [[1], [0]])


@pytest.mark.parametrize("y", [10**39, np.array([[1e39]])])
def test_pairs_with_a_target_too_large_for_float32(y: Any) -> None:
    data_list = [
        (np.ones((5, 1)), 7 if isinstance(y, int) else np.ones((1, 1))),
        (np.ones((5, 1)), y),
    ]
    error = TypeError if isinstance(y, int) else ValueError  # numpy has no integer type for it
    with pytest.raises(error, match="y of pair 1"):
        from_pairs(data_list, 5, 1, np.float32)


X5, Y3 = np.ones((5, 1)), unit(1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((np.ones((4, 1)), Y3), r"x of pair 2 must have shape \(5, 1\), not \(4, 1\)"),
        ((np.ones(5), Y3), r"x of pair 2.*\(5,\)"),
        ((np.ones((1, 5)), Y3), r"x of pair 2.*\(1, 5\)"),
        ((X5, np.ones((2, 1))), r"y of pair 2.*\(3, 1\).*not \(2, 1\)"),
        ((X5, np.ones(3)), r"y of pair 2.*not \(3,\)"),
        ((X5, 1), r"y of pair 2.*an int in every pair, not \(\)"),
        ((X5, 1.5), r"y of pair 2.*not \(\)"),
        ((X5 * np.nan, Y3), "x of pair 2 holds NaN"),
        ((X5 * np.inf, Y3), "x of pair 2 holds NaN"),
        ((X5, Y3 * np.nan), "y of pair 2 holds NaN"),
        (([[1], [2, 3]], Y3), "x of pair 2.*unequal length"),
        ((X5,), "pair 2 must be a tuple"),
        ((X5, Y3, Y3), "pair 2 must be a tuple"),
        (None, "pair 2 must be a tuple"),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_bad_pairs(bad: Any, message: str) -> None:
    data_list = [(X5, Y3), (X5, Y3), bad, (X5, Y3), bad]
    with pytest.raises(ValueError, match=message):
        from_pairs(data_list, 5, 3, np.float64)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (3, "pair 1: label 3"),
        (-1, "pair 1: label -1"),
        (np.int64(10), "pair 1: label 10"),
        (10**30, "pair 1: label 10{30}"),
        (Y3, r"y of pair 0.*an int in every pair"),
        (1.0, r"y of pair 0.*an int in every pair"),
    ],
)
def test_bad_labels_in_pairs(bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_pairs([(X5, 0), (X5, bad), (X5, 2), (X5, bad)], 5, 3, np.float64)


@pytest.mark.parametrize("bad", [(X5.astype(object), Y3), (X5, Y3.astype(str)), (X5 * 1j, Y3)])
def test_pairs_that_are_not_real_numbers(bad: Any) -> None:
    with pytest.raises(TypeError, match="of pair 1 must hold real numbers"):
        from_pairs([(X5, Y3), bad], 5, 3, np.float64)


def test_no_pairs() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        from_pairs([], 5, 3, np.float64)


@pytest.mark.parametrize("factor", [1 / 256, 0.1])
def test_pairs_are_converted_in_blocks(factor: float) -> None:
    X = grid(3000, 784) * factor  # 19 MB
    data_list = pairs(X, [int(row[0] > 0.5) for row in X])
    assert extra_bytes(lambda: from_pairs(data_list, 784, 3, np.float32)) < 2e6


def test_the_books_mnist(mnist: data.Dataset) -> None:
    images = mnist.test_images[:2000]
    columns = (images / np.float32(256)).reshape(2000, 784, 1)
    targets = [unit(label, 10) for label in mnist.test_labels[:2000]]
    inputs, labels = from_pairs(list(zip(columns, targets, strict=True)), 784, 10, np.float64)
    assert inputs.scale == 1 / 256
    np.testing.assert_array_equal(inputs.matrix, images)
    np.testing.assert_array_equal(labels, mnist.test_labels[:2000])
