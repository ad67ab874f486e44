"""Pictures of a network's predictions for rows whose classes are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import whole
from fastnn.csr import is_sparse
from fastnn.plots.drawing import image_shape, new_axes, tiles
from fastnn.row_files import RowsLike, TargetsLike, opened
from fastnn.tasks import Classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.network import Network

__all__ = ["confusion_matrix", "misclassified_digits"]


def confusion_matrix(
    network: Network,
    X: RowsLike,
    y: TargetsLike,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many rows of each class the network assigns to each class.

    Parameters
    ----------
    network : Network
        A network for classes.
    X : array_like or sparse matrix of scipy, shape (n, n_inputs), or path
    y : array_like, shape (n,) or (n, sizes[-1]), or path
        The true classes, as in `Network.accuracy`.
    names : sequence of str, optional
        The names of the classes; by default their numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each true class, a column for each predicted class. Each number is a count of
        rows of `X`, and the colour is its share of the line.

    Raises
    ------
    ValueError
        If the network is not for classes, or `names` does not have one name for each.
    """
    X, y = opened(X, y, network.n_inputs)
    wanted, predicted = _classes(network, X, y)
    classes = max(network.sizes[-1], 2)
    labels = [str(number) for number in range(classes)] if names is None else list(names)
    if len(labels) != classes:
        raise ValueError(f"names must have one for each of {classes} classes, not {len(labels)}")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (wanted, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = ax or new_axes()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        colour = "white" if shares[i, j] > 0.5 else "black"
        ax.text(j, i, str(count), ha="center", va="center", color=colour, fontsize="small")
    ax.figure.colorbar(image, ax=ax, label="share of the class")
    ax.set_xticks(range(classes), labels)
    ax.set_yticks(range(classes), labels)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def misclassified_digits(
    network: Network,
    X: RowsLike,
    y: TargetsLike,
    *,
    most: int = 25,
    shape: tuple[int, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the images that the network misclassifies, its most confident errors first.

    Parameters
    ----------
    network : Network
        A network for classes.
    X : array_like or sparse matrix of scipy, shape (n, n_inputs), or path
        One image per row.
    y : array_like, shape (n,) or (n, sizes[-1]), or path
        The true classes, as in `Network.accuracy`.
    most : int, default 25
        The most images that are drawn.
    shape : tuple of int, optional
        Height and width of an image; by default a square if possible, else a height of 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The true class and the predicted one are next to each image. The title says how many of how
        many rows are wrong; if none is, there are no images.

    Raises
    ------
    ValueError
        If the network is not for classes, or an image of this shape does not have one pixel per
        input of the network.
    """
    X, y = opened(X, y, network.n_inputs)
    wanted, predicted = _classes(network, X, y)
    most, (height, width) = whole("most", most, minimum=1), image_shape(network.n_inputs, shape)
    outputs = network.predict_proba(X)
    sure = np.abs(outputs[:, 0] - 0.5) if outputs.shape[1] == 1 else outputs.max(axis=1)
    wrong = np.flatnonzero(wanted != predicted)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    ax = ax or new_axes()
    ax.set_title(f"{len(wrong):,} of {len(wanted):,} wrong; true class, and the predicted one")
    ax.set_axis_off()
    if len(shown):
        images = _dense_rows(X, shown).reshape(-1, height, width)
        # The labels are in a margin of blank columns on the right of each image.
        margin = max(width // 2, 2)
        blank = np.full((len(shown), height, margin), np.nan)
        canvas, places = tiles(np.concatenate([images, blank], axis=2), gap=np.nan)
        ax.imshow(canvas, cmap="gray_r", interpolation="none")
        for (top, left), row in zip(places, shown, strict=True):
            text = f"{wanted[row]}\n{predicted[row]}"
            ax.text(left + width, top + height / 2, text, va="center", fontsize="small")
    return ax


def _dense_rows(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return some rows of an array or a sparse matrix as a float64 array."""
    chosen = X.tocsr()[rows].toarray() if is_sparse(X) else np.asarray(X)[rows]
    return np.asarray(chosen, np.float64)


def _classes(network: Network, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the true classes and those that the network predicts."""
    if not isinstance(network._task, Classes):
        raise ValueError(f"the network must be one for classes, not {network!r}")
    predicted = network.predict(X)
    return network._task.wanted(y, len(predicted), network.sizes[-1]), predicted
