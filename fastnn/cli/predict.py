"""``fastnn predict``: the classes of images, from a saved network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What train --out has saved.")],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="IDX file (plain or gzipped) or npy file, one image a row; more dimensions "
            "after the first are taken as one row. Or an svmlight file, named .svm, .svmlight or "
            ".libsvm, plain or .gz, whose labels are not looked at.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the class of each image, one a line."""
    from fastnn import network

    loaded = network.load(model)
    classes = loaded.predict(_read_rows(images, loaded.n_inputs)).tolist()
    if as_json:
        typer.echo(json.dumps({"model": str(model), "images": str(images), "classes": classes}))
    else:
        typer.echo("\n".join(map(str, classes)))


def _read_rows(path: Path, width: int) -> Any:
    from fastnn.array_files import read_idx, read_npy
    from fastnn.svmlight import has_svmlight_name, read_svmlight

    if has_svmlight_name(path):
        return read_svmlight(path, width)[0]
    with open(path, "rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    array = read_npy(path) if is_npy else read_idx(path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array
