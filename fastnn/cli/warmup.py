"""``fastnn warmup``: compile the usual kernels ahead of time."""

from __future__ import annotations

import typer

from fastnn.cli.options import BatchSize, Hidden
from fastnn.cli.parsing import hidden_layers, need_compiler

__all__ = ["warmup"]


def warmup(
    hidden: Hidden = ["30"],  # noqa: B006 - typer copies it
    batch_size: BatchSize = 10,
) -> None:
    """Compile the usual kernels ahead of time, into the cache.

    These are for sigmoid networks with plain gradient descent and L1, L2 or no penalty. Some are
    specific to the width of the first hidden layer, and to batches of one row, of a few or of many.
    """
    from fastnn.engine import cache
    from fastnn.engine.warmup import USUAL, warm_up

    units, seconds = hidden_layers(hidden), 0.0
    need_compiler()
    for case in USUAL:
        typer.echo(f"{case}: ", nl=False)
        taken = warm_up(case, units, batch_size)
        typer.echo(f"{taken:.2f} s")
        seconds += taken
    places = " or ".join(map(str, cache.folders()))
    typer.echo(f"{len(USUAL)} kernels ready after {seconds:.1f} s, in {places}")
