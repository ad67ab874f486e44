"""Files in the svmlight format: sparse rows with their labels, as text.

They are read with scikit-learn (extra ``sklearn``): its reader handles comments, query ids and
compressed files, and has been tested on far more files than a reader of our own would be.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import itertools
import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastnn.checks import FileFormatError, flag, not_installed, optional, whole
from fastnn.files import read_at_most

__all__ = ["classes_of", "has_svmlight_name", "parse_svmlight", "read_svmlight"]

# What scikit-learn's reader, and those of gzip and bz2 below it, raise for bad content.
DAMAGED = (ValueError, EOFError, OverflowError, OSError, zlib.error)

# Whole numbers up to this one are exact as float64.
LARGEST_CLASS = 2**53

# The search for a damaged line reads so many lines at a time.
LINES = 1000

SUFFIXES = (".svm", ".svmlight", ".libsvm")

OPENERS: dict[str, Callable[[str], Any]] = {".gz": gzip.open, ".bz2": bz2.open}


def has_svmlight_name(path: str | os.PathLike[str]) -> bool:
    """Return whether a path ends in .svm, .svmlight or .libsvm, perhaps with .gz or .bz2 added."""
    name = Path(path).name.lower()
    return name.removesuffix(".gz").removesuffix(".bz2").endswith(SUFFIXES)


def read_svmlight(
    path: str | os.PathLike[str],
    n_features: int | None = None,
    *,
    zero_based: bool = False,
    classes: bool = True,
    max_bytes: int = 1 << 31,
) -> tuple[Any, np.ndarray]:
    """Read a file of lines ``label index:value index:value ...``, plain, .gz or .bz2.

    Parameters
    ----------
    path : path
        The file.
    n_features : int, optional
        The number of columns; by default as many as the file's largest index requires. Give it if
        another file, of test rows for example, must have the same columns.
    zero_based : bool, default False
        Whether the first column's index is 0 instead of the format's 1.
    classes : bool, default True
        Whether whole numbers are classes; if not, all labels are real targets.
    max_bytes : int, default 2 GiB
        The most bytes that a compressed file may hold.

    Returns
    -------
    X : scipy.sparse.csr_matrix of float64, shape (n, n_features)
    y : ndarray, shape (n,)
        Class indices, int64: the labels -1 and +1 become 0 and 1, other whole numbers of at least 0
        stay the same. If there is any other number, all labels are real targets: float64,
        unchanged.

    Raises
    ------
    FileFormatError
        If it is not such a file, an index is beyond the columns, or it holds more than `max_bytes`.
    ModuleNotFoundError
        Without scikit-learn.
    OSError
        If it cannot be read.
    """
    n_features = optional(whole, "n_features", n_features, minimum=1)
    classes = flag("classes", classes)
    name = os.fspath(path)
    opener = OPENERS.get(os.path.splitext(name)[1].lower())
    source: Any = name if opener is None else _unpacked(name, opener, max_bytes)
    X, y = parse_svmlight(source, name, n_features, zero_based=zero_based)
    if 0 in X.shape:
        raise FileFormatError(f"{name} must hold rows and columns, not {X.shape[0]} rows")
    return X, classes_of(y) if classes else y


def parse_svmlight(
    source: str | BinaryIO, name: str, n_features: int | None, *, zero_based: bool, line: int = 1
) -> tuple[Any, np.ndarray]:
    """Return a file's rows, possibly none, and its labels unchanged.

    Parameters
    ----------
    source : path or binary file
    name : str
        The file's name in error messages.
    n_features, zero_based
        As in `read_svmlight`.
    line : int, default 1
        The number of the first line in error messages.

    Raises
    ------
    FileFormatError, ModuleNotFoundError, OSError
        As in `read_svmlight`.
    """
    try:
        from sklearn.datasets import load_svmlight_file
    except ModuleNotFoundError as error:
        raise not_installed("an svmlight file", "sklearn", "scikit-learn>=1.7") from error
    read = partial(load_svmlight_file, n_features=n_features, zero_based=zero_based)
    try:
        X, y = read(source)
    except DAMAGED as error:
        raise _error_of(error, name, _line_of(source, read, line)) from error
    return _narrowed(X), y


def _line_of(source: str | BinaryIO, read: Callable[[BinaryIO], Any], first: int) -> int | None:
    """Return the number of the first damaged line, if any; lines are numbered from `first`."""
    if isinstance(source, str) and not os.path.isfile(source):  # a pipe cannot be read again
        return None
    with contextlib.suppress(*DAMAGED), contextlib.ExitStack() as stack:
        if isinstance(source, str):
            source = stack.enter_context(open(source, "rb"))
        source.seek(0)
        while some := list(itertools.islice(source, LINES)):
            if _is_damaged(b"".join(some), read):
                return first + [_is_damaged(line, read) for line in some].index(True)
            first += len(some)
    return None


def _is_damaged(lines: bytes, read: Callable[[BinaryIO], Any]) -> bool:
    try:
        read(io.BytesIO(lines))
    except DAMAGED:
        return True
    return False


def _unpacked(name: str, opener: Callable[[str], Any], max_bytes: int) -> BinaryIO:
    """Return what a compressed file holds, if that is at most `max_bytes`."""
    try:
        with opener(name) as stream:
            content = read_at_most(stream, max_bytes + 1)
    except DAMAGED as error:
        raise _error_of(error, name) from error
    if len(content) > max_bytes:
        raise FileFormatError(
            f"{name} holds more than max_bytes={max_bytes:,}: give more if it is to be trusted"
        )
    return io.BytesIO(content)


def _error_of(error: Exception, name: str, line: int | None = None) -> Exception:
    """Return the error to raise for a reader's error, with the number of the line if known."""
    if isinstance(error, OSError) and error.errno is not None:
        return error  # about the file itself, not its contents
    hint = ""
    if "Invalid index 0" in str(error):
        hint = (
            "; its indices begin at 0 and not, as the format says, at 1: read it with "
            "fastnn.svmlight.read_svmlight(..., zero_based=True), or write it with zero_based=False"
        )
    elif "n_features was set" in str(error):
        hint = (
            "; n_features (--features on the command line) is the number of columns, for a network "
            "that of its inputs"
        )
    where = name if line is None else f"line {line:,} of {name}"
    return FileFormatError(f"{where} cannot be read as svmlight: {error}{hint}")


def _narrowed(X: Any) -> Any:
    """Return the matrix with int32 indices if these suffice, since more code accepts them."""
    from scipy import sparse

    if max(X.nnz, X.shape[1]) > np.iinfo(np.int32).max:
        return X
    indices, indptr = (array.astype(np.int32, copy=False) for array in (X.indices, X.indptr))
    return sparse.csr_matrix((X.data, indices, indptr), shape=X.shape)


def classes_of(y: np.ndarray) -> np.ndarray:
    """Return labels converted as `read_svmlight` describes."""
    if np.isin(y, (-1, 1)).all():
        return (y > 0).astype(np.int64)
    whole_numbers = bool((y == np.floor(y)).all()) and 0 <= y.min() <= y.max() <= LARGEST_CLASS
    return y.astype(np.int64) if whole_numbers else y
