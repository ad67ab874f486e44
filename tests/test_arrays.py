"""A caller's inputs and targets are stored in the smallest exact type, or refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from exact_rows import FLOATS, extra_bytes, grid, meant
from fastnn import data
from fastnn.arrays import DIVISOR, EXACT_SCALES, as_inputs, as_targets, labels_of

pytestmark = pytest.mark.usefixtures("bytes_of_few_rows")


# Inputs: uint8


def test_uint8_is_used_as_it_is() -> None:
    X = grid().astype(np.uint8)
    inputs = as_inputs(X, np.float32, None)
    assert inputs.matrix is X
    assert inputs.scale == 1 / 256
    assert as_inputs(X, np.float32, 0.5).scale == 0.5


def test_uint8_is_made_contiguous() -> None:
    X = grid(8, 10).astype(np.uint8)
    for view in (X[::2], X[:, ::3], np.asfortranarray(X), X[::-1]):
        inputs = as_inputs(view, np.float32, None)
        assert inputs.matrix.flags.c_contiguous
        np.testing.assert_array_equal(inputs.matrix, view)


# Inputs: floats that fit into uint8


@pytest.mark.parametrize("scale", EXACT_SCALES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.usefixtures("small_blocks")
def test_exact_multiples_become_uint8(scale: float, dtype: type) -> None:
    k = grid()
    inputs = as_inputs((k * scale).astype(dtype), np.float32, None)
    assert inputs.matrix.dtype == np.uint8
    assert inputs.matrix.flags.c_contiguous
    assert inputs.scale == scale
    np.testing.assert_array_equal(inputs.matrix, k)


@pytest.mark.parametrize("scale", EXACT_SCALES)
def test_input_scale_multiplies_the_exact_one(scale: float) -> None:
    X = grid() * scale
    inputs = as_inputs(X, np.float64, 0.3)
    assert inputs.matrix.dtype == np.uint8
    np.testing.assert_array_equal(meant(inputs), X * 0.3)  # bit for bit


def test_the_largest_scale_that_fits_is_taken() -> None:
    assert as_inputs([[0.0, 1.0]], np.float32, None).scale == 1
    assert as_inputs([[0.0, 0.5]], np.float32, None).scale == 1 / 16
    assert as_inputs([[0.0, 0.25 / 64]], np.float32, None).scale == 1 / 256
    assert as_inputs([[-0.0, 255.0]], np.float32, None).scale == 1


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("row", range(6))
def test_a_later_block_can_ask_for_a_smaller_scale(row: int) -> None:
    X = np.ones((6, 5))
    X[row, 3] = 3 / 16
    inputs = as_inputs(X, np.float32, None)
    assert inputs.scale == 1 / 16
    np.testing.assert_array_equal(meant(inputs), X)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("row", range(6))
@pytest.mark.parametrize("value", [256.0, -1.0, 0.1, 1e-30, 1 / 512, 1e30, 3e38, 255.5])
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_value_that_does_not_fit_keeps_floats(row: int, value: float, dtype: type) -> None:
    X = np.ones((6, 5), dtype)
    X[row, 2] = value
    for target in FLOATS:
        inputs = as_inputs(X, target, None)
        assert inputs.matrix.dtype == target
        assert inputs.scale == 1
        np.testing.assert_array_equal(inputs.matrix, X.astype(target))


@pytest.mark.parametrize("value", [0.5, 1 / DIVISOR, 77 / DIVISOR])
@pytest.mark.parametrize("side", [0, 1])
def test_nearly_exact_is_not_exact(value: float, side: int) -> None:
    X = np.full((3, 4), np.nextafter(value, side))
    assert as_inputs(X, np.float64, None).matrix.dtype == np.float64


# Inputs: floats that are quotients of whole numbers


@pytest.mark.parametrize("target", FLOATS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.usefixtures("small_blocks")
def test_quotients_become_uint8(dtype: type, target: type) -> None:
    """Every k/255 is stored as k, except for float32 quotients in float64, which would differ."""
    k = np.arange(256).reshape(64, 4)
    X = k.astype(dtype) / dtype(DIVISOR)
    inputs = as_inputs(X, target, None)
    if dtype is np.float32 and target is np.float64:
        assert inputs.matrix.dtype == np.float64
        return
    assert inputs.matrix.dtype == np.uint8
    assert (inputs.scale, inputs.divisor) == (1, DIVISOR)
    np.testing.assert_array_equal(inputs.matrix, k)
    np.testing.assert_array_equal(X.astype(target), k.astype(target) / target(DIVISOR))
    assert inputs.rows(np.array([1, 3])).divisor == inputs.columns(np.array([0])).divisor == DIVISOR


def test_quotients_times_an_input_scale_stay_floats() -> None:
    """k/255*0.3 rounds differently from k*0.3/255, which the engine would compute."""
    assert as_inputs(grid() / DIVISOR, np.float64, 0.3).matrix.dtype == np.float64


# Inputs: other types and layouts


@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "longdouble"]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_dtypes_and_byte_orders(dtype: str, order: str) -> None:
    X = np.array([[0, 1, 1], [1, 0, 0]], np.dtype(dtype).newbyteorder(order))
    inputs = as_inputs(X, np.float32, None)
    assert inputs.matrix.dtype == np.uint8
    assert inputs.scale == 1
    np.testing.assert_array_equal(inputs.matrix, [[0, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize("dtype", ["i2", "i8", "f2", "f4", "f8", ">f4", ">f8"])
def test_other_numbers_are_cast_to_the_network_dtype(dtype: str) -> None:
    X = np.array([[-3, 1000], [7, 0]], dtype)
    inputs = as_inputs(X, np.float32, None)
    assert inputs.matrix.dtype == np.dtype(np.float32)
    assert inputs.matrix.dtype.isnative
    np.testing.assert_array_equal(inputs.matrix, X)


@pytest.mark.parametrize("factor", [1 / 256, 0.1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_layouts(factor: float, dtype: type) -> None:
    X = (grid(12, 10) * factor).astype(dtype)
    frozen = X.copy()
    frozen.flags.writeable = False
    for view in (X, frozen, X[::2], X[:, ::3], X[::-1], X.T, np.asfortranarray(X)):
        before = view.copy()
        inputs = as_inputs(view, dtype, None)
        assert inputs.matrix.flags.c_contiguous
        assert inputs.matrix.dtype == (np.uint8 if factor == 1 / 256 else dtype)
        np.testing.assert_array_equal(meant(inputs), before.astype(np.float64))
        np.testing.assert_array_equal(view, before)


def test_floats_of_the_right_kind_are_not_copied() -> None:
    X = np.full((4, 3), 0.1)
    assert as_inputs(X, np.float64, None).matrix is X


def test_lists_of_lists() -> None:
    inputs = as_inputs([[0.5, 1], [2, 3.25]], np.float64, None)
    np.testing.assert_array_equal(meant(inputs), [[0.5, 1], [2, 3.25]])


# Inputs: refused


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(4), r"two dimensions.*\(4,\)"),
        (np.float64(3), r"two dimensions.*\(\)"),
        (np.zeros((5, 28, 28)), r"two dimensions.*\(5, 28, 28\).*reshape"),
        (np.zeros((0, 4)), r"at least one row.*\(0, 4\)"),
        (np.zeros((4, 0)), r"at least one row.*\(4, 0\)"),
        (np.zeros((0, 4), np.uint8), r"at least one row.*\(0, 4\)"),
        ([], r"two dimensions"),
        (np.zeros((2, 3)), r"4 columns.*not 3"),
        (np.zeros((2, 5), np.uint8), r"4 columns.*not 5"),
        ([[1, 2, 3, 4], [1, 2]], r"unequal length"),
    ],
)
def test_wrong_shapes(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_inputs(X, np.float32, None, 4)


@pytest.mark.parametrize(
    "X",
    [
        np.ones((2, 2), object),
        np.ones((2, 2), complex),
        [["1", "2"]],
        [[b"1"]],
        np.zeros((2, 2), "datetime64[s]"),
        None,
        [[1.0, None]],
    ],
)
def test_what_is_not_real_numbers(X: Any) -> None:
    with pytest.raises(TypeError, match="real numbers"):
        as_inputs(X, np.float32, None)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", range(5))
def test_not_finite(value: float, dtype: type, row: int) -> None:
    X = np.ones((5, 5), dtype)
    X[row, 4] = value
    for target in FLOATS:
        with pytest.raises(ValueError, match=f"row {row} of X.*NaN, infinity"):
            as_inputs(X, target, None)


def test_too_large_for_float32() -> None:
    X = np.array([[0.5, 1], [2, 1e300]])
    with pytest.raises(ValueError, match=r"row 1 of X.*too large for float32"):
        as_inputs(X, np.float32, None)
    assert as_inputs(X, np.float64, None).matrix is X


# Targets


@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "u1", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i4", ">f8"]
)
def test_class_indices(dtype: str) -> None:
    y = np.array([1, 0, 1, 1], dtype)
    targets = as_targets(y, 4, 2, np.float32)
    assert targets.dtype == np.int64
    assert targets.dtype.isnative
    np.testing.assert_array_equal(targets, [1, 0, 1, 1])


def test_class_indices_from_lists_and_views() -> None:
    np.testing.assert_array_equal(as_targets([2, 0], 2, 3, np.float32), [2, 0])
    y = np.arange(10)
    y.flags.writeable = False
    np.testing.assert_array_equal(as_targets(y[::-2], 5, 10, np.float32), [9, 7, 5, 3, 1])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 3], "row 2 is 3"),
        ([0, -1, 3], "row 1 is -1"),
        (np.array([0, 1, 2**64 - 1], np.uint64), "row 2 is 18446744073709551615"),
        ([0, 1.5, 2], "row 1 is 1.5$"),
        ([1, 1.5, 3], "row 1 is 1.5$"),
        ([0, 1, np.nan], "row 2 is nan"),
        ([np.inf, 1, 2], "row 0 is inf"),
        ([1, 2, 3], "row 2 is 3; give y - 1"),
        ([0, 1], r"3 rows.*\(2,\)"),
        ([0, 1, 2, 2], r"3 rows.*\(4,\)"),
        (2, r"3 rows.*\(\)"),
        ([], r"3 rows.*\(0,\)"),
        ([[0], [1], [2]], r"\(3, 1\).*ravel"),
        (np.zeros((3, 2)), r"not shape \(3, 2\)"),
        (np.zeros((3, 3, 1)), r"not shape \(3, 3, 1\)"),
        ([[0.0, 1, 0], [1, 0], [0, 0, 1]], "unequal length"),
        ([[0, 0, 1], [np.nan, 0, 0], [0, 0, 1]], "row 1 of y"),
    ],
)
def test_bad_targets(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_targets(y, 3, 3, np.float32)


@pytest.mark.parametrize("y", [["a", "b"], np.array([0, 1], object), [None, 1], [1j, 0]])
def test_targets_that_are_not_real_numbers(y: Any) -> None:
    with pytest.raises(TypeError, match=r"y must hold real numbers") as caught:
        as_targets(y, 2, 2, np.float32)
    assert ("np.unique" in str(caught.value)) == isinstance(y[0], str)
    with pytest.raises(TypeError, match=r"np\.asarray"):  # no hint on class names
        as_targets(y, 2, 2, np.float32, classes=False)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
def test_targets_are_dense(form: Any) -> None:
    with pytest.raises(TypeError, match=r"y must be dense, .* convert it with its toarray\(\)"):
        as_targets(form(np.eye(3)), 3, 3, np.float32)


@pytest.mark.parametrize("y", [[0, 1, 1], [[0], [1], [1]], np.array([False, True, True])])
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_output_unit(y: Any, dtype: type) -> None:
    targets = as_targets(y, 3, 1, dtype)
    assert targets.dtype == dtype
    np.testing.assert_array_equal(targets, [[0], [1], [1]])


def test_real_targets() -> None:
    np.testing.assert_array_equal(as_targets([-2.5, 7], 2, 1, np.float64), [[-2.5], [7]])
    for y in (np.ones((3, 4), ">f4"), np.ones((4, 3)).T, np.ones((6, 4))[::2]):
        targets = as_targets(y, 3, 4, np.float32)
        assert targets.flags.c_contiguous
        assert targets.dtype == np.dtype(np.float32)
        assert targets.dtype.isnative
        np.testing.assert_array_equal(targets, y)


def test_target_too_large_for_float32() -> None:
    with pytest.raises(ValueError, match="row 1 of y"):
        as_targets([1, 1e300], 2, 1, np.float32)


def test_labels() -> None:
    for y, outputs, wanted in (
        ([2, 0, 1], 3, [2, 0, 1]),
        ([[0.1, 0.9], [0.7, 0.2]], 2, [1, 0]),
        ([0, 1, 0.5, 0.51, -3], 1, [0, 1, 0, 1, 0]),
        ([[True], [False]], 1, [1, 0]),
    ):
        labels = labels_of(as_targets(y, len(y), outputs, np.float64))
        assert labels.tolist() == wanted
        assert labels.dtype == np.int64


# Memory, and real data


@pytest.mark.parametrize("factor", [1 / 256, 0.1])
def test_conversion_works_in_blocks(factor: float) -> None:
    X = grid(3000, 784) * factor  # 19 MB
    assert extra_bytes(lambda: as_inputs(X, np.float32, None)) < 2e6


def test_the_embedded_digits(digits: data.Dataset) -> None:
    X = digits.train_images * digits.input_scale
    inputs = as_inputs(X.astype(np.float32), np.float32, None)
    assert inputs.scale == 1 / 16
    np.testing.assert_array_equal(inputs.matrix, digits.train_images)
