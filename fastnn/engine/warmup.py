"""Compile the usual kernels ahead, into Numba's cache, by training on a handful of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from time import perf_counter
from typing import NamedTuple

import numpy as np

from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import Cost, CrossEntropy, Quadratic
from fastnn.engine.training import Training, outputs
from fastnn.penalties import L1, L2, Penalty

__all__ = ["USUAL", "Case", "warm_up"]

# As few as a kernel lists the columns of, so that it skips those that a batch does not use.
COLUMNS = 64


class Case(NamedTuple):
    """What a training kernel is compiled for; layers and their sizes it takes as they come.

    dtype : str
        Of the network.
    rows : str
        Dtype of the input rows.
    zeros : bool
        Whether enough of the input is zero for unused columns to be skipped.
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
        if penalty is not None:  # with no penalty to wait, one kernel serves both
            yield Case(dtype, dtype, False, penalty)
    # The book's modules compute in float64 and print no running cost.
    for penalty in (None, L1(1.0), L2(1.0)):
        yield Case("float64", "uint8", True, penalty, track_cost=False)
    yield Case("float64", "uint8", True, None, Quadratic(), track_cost=False)


USUAL: tuple[Case, ...] = tuple(_usual())


def warm_up(case: Case) -> float:
    """Compile the kernels of training and of outputs for `case`, or find them in the cache.

    Returns
    -------
    float
        The seconds that it took.
    """
    start = perf_counter()
    weights = [np.zeros((1, inputs), case.dtype) for inputs in (COLUMNS, 1)]
    biases = [np.zeros(1, case.dtype) for _ in weights]
    fill = np.zeros if case.zeros else np.ones
    inputs, layers = Inputs(fill((2, COLUMNS), case.rows), 1.0), [Sigmoid()] * 2
    training = Training(
        weights,
        biases,
        activations=layers,
        cost=case.cost,
        penalties=[case.penalty] * 2,
        inputs=inputs,
        targets=np.zeros(2, np.int64),
        batch_size=1,
        learning_rate=0.1,
        track_cost=case.track_cost,
    )
    training.epoch(np.arange(2))
    outputs(weights, biases, layers, inputs)
    return perf_counter() - start
