"""``fastnn profile``: what penalties cost on this machine, and where an epoch's time goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fastnn.checks import FileFormatError
from fastnn.cli.options import (
    DataFolder,
    Dtype,
    JsonFile,
    PlotFile,
)
from fastnn.cli.output import all_differ, is_terminal, json_writer, new_figure
from fastnn.cli.parsing import finite, need_compiler, refuse_folder, units_in

if TYPE_CHECKING:
    from fastnn.profiling import Profile

__all__ = ["ProfileData", "profile"]

ProfileData = Literal["digits", "mnist", "fashion", "synthetic"]


def profile(
    name: Annotated[
        ProfileData | None,
        typer.Argument(
            metavar="DATA",
            help="Rows: a data set, or synthetic ones [default: MNIST if it is available, else "
            "synthetic rows with as many zeros].",
            show_default=False,
        ),
    ] = None,
    folder: DataFolder = None,
    sizes: Annotated[
        str, typer.Option(metavar="UNITS", help="Units of each layer, inputs first.")
    ] = "784,30,10",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 10,
    penalty: Annotated[
        str, typer.Option(metavar="NAMES", help="Penalties, separated by commas, or all.")
    ] = "all",
    lmbda: Annotated[
        float, typer.Option(callback=finite, help="Their strength, above 0, for 50,000 rows.")
    ] = 5.0,
    dtype: Dtype = "float32",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that share a batch, each on its own CPU.")
    ] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, after one to compile.")] = 21,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Rows per epoch [default: 10,000, or all if there are fewer]."),
    ] = None,
    json_file: JsonFile = None,
    plot: PlotFile = None,
) -> None:
    """Measure what penalties cost, and where an epoch's time goes.

    Epochs with and without each penalty take turns: in the engine, with a numpy pass after every
    batch, and in the numpy path. The first run on a machine compiles for a minute or more.
    """
    from fastnn import profiling

    refuse_folder(name, folder)
    all_differ({"--json": json_file, "--plot": plot})
    figure = new_figure(plot)
    layers = units_in("--sizes", sizes, "at least two, such as 784,30,10", layers=2)
    need_compiler()
    write_json, on_terminal = json_writer(json_file), is_terminal(sys.stderr)

    def tell(measured: str) -> None:
        if on_terminal:
            typer.echo(f"measuring {measured} ...", err=True)

    try:
        found = profiling.profile(
            layers,
            batch_size=batch_size,
            penalty=penalty,
            lmbda=lmbda,
            dtype=dtype,
            threads=threads,
            rounds=rounds,
            rows=rows,
            data=name,
            folder=folder,
            on_penalty=tell,
        )
    except FileFormatError:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(str(found))
    write_json(found.to_dict())
    if plot is not None:
        _draw(found, figure, plot)


def _draw(found: Profile, figure: Any, path: Path) -> None:
    """Draw and save what the penalties add and, if they were measured, the phases."""
    from fastnn import plots

    parts = 1 if found.phases is None else 2
    figure.set_size_inches(7 * parts, 2.5 + 0.5 * len(found.penalties))
    axes = figure.subplots(1, parts, squeeze=False)[0]
    plots.penalty_overhead(found, ax=axes[0])
    if found.phases is not None:
        plots.epoch_phases(found, ax=axes[1])
    figure.savefig(path)
