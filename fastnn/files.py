"""Files that are replaced whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
from pathlib import Path

__all__ = ["remove_pieces", "replace_file"]


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`; a reader sees what was there before, or all of it.

    It is written beside `path`, brought to the disk, and renamed. Where writing fails, or the
    process is killed, `path` is as it was.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def remove_pieces(path: str | os.PathLike[str]) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    target = Path(os.path.realpath(path))
    for piece in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        piece.unlink(missing_ok=True)
