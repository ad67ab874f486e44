"""The setting of a profile: a network, rows and a penalty, for either path of the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fastnn import data as data_sets
from fastnn import penalties
from fastnn.activations import Sigmoid
from fastnn.arrays import BYTE_SCALE, Inputs
from fastnn.checks import one_of, real
from fastnn.costs import CrossEntropy
from fastnn.engine.problem import Problem
from fastnn.network import Network
from fastnn.penalties import Penalty
from fastnn.synthetic import like_mnist

__all__ = ["DATA_NAMES", "Setting", "chosen", "rows_for"]

DATA_NAMES = (*data_sets.NAMES, "synthetic")

SYNTHETIC = "synthetic rows with the zeros of MNIST"
USUAL_ROWS = 10_000

# An epoch is divided into this many parts, after each of which the compared ways take turns. If
# another process takes the CPU, it disturbs only a few of such short parts.
PARTS = 10

# The book's setting: lmbda is divided by its 50,000 rows, however many are profiled.
LEARNING_RATE, LMBDA_ROWS = 0.5, 50_000


def chosen(given: str | Penalty | Sequence[str | Penalty], lmbda: float) -> list[Penalty]:
    """Return the penalties, each once; named ones have defaults for all but their strength.

    Parameters
    ----------
    given : str, Penalty or sequence of these
        "all", or names in `fastnn.penalties.ALL`: a list, or a string with commas between them.
        A penalty object has its own strength.
    lmbda : float
        The strength of the penalties given by name.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, or `lmbda` is not above 0.
    """
    lmbda = real("lmbda", lmbda, above=0)
    if isinstance(given, Penalty):
        return [given]
    if not isinstance(given, str | Sequence):
        raise TypeError(
            "penalty must be 'all', names such as 'l1,l2' with lmbda for them, or penalties such "
            f"as fastnn.L1(5.0), not {given!r}"
        )
    known = [kind.name for kind in penalties.ALL]
    listed = given.split(",") if isinstance(given, str) else list(given)
    if listed == ["all"]:
        listed = known
    if not listed:
        raise ValueError(f"penalty must be 'all' or some of {', '.join(map(repr, known))}")
    wanted = [one if isinstance(one, Penalty) else str(one).strip() for one in listed]
    return [
        one if isinstance(one, Penalty) else penalties.named("penalty", one, lmbda)
        for one in dict.fromkeys(wanted)
    ]


@dataclass(frozen=True)
class Sample:
    """Rows, uint8 (n, D), with their scale; their classes, int64 (n,); and their origin."""

    inputs: Inputs
    labels: np.ndarray
    origin: str


def rows_for(
    sizes: Sequence[int],
    rows: int | None,
    name: str | None,
    folder: str | os.PathLike[str] | None,
) -> Sample:
    """Return rows for a network of `sizes`; the other arguments are those of `profile`."""
    columns, classes = sizes[0], sizes[-1]
    if name is None and folder is not None:
        name = "mnist"
    elif name is None:
        at_hand = columns == 784 and classes >= 10 and data_sets.available("mnist") is not None
        name = "mnist" if at_hand else "synthetic"
    if one_of("data", name, DATA_NAMES) == "synthetic":
        if folder is not None:
            raise ValueError("data='synthetic' has no folder: give no folder, or a data set's name")
        found, labels = like_mnist(rows or USUAL_ROWS, columns, classes)
        return Sample(Inputs(found, BYTE_SCALE), labels, SYNTHETIC)
    loaded = data_sets.load(name, folder)
    images, labels = loaded.train_images, loaded.train_labels
    if columns != images.shape[1] or classes <= labels.max():
        raise ValueError(
            f"sizes must begin with {images.shape[1]} and end with at least {labels.max() + 1} for "
            f"{name}, not {list(sizes)}; data='synthetic' has rows for every network"
        )
    if rows is not None and rows > len(images):
        raise ValueError(f"rows must be at most {len(images)}, which {name} has, not {rows}")
    n = rows or min(USUAL_ROWS, len(images))
    return Sample(Inputs(images[:n], loaded.input_scale), labels[:n], name)


@dataclass(frozen=True)
class Setting:
    """A network and rows; sigmoid units, the cross-entropy cost and the book's learning rate."""

    network: Network
    rows: Sample
    batch_size: int
    threads: int

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.rows.labels)

    @property
    def batches(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.n // self.batch_size)

    @property
    def weights(self) -> int:
        """The number of weights of the network."""
        return sum(w.size for w in self.network.weights)

    def rounds(self, count: int) -> Iterator[list[np.ndarray]]:
        """Yield, `count` times, an order of the rows, in up to `PARTS` parts of whole batches."""
        rng, rows = np.random.default_rng(5), self.batch_size * -(-self.batches // PARTS)
        for _ in range(count):
            yield np.split(rng.permutation(self.n), range(rows, self.n, rows))

    def problem(self, penalty: Penalty | None) -> Problem:
        """Return the problem; every call copies the same starting arrays."""
        weights = [w.copy() for w in self.network.weights]
        return Problem(
            weights=weights,
            biases=[b.copy() for b in self.network.biases],
            activations=[Sigmoid()] * len(weights),
            cost=CrossEntropy(),
            penalties=[
                None if one is None else one.simplified()
                for one in penalties.per_layer(penalty, len(weights))
            ],
            inputs=self.rows.inputs,
            targets=self.rows.labels,
            batch_size=min(self.batch_size, self.n),
            learning_rate=LEARNING_RATE,
            n=LMBDA_ROWS,
            track_cost=True,
            threads=self.threads,
        )
