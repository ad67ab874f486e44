"""Charts of what `fastnn.profile` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.plots.drawing import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.profiling import Profile

__all__ = ["epoch_phases", "penalty_overhead"]


def penalty_overhead(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw what each penalty adds to an epoch, in percent, for the three ways of applying it.

    Parameters
    ----------
    profile : Profile
        What `fastnn.profile` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The horizontal scale is linear up to 10 % and logarithmic beyond. A line through a bar's end
        goes from one quartile to the other.
    """
    ax = ax or new_axes()
    ways = {"fused": "in the engine", "separate": "a separate pass", "batched": "batched numpy"}
    height = 0.8 / len(ways)
    for number, (way, label) in enumerate(ways.items()):
        found = [getattr(penalty, way) for penalty in profile.penalties]
        places = [i + (number - 1) * height for i in range(len(found))]
        ax.barh(places, [w.overhead for w in found], height, color=f"C{number}", label=label)
        quartiles = [100 * (w.low - 1) for w in found], [100 * (w.high - 1) for w in found]
        ax.hlines(places, *quartiles, color="0.3", linewidth=1)
    ax.set_xscale("symlog", linthresh=10)
    ax.set_xlabel("added to an epoch without a penalty, %")
    ax.set_yticks(range(len(profile.penalties)), [penalty.name for penalty in profile.penalties])
    ax.invert_yaxis()
    ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return ax


def epoch_phases(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw the phases of an epoch without a penalty and with each, in ms, as stacked bars.

    Parameters
    ----------
    profile : Profile
        What `fastnn.profile` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the profile has no phases because its CPU has no readable counter.
    """
    if profile.phases is None:
        raise ValueError("this profile has no phases: its CPU has no cycle counter to read")
    ax = ax or new_axes()
    bars = profile.phases_by_penalty
    done = [0.0] * len(bars)
    for phase in profile.phases:
        widths = [1e3 * phases[phase] for phases in bars.values()]
        ax.barh(range(len(bars)), widths, left=done, label=phase)
        done = [before + width for before, width in zip(done, widths, strict=True)]
    ax.set_xlabel("ms an epoch")
    ax.set_yticks(range(len(bars)), list(bars))
    ax.invert_yaxis()
    ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return ax
