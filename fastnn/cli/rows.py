"""The rows that a command trains on: a named data set, or an svmlight file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fastnn.cli.output import is_terminal
from fastnn.cli.parsing import refuse_folder

if TYPE_CHECKING:
    from fastnn.network import Network

__all__ = ["Features", "RowsName", "Split", "TestFile", "files_read", "named_rows"]

VALIDATION_EVERY = 5  # if a data set has no rows beyond the book's training images

RowsName = Annotated[
    str,
    typer.Argument(
        metavar="[DATA]",
        help="Data set: digits, mnist or fashion; or an svmlight file, by its name: .svm, "
        ".svmlight or .libsvm, plain, .gz or .bz2.",
    ),
]
TestFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        exists=True,
        help="svmlight file of test rows [default: every fifth row is held out].",
    ),
]
Features = Annotated[
    int | None,
    typer.Option(min=1, help="Columns of svmlight files [default: the largest index]."),
]


class Split(NamedTuple):
    """Rows with their classes, for training and for testing.

    what: "images" or "rows". input_scale: that of the images; None for rows.
    """

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    input_scale: float | None
    what: str

    @property
    def outputs(self) -> int:
        """The number of output units: one for two classes, else one for each class."""
        classes = int(self.y.max()) + 1
        return 1 if classes <= 2 else classes

    def sizes(self, hidden: list[int]) -> list[int]:
        """Return the units of each layer of a network with these hidden layers."""
        return [self.X.shape[1], *hidden, self.outputs]

    def network(self, hidden: list[int], dtype: str, seed: int) -> Network:
        """Return a network for the rows."""
        from fastnn.network import Network

        return Network(self.sizes(hidden), dtype=dtype, input_scale=self.input_scale, seed=seed)

    def book(self) -> Split:
        """Return the split with no more training images than the book has."""
        from fastnn.data import TRAINING_IMAGES

        if self.what == "rows":
            return self
        return self._replace(X=self.X[:TRAINING_IMAGES], y=self.y[:TRAINING_IMAGES])

    def validation(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Split the training rows into those to train on and those to validate, with classes."""
        import numpy as np

        from fastnn.data import TRAINING_IMAGES

        number = np.arange(len(self.y))
        held = number >= TRAINING_IMAGES
        if self.what == "rows" or not held.any():
            held = number % VALIDATION_EVERY == 0
        if held.all():
            raise ValueError(
                f"there are too few {self.what}: some must be to train on, and some to validate"
            )
        return (self.X[~held], self.y[~held]), (self.X[held], self.y[held])


def files_read(name: str, test: Path | None) -> list[Path | None]:
    """Return the svmlight files that a command's arguments name."""
    from fastnn.svmlight import has_svmlight_name

    return [Path(name) if has_svmlight_name(name) else None, test]


def named_rows(name: str, folder: Path | None, test: Path | None, features: int | None) -> Split:
    """Return the rows that a command's arguments name; a download shows progress on a terminal.

    Raises
    ------
    typer.BadParameter
        If the name is unknown, or an option does not apply to it.
    FileFormatError, OSError, ValueError
        If a file is invalid or cannot be read.
    """
    from fastnn import data
    from fastnn.svmlight import has_svmlight_name

    is_file = has_svmlight_name(name)
    if not is_file and name not in data.NAMES:
        raise typer.BadParameter(
            f"{name!r} is none of {', '.join(data.NAMES)}, nor named as an svmlight file",
            param_hint="[DATA]",
        )
    refuse_folder(name, folder)
    if is_file:
        return Split(*_svmlight(name, test, features), None, "rows")
    if test is not None or features is not None:
        raise typer.BadParameter(
            f"it is for svmlight files, and {name} is not named as one",
            param_hint="--features" if test is None else "--test",
        )
    progress = is_terminal(sys.stderr)
    X, y, X_test, y_test, input_scale, *_ = data.load(name, folder, progress=progress)
    return Split(X, y, X_test, y_test, input_scale, "images")


def _svmlight(name: str, test: Path | None, features: int | None) -> tuple[Any, Any, Any, Any]:
    """Return the rows and labels of an svmlight file, and those of the test rows."""
    import numpy as np

    from fastnn.data import HOLD_OUT_EVERY
    from fastnn.svmlight import read_svmlight

    X, y = read_svmlight(name, features)
    if test is None:
        held = np.arange(len(y)) % HOLD_OUT_EVERY == 0
        parts = X[~held], y[~held], X[held], y[held]
    else:
        parts = X, y, *read_svmlight(test, X.shape[1])
    for labels in parts[1::2]:
        if len(labels) == 0:
            raise ValueError(
                f"{name} has too few rows: there must be some to train on and some to report on"
            )
        if labels.dtype != np.int64:
            raise ValueError(
                f"the labels of {name} and of what is reported on must be whole numbers from 0 "
                "on, or -1 and +1"
            )
    most, reported = parts[1].max(), parts[3].max()
    if reported > max(most, 1):
        raise ValueError(
            f"the rows that are reported on have the class {reported}, and those to train on "
            f"only classes up to {most}"
        )
    return parts
