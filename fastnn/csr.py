"""Check scipy sparse matrices once and bring them into one form: CSR with ascending columns."""

from __future__ import annotations

import sys
from typing import Any, Protocol, TypeGuard

import numpy as np

__all__ = ["SparseLike", "as_csr", "compressed", "is_sparse", "not_finite"]

# Column numbers are int32 in the engine.
MOST_COLUMNS = 2**31 - 1


class SparseLike(Protocol):
    """The part of a scipy sparse matrix or array that type checkers need."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows and of columns."""

    @property
    def dtype(self) -> Any:
        """The dtype of the values."""

    def tocsr(self) -> Any:
        """Return it in CSR format."""


def is_sparse(X: Any) -> TypeGuard[SparseLike]:
    """Return whether `X` is a scipy sparse matrix or array, without importing scipy."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(X))


def as_csr(X: Any, dtype: np.dtype[Any], scale: float) -> Any:
    """Return ``X * scale`` as a `scipy.sparse.csr_array` of `dtype`.

    Parameters
    ----------
    X : sparse matrix or array of scipy, shape (n, D)
        Real numbers in any format; CSR is the cheapest.
    dtype : dtype
        float32 or float64.
    scale : float

    Returns
    -------
    csr_array, shape (n, D)
        In every row the columns ascend without duplicates: duplicate entries are added. The
        result may share arrays with `X`, which is never changed, so do not write to it.

    Raises
    ------
    TypeError
        If `X` does not hold real numbers.
    ValueError
        If its index arrays are inconsistent with each other or with its shape, if it has more than
        2**31 - 1 columns, or if a value is NaN, infinite or too large for `dtype`.
    """
    if X.dtype.kind not in "fiub":
        raise TypeError(f"X must hold real numbers, not dtype {X.dtype}; use X.astype(float)")
    if X.shape[1] > MOST_COLUMNS:
        raise ValueError(f"X must have at most {MOST_COLUMNS:,} columns, not {X.shape[1]:,}")
    adds = X.dtype.kind != "b"  # duplicates in a bool matrix stay True, as in scipy
    if X.format == "csr":
        X = _checked(X)
    else:
        X = compressed(X.astype(np.float64, copy=False) if adds else X)
    if not X.has_canonical_format:
        X = X.astype(np.float64) if adds else X.copy()
        X.sum_duplicates()  # also sorts each row
    with np.errstate(over="ignore"):
        values = X.data.astype(dtype, copy=False)
        if scale != 1:
            values = values * dtype.type(scale)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.searchsorted(X.indptr, int(finite.argmin()), side="right")) - 1
        raise not_finite(f"row {row} of X", dtype)
    small = np.int32 if X.indptr[-1] <= MOST_COLUMNS else np.int64
    indices, indptr = (np.ascontiguousarray(a, small) for a in (X.indices, X.indptr))
    return _like(X, np.ascontiguousarray(values), indices, indptr)


def not_finite(where: str, dtype: np.dtype[Any]) -> ValueError:
    """Return the error for a value that is not a finite number of `dtype`."""
    return ValueError(
        f"{where} holds NaN, infinity or a number too large for {dtype}; remove or replace it"
    )


def compressed(X: Any) -> Any:
    """Return a sparse matrix of any format as CSR; index arrays are checked before and after.

    scipy's conversions trust the indices: one that is out of range makes them write out of bounds.

    Raises
    ------
    ValueError
        If the index arrays are inconsistent with each other or with the shape.
    """
    if X.format not in ("csr", "lil"):  # lil is converted in Python: the check afterwards suffices
        X = _checked(X)
    return _checked(X.tocsr())


def _checked(X: Any) -> Any:
    """Return a matrix on the same arrays, after checking all of them."""
    from scipy import sparse

    try:
        if X.format in ("csr", "csc"):
            X = _like(X, X.data, X.indices, X.indptr)
            X.check_format(full_check=True)
        elif X.format == "bsr":
            X.check_format(full_check=True)
        else:
            entries = X.tocoo(copy=False)
            places = (entries.row, entries.col)
            X = sparse.coo_array((entries.data, places), shape=entries.shape)  # checks them
    except ValueError as error:
        raise ValueError(
            f"the index arrays of X do not make a {X.format.upper()} matrix of shape {X.shape}: "
            f"{error}; build it anew"
        ) from None
    return X


def _like(X: Any, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> Any:
    from scipy import sparse

    kind = sparse.csr_array if X.format == "csr" else sparse.csc_array
    return kind((values, indices, indptr), shape=X.shape)
