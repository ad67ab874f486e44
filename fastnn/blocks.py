"""Rows that do not fit into memory, read block by block while the engine trains.

A pass over the blocks fills one buffer of rows while the engine trains on the previous one
(`fastnn.block_training`). Each epoch shuffles the order of the blocks, and the rows in a buffer.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastnn.arrays import real_array
from fastnn.block_sources import ArrayBlocks, Block, SvmlightBlocks
from fastnn.checks import optional, whole
from fastnn.csr import compressed, is_sparse
from fastnn.row_files import is_path, mapped, mapped_rows
from fastnn.svmlight import has_svmlight_name

__all__ = ["BlockError", "Blocks", "Buffer"]

T = TypeVar("T")


class BlockError(RuntimeError):
    """A block could not be read; the network keeps its weights from the buffers before it."""


class Buffer(NamedTuple):
    """Rows that are shuffled and trained on together, and the number of their last block."""

    X: Any
    y: Any
    last: int


class Blocks:
    """Rows in blocks, for `Network.fit` instead of X and y.

    Parameters
    ----------
    source : iterable of pairs (X, y)
        Each ``iter(source)`` must start from the beginning and yield the same blocks: arrays or
        sparse matrices as `Network.fit` takes them, with any number of rows. A source that also
        has ``len(source)`` and ``source[i]`` is read in a new order in every epoch if rows are
        shuffled; any other is read in its own order.
    rows : int, optional
        The total number of rows, the n of lmbda/n. If not given, one pass over the blocks counts
        them.
    buffer : int, default 32768
        The number of rows that are shuffled together. Two buffers are in memory at a time.

    Raises
    ------
    TypeError
        If `source` is not iterable, or is an iterator, which cannot start again.
    """

    def __init__(
        self, source: Iterable[Block], *, rows: int | None = None, buffer: int = 32_768
    ) -> None:
        if not isinstance(source, Iterable) or isinstance(source, Iterator):
            raise TypeError(
                "source must begin anew with each iter(source), as a list or an object with "
                f"__iter__ does, not {type(source).__name__}"
            )
        self.source = source
        self.buffer = whole("buffer", buffer, minimum=1)
        self._rows = optional(whole, "rows", rows, minimum=1)

    @classmethod
    def of_files(
        cls,
        X: str | os.PathLike[str] | np.ndarray,
        y: str | os.PathLike[str] | np.ndarray | None = None,
        *,
        block: int = 8192,
        buffer: int = 32_768,
        n_features: int | None = None,
    ) -> Blocks:
        """Return blocks of the rows of files, or of arrays such as ``np.memmap``.

        Parameters
        ----------
        X : path or ndarray
            An npy or IDX file, which is mapped into memory, with all dimensions after the first
            flattened; or an svmlight file (.svm, .svmlight, .libsvm), which is read once now and
            once per epoch.
        y : path or ndarray, optional
            As many classes or targets, in an npy or IDX file or an array. It must be omitted for an
            svmlight file, which holds its own labels.
        block : int, default 8192
            The number of consecutive rows in a block.
        buffer : int, default 32768
            As for the class.
        n_features : int, optional
            The number of columns of an svmlight file; by default its largest index.

        Raises
        ------
        FileFormatError
            If a file's content is not what its name says.
        ModuleNotFoundError
            If X is an svmlight file and scikit-learn is not installed.
        ValueError
            If X and y have different numbers of rows, or none; if y or `n_features` does not fit
            the format of X; or if a file is compressed, so that no part of it can be read alone.
        OSError
            If a file cannot be read.
        """
        block = whole("block", block, minimum=1)
        n_features = optional(whole, "n_features", n_features, minimum=1)
        for each in (X, y):
            if is_path(each) and os.fspath(each).lower().endswith((".gz", ".bz2")):
                raise ValueError(f"{each} is compressed, and cannot be read in blocks: unpack it")
        if is_path(X) and has_svmlight_name(X):
            if y is not None:
                raise ValueError("y must be left out where X is svmlight, which has its labels")
            lines = SvmlightBlocks(X, block, n_features)
            return cls(lines, rows=lines.rows, buffer=buffer)
        if n_features is not None or y is None:
            raise ValueError("X must be an svmlight file for n_features, or where y is left out")
        rows: Any = mapped_rows(X) if is_path(X) else X
        targets: Any = mapped(y) if is_path(y) else y
        return cls(ArrayBlocks(rows, targets, block), rows=len(rows), buffer=buffer)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Refuse to become an array."""
        raise TypeError("Blocks are for fit: give an array, a sparse matrix or a path")

    @property
    def rows(self) -> int:
        """The total number of rows; if it was not given, the first use counts them."""
        if self._rows is None:
            self._rows = sum(len(np.asarray(y)) for _, (_, y) in self._read(None))
            if not self._rows:
                raise ValueError("the blocks must hold at least one row, not none")
        return self._rows

    def buffers(
        self, rng: np.random.Generator | None, prepare: Callable[[Buffer], T]
    ) -> Generator[T]:
        """Yield the buffers of one pass; a thread prepares the next one while the caller works.

        Parameters
        ----------
        rng : Generator, optional
            Draws the order of the blocks if the source can be indexed and has several. Without it
            the blocks come in their own order.
        prepare : callable
            Applied to each buffer in that thread; its results are yielded.
        """
        filled = map(prepare, self._filled(rng))
        reader = ThreadPoolExecutor(1, "fastnn-reader")
        try:
            coming: Future[T | None] = reader.submit(next, filled, None)
            while (ready := coming.result()) is not None:
                coming = reader.submit(next, filled, None)
                yield ready
        finally:  # Ctrl-C does not wait for a slow block
            reader.shutdown(wait=False, cancel_futures=True)

    def _filled(self, rng: np.random.Generator | None) -> Iterator[Buffer]:
        parts: list[Block] = []
        count = number = 0
        for number, (X, y) in self._read(rng):
            start = 0
            while start < len(y):
                end = start + self.buffer - count
                parts.append((X[start:end], y[start:end]))
                count, start = count + len(parts[-1][1]), end
                if count == self.buffer:
                    yield _joined(parts, number)
                    count = 0
        if parts:
            yield _joined(parts, number)

    def _read(self, rng: np.random.Generator | None) -> Iterator[tuple[int, Block]]:
        """Yield the number and the checked (X, y) of each block of one pass."""
        source: Any = self.source
        numbers: Iterable[int] = itertools.count()
        indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        drawn = rng is not None and indexed and len(source) > 1
        if rng is not None and drawn:
            numbers = rng.permutation(len(source)).tolist()
        each = before = form = None
        for number in numbers:
            try:
                if each is None and not drawn:
                    each = iter(source)
                X, y = source[number] if each is None else next(each)
                X, y = _as_arrays(X, y)
                form = form or _form_of(X, y)
                if _form_of(X, y) != form:
                    raise ValueError(f"it holds {_form_of(X, y)}, and blocks before it {form}")
            except StopIteration:
                return
            except Exception as error:
                after = "the first one" if before is None else f"after block {before}"
                raise BlockError(
                    f"block {number}, {after}, could not be read: {type(error).__name__}: {error}"
                ) from error
            yield number, (X, y)
            before = number


def _as_arrays(X: Any, y: Any) -> Block:
    """Return a block as a matrix that can be sliced by rows, and an array of as many targets."""
    X, y = _as_csr(X) if is_sparse(X) else real_array("X", X), real_array("y", y)
    if X.shape[0] != len(y):
        raise ValueError(f"X has {X.shape[0]} rows and y has {len(y)}")
    return X, y


def _as_csr(X: Any) -> Any:
    """Return a sparse matrix as CSR of its own dtype, as uint8 has another scale than floats."""
    if X.format == "csr":
        return compressed(X)
    csr = compressed(X.astype(np.float64))  # adds duplicate entries, in a type that holds the sums
    back = csr.astype(X.dtype)
    if X.dtype.kind in "iu" and (back != csr).nnz:
        raise ValueError(f"entries for the same place add up to more than {X.dtype} holds")
    return back


def _form_of(X: Any, y: Any) -> str:
    """Return what all blocks of a source must share, as joining them would hide a difference."""
    sparse, columns = "sparse " if is_sparse(X) else "", "x".join(map(str, X.shape[1:]))
    kind = "numbers" if y.ndim == 1 else f"rows of {y.shape[1]}"
    return f"{sparse}{X.dtype} X of {columns} columns and y of {kind}"


def _joined(parts: list[Block], last: int) -> Buffer:
    """Return the parts copied into one buffer, and empty the list, so that they can be freed."""
    Xs, ys = zip(*parts, strict=True)
    parts.clear()
    if not is_sparse(Xs[0]):
        return Buffer(np.concatenate(Xs), np.concatenate(ys), last)
    from scipy import sparse

    return Buffer(sparse.vstack(Xs, format="csr"), np.concatenate(ys), last)
