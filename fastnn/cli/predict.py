"""``fastnn predict``: print a saved network's predictions for images, or rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn.cli.options import JsonFile
from fastnn.cli.output import all_differ, json_writer

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
    json_file: JsonFile = None,
) -> None:
    """Print the class of each image, or its labels or values.

    There is one line per image; several labels or values are separated by spaces.
    With --json they are not printed.
    """
    from fastnn import network

    all_differ({"--json": json_file}, [model, images])
    write_json = json_writer(json_file)
    found = network.load(model).predict(str(images))
    what = "classes" if found.ndim == 1 and found.dtype.kind == "i" else "predictions"
    write_json({"model": str(model), "images": str(images), what: found.tolist()})
    if json_file is None:
        rows = found.reshape(len(found), -1).tolist()
        typer.echo("\n".join(" ".join(map(str, row)) for row in rows))
