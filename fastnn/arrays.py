"""Check a caller's arrays once and store them for the engine, in the smallest exact type.

A network computes with ``matrix * scale / divisor``. Inputs are kept as uint8 if they are uint8, or
if they are floats that are all k, k/16, k/256 (pixels, counts, the book's value/256) or k/255 for
whole numbers k from 0 to 255. An epoch then moves a quarter or an eighth of the memory, and the
results stay the same: a scale is a power of two, and the engine divides as the caller did. All
conversions work in blocks of rows that fit in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn.csr import SparseLike, as_csr, is_sparse, not_finite

__all__ = [
    "BYTE_SCALE",
    "DIVISOR",
    "EXACT_SCALES",
    "FEW_ROWS",
    "Inputs",
    "MatrixLike",
    "as_bytes",
    "as_floats",
    "as_inputs",
    "as_targets",
    "check_rows_finite",
    "labels_of",
    "real_array",
    "scale_of",
    "working_type",
]

BYTE_SCALE = 1 / 256
"""The factor on rows of uint8 where a network has none: pixels from 0 to 1, as in the book."""

EXACT_SCALES = (1.0, 1 / 16, BYTE_SCALE)
"""The values of s for which floats k*s, k in 0..255, are stored as the uint8 k."""

DIVISOR = 255.0
"""Floats k/DIVISOR, k in 0..255, are stored as the uint8 k too."""

# For fewer rows than this, one-time work costs more than it saves: storing floats as bytes, laying
# out weights for a kernel, or compiling one.
FEW_ROWS = 16

_BLOCK_BYTES = 1 << 18

_Array = NDArray[Any]
_Rows = Callable[[int, int], _Array]  # rows(start, stop), of any real dtype


class Inputs(NamedTuple):
    """Input rows as the engine reads them: row i stands for ``matrix[i] * scale / divisor``.

    Attributes
    ----------
    matrix : ndarray or scipy.sparse.csr_array, shape (n, D)
        C-contiguous uint8, float32 or float64, or a sparse matrix as returned by `as_csr`.
    scale, divisor : float
        They map stored values to input values. At least one of them is 1; for a sparse matrix both
        are.
    of_bytes : bool
        Whether the caller's rows were uint8, and not floats that are stored as uint8.
    """

    matrix: Any
    scale: float
    divisor: float = 1.0
    of_bytes: bool = False

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.matrix.shape[0])

    @property
    def is_sparse(self) -> bool:
        """Whether the matrix is sparse."""
        return not isinstance(self.matrix, np.ndarray)

    def arrays(self) -> list[_Array]:
        """Return the arrays that hold the rows: one, or three for a sparse matrix."""
        matrix = self.matrix
        return [matrix.data, matrix.indices, matrix.indptr] if self.is_sparse else [matrix]

    def rows(self, kept: NDArray[np.int64]) -> Inputs:
        """Return a copy of only the rows in `kept`."""
        return self._replace(matrix=self.matrix[kept])

    def columns(self, kept: NDArray[np.int64]) -> Inputs:
        """Return a copy, in the stored type, of only the columns in `kept`, which ascend."""
        if self.is_sparse:
            return self._replace(matrix=self.matrix[:, kept])
        return self._replace(matrix=np.take(self.matrix, kept, axis=1))


MatrixLike: TypeAlias = ArrayLike | SparseLike | Inputs


def as_inputs(
    X: MatrixLike,
    dtype: DTypeLike,
    input_scale: float | None,
    width: int | None = None,
    *,
    finite: bool = False,
) -> Inputs:
    """Check `X` and store it for the engine.

    Parameters
    ----------
    X : array-like or sparse matrix of scipy, shape (n, D), or Inputs
        Floats, integers or bools. uint8 is used unchanged; other integers and bools are treated
        as floats. Sparse matrices of any type are stored as `as_csr` does. C-contiguous floats of
        type `dtype` in an `np.memmap` are used where they are. `Inputs` are returned unchanged.
    dtype : float32 or float64
        The type of floats that do not fit into uint8.
    input_scale : float or None
        The network's factor on `X`. None means 1/256 if `X` is uint8, else 1.
    width : int, optional
        The number of columns `X` must have.
    finite : bool, default False
        Whether `X` is known to hold neither NaN nor infinity.

    Returns
    -------
    Inputs
        They may share memory with `X`, which is never changed.

    Raises
    ------
    TypeError
        If `X` does not hold real numbers.
    ValueError
        If `X` is ragged, empty, not 2-D or not `width` wide, holds NaN, infinity or a number too
        large for `dtype`, or is a sparse matrix with inconsistent index arrays.
    """
    if isinstance(X, Inputs):
        _check_shape(X.matrix.shape, width)
        return X
    if is_sparse(X):
        _check_shape(X.shape, width)
        csr = as_csr(X, np.dtype(dtype), scale_of(X.dtype, input_scale))
        return Inputs(csr, 1.0, of_bytes=X.dtype == np.uint8)
    array = real_array("X", X)
    _check_shape(array.shape, width)
    scale = scale_of(array.dtype, input_scale)
    if array.dtype == np.uint8:
        return Inputs(np.ascontiguousarray(array), scale, of_bytes=True)

    def rows(start: int, stop: int) -> _Array:
        return array[start:stop]

    dtype = np.dtype(dtype)
    of_process = not isinstance(X, np.memmap)  # a memmap takes none of its memory
    if of_process and len(array) >= FEW_ROWS:
        codes = as_bytes(rows, array.shape, working_type([array.dtype]), dtype, scale)
        if codes is not None:
            return codes
    if array.dtype == dtype and array.flags.c_contiguous:
        if not finite:
            check_rows_finite(array, "row {} of X")
        return Inputs(array, scale)
    return Inputs(as_floats(rows, array.shape, dtype, "row {} of X"), scale)


def _check_shape(shape: tuple[int, ...], width: int | None) -> None:
    """Raise a `ValueError` unless `shape` is that of a nonempty matrix with `width` columns."""
    if len(shape) != 2:
        raise ValueError(
            f"X must have two dimensions (n, D), not shape {shape}; use "
            "X.reshape(len(X), -1) for images, X.reshape(1, -1) for a single sample"
        )
    if 0 in shape:
        raise ValueError(f"X must hold at least one row and one column, not shape {shape}")
    if width is not None and shape[1] != width:
        raise ValueError(f"X must have {width} columns, one per input unit, not {shape[1]}")


def as_targets(
    y: ArrayLike, n: int, outputs: int, dtype: DTypeLike, *, classes: bool = True
) -> _Array:
    """Check the targets `y` of `n` rows for a network with `outputs` output units.

    Parameters
    ----------
    y : array-like
        Class indices (n,) or real targets (n, outputs). With one output unit: the labels 0 and 1
        or any real targets, (n,) or (n, 1).
    n, outputs : int
        The number of input rows and of output units.
    dtype : float32 or float64
        The type of real targets.
    classes : bool, default True
        Whether shape (n,) may mean class indices; otherwise only real targets are accepted.

    Returns
    -------
    ndarray
        Class indices as int64 (n,), or real targets as C-contiguous `dtype` (n, outputs). It may
        share memory with `y`, which is never changed.

    Raises
    ------
    TypeError
        If `y` does not hold real numbers.
    ValueError
        If its shape does not fit, a class index is not a whole number in 0..outputs-1, or a
        target is NaN, infinite or too large for `dtype`.
    """
    array = real_array("y", y, names=classes)
    if array.ndim == 0 or len(array) != n:
        raise ValueError(f"y must have {n} rows, one per row of X, not shape {array.shape}")
    if array.ndim == 1 and outputs > 1 and classes:
        return _class_indices(array, outputs)
    shape = array.shape
    if outputs == 1 and array.ndim == 1:
        array = array.reshape(n, 1)
    if array.shape != (n, outputs):
        hint = "; use y.ravel()" if classes and shape == (n, 1) else ""
        wanted = f"class indices ({n},) or targets" if classes else "targets"
        raise ValueError(f"y must hold {wanted} ({n}, {outputs}), not shape {shape}{hint}")
    with np.errstate(over="ignore"):
        targets = np.ascontiguousarray(array, np.dtype(dtype))
    check_rows_finite(targets, "row {} of y")
    return targets


def labels_of(targets: _Array) -> NDArray[np.int64]:
    """Return the class of each row, int64 (n,), from what `as_targets` returned.

    Class indices stay as they are. Otherwise the class is the index of the row's largest target;
    with one output unit, a target above 0.5 is class 1.
    """
    if targets.ndim == 1:
        return targets
    if targets.shape[1] == 1:
        return (targets[:, 0] > 0.5).astype(np.int64)
    labels: NDArray[np.int64] = targets.argmax(axis=1)
    return labels


def scale_of(dtype: np.dtype[Any], input_scale: float | None) -> float:
    """Return the factor on rows of `dtype` for a network's `input_scale`, which may be None."""
    if input_scale is None:
        return BYTE_SCALE if dtype == np.uint8 else 1.0
    return input_scale


def real_array(name: str, value: Any, *, names: bool = False) -> _Array:
    """Return `value` as an array of real numbers, or raise an error that says what is wrong.

    `name` is the argument's name in the error. With `names`, the error for an array of strings
    explains how to turn class names into class indices.
    """
    if is_sparse(value):
        raise TypeError(f"{name} must be dense, not sparse: convert it with its toarray()")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: leave their rows out, or fill them")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, not rows of unequal length: {error}") from None
    if array.dtype.kind == "O" and hasattr(value, "dtypes"):  # of several types, or nullable
        array = _from_frame(array, value)
    if array.dtype.kind not in "fiub":
        hint = "convert it with np.asarray(..., dtype=float)"
        if names and array.size and isinstance(array.flat[0], str):
            hint = f"np.unique({name}, return_inverse=True)[1] makes class indices of names"
        raise TypeError(f"{name} must hold real numbers, not dtype {array.dtype}; {hint}")
    return array


def _from_frame(array: _Array, frame: Any) -> _Array:
    """Return a pandas object's array as floats if all its columns are numbers or bools."""
    dtypes = frame.dtypes if np.ndim(frame) > 1 else [frame.dtype]
    if not all(getattr(dtype, "kind", "O") in "fiub" for dtype in dtypes):
        return array
    return np.asarray(frame.to_numpy(np.float64, na_value=np.nan))


def _class_indices(array: _Array, outputs: int) -> NDArray[np.int64]:
    bad = ~((array >= 0) & (array < outputs))  # also true of NaN
    if array.dtype.kind == "f":
        bad |= array != np.floor(array)
    if bad.any():
        row, hint = int(bad.argmax()), ""
        if array.min() == 1 and array.max() == outputs and (array == np.floor(array)).all():
            hint = "; give y - 1, as indices begin at 0"
        raise ValueError(
            f"y must hold class indices, whole numbers in 0..{outputs - 1}; "
            f"row {row} is {array[row]}{hint}"
        )
    return np.ascontiguousarray(array, np.int64)


def working_type(types: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return float32 if it holds every value of the given types exactly, else float64."""
    narrow = all(np.can_cast(dtype, np.float32, "safe") for dtype in types)
    return np.dtype(np.float32 if narrow else np.float64)


def _rows_per_block(width: int, itemsize: int) -> int:
    return max(1, _BLOCK_BYTES // max(1, width * itemsize))


def _blocks(matrix: _Array) -> Iterator[tuple[int, _Array]]:
    """Yield (first row, view) for consecutive blocks of rows that fit in the cache."""
    step = _rows_per_block(matrix.shape[1], matrix.itemsize)
    for start in range(0, len(matrix), step):
        yield start, matrix[start : start + step]


def as_bytes(
    rows: _Rows,
    shape: tuple[int, ...],
    working: np.dtype[Any],
    dtype: np.dtype[Any],
    input_scale: float,
) -> Inputs | None:
    """Store the rows as uint8 with the first of `EXACT_SCALES` that fits them all.

    Quotients by `DIVISOR` are tried last, and only if `input_scale` is 1 and `dtype` is no wider
    than the working type: rounded to `dtype`, they are then what a division in `dtype` gives.
    Return None if nothing fits.
    """
    n, width = shape
    codes = np.empty((n, width), np.uint8)
    block = np.empty((min(n, _rows_per_block(width, working.itemsize)), width), working)
    for scale in EXACT_SCALES:
        if _encode(rows, block, working.type(1 / scale), codes):
            return Inputs(codes, scale * input_scale)
    rounds = dtype.itemsize <= working.itemsize  # float32 quotients differ from float64's
    if input_scale == 1 and rounds and _encode(rows, block, working.type(DIVISOR), codes):
        return Inputs(codes, 1.0, DIVISOR)
    return None


def _encode(rows: _Rows, block: _Array, divisor: Any, codes: NDArray[np.uint8]) -> bool:
    """Write value * divisor into `codes`; return whether codes / divisor restores every value.

    A few rows are tried first, as values that do not fit nearly always occur among them.
    """
    integers = np.empty(block.shape, np.int32)
    few = min(FEW_ROWS, len(block))
    with np.errstate(over="ignore", invalid="ignore"):
        for start, size in [(0, few), *((i, len(block)) for i in range(0, len(codes), len(block)))]:
            out = codes[start : start + size]
            part, whole = block[: len(out)], integers[: len(out)]
            values = rows(start, start + len(out)).astype(block.dtype, copy=False)
            np.multiply(values, divisor, out=part)
            # Via int32: numpy has vector code neither for float to uint8 nor for mixed types.
            np.copyto(whole, part, casting="unsafe")
            np.copyto(out, whole, casting="unsafe")
            np.copyto(part, out)
            part /= divisor
            if np.not_equal(part, values).any():
                return False
    return True


def as_floats(rows: _Rows, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> _Array:
    """Return the rows as floats of `dtype`; errors name a row by ``where.format(row)``."""
    matrix = np.empty(shape, dtype)
    for start, part in _blocks(matrix):
        with np.errstate(over="ignore"):
            np.copyto(part, rows(start, start + len(part)), casting="unsafe")
        _check_finite(part, start, where)
    return matrix


def check_rows_finite(matrix: _Array, where: str) -> None:
    """Raise a `ValueError` that names the first non-finite row by ``where.format(row)``."""
    for start, part in _blocks(matrix):
        _check_finite(part, start, where)


def _check_finite(part: _Array, start: int, where: str) -> None:
    finite = np.isfinite(part)
    if not finite.all():
        row = start + int((~finite).any(axis=1).argmax())
        raise not_finite(where.format(row), part.dtype)
