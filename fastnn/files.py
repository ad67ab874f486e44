"""Atomic replacement of files, reading up to a limit, and text for JSON and CSV."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import gzip
import hashlib
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

__all__ = [
    "csv_text",
    "json_safe",
    "json_text",
    "read_at_most",
    "refuse_unwritable",
    "refuse_without_folder",
    "remove_leftovers",
    "replace_file",
    "replace_text",
]

# How many characters of a file's name its temporary file repeats: each may take 4 bytes, of the
# 255 that a name may have.
LONGEST_NAME = 60


def json_safe(value: Any) -> Any:
    """Return `value` with None for each non-finite float, which JSON cannot represent."""
    if isinstance(value, dict):
        return {name: json_safe(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any) -> str:
    """Return a value, made `json_safe`, as one line of JSON."""
    return json.dumps(json_safe(value), allow_nan=False)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table as CSV, one line per row."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(rows)
    return text.getvalue()


def read_at_most(stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytearray:
    """Read up to `limit` bytes; memory grows with the bytes read, not with `limit`."""
    content = bytearray()
    while len(content) < limit:
        chunk = stream.read(min(1 << 20, limit - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` atomically: a reader sees the old content or all of the new.

    The content is written to a temporary file in the same folder, which is synced to disk, given
    the mode of the file it replaces, and renamed. If writing fails or the process is killed, `path`
    is unchanged. A device, a pipe, or a file that is open as /dev/stdout, is written to, not
    replaced.

    Raises
    ------
    OSError
        If the file cannot be written, for example because it is read-only.
    """
    target = _writable(path)
    if _is_stream(target):
        with open(target, "ab") as file:  # standard output may be a file that has lines already
            file.write(content)
        return
    beside = _beside(target)
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def refuse_without_folder(path: str | os.PathLike[str]) -> None:
    """Raise an `OSError` if a file's folder does not exist, or the path is a folder itself."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raise the `OSError` that `replace_file` would raise, as far as can be known beforehand."""
    target = _writable(path)
    if not _is_stream(target):
        beside = _beside(target)
        try:
            with open(beside, "xb"):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        beside.unlink()


def _writable(path: str | os.PathLike[str]) -> Path:
    """Return the file to write or replace; a symbolic link is resolved, so that it stays one."""
    # A link such as /dev/fd/3 leads to a pipe that has no path.
    target = Path(path if _is_stream(Path(path)) else os.path.realpath(path))
    refuse_without_folder(target)
    if target.exists() and not os.access(target, os.W_OK):  # a rename would not check it
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return target


def _is_stream(path: Path) -> bool:
    """Return whether a path is written to, not replaced: a device, a pipe, or an open file."""
    if os.path.dirname(os.path.abspath(path)) in ("/dev", "/dev/fd"):
        return path.exists() and not path.is_dir()
    return path.exists() and not path.is_file() and not path.is_dir()


def _short(name: str) -> str:
    """Return a file name, shortened to its start and a digest if it is long."""
    if len(name) <= LONGEST_NAME:
        return name
    start = name[: LONGEST_NAME - 3]  # as the digest takes 9 bytes
    return f"{start}-{hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()}"


def _beside(target: Path) -> Path:
    """Return a name for the temporary file of `target`, whose own name may have any length."""
    return target.with_name(f".{_short(target.name)}.{secrets.token_hex(4)}.tmp")


def replace_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    replace_file(path, text.encode())


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove temporary files that killed writers of `path` have left behind."""
    target = Path(os.path.realpath(path))
    name = glob.escape(_short(target.name))
    for piece in target.parent.glob(f".{name}.{8 * '[0-9a-f]'}.tmp"):
        with contextlib.suppress(OSError):  # the folder may be read-only by now
            piece.unlink(missing_ok=True)
