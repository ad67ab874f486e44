"""Files and arrays as sequences of blocks of rows, each block read when it is indexed."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.checks import FileFormatError
from fastnn.svmlight import classes_of, parse_svmlight

__all__ = ["ArrayBlocks", "Block", "SvmlightBlocks"]

Block = tuple[Any, Any]


class ArrayBlocks(Sequence[Block]):
    """Two arrays in blocks of `block` rows; the last block may be shorter.

    Parameters
    ----------
    X, y : ndarray, n rows each
    block : int

    Raises
    ------
    ValueError
        If the arrays have different numbers of rows, or none.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, block: int) -> None:
        if len(X) != len(y) or not len(X):
            raise ValueError(
                f"X and y must have as many rows, at least one, not {len(X)} and {len(y)}"
            )
        self._X, self._y, self._block = X, y, block

    def __len__(self) -> int:
        return -(-len(self._X) // self._block)

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows = slice(number * self._block, (number + 1) * self._block)
        return self._X[rows], self._y[rows]


class SvmlightBlocks(Sequence[Block]):
    """An uncompressed svmlight file in blocks of `block` lines.

    The constructor reads the whole file once to find its rows, columns and labels.

    Parameters
    ----------
    path : path
    block : int
    n_features : int, optional
        The number of columns; by default the file's largest index.

    Attributes
    ----------
    rows : int
        The number of rows in the file.

    Raises
    ------
    FileFormatError
        If it is not an svmlight file, or has no rows.
    ModuleNotFoundError
        If scikit-learn is not installed.
    OSError
        If the file cannot be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], block: int, n_features: int | None = None
    ) -> None:
        self._path, self._block = os.fspath(path), block
        self._starts = _starts_of_lines(self._path, block)
        self.rows, widest = 0, 1
        labels = np.empty(0)
        for number in range(len(self)):
            X, y = self._parsed(number, n_features)
            self.rows, widest = self.rows + len(y), max(widest, X.shape[1])
            labels = np.union1d(labels, y)
        if not self.rows:
            raise FileFormatError(f"{self._path} must hold rows, not none")
        self._n_features = n_features or widest
        self._known, self._as = labels, classes_of(labels)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        X, y = self._parsed(number, self._n_features)
        return X, self._as[np.searchsorted(self._known, y)]

    def _parsed(self, number: int, n_features: int | None) -> Block:
        start, end = self._starts[number : number + 2]
        with open(self._path, "rb") as file:
            file.seek(start)
            lines = io.BytesIO(file.read(end - start))
        first = 1 + number * self._block
        return parse_svmlight(lines, self._path, n_features, zero_based=False, line=first)


def _starts_of_lines(path: str, block: int) -> list[int]:
    """Return the offset of every `block`-th line, and of the file's end."""
    starts, place = [], 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if number % block == 0:
                starts.append(place)
            place += len(line)
    return [*starts, place]
