"""``fastnn bench``: time the benchmark's cases; what it needs is imported when it is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastnn.cli.options import JsonFile, all_differ, json_writer, names_in, new_figure, written

if TYPE_CHECKING:
    from fastnn.bench.cases import Case

__all__ = ["bench"]


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE]...", help="Cases by name [default: all].", show_default=False
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows and rounds.")] = False,
    peers: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Peers, separated by commas [default: all installed]."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Run every case with this many threads [default: its own]."),
    ] = None,
    json_file: JsonFile = None,
    picture: Annotated[
        Path | None,
        written("Save a picture (matplotlib).", "--plot"),
    ] = None,
) -> None:
    """Time fastnn against what people would use instead.

    Each case runs in a separate process.
    """
    from fastnn import machine
    from fastnn.bench import cases, report, timing, worker

    all_differ({"--json": json_file, "--plot": picture})
    figure = new_figure(picture)
    known = _peers(peers)
    try:
        selected = cases.chosen(names or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="CASE") from None
    write_json = json_writer(json_file)
    effort = timing.QUICK if quick else timing.FULL
    measured: list[dict[str, Any]] = []
    for case in selected:
        run = case if threads is None else _with_threads(case, threads)
        if run.threads > machine.cpus():
            typer.echo(f"{run.name}: skipped, it needs {run.threads} CPUs\n")
            continue
        found = worker.run(run, known, effort)
        if not measured:
            typer.echo("\n".join([*report.machine_lines(found["machine"]), ""]))
        measured.append(found)
        typer.echo("\n".join([*report.case_lines(found), ""]))
    if not measured:
        raise ValueError("every case was skipped")
    write_json({"cases": measured})
    if picture is not None:
        report.draw(measured, figure)
        figure.savefig(picture)
    typer.echo("\n".join(report.table_lines(measured)))


def _with_threads(case: Case, threads: int) -> Case:
    """Return the case with `threads` threads; its goal holds for its own number only."""
    goal = case.goal if threads == case.threads else None
    return replace(case, threads=threads, goal=goal)


def _peers(names: str | None) -> list[str]:
    from fastnn.bench.contestants import PEERS

    return list(PEERS) if names is None else names_in("--peers", names, PEERS)
