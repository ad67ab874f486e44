"""``fastnn bench``: time the benchmark's cases; what it needs is imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastnn.cli.options import (
    JsonFile,
    PlotFile,
)
from fastnn.cli.output import all_differ, json_writer, new_figure
from fastnn.cli.parsing import names_in, need_compiler

if TYPE_CHECKING:
    from fastnn.bench.cases import Case
    from fastnn.bench.timing import Effort

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
    plot: PlotFile = None,
) -> None:
    """Time fastnn against what people would use instead.

    Each case runs in a separate process.
    """
    from fastnn.bench import cases, report, timing

    all_differ({"--json": json_file, "--plot": plot})
    figure = new_figure(plot)
    known = _peers(peers)
    try:
        selected = cases.chosen(names or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="CASE") from None
    need_compiler()
    write_json = json_writer(json_file)
    if threads is not None:
        selected = [_with_threads(case, threads) for case in selected]
    measured, failed = _run(selected, known, timing.QUICK if quick else timing.FULL)
    write_json({"cases": measured, "failed": failed})
    if measured:
        if plot is not None:
            report.draw(measured, figure)
            figure.savefig(plot)
        typer.echo("\n".join(report.table_lines(measured)))
    if failed:
        raise ValueError("; ".join(failed.values()))


def _run(
    selected: Sequence[Case], peers: Sequence[str], effort: Effort
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Run the cases and print their times; return these, and why other cases failed."""
    from fastnn import machine
    from fastnn.bench import report, worker

    measured: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for case in selected:
        if case.threads > machine.cpus():
            typer.echo(f"{case.name}: skipped, it needs {case.threads} CPUs\n")
            continue
        try:
            found = worker.run(case, peers, effort)
        except ValueError as error:  # the times of the other cases are not lost
            typer.echo(f"{error}\n")
            failed[case.name] = str(error)
            continue
        if not measured:
            typer.echo("\n".join([*report.machine_lines(found["machine"]), ""]))
        measured.append(found)
        typer.echo("\n".join([*report.case_lines(found), ""]))
    if not measured and not failed:
        raise ValueError("every case was skipped")
    return measured, failed


def _with_threads(case: Case, threads: int) -> Case:
    """Return the case with `threads` threads; its goal holds for its own number only."""
    goal = case.goal if threads == case.threads else None
    return replace(case, threads=threads, goal=goal)


def _peers(names: str | None) -> list[str]:
    from fastnn.bench.contestants import PEERS

    return list(PEERS) if names is None else names_in("--peers", names, PEERS)
