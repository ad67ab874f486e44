"""Where a command's output goes: files that it writes, figures as JSON, tables, pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastnn.checks import not_installed
from fastnn.files import json_text, refuse_unwritable, replace_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "all_differ",
    "is_terminal",
    "json_file",
    "json_writer",
    "model_file",
    "new_figure",
    "print_table",
    "with_standard_output",
    "written",
]

STANDARD_OUTPUT = Path("-")


def all_differ(files: Mapping[str, Path | None], read: Iterable[Path | None] = ()) -> None:
    """Refuse two options that would write the same file, or one of the files that are `read`."""
    seen = {path.resolve(): "this command reads" for path in read if path is not None}
    for option, path in files.items():
        ours = f"{option} writes"
        if path is not None and (first := seen.setdefault(path.resolve(), ours)) != ours:
            raise typer.BadParameter(f"{path} is what {first}", param_hint=option)


def written(help_text: str, *names: str, metavar: str = "FILE") -> Any:
    """Return the option for an output file; a file that cannot be written is refused at once."""
    return typer.Option(*names, metavar=metavar, dir_okay=False, callback=_writable, help=help_text)


def _writable(path: Path | None) -> Path | None:
    """Return a path if it can be written to; the callback of an option."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}")
    if path is not None:
        refuse_unwritable(path)
    return path


def model_file(what: str) -> Any:
    """Return the option for a file that a network is saved to; `what` says which network."""
    return written(
        f"{what}: as JSON if the name ends in .json, else as safetensors.", metavar="MODEL"
    )


def json_file(path: Path | None) -> Path | None:
    """Return the file of --json, whose name shows that it is not the argument after --json."""
    if path in (None, STANDARD_OUTPUT):
        return path
    if path.suffix != ".json" and not path.is_relative_to("/dev"):
        raise typer.BadParameter(f"a name that ends in .json is expected, not {path.name!r}")
    return _writable(path)


def with_standard_output(arguments: list[str]) -> list[str]:
    """Return a command's arguments, with standard output as the file of a --json without one."""
    given = list(arguments)
    if "--json" in given:
        place = given.index("--json") + 1
        following = given[place : place + 1]
        if not following or (following[0].startswith("-") and following != [str(STANDARD_OUTPUT)]):
            given.insert(place, str(STANDARD_OUTPUT))
    return given


def json_writer(path: Path | None) -> Callable[[Any], None]:
    """Return a function that writes a command's figures as JSON to --json, if that was given.

    If it is standard output, all else that is printed from now on goes to standard error.
    """
    stdout = sys.stdout
    if path == STANDARD_OUTPUT:
        sys.stdout = sys.stderr  # until the command ends: the group of commands restores it

    def write(figures: Any) -> None:
        if path == STANDARD_OUTPUT:
            typer.echo(json_text(figures), file=stdout)
        elif path is not None:
            replace_text(path, json_text(figures) + "\n")
            typer.echo(f"figures written to {path}")

    return write


def is_terminal(*streams: Any) -> bool:
    """Return whether all these standard streams are terminals; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in streams)


def print_table(table: Table) -> None:
    """Print a table at its full width, however narrow the terminal or the pipe is."""
    from rich.console import Console

    whole_width = Console(width=sys.maxsize).measure(table).maximum  # no figure is cut off
    Console(width=max(whole_width, Console().width)).print(table)


def new_figure(plot: Path | None) -> Any:
    """Return a figure for the file `plot`, if given; raise at once if it could not be saved."""
    if plot is None:
        return None
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise not_installed("--plot", "matplotlib", "matplotlib") from error
    figure = Figure(layout="constrained")  # not pyplot's, which may open a window
    kinds = figure.canvas.get_supported_filetypes()
    if plot.suffix.removeprefix(".") not in kinds:
        raise typer.BadParameter(
            f"one of the endings {', '.join(sorted(kinds))} is expected, not {plot.name!r}",
            param_hint="--plot",
        )
    return figure
