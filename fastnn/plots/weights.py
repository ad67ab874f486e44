"""Pictures of weights: as images, and how many of them are zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.plots.drawing import image_shape, new_axes, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.network import Network
    from fastnn.regularization_path import PathStep

ZERO_COLOUR = "0.55"

__all__ = ["sparsity_by_layer", "sparsity_path", "weight_images"]


def weight_images(
    network: Network, *, shape: tuple[int, int] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the weights into each unit of the first layer as an image, one tile per unit.

    Parameters
    ----------
    network : Network
        Inputs that `Network.compact` has dropped are drawn as zeros in their old places.
    shape : tuple of int, optional
        Height and width of an image; by default a square if possible, else a height of 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Weights above 0 are red, those below 0 are blue, and exact zeros are grey.

    Raises
    ------
    ValueError
        If an image of this shape does not have one pixel per input of the network.
    """
    network._arrays()  # checks them
    w, width = network._first_weights(), network.n_inputs
    shape = image_shape(width, shape)
    limit = float(np.abs(w).max()) or 1.0
    canvas, _ = tiles(w.reshape(-1, *shape), gap=2 * limit)
    ax = ax or new_axes()
    from matplotlib import colormaps

    colours = colormaps["RdBu_r"].with_extremes(bad=ZERO_COLOUR, over="white")
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
        What `fastnn.lambda_path` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the accuracy, in percent, with error bars of its standard error. The share of
        exact zeros in each layer is on a twin.
    """
    ax = ax or new_axes()
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
    ax = ax or new_axes()
    names = [f"{w.shape[1]} to {w.shape[0]}" for w in network.weights]
    percent = [100 * share for share in network.sparsity()]
    layers = range(len(names))
    ax.bar_label(ax.barh(layers, percent, color=ZERO_COLOUR), fmt="%.1f %%", padding=3)
    ax.set_yticks(layers, names)
    ax.invert_yaxis()
    ax.set_xlim(0, 115)  # room for the labels
    ax.set_xlabel("exact zeros, %")
    return ax
