"""Files that are replaced whole or not at all, and read up to a limit; what goes into JSON."""

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
    "remove_pieces",
    "replace_file",
    "replace_text",
]

# Of a file's name, in the name of what is written beside it: letters of up to 4 bytes, of 255.
LONGEST_NAME = 60


def json_safe(value: Any) -> Any:
    """Return `value` with None for each float that is not finite, of which JSON has none."""
    if isinstance(value, dict):
        return {name: json_safe(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return what is `json_safe` of a value as JSON: a line, or indented."""
    return json.dumps(json_safe(value), allow_nan=False, indent=indent)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table as CSV, a line each."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(rows)
    return text.getvalue()


def read_at_most(stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytearray:
    """Read up to `limit` bytes; memory grows with what comes, not with `limit`."""
    content = bytearray()
    while len(content) < limit:
        chunk = stream.read(min(1 << 20, limit - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`; a reader sees what was there before, or all of it.

    It is written beside `path`, brought to the disk, given the mode of the file that it replaces,
    and renamed. Where writing fails, or the process is killed, `path` is as it was. A device or a
    pipe is not replaced, but written to.

    Raises
    ------
    OSError
        If the file cannot be written; it may be there and read-only.
    """
    target = _writable(path)
    if target.exists() and not target.is_file():
        with open(target, "wb") as file:
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


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raise the `OSError` that `replace_file` would, as far as it is known before writing."""
    target = _writable(path)
    if not target.exists() or target.is_file():
        beside = _beside(target)
        try:
            with open(beside, "xb"):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        beside.unlink()


def _writable(path: str | os.PathLike[str]) -> Path:
    """Return the file that is to be written or replaced; a link stays a link."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    if target.exists() and not os.access(target, os.W_OK):  # which a rename would not ask
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return target


def _short(name: str) -> str:
    """Return a file's name, or a start of it with a digest if it is long."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()}"


def _beside(target: Path) -> Path:
    """Return a name for what is to become a file; the file's own may be as long as names can be."""
    return target.with_name(f".{_short(target.name)}.{secrets.token_hex(4)}.tmp")


def replace_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text to `path` as UTF-8, as `replace_file` does."""
    replace_file(path, text.encode())


def remove_pieces(path: str | os.PathLike[str]) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    target = Path(os.path.realpath(path))
    name = glob.escape(_short(target.name))
    for piece in target.parent.glob(f".{name}.{8 * '[0-9a-f]'}.tmp"):
        with contextlib.suppress(OSError):  # a folder that has become read-only
            piece.unlink(missing_ok=True)
