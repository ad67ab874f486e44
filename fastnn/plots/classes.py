"""Pictures of what a network says of rows whose classes are known."""

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
    """Draw how many rows of each class the network takes for which.

    Parameters
    ----------
    network : Network
        One for classes.
    X : array_like or sparse matrix of scipy, shape (n, n_inputs), or path
    y : array_like, shape (n,) or (n, sizes[-1]), or path
        The right classes, as `Network.accuracy` takes them.
    names : sequence of str, optional
        Those of the classes; by default their numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each right class, a column for each class said. The colour is the share of the
        line, the number the rows.

    Raises
    ------
    ValueError
        If the network is not for classes, or `names` has not one for each.
    """
    X, y = opened(X, y, network.n_inputs)
    right, said = _classes(network, X, y)
    classes = max(network.sizes[-1], 2)
    labels = [str(number) for number in range(classes)] if names is None else list(names)
    if len(labels) != classes:
        raise ValueError(f"names must have one for each of {classes} classes, not {len(labels)}")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (right, said), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = ax or new_axes()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        colour = "white" if shares[i, j] > 0.5 else "black"
        ax.text(j, i, str(count), ha="center", va="center", color=colour, fontsize="small")
    ax.figure.colorbar(image, ax=ax, label="share of the class")
    ax.set_xticks(range(classes), labels)
    ax.set_yticks(range(classes), labels)
    ax.set_xlabel("said")
    ax.set_ylabel("right")
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
    """Draw the images that the network takes for another class, those it is surest of first.

    Parameters
    ----------
    network : Network
        One for classes.
    X : array_like or sparse matrix of scipy, shape (n, n_inputs), or path
        An image a row.
    y : array_like, shape (n,) or (n, sizes[-1]), or path
        The right classes, as `Network.accuracy` takes them.
    most : int, default 25
        How many are drawn at most.
    shape : tuple of int, optional
        Height and width of an image; by default a square, or one row where there is none.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Beside each image stand the right class and the one said. The title is how many of how many
        rows were wrong; where none was, there is no image.

    Raises
    ------
    ValueError
        If the network is not for classes, or an image of this shape has not as many pixels as the
        network has inputs.
    """
    X, y = opened(X, y, network.n_inputs)
    right, said = _classes(network, X, y)
    most, (height, width) = whole("most", most, minimum=1), image_shape(network.n_inputs, shape)
    outputs = network.predict_proba(X)
    sure = np.abs(outputs[:, 0] - 0.5) if outputs.shape[1] == 1 else outputs.max(axis=1)
    wrong = np.flatnonzero(right != said)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    ax = ax or new_axes()
    ax.set_title(f"{len(wrong):,} of {len(right):,} wrong; right class, and the one said")
    ax.set_axis_off()
    if len(shown):
        images = _dense_rows(X, shown).reshape(-1, height, width)
        # The labels stand in a margin of blank columns on the right of each image.
        margin = max(width // 2, 2)
        blank = np.full((len(shown), height, margin), np.nan)
        canvas, places = tiles(np.concatenate([images, blank], axis=2), gap=np.nan)
        ax.imshow(canvas, cmap="gray_r", interpolation="none")
        for (top, left), row in zip(places, shown, strict=True):
            text = f"{right[row]}\n{said[row]}"
            ax.text(left + width, top + height / 2, text, va="center", fontsize="small")
    return ax


def _dense_rows(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return some rows of an array or a sparse matrix, float64."""
    chosen = X.tocsr()[rows].toarray() if is_sparse(X) else np.asarray(X)[rows]
    return np.asarray(chosen, np.float64)


def _classes(network: Network, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the right classes and those that the network says."""
    if not isinstance(network._task, Classes):
        raise ValueError(f"the network must be one for classes, not {network!r}")
    said = network.predict(X)
    return network._task.wanted(y, len(said), network.sizes[-1]), said
