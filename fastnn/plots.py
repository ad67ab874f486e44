"""Pictures, with matplotlib (extra ``plot``). Each function returns the Axes and takes ``ax=``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.sparsity import with_all_columns
from fastnn.sweep_records import score_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.history import History
    from fastnn.network import Network
    from fastnn.profiling import Profile
    from fastnn.regularization_path import PathStep

__all__ = [
    "epoch_phases",
    "learning_curves",
    "penalty_overhead",
    "sparsity_by_layer",
    "sparsity_path",
    "sweep_scores",
    "weight_images",
]

ZERO_COLOUR = "0.55"


def learning_curves(history: History, *, ax: Axes | None = None) -> Axes:
    """Draw the cost per epoch and, on a second scale, the validation accuracy or R**2.

    Parameters
    ----------
    history : History
        What `Network.fit` returned, with at least one epoch.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the cost. The accuracy, in percent, is on a twin with the same epochs.
    """
    ax = ax or _new_axes()
    epochs = range(1, len(history.train_cost) + 1)
    lines = ax.plot(epochs, history.train_cost, color="C0", label="training cost")
    if history.val_cost:
        lines += ax.plot(epochs, history.val_cost, color="C1", label="validation cost")
    ax.set_xlabel("epoch")
    ax.set_ylabel("cost")
    if history.val_accuracy:
        twin = ax.twinx()
        percent = [100 * accuracy for accuracy in history.val_accuracy]
        lines += twin.plot(epochs, percent, color="C2", label="validation accuracy")
        twin.set_ylabel("accuracy, %")
    if history.val_r2:
        twin = ax.twinx()
        lines += twin.plot(epochs, history.val_r2, color="C2", label="validation R²")
        twin.set_ylabel("R²")
    ax.legend(handles=lines, loc="center right")
    return ax


def weight_images(
    network: Network, *, shape: tuple[int, int] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the weights into each unit of the first layer as an image, one tile a unit.

    Parameters
    ----------
    network : Network
        Inputs that `Network.compact` has dropped are zeros in their old places.
    shape : tuple of int, optional
        Height and width of an image; by default a square, or one row where there is none.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Red is above 0, blue below, and exact zeros are grey.

    Raises
    ------
    ValueError
        If an image of this shape has not as many pixels as the network has inputs.
    """
    from matplotlib import colormaps

    w, width = network.weights[0], network.n_inputs
    if network.kept_inputs is not None:
        w = with_all_columns(w, network.kept_inputs, width)
    if shape is None:
        side = math.isqrt(width)
        shape = (side, side) if side * side == width else (1, width)
    if math.prod(shape) != width:
        raise ValueError(f"shape must have {width} pixels, one per input, not {shape}")
    limit = float(np.abs(w).max()) or 1.0
    canvas = _tiles(w.reshape(-1, *shape), gap=2 * limit)
    colours = colormaps["RdBu_r"].with_extremes(bad=ZERO_COLOUR, over="white")
    ax = ax or _new_axes()
    image = ax.imshow(
        np.ma.masked_equal(canvas, 0), cmap=colours, vmin=-limit, vmax=limit, interpolation="none"
    )
    ax.figure.colorbar(image, ax=ax, label="weight; exact zeros are grey")
    ax.set_axis_off()
    return ax


def sparsity_path(steps: Sequence[PathStep], *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy over the strength of the penalty and, on a second scale, the zeros.

    Parameters
    ----------
    steps : sequence of PathStep
        What `fastnn.lambda_path` returned. The bars of the accuracy are its standard
        error.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the accuracy, in percent. The share of exact zeros in each layer is on a twin.
    """
    ax = ax or _new_axes()
    lambdas = [step.lmbda for step in steps]
    accuracy = [100 * step.accuracy for step in steps]
    error = [100 * step.standard_error for step in steps]
    handles: list[Any] = [
        ax.errorbar(lambdas, accuracy, error, color="C2", marker="o", label="accuracy")
    ]
    twin = ax.twinx()
    layers = zip(*(step.sparsity for step in steps), strict=True)
    for layer, shares in enumerate(layers, 1):
        percent, style = [100 * share for share in shares], f"C{layer + 2}--"
        handles += twin.plot(lambdas, percent, style, marker=".", label=f"zeros, layer {layer}")
    if min(lambdas) > 0:
        ax.set_xscale("log")
    elif max(lambdas) > 0:
        ax.set_xscale("symlog", linthresh=min(lmbda for lmbda in lambdas if lmbda > 0))
    ax.set_xlabel("lmbda")
    ax.set_ylabel("accuracy, %")
    twin.set_ylabel("exact zeros, %")
    twin.set_ylim(0, 100)
    ax.legend(handles=handles, loc="center left")
    return ax


def sparsity_by_layer(network: Network, *, ax: Axes | None = None) -> Axes:
    """Draw the share of exact zeros in each layer's weights as bars, the first layer on top.

    Parameters
    ----------
    network : Network
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.
    """
    ax = ax or _new_axes()
    names = [f"{w.shape[1]} to {w.shape[0]}" for w in network.weights]
    percent = [100 * share for share in network.sparsity()]
    layers = range(len(names))
    ax.bar_label(ax.barh(layers, percent, color=ZERO_COLOUR), fmt="%.1f %%", padding=3)
    ax.set_yticks(layers, names)
    ax.invert_yaxis()
    ax.set_xlim(0, 115)  # room for the labels
    ax.set_xlabel("exact zeros, %")
    return ax


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
        What `fastnn.sweep` returned; those without a score are left out.
    parameter : str
        On the horizontal axis: logarithmic where its numbers span a factor of 10 or more.
    by : str, optional
        A second parameter, each of whose values gets a line through the means.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each trial: its validation accuracy or R**2, or without one minus its cost.

    Raises
    ------
    ValueError
        If no record has a score, or one has no such parameter.
    """
    known = [record for record in records if math.isfinite(score_of(record))]
    for name in (parameter, *([] if by is None else [by])):
        if not known or not all(name in record for record in known):
            raise ValueError(f"records must have a score and the parameter {name!r}")
    ax = ax or _new_axes()
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
    score = next((s for s in ("val_accuracy", "val_r2") if s in known[0]), "-train_cost")
    ax.set_xlabel(parameter)
    ax.set_ylabel(score)
    if by is not None:
        ax.legend()
    return ax


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
        Its horizontal scale is linear up to 10 % and logarithmic beyond. A line through a bar's
        end goes from one quartile to the other.
    """
    ax = ax or _new_axes()
    ways = {"fused": "in the engine", "separate": "a separate pass", "batched": "batched numpy"}
    height = 0.8 / len(ways)
    for number, (way, label) in enumerate(ways.items()):
        found = [getattr(rule, way) for rule in profile.rules]
        places = [i + (number - 1) * height for i in range(len(found))]
        ax.barh(places, [w.overhead for w in found], height, color=f"C{number}", label=label)
        quartiles = [100 * (w.low - 1) for w in found], [100 * (w.high - 1) for w in found]
        ax.hlines(places, *quartiles, color="0.3", linewidth=1)
    ax.set_xscale("symlog", linthresh=10)
    ax.set_xlabel("added to an epoch without a penalty, %")
    ax.set_yticks(range(len(profile.rules)), [rule.name for rule in profile.rules])
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
        If the profile has no phases: its CPU has no counter to read.
    """
    if profile.phases is None:
        raise ValueError("this profile has no phases: its CPU has no cycle counter to read")
    ax = ax or _new_axes()
    bars = {"none": profile.phases} | {rule.name: rule.phases or {} for rule in profile.rules}
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


def _new_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _tiles(images: np.ndarray, gap: float) -> np.ndarray:
    """Return the images side by side in a near square, with lines of the value `gap` between."""
    count, height, width = images.shape
    across = math.ceil(math.sqrt(count * height / width))
    down = -(-count // across)
    canvas = np.full((down * (height + 1) - 1, across * (width + 1) - 1), gap)
    for number, image in enumerate(images):
        top, left = number // across * (height + 1), number % across * (width + 1)
        canvas[top : top + height, left : left + width] = image
    return canvas
