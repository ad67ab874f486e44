"""Options that several commands share, and checks of their values."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from fastnn.checks import not_installed, one_of, real
from fastnn.files import json_text, refuse_unwritable, replace_text

if TYPE_CHECKING:
    from rich.table import Table

    from fastnn.optimizers import Optimizer
    from fastnn.penalties import Penalty

__all__ = [
    "BatchSize",
    "DataFolder",
    "DataName",
    "Dtype",
    "Hidden",
    "JsonFile",
    "LearningRate",
    "OptimizerName",
    "OptimizerOption",
    "PenaltyName",
    "Seed",
    "Threads",
    "all_differ",
    "finite",
    "hidden_layers",
    "is_terminal",
    "json_writer",
    "names_in",
    "need_compiler",
    "new_figure",
    "numbers_in",
    "optimizer_of",
    "penalty_of",
    "print_table",
    "refuse_folder",
    "strength_for",
    "units_in",
    "with_standard_output",
    "written",
]

T = TypeVar("T")

STANDARD_OUTPUT = Path("-")

PenaltyName = Literal[
    "l1",
    "l1_proximal",
    "l1_cumulative",
    "truncated_gradient",
    "l2",
    "elasticnet",
    "group_lasso",
    "sparse_group_lasso",
    "max_norm",
]
OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "ftrl"
]

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


def refuse_folder(name: str | None, folder: Path | None) -> None:
    """Refuse --data for rows that do not come from such a folder; None is MNIST, if it is there."""
    if folder is not None and name not in (None, "mnist", "fashion"):
        raise typer.BadParameter(f"it is for mnist and fashion, not {name}", param_hint="--data")


def finite(value: float | None) -> float | None:
    """Return a number unless it is infinite or NaN; the callback of an option."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a finite number is expected, not {value}")
    return value


def hidden_layers(values: list[str]) -> list[int]:
    """Return the units of the hidden layers that --hidden lists."""
    text = ",".join(values)
    if text.strip() == "none":
        return []
    return units_in("--hidden", text, "such as 30 or 100,30, or none")


def names_in(option: str, text: str, known: Iterable[str]) -> list[str]:
    """Return the comma-separated names that an option lists, each one of `known`."""
    try:
        return [one_of(option, name.strip(), known) for name in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def need_compiler() -> None:
    """Raise a `ValueError` in a command that is about compiled kernels, if there are none."""
    from fastnn.engine import jit

    if not jit.is_on():
        raise ValueError("nothing is compiled while NUMBA_DISABLE_JIT is set: unset it")


def numbers_in(option: str, text: str, *, drawn: bool | None = None, **bounds: float) -> Any:
    """Return the values that an option's text describes: a list of numbers, or a distribution.

    LOW:HIGH:COUNT is a list in equal ratios. If `drawn`, LOW:HIGH is a distribution instead; None
    stands for a command without --samples.
    """
    from fastnn.regularization_path import geometric
    from fastnn.sweep_space import LogUniform

    try:
        if ":" not in text:
            return [real(option, float(number), **bounds) for number in text.split(",")]
        low, high, *count = text.split(":")
        if len(count) > 1 or bool(drawn) == bool(count):
            raise ValueError
        ends = float(low), float(high)
        return geometric(*ends, int(count[0])) if count else LogUniform(*ends)
    except ValueError:
        least = "above 0" if ":" in text or "above" in bounds else "of at least 0"
        grid = "0.1:10:5" if drawn is None else "0.1:10:5 for a grid, or 0.1:10 for --samples"
        raise typer.BadParameter(
            f"numbers {least} are expected, such as 0.1,0.5, or {grid}, not {text!r}",
            param_hint=option,
        ) from None


def optimizer_of(name: str, learning_rate: float | None, penalty: Penalty | None) -> Optimizer:
    """Return the optimizer that the options name, if it can be combined with the penalty."""
    from fastnn import optimizers

    try:
        optimizer = optimizers.named("--optimizer", name, learning_rate)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--learning-rate") from error
    try:
        optimizers.check_penalties(optimizer, [penalty])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--penalty") from error
    return optimizer


def penalty_of(name: str, strength: float) -> Penalty:
    """Return the penalty that --penalty and --lmbda specify."""
    from fastnn import penalties

    try:
        return penalties.named("--penalty", name, strength)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lmbda") from error


def strength_for(penalty: str, lmbda: T | None) -> T | None:
    """Return --lmbda, which is required with a --penalty and forbidden without one."""
    if penalty == "none" and lmbda is not None:
        raise typer.BadParameter("it needs a --penalty", param_hint="--lmbda")
    if penalty != "none" and lmbda is None:
        raise typer.BadParameter(f"{penalty} needs a strength, --lmbda", param_hint="--penalty")
    return lmbda


def units_in(option: str, text: str, example: str, *, layers: int = 1) -> list[int]:
    """Return the units that `text` lists, of at least `layers` layers; `example` is such a text."""
    sizes = [size.strip() for size in text.split(",")]
    if len(sizes) < layers or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise typer.BadParameter(
            f"whole numbers above 0 are expected, {example}, not {text!r}", param_hint=option
        )
    return [int(size) for size in sizes]


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


def _json_file(path: Path | None) -> Path | None:
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


def print_table(table: Table) -> None:
    """Print a table at its full width, however narrow the terminal or the pipe is."""
    from rich.console import Console

    whole_width = Console(width=sys.maxsize).measure(table).maximum  # no figure is cut off
    Console(width=max(whole_width, Console().width)).print(table)


def is_terminal(*streams: Any) -> bool:
    """Return whether all these standard streams are terminals; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in streams)


def all_differ(files: Mapping[str, Path | None], read: Iterable[Path | None] = ()) -> None:
    """Refuse two options that would write the same file, or one of the files that are `read`."""
    seen = {path.resolve(): "this command reads" for path in read if path is not None}
    for option, path in files.items():
        ours = f"{option} writes"
        if path is not None and (first := seen.setdefault(path.resolve(), ours)) != ours:
            raise typer.BadParameter(f"{path} is what {first}", param_hint=option)


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


Hidden = Annotated[
    list[str],
    typer.Option(
        metavar="UNITS",
        help="Units of the hidden layers, such as 100,30; or none. Repeat it to add layers.",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        dir_okay=False,
        allow_dash=True,
        callback=_json_file,
        help="Write all figures here as JSON; without FILE, or with -, to standard output, and all "
        "else to standard error.",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows per mini-batch.")]
LearningRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        callback=finite,
        help="Learning rate (eta) [default: the optimizer's own, 0.5 for sgd].",
    ),
]
OptimizerOption = Annotated[OptimizerName, typer.Option(help="How a gradient becomes a step.")]
Dtype = Annotated[Literal["float32", "float64"], typer.Option(help="Dtype of the computations.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of initial weights and row orders.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads that share a batch [default: 1 if it is small, else one per CPU]."
    ),
]
