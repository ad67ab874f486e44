"""Arrays in IDX and npy files from untrusted sources.

The header's claims are compared with the file's content before memory is allocated for them.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import FileFormatError
from fastnn.files import read_at_most

__all__ = ["GZIP", "map_idx", "map_npy", "read_idx"]

# The first bytes of a gzip file.
GZIP = b"\x1f\x8b"

_Path = str | os.PathLike[str]


def read_idx(path: _Path, *, max_bytes: int = 1 << 31) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or gzipped.

    Parameters
    ----------
    path : path
        The file. IDX is two zero bytes, a type code, the number of dimensions, each dimension as
        a big-endian uint32, then the values in C order.
    max_bytes : int
        The largest content that is accepted, default 2 GiB.

    Returns
    -------
    ndarray of uint8
        In the shape given by the header.

    Raises
    ------
    FileFormatError
        If the header is not that of an IDX file of unsigned bytes, or claims more than `max_bytes`
        or another length than the content has. Memory grows with the actual content, not with the
        claim.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as raw:
        zipped = raw.peek(2)[:2] == GZIP
        stream = gzip.GzipFile(fileobj=raw) if zipped else raw
        try:
            shape = _read_idx_header(stream, path)
            claim = math.prod(shape)
            if claim > max_bytes:
                raise FileFormatError(
                    f"{path} claims {claim:,} bytes, more than max_bytes={max_bytes:,}: "
                    "give more if it is to be trusted"
                )
            content = read_at_most(stream, claim + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(f"{path} is a damaged gzip file: {error}") from None
    if len(content) != claim:
        came = "more" if len(content) > claim else f"{len(content):,}"
        raise FileFormatError(
            f"{path} must hold {claim:,} bytes after its header, for shape {shape}, not {came}"
        )
    # The copy is numpy's own memory, for which it requests huge pages: shuffled rows load faster.
    return np.frombuffer(content, np.uint8).copy().reshape(shape)


def map_idx(path: _Path) -> np.ndarray:
    """Map an IDX file of unsigned bytes into memory, read-only.

    Parameters
    ----------
    path : path
        The file, not compressed.

    Returns
    -------
    memmap of uint8
        In the shape given by the header. The file must not be truncated while it is in use.

    Raises
    ------
    FileFormatError
        As in `read_idx`.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        shape = _read_idx_header(file, path)
        start, size = file.tell(), os.fstat(file.fileno()).st_size
    if math.prod(shape) != size - start:
        raise FileFormatError(
            f"{path} must hold {math.prod(shape):,} bytes after its header, for shape {shape}, "
            f"not {size - start:,}"
        )
    return np.memmap(path, np.uint8, "r", start, shape)


def map_npy(path: _Path) -> np.ndarray:
    """Map an npy file of numbers into memory, read-only.

    Parameters
    ----------
    path : path
        The file, in the format that `numpy.save` writes.

    Returns
    -------
    ndarray
        Booleans, integers or floats in the file's byte order, with at least one dimension. The
        file must not be truncated while it is in use.

    Raises
    ------
    FileFormatError
        If it is not an npy file, is shorter than its header says, or holds anything but such
        numbers. Only the header takes memory.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:  # an OSError here propagates; later ones concern the content
        start, size = file.read(12), os.fstat(file.fileno()).st_size
    header = int.from_bytes(start[8:10] if start[6:7] == b"\1" else start[8:12], "little")
    if header > size:  # numpy would allocate that much before checking
        raise FileFormatError(f"{path} claims a header of {header:,} bytes and has {size:,}")
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python: anything may be raised
        raise FileFormatError(f"{path} is not an npy file of numbers: {error}") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise FileFormatError(
            f"{path} must hold an array of numbers, not {array.dtype} of {array.ndim} dimensions"
        )
    return array


def _read_idx_header(stream: IO[bytes] | gzip.GzipFile, path: _Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FileFormatError(
            f"{path} is not an IDX file: it begins with {magic!r}; other files of rows have names "
            "that end in .npy, .svm, .svmlight or .libsvm"
        )
    if magic[2] != 0x08:
        raise FileFormatError(
            f"{path} must hold unsigned bytes (IDX type 0x08), not type 0x{magic[2]:02x}"
        )
    dimensions = magic[3]
    if not 1 <= dimensions <= 4:
        raise FileFormatError(f"{path} must have 1 to 4 dimensions, not {dimensions}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise FileFormatError(f"{path} ends within its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if 0 in shape:
        raise FileFormatError(f"{path} must hold at least one value, not shape {shape}")
    return shape
