"""Compile the usual kernels ahead of time, into the cache on disk, by training on a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from time import perf_counter
from typing import NamedTuple

import numpy as np

from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import Cost, CrossEntropy, Quadratic
from fastnn.engine import compiled
from fastnn.engine.stored_rows import MASK_COLUMNS
from fastnn.engine.training import Training
from fastnn.penalties import L1, L2, Penalty

__all__ = ["USUAL", "Case", "warm_up"]


class Case(NamedTuple):
    """What a training kernel is compiled for, apart from the first layer's units and batch size.

    dtype : str
        Dtype of the network.
    rows : str
        Dtype of the input rows.
    zeros : bool
        Whether the input has enough zeros for unused columns to be skipped.
    penalty : Penalty or None
    cost : Cost
    track_cost : bool
    """

    dtype: str
    rows: str
    zeros: bool
    penalty: Penalty | None
    cost: Cost = CrossEntropy()
    track_cost: bool = True

    def __str__(self) -> str:
        penalty = "no penalty" if self.penalty is None else self.penalty.name.upper()
        zeros = "many zeros" if self.zeros else "few zeros"
        tracked = "" if self.track_cost else ", cost not tracked"
        return f"{self.dtype}, {self.rows} rows with {zeros}, {self.cost.name}{tracked}, {penalty}"


def _usual() -> Iterator[Case]:
    for dtype, penalty in product(("float32", "float64"), (None, L1(1.0), L2(1.0))):
        yield Case(dtype, "uint8", True, penalty)
        yield Case(dtype, dtype, True, penalty)
        yield Case(dtype, dtype, False, penalty)
    # The book's modules compute in float64 and print no running cost.
    for penalty in (None, L1(1.0), L2(1.0)):
        yield Case("float64", "uint8", True, penalty, track_cost=False)
    yield Case("float64", "uint8", True, None, Quadratic(), track_cost=False)


USUAL: tuple[Case, ...] = tuple(_usual())


def warm_up(case: Case, hidden: Sequence[int] = (30,), batch_size: int = 10) -> float:
    """Compile the kernels of training and of outputs for `case`, or find them in the cache.

    Parameters
    ----------
    case : Case
    hidden : sequence of int
        Units of the hidden layers. A kernel serves layers of any size, unless rows have many zeros
        and columns are sorted: it is then compiled for the number of vectors in the first layer.
    batch_size : int
        A kernel serves batches of any size, except for rows with many zeros in batches so small
        that a block has fewer rows than usual: these have kernels of their own.

    Returns
    -------
    float
        The seconds it took.
    """
    start = perf_counter()
    sizes = [MASK_COLUMNS, *hidden, 1]
    weights = [np.zeros(shape, case.dtype) for shape in zip(sizes[1:], sizes, strict=False)]
    biases = [np.zeros(units, case.dtype) for units in sizes[1:]]
    fill = np.zeros if case.zeros else np.ones
    inputs = Inputs(fill((batch_size, MASK_COLUMNS), case.rows), 1.0)
    activations = [Sigmoid()] * len(weights)
    training = Training(
        weights,
        biases,
        activations=activations,
        cost=case.cost,
        penalties=[case.penalty] * len(weights),
        inputs=inputs,
        targets=np.zeros(batch_size, np.int64),
        batch_size=batch_size,
        learning_rate=0.1,
        track_cost=case.track_cost,
    )
    training.epoch(np.arange(batch_size))
    compiled.outputs(weights, biases, activations, inputs)  # `training.outputs` would use numpy
    return perf_counter() - start
