"""A chart of what ``fastnn bench`` measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn.plots.drawing import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["benchmark_times"]


def benchmark_times(cases: Sequence[dict[str, Any]], *, ax: Axes | None = None) -> Axes:
    """Draw everyone's best time in each case of the benchmark, and the machine's limit.

    Parameters
    ----------
    cases : sequence of dict
        What ``fastnn bench --json`` saves as "cases".
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        One line per case, the first on top. The horizontal scale is logarithmic; fastnn's times are
        diamonds, those of the others circles.
    """
    ax = ax or new_axes()
    names = list(dict.fromkeys(name for measured in cases for name in measured["results"]))
    for number, name in enumerate(names):
        here = [(i, m["results"][name]) for i, m in enumerate(cases) if name in m["results"]]
        ax.plot(
            [1e3 * result["best"] for _, result in here],
            [i for i, _ in here],
            "D" if name == "fastnn" else "o",
            color=f"C{number % 10}",
            label=name,
        )
    limits = [1e3 * measured["limit"]["seconds"] for measured in cases]
    ax.plot(limits, range(len(cases)), "k|", markersize=16, label="limit")
    ax.set_xscale("log")
    ax.set_xlabel("ms, best of the rounds")
    ax.set_yticks(range(len(cases)), [measured["name"] for measured in cases])
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.15), ncols=5)
    return ax
