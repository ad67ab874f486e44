"""What the pictures share: axes, and images side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastnn.checks import not_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["image_shape", "new_axes", "tiles"]


def new_axes() -> Axes:
    """Return the axes of a new figure; without matplotlib, the error says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise not_installed("a picture", "matplotlib", "matplotlib") from error
    return plt.subplots(layout="constrained")[1]


def image_shape(width: int, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return the height and width of an image of `width` pixels."""
    if shape is None:
        side = math.isqrt(width)
        shape = (side, side) if side * side == width else (1, width)
    if math.prod(shape) != width:
        raise ValueError(f"shape must have {width} pixels, one per input, not {shape}")
    return shape


def tiles(images: np.ndarray, gap: float) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the images side by side in a near square, and the position of each top left corner.

    Lines of the value `gap` separate them.
    """
    count, height, width = images.shape
    across = math.ceil(math.sqrt(count * height / width))
    down = -(-count // across)
    canvas = np.full((down * (height + 1) - 1, across * (width + 1) - 1), gap)
    corners = []
    for number, image in enumerate(images):
        top, left = number // across * (height + 1), number % across * (width + 1)
        canvas[top : top + height, left : left + width] = image
        corners.append((top, left))
    return canvas, corners
