"""The book's ``mnist.pkl.gz``, read without running anything it may contain.

A pickle is a program. This reader knows three names of numpy and puts stand-ins of its own in their
place, which take a type, a shape and bytes; any other name ends the reading.
"""

from __future__ import annotations

import gzip
import math
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import FileFormatError

__all__ = ["load_arrays"]


class _DType:
    """Stands for `numpy.dtype`: keeps the type code and the byte order."""

    def __init__(self, code: bytes | str, *_copy_flags: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else str(order)

    def numpy(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        if dtype.kind not in "iuf":
            raise pickle.UnpicklingError(f"an array of type {self.code!r}")
        return dtype.newbyteorder(self.order if self.order in "<>" else "=")  # type: ignore[arg-type]


class _Array:
    """Stands for `numpy.ndarray`: becomes an array when its state comes."""

    array: np.ndarray

    def __init__(self, *_empty_array: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, data = state
        flat = np.frombuffer(data, dtype.numpy())
        if flat.size != math.prod(shape):
            raise pickle.UnpicklingError(f"{flat.size} values for the shape {shape}")
        native = flat.astype(flat.dtype.newbyteorder("="))
        self.array = native.reshape(shape, order="F" if fortran else "C")


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


def load_arrays(path: Path) -> Any:
    """Return the nested tuples of numpy arrays pickled in the gzip file `path`.

    Raises
    ------
    FileFormatError
        If the file is damaged or holds anything but tuples, lists, numbers, strings and arrays of
        numbers.
    OSError
        If it cannot be opened.
    """
    with gzip.open(path, "rb") as file:
        try:
            # Python 2 pickled an array's bytes as a string; "bytes" takes them as they are.
            return _arrays(_ArrayUnpickler(file, encoding="bytes").load())
        except Exception as error:  # a damaged pickle may raise anything
            raise FileFormatError(
                f"{path} is not a gzipped pickle of numpy arrays alone: {error}"
            ) from error


def _arrays(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array
    return tuple(map(_arrays, value)) if isinstance(value, tuple | list) else value
