"""``fastnn data``: list, download and verify data sets."""

from __future__ import annotations

import sys

import typer

from fastnn.cli.options import DataFolder, DataName
from fastnn.cli.output import is_terminal
from fastnn.cli.parsing import refuse_folder

__all__ = ["data_app"]

data_app = typer.Typer(help="List, fetch and verify data sets.", rich_markup_mode=None)


@data_app.callback(invoke_without_command=True)
def _data(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_data()


@data_app.command("list")
def list_data(folder: DataFolder = None) -> None:
    """List the data sets and the folders of their files."""
    from fastnn import data

    for name in data.NAMES:
        paths = data.available(name, folder)
        typer.echo(f"{name:8} {'not here' if paths is None else paths[0].parent}")


@data_app.command("fetch")
def fetch_data(name: DataName) -> None:
    """Download a data set into the cache and print the paths of its files."""
    from fastnn import data

    for path in data.fetch(name, progress=is_terminal(sys.stderr)):
        typer.echo(path)


@data_app.command("verify")
def verify_data(name: DataName, folder: DataFolder = None) -> None:
    """Check the content of a data set's files and print their paths."""
    from fastnn import data

    refuse_folder(name, folder)
    for path in data.verify(name, folder):
        typer.echo(f"{path}: as it should be")
