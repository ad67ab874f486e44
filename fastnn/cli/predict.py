"""``fastnn predict``: print a saved network's predictions for images, or rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn.files import json_text

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Network saved with --out.")],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="IDX file (plain or gzipped) or npy file with one image per row; all dimensions "
            "after the first are flattened. Or an svmlight file, named .svm, .svmlight or "
            ".libsvm, plain, .gz or .bz2, whose labels are ignored.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the class of each image, or its labels or values.

    There is one line per image; several labels or values are separated by spaces.
    """
    from fastnn import network

    found = network.load(model).predict(str(images))
    if as_json:
        what = "classes" if found.ndim == 1 and found.dtype.kind == "i" else "predictions"
        typer.echo(json_text({"model": str(model), "images": str(images), what: found.tolist()}))
    else:
        rows = found.reshape(len(found), -1).tolist()
        typer.echo("\n".join(" ".join(map(str, row)) for row in rows))
