"""Open npy, IDX and svmlight files as what `as_inputs` and `as_targets` take."""

from __future__ import annotations

import os
import stat
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from fastnn.array_files import GZIP, map_idx, map_npy, read_idx
from fastnn.checks import FileFormatError
from fastnn.csr import SparseLike
from fastnn.svmlight import has_svmlight_name, read_svmlight

__all__ = ["RowsLike", "TargetsLike", "is_path", "mapped", "mapped_rows", "opened"]

RowsLike: TypeAlias = ArrayLike | SparseLike | os.PathLike[str]
"""Rows of inputs: an array, a sparse matrix of scipy, or the file of either."""

TargetsLike: TypeAlias = ArrayLike | os.PathLike[str] | None
"""Classes or targets of rows: an array, or its file; None where the file of the rows has them."""

# The first bytes of an npy file.
NPY = b"\x93NUMPY"


def is_path(value: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether `value` is a path: a string or an ``os.PathLike``."""
    return isinstance(value, (str, os.PathLike))


def opened(X: Any, y: Any, width: int, *, classes: bool = True) -> tuple[Any, Any]:
    """Return X and y, each read or mapped into memory if it is a path, else unchanged.

    Parameters
    ----------
    X : path or anything
        A path that ends in .svm, .svmlight or .libsvm, optionally followed by .gz or .bz2, is that
        of an svmlight file. Any other path is that of an npy file or of an IDX file, plain or
        gzipped. npy files and plain IDX files are mapped into memory, others are read.
    y : path or anything
        An npy or IDX file. If None, the labels of an svmlight file X are returned.
    width : int
        The number of columns of an svmlight file.
    classes : bool, default True
        Whether the labels of an svmlight file are classes if they are whole numbers, as in
        `fastnn.svmlight.read_svmlight`.

    Raises
    ------
    FileFormatError
        If a file's content is not what its name says.
    ModuleNotFoundError
        If X is an svmlight file and scikit-learn is not installed.
    OSError
        If a file cannot be read.
    """
    if is_path(X):
        if has_svmlight_name(X):
            X, labels = read_svmlight(X, width, classes=classes)
            y = labels if y is None else y
        else:
            X = mapped_rows(X)
    return X, mapped(y) if is_path(y) else y


def mapped_rows(path: str | os.PathLike[str]) -> np.ndarray:
    """Return an npy or IDX file as a matrix, with all dimensions after the first flattened."""
    array = mapped(path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def mapped(path: str | os.PathLike[str]) -> np.ndarray:
    """Return an npy or IDX file as an array, mapped into memory unless it is compressed."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a directory fails in open
        raise FileFormatError(f"{path} is a pipe or a device: write its rows to a file")
    with open(path, "rb") as file:
        start = file.read(len(NPY))
    if start == NPY or os.fspath(path).endswith(".npy"):
        return map_npy(path)
    return read_idx(path) if start.startswith(GZIP) else map_idx(path)
