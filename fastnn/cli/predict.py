"""``fastnn predict``: the classes of images, from a saved network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What train --out has saved.")],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="IDX file (plain or gzipped) or npy file, one image a row; more dimensions "
            "after the first are taken as one row.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the class of each image, one a line."""
    from fastnn import network

    classes = network.load(model).predict(_read_images(images)).tolist()
    if as_json:
        typer.echo(json.dumps({"model": str(model), "images": str(images), "classes": classes}))
    else:
        typer.echo("\n".join(map(str, classes)))


def _read_images(path: Path) -> np.ndarray:
    from fastnn.array_files import read_idx, read_npy

    with open(path, "rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    array = read_npy(path) if is_npy else read_idx(path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array
