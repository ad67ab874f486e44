"""Pictures of sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.plots.drawing import new_axes
from fastnn.sweep_records import SCORES, score_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sweep_scores"]


def sweep_scores(
    records: Sequence[dict[str, Any]],
    parameter: str,
    *,
    by: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of a sweep's trials over one of their parameters.

    Parameters
    ----------
    records : sequence of dict
        What `fastnn.sweep` returned; records without a score are left out.
    parameter : str
        The horizontal axis, logarithmic if its values are positive and span a factor of 10 or more.
    by : str, optional
        A second parameter; each of its values gets a line through the means.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each trial: its validation accuracy or R**2 or, without these, minus its
        training cost.

    Raises
    ------
    ValueError
        If no record has a score, or one lacks the parameter.
    """
    known = [record for record in records if math.isfinite(score_of(record))]
    for name in (parameter, *([] if by is None else [by])):
        if not known or not all(name in record for record in known):
            raise ValueError(f"records must have a score and the parameter {name!r}")
    ax = ax or new_axes()
    values = [record[parameter] for record in known]
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    places = values if numeric else [str(value) for value in values]
    groups = [None if by is None else str(record[by]) for record in known]
    for number, group in enumerate(dict.fromkeys(groups)):
        of_place: dict[Any, list[float]] = {}
        for place, record, own in zip(places, known, groups, strict=True):
            if own == group:
                of_place.setdefault(place, []).append(score_of(record))
        points = [(place, score) for place, scores in of_place.items() for score in scores]
        ax.plot(*zip(*points, strict=True), "o", color=f"C{number}", alpha=0.5)
        order = sorted(of_place) if numeric else list(of_place)
        means = [np.mean(of_place[place]) for place in order]
        ax.plot(order, means, color=f"C{number}", label=None if by is None else f"{by} {group}")
    if numeric and min(values) > 0 and max(values) >= 10 * min(values):
        ax.set_xscale("log")
    ax.set_xlabel(parameter)
    scores = [next((s for s in SCORES if s in record), "-train_cost") for record in known]
    ax.set_ylabel(" or ".join(dict.fromkeys(scores)))
    if by is not None:
        ax.legend()
    return ax
