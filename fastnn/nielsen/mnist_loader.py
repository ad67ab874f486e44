"""MNIST in the book's form, like the book's ``mnist_loader.py``.

The data come from the first of these that exists: the book's own file ``../data/mnist.pkl.gz``,
the IDX files in the folder ``$FASTNN_DATA``, the download in the cache, which is made if needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastnn import data
from fastnn.checks import FileFormatError
from fastnn.data import TRAINING_IMAGES
from fastnn.nielsen._base import vectorized_result
from fastnn.nielsen._pickle import load_arrays

__all__ = ["load_data", "load_data_wrapper", "vectorized_result"]

Part = tuple[np.ndarray, np.ndarray]
Pairs = list[tuple[np.ndarray, Any]]

BOOK_FILE = Path("../data/mnist.pkl.gz")


def load_data() -> tuple[Part, Part, Part]:
    """Return MNIST as ``(training_data, validation_data, test_data)``.

    Returns
    -------
    tuple of three pairs (images, labels)
        Images: float32 of shape (n, 784), pixel values / 256. Labels: int64 of shape (n,). n is
        50,000, 10,000 and 10,000; the rows are in MNIST's own order.

    Raises
    ------
    FileFormatError
        If a file exists but does not have the expected content.
    OSError
        If there is no file and the download fails.
    """
    if BOOK_FILE.is_file():
        return _checked(load_arrays(BOOK_FILE))
    mnist = data.load("mnist")
    images, labels = mnist.train_images, mnist.train_labels
    return (
        (_scaled(images[:TRAINING_IMAGES]), labels[:TRAINING_IMAGES]),
        (_scaled(images[TRAINING_IMAGES:]), labels[TRAINING_IMAGES:]),
        (_scaled(mnist.test_images), mnist.test_labels),
    )


def load_data_wrapper() -> tuple[Pairs, Pairs, Pairs]:
    """Return MNIST as three lists of pairs (x, y), the form that the networks take.

    Returns
    -------
    tuple of three lists
        x is float32 of shape (784, 1); y is a unit vector of shape (10, 1) in the training data
        and an integer in the validation and the test data.

    Raises
    ------
    FileFormatError, OSError
        As in `load_data`.
    """
    training, validation, test = load_data()
    targets = [vectorized_result(label) for label in training[1]]
    return (
        list(zip(_columns(training[0]), targets, strict=True)),
        list(zip(_columns(validation[0]), validation[1], strict=True)),
        list(zip(_columns(test[0]), test[1], strict=True)),
    )


def _scaled(images: np.ndarray) -> np.ndarray:
    return images / np.float32(256)


def _columns(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1, 1)


def _checked(parts: Any) -> tuple[Part, Part, Part]:
    """Return a pickle's content; raise unless it is three pairs of images and labels."""
    if not isinstance(parts, tuple) or len(parts) != 3 or not all(map(_is_part, parts)):
        raise FileFormatError(
            f"{BOOK_FILE} must hold three pairs of images, finite floats (n, 784), and labels, n "
            "integers from 0 to 9; n is at least 1"
        )
    training, validation, test = (
        (images.astype(np.float32, copy=False), labels.astype(np.int64, copy=False))
        for images, labels in parts
    )
    return training, validation, test


def _is_part(part: Any) -> bool:
    if not isinstance(part, tuple) or len(part) != 2:
        return False
    images, labels = part
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        return False
    if labels.ndim != 1 or not len(labels) or images.shape != (len(labels), 784):
        return False
    if images.dtype.kind != "f" or labels.dtype.kind not in "iu":
        return False
    largest = np.finfo(np.float32).max  # float64 too is returned as float32
    finite = -largest <= images.min() <= images.max() <= largest
    return bool(finite and 0 <= labels.min() <= labels.max() <= 9)
