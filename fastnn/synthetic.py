"""Rows with the zeros of MNIST, for timings where MNIST is not at hand."""

from __future__ import annotations

import numpy as np

__all__ = ["like_mnist"]


def like_mnist(n: int, columns: int = 784, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return random pixels, as often zero, by place, as MNIST's are on average, and labels.

    Of MNIST's pixels 19 % are above zero; 48 % of the columns are in a batch of 10 and 66 % in one
    of 100. A bump in the middle of the image has the same within 1 %. Other columns than 784 are as
    many places of the image, evenly spread.

    Returns
    -------
    rows : ndarray of uint8, shape (n, columns)
    labels : ndarray of int64, shape (n,)
        Random too: there is nothing to learn.
    """
    rng = np.random.default_rng(3)
    y, x = (np.indices((28, 28)) - 13.5) / 14
    radius = np.sqrt(x * x + y * y).ravel()
    likely = (0.7 * np.exp(-((radius / 0.625) ** 4))).astype(np.float32)
    rows = rng.integers(1, 256, (n, columns), dtype=np.uint8)
    rows *= rng.random((n, columns), dtype=np.float32) < likely[np.arange(columns) * 784 // columns]
    return rows, rng.integers(0, classes, n)
