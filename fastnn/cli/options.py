"""What several commands take: options, and the checks of their values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["DataFolder", "DataName", "finite", "writable"]

DataName = Literal["digits", "mnist", "fashion"]

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Folder with the IDX files, or with mnist/ and fashion-mnist/ [default: $FASTNN_DATA, "
        "else the cache].",
    ),
]


def finite(value: float | None) -> float | None:
    """Return a number that is not infinite or NaN; the callback of an option."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a finite number is expected, not {value}")
    return value


def writable(path: Path | None) -> Path | None:
    """Return a path whose folder is there; the callback of an option."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}")
    return path
