"""A profile as text: what was measured, and two tables."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fastnn.profiling.result import Floor, Profile, Way

__all__ = ["as_text"]

WIDTH = 100

# The weights count as being in a cache if they are read and written this much faster than memory.
CACHED = 1.3


def as_text(profile: Profile) -> str:
    """Return the tables of `profile`, at most 100 characters wide."""
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False, emoji=False)
    console.print(
        f"{list(profile.sizes)}, batches of {profile.batch_size}, {profile.dtype}, "
        f"{profile.rows:,} rows ({profile.data}), lmbda {profile.lmbda:g}; "
        f"{profile.threads} thread{'s' if profile.threads > 1 else ''} of {profile.cpu}; "
        f"median of {profile.rounds} rounds, ± half the distance of the quartiles",
        markup=False,
    )
    console.print(_costs(profile))
    console.print(_floor(profile.floor), markup=False)
    if profile.phases is None:
        console.print("The phases are not measured: this CPU has no cycle counter to read.")
    else:
        console.print(_parts(profile.phases_by_penalty))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _table(title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", collapse_padding=True)
    table.add_column("penalty", no_wrap=True)
    return table


def _costs(profile: Profile) -> Table:
    table = _table("What a penalty adds to an epoch")
    for header in ("ms without", "ms with", "fused %", "separate %", "numpy %", "ns/weight"):
        table.add_column(header, justify="right", no_wrap=True)
    for penalty in profile.penalties:
        table.add_row(
            penalty.name,
            f"{1e3 * penalty.seconds_without:.3f}",
            f"{1e3 * penalty.fused.seconds:.3f}",
            *map(_overhead, (penalty.fused, penalty.separate, penalty.batched)),
            f"{penalty.ns_per_weight:.4f}",
        )
    return table


def _overhead(way: Way) -> str:
    digits = 1 if abs(way.overhead) < 100 else 0
    return f"{way.overhead:+.{digits}f} ±{50 * (way.high - way.low):.{digits}f}"


def _floor(floor: Floor) -> str:
    cached = floor.cache > CACHED * floor.memory
    where = "they stay in a cache" if cached else "no faster than memory"
    return (
        f"Floor of a pass of its own, every weight read and written once a batch: "
        f"{floor.cache_ns:.4f} ns a weight at the {1e-9 * floor.cache:.0f} GB/s of "
        f"{1e-3 * floor.weight_bytes:,.0f} kB of weights ({where}); "
        f"{floor.memory_ns:.4f} ns at the {1e-9 * floor.memory:.0f} GB/s of memory"
    )


def _parts(phases_by_penalty: dict[str, dict[str, float]]) -> Table:
    table = _table("Phases of an epoch, ms")
    for phase in (*phases_by_penalty["none"], "all"):
        table.add_column(phase, justify="right")
    for name, parts in phases_by_penalty.items():
        values = [*parts.values(), sum(parts.values())]
        table.add_row(name, *(f"{1e3 * seconds:.3f}" for seconds in values))
    return table
