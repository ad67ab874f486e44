"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`; a reader sees what was there before, or all of it.

    It is written beside `path`, brought to the disk, and renamed. Where writing fails, or the
    process is killed, `path` is as it was; a piece that was left behind goes with the next write.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    for other in target.parent.glob(f".{target.name}.*.tmp"):
        other.unlink(missing_ok=True)
