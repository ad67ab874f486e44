"""The command line: ``fastnn train``, ``path``, ``sweep``, ``predict``, ``data`` and more.

Exit status: 0, 1 (failed; one line on standard error says why), 2 (wrong usage), 130 (Ctrl-C),
143 (SIGTERM).
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fastnn.cli import data, path, predict, profile, sweep, train, warmup
from fastnn.cli.bench import bench
from fastnn.cli.output import with_standard_output

__all__ = ["app", "main"]


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Report each failure and each warning in one line on standard error."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        typer.echo(f"fastnn: warning: {' '.join(str(message).split())}", err=True)

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    except KeyboardInterrupt:
        typer.echo("fastnn: interrupted", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except (ArithmeticError, ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"fastnn: {reason}", err=True)
        raise typer.Exit(1) from None


class _Commands(TyperGroup):
    """The commands; every failure and every warning of theirs is reported in one line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, with_standard_output(rest)

    def invoke(self, ctx: Any) -> Any:
        with _told_in_one_line(), redirect_stdout(sys.stdout):  # --json may redirect it
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Fully connected networks, trained fast on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from fastnn import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """Fully connected networks, trained fast on the CPU."""


app.command()(train.train)
app.command()(path.path)
app.command()(sweep.sweep)
app.command()(predict.predict)
app.add_typer(data.data_app, name="data")
app.command()(warmup.warmup)
app.command()(profile.profile)
app.command()(bench)


def main() -> None:
    """Run the command line; the ``fastnn`` script calls this."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(prog_name="fastnn")
    except OSError as error:  # from --version or --help, which print before any command begins
        typer.echo(f"fastnn: {error}", err=True)
        raise SystemExit(1) from None


def _terminate(number: int, frame: Any) -> NoReturn:
    """End the command by an exception, so that a fit writes its last checkpoint."""
    raise SystemExit(128 + number)
