"""``fastnn warmup``: the usual kernels, compiled ahead."""

from __future__ import annotations

import typer

__all__ = ["warmup"]


def warmup() -> None:
    """Compile the usual kernels into the cache, so that later runs start at once."""
    from fastnn.engine import cache, jit
    from fastnn.engine.warmup import USUAL, warm_up

    if not jit.is_on():
        raise ValueError("there is nothing to compile while NUMBA_DISABLE_JIT is set")
    seconds = 0.0
    for case in USUAL:
        typer.echo(f"{case}: ", nl=False)
        taken = warm_up(case)
        typer.echo(f"{taken:.2f} s")
        seconds += taken
    places = " or ".join(map(str, cache.folders()))
    typer.echo(f"{len(USUAL)} kernels ready after {seconds:.1f} s, in {places}")
