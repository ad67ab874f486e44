"""``fastnn predict``: the classes of images, from a saved network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn.files import json_text

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What train --out has saved.")],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="IDX file (plain or gzipped) or npy file, one image a row; more dimensions "
            "after the first are taken as one row. Or an svmlight file, named .svm, .svmlight or "
            ".libsvm, plain, .gz or .bz2, whose labels are not looked at.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the class of each image, one a line."""
    from fastnn import network

    loaded = network.load(model)
    classes = loaded.predict(str(images)).tolist()
    if as_json:
        typer.echo(json_text({"model": str(model), "images": str(images), "classes": classes}))
    else:
        typer.echo("\n".join(map(str, classes)))
