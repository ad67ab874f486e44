"""The report of a benchmark run: each case, the table of goals, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.bench.contestants import FASTNN
from fastnn.plots import benchmark_times

__all__ = ["best_peer", "case_lines", "draw", "is_reached", "machine_lines", "table_lines"]


def best_peer(measured: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the fastest peer and its result, or None if there was none.

    For `work` "penalty", where the others are fastnn with each penalty, the slowest counts.
    """
    peers = {k: v for k, v in measured["results"].items() if k != FASTNN}
    if not peers:
        return None
    if measured["case"]["work"] == "penalty":
        return max(peers.items(), key=lambda item: item[1]["paired_ratio"])
    return min(peers.items(), key=lambda item: item[1]["best"])


def is_reached(measured: dict[str, Any]) -> bool | None:
    """Return whether the case's goal is reached, or None without a goal or a peer."""
    found, goal = best_peer(measured), measured["case"]["goal"]
    if found is None or goal is None:
        return None
    if measured["case"]["work"] == "penalty":
        return bool(found[1]["paired_ratio"] <= goal)
    return bool(found[1]["best_ratio"] >= goal)


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Return a few lines that describe the machine."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    pools = "; ".join(
        f"{pool['prefix']} {pool['version'] or ''} {pool['architecture'] or ''}, "
        f"{pool['num_threads']} thread{'s' if pool['num_threads'] != 1 else ''}"
        for pool in machine["pools"]
    )
    return [f"{machine['cpu']}, {machine['system']}", versions, f"thread pools: {pools}"]


def case_lines(measured: dict[str, Any]) -> list[str]:
    """Return the lines of a case: all times, and how near fastnn came to the machine's limit."""
    lines = [f"{measured['name']}: {measured['title']}, {measured['data']}"]
    lines.append(f"  {'':16}{'best ms':>10}{'median ms':>11}{'ratio':>8}{'paired':>8}{'rounds':>8}")
    for name, result in measured["results"].items():
        lines.append(
            f"  {name:16}{1e3 * result['best']:10.3f}{1e3 * result['median']:11.3f}"
            f"{result['best_ratio']:8.2f}{result['paired_ratio']:8.2f}{len(result['seconds']):8}"
            f"  {result['what']}"
        )
    lines += [f"  {name:16}not installed" for name in measured["missing"]]
    limit = measured["limit"]
    parts = ", ".join(f"{name} {1e3 * s:.3f} ms" for name, s in limit["parts"].items())
    lines.append(f"  limit: {parts}; {100 * _share(measured):.0f} % of it reached")
    lines.append(
        f"  measured: {1e-9 * limit['peak']:.0f} GFLOP/s (numpy's BLAS {1e-9 * limit['blas']:.0f}),"
        f" {1e-9 * limit['memory']:.1f} GB/s from memory, {1e-9 * limit['cache']:.1f} GB/s from"
        " cache"
    )
    lines.append(
        f"  needed: {1e-9 * limit['flops']:.3f} GFLOP ({1e-9 * limit['dense_flops']:.3f} with all"
        f" columns), {1e-6 * limit['row_bytes']:.1f} MB of rows,"
        f" {1e-6 * limit['weight_bytes']:.1f} MB of weights"
    )
    return lines


def table_lines(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of goals, one line per case."""
    lines = [
        f"{'case':24}{'fastnn ms':>10}  {'best peer':14}{'ms':>10}{'ratio':>8}{'goal':>7}"
        f"{'reached':>9}{'limit ms':>10}{'share':>7}"
    ]
    for measured in cases:
        found, goal = best_peer(measured), measured["case"]["goal"]
        own, limit = measured["results"][FASTNN], measured["limit"]
        is_penalty = measured["case"]["work"] == "penalty"
        lines.append(
            f"{measured['name']:24}{1e3 * own['best']:10.3f}  "
            + (
                f"{'':14}{'':18}"
                if found is None
                else f"{found[0]:14}{1e3 * found[1]['best']:10.3f}"
                f"{found[1]['paired_ratio' if is_penalty else 'best_ratio']:8.2f}"
            )
            + (f"{goal:7.2f}" if goal is not None else f"{'':7}")
            + f"{ {None: '', True: 'yes', False: 'no'}[is_reached(measured)]:>9}"
            + f"{1e3 * limit['seconds']:10.3f}{100 * _share(measured):6.0f}%"
        )
    return lines


def draw(cases: Sequence[dict[str, Any]], figure: Any) -> None:
    """Draw `cases` into a matplotlib figure: everyone's times, and the share of the limit."""
    figure.set_size_inches(13, 1.5 + 0.75 * len(cases))
    times, shares = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    benchmark_times(cases, ax=times)
    shares.barh(range(len(cases)), [100 * _share(measured) for measured in cases], color="C0")
    shares.set_xlabel("share of the machine's limit, %")


def _share(measured: dict[str, Any]) -> float:
    """Return the share of the machine's limit that fastnn reached."""
    return float(measured["limit"]["seconds"] / measured["results"][FASTNN]["best"])
