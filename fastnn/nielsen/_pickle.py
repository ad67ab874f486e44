"""Reading the book's ``mnist.pkl.gz`` without executing anything it may contain.

A pickle is a program. This reader accepts four names of numpy and replaces them by stand-ins, which
take a type, a shape and bytes; any other name ends the reading. Some instructions allocate memory
in proportion to a number in the file. So the program is checked before it runs: only instructions
that arrays need are allowed, and none that claims more data than the file has.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import pickle
import pickletools
import re
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import FileFormatError
from fastnn.files import read_at_most

__all__ = ["load_arrays"]

# Of protocols 2 to 5. Their numbers and bytes begin with a length, which `genops` compares with the
# data that follow.
INSTRUCTIONS = re.compile(
    "PROTO|FRAME|STOP|MARK|GLOBAL|STACK_GLOBAL|REDUCE|BUILD|NONE|NEWTRUE|NEWFALSE|BININT[12]?|LONG1"
    "|(SHORT_)?BIN(STRING|BYTES|UNICODE)|BINBYTES8|(EMPTY_)?TUPLE|TUPLE[123]|EMPTY_LIST|APPENDS?"
    "|MEMOIZE|(LONG_)?BIN(PUT|GET)"
)
NUMBERS = re.compile("[iuf][1248]")


class _DType:
    """Stand-in for `numpy.dtype`: keeps the type code and the byte order."""

    def __init__(self, code: bytes | str, *_copy_flags: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else str(order)

    def numpy(self) -> np.dtype[Any]:
        if not NUMBERS.fullmatch(self.code):
            raise pickle.UnpicklingError(f"an array of type {self.code!r:.40}")
        return np.dtype((">" if self.order == ">" else "<") + self.code)


class _Array:
    """Stand-in for `numpy.ndarray`: keeps its state."""

    def __init__(self, *_empty_array: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self.shape, self.dtype, self.fortran, self.data = state

    def numpy(self) -> np.ndarray:
        flat = np.frombuffer(self.data, self.dtype.numpy())
        if flat.size != math.prod(self.shape):
            raise pickle.UnpicklingError(f"{flat.size} values for the shape {self.shape!r:.40}")
        native = flat.astype(flat.dtype.newbyteorder("="))
        return native.reshape(self.shape, order="F" if self.fortran else "C")


class _ArrayUnpickler(pickle.Unpickler):
    names: ClassVar[dict[tuple[str, str], type]] = {
        ("numpy", "dtype"): _DType,
        ("numpy", "ndarray"): _Array,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
    }

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return self.names[module, name]


def load_arrays(path: str | os.PathLike[str], *, max_bytes: int = 1 << 30) -> Any:
    """Return the nested tuples of numpy arrays pickled in the gzip file `path`.

    Parameters
    ----------
    path : path
    max_bytes : int
        The largest decompressed content that is read, default 1 GiB; the book's file has 220 MB.

    Raises
    ------
    FileFormatError
        If the file is damaged, too large, or holds anything but tuples, lists, numbers, strings and
        arrays of numbers. Memory use is bounded by a few times the size of the content.
    OSError
        If the file cannot be opened.
    """
    with gzip.open(path, "rb") as file:
        try:
            content = bytes(read_at_most(file, max_bytes + 1))
            if len(content) > max_bytes:
                raise pickle.UnpicklingError(f"its content is larger than max_bytes={max_bytes:,}")
            _check_instructions(content)
            # Python 2 pickled an array's bytes as a string; "bytes" takes them as they are.
            value = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
            return _Converted(len(content)).of(value)
        except Exception as error:  # a damaged pickle may raise anything
            raise FileFormatError(
                f"{path} is not a gzipped pickle of numpy arrays alone: {error}"
            ) from error


def _check_instructions(content: bytes) -> None:
    for instruction, argument, _ in pickletools.genops(content):
        if not INSTRUCTIONS.fullmatch(instruction.name):
            raise pickle.UnpicklingError(f"the instruction {instruction.name}")
        # The unpickler's memo is an array as long as the largest index into it.
        if instruction.name == "LONG_BINPUT" and int(argument or 0) > len(content):
            raise pickle.UnpicklingError(f"a place {argument:,} in its memo")


class _Converted:
    """Converts values to arrays, each only once, as a pickle may name the same one many times.

    Parameters
    ----------
    most : int
        The most bytes that all arrays together may have.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._known: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, int | float | str | bytes):
            return value
        if not isinstance(value, tuple | list | _Array):  # a name, or the stand-in for a dtype
            raise pickle.UnpicklingError(f"a {type(value).__name__}")
        if id(value) not in self._known:
            self._known[id(value)] = None  # found again only by a list that contains itself
            self._known[id(value)] = self._made(value)
        made = self._known[id(value)]
        if made is None:
            raise pickle.UnpicklingError("a list within itself")
        return made

    def _made(self, value: Any) -> Any:
        if not isinstance(value, _Array):
            return tuple(map(self.of, value))
        self._left -= len(value.data)
        if self._left < 0:
            raise pickle.UnpicklingError("arrays of more bytes than it has")
        return value.numpy()
