"""A regularization path: one network trained for each of several strengths, weak to strong.

Training with each strength starts from the weights of the previous one (warm starts), and so needs
fewer epochs than from scratch. For linear models, paths start at the strong end, where all
coefficients are zero (Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear
models via coordinate descent", 2010). A network cannot start there: no gradient passes through a
layer of zeros, so the zeros would stay. At the weak end the network has all its weights; it loses
more of them with every strength.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fastnn import sparsity
from fastnn.checks import real, whole
from fastnn.history import History
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.penalties import PenaltyLike, ProximalL1
from fastnn.row_files import RowsLike, TargetsLike, opened
from fastnn.schedules import Schedule
from fastnn.trainer.options import options_for
from fastnn.trainer.rows import Rows, validation_of

__all__ = ["PathStep", "geometric", "lambda_path", "sparsest"]


@dataclass(frozen=True)
class PathStep:
    """The result of training with one strength.

    Attributes
    ----------
    lmbda : float
    train_cost : float
        The mean cost over the rows of the last epoch as it ran, with the penalty.
    val_cost : float
        The mean cost over the validation rows, without the penalty.
    accuracy, standard_error : float
        The share p of validation rows, 0 to 1, that are classified correctly, and its standard
        error sqrt(p*(1-p)/rows).
    sparsity : list of float
        The share of exact zeros, 0 to 1, in each layer's weights.
    sizes : list of int
        The number of units in each layer that `Network.compact` would leave, inputs first.
    seconds : float
        Wall time of training, in total over the epochs.
    network : Network
        A copy of the network after this step, not compacted.
    """

    lmbda: float
    train_cost: float
    val_cost: float
    accuracy: float
    standard_error: float
    sparsity: list[float]
    sizes: list[int]
    seconds: float
    network: Network


def lambda_path(
    network: Network,
    X: RowsLike,
    y: TargetsLike,
    lambdas: Iterable[float],
    *,
    validation_data: tuple[RowsLike, TargetsLike],
    epochs: int,
    batch_size: int = 10,
    learning_rate: float | Schedule | None = None,
    optimizer: Optimizer | None = None,
    penalty: Callable[[float], PenaltyLike] = ProximalL1,
    dropout: float | Sequence[float] | None = None,
    threads: int | None = None,
    on_step: Callable[[PathStep], None] | None = None,
) -> list[PathStep]:
    """Train `network` with each strength in turn, from the smallest to the largest.

    Parameters
    ----------
    network : Network
        Trained in place; at the end it has the weights for the largest strength.
    X, y, batch_size, learning_rate, optimizer, dropout, threads
        As in `Network.fit`. An optimizer's memory is reset at each strength.
    lambdas : iterable of float
        The strengths, lmbda in lmbda/n, in any order; duplicates are trained once.
    validation_data : tuple (X, y)
        The rows on which each strength is evaluated.
    epochs : int
        The number of epochs for each strength, at least 1.
    penalty : callable
        Maps a strength to a penalty as `Network.fit` takes it; by default
        `fastnn.penalties.ProximalL1`, which produces exact zeros.
    on_step : callable, optional
        Called with each finished step.

    Returns
    -------
    list of PathStep
        One for each strength, in increasing order.

    Raises
    ------
    TypeError, ValueError
        If an argument or the data are not as above; no weight has changed.
    DivergenceError, FileFormatError, OSError
        As in `Network.fit`.
    """
    if not isinstance(lambdas, Iterable):
        raise TypeError(
            f"lambdas must be a list of strengths such as [0.1, 1, 10], not {lambdas!r}"
        )
    if not callable(penalty):
        raise TypeError(
            "penalty must be what makes a penalty of a strength, such as the class fastnn.L1, "
            f"not {penalty!r}"
        )
    strengths = sorted({real("each of lambdas", lmbda) for lmbda in lambdas})
    if not strengths:
        raise ValueError("lambdas must hold at least one strength, not none")
    epochs = whole("epochs", epochs, minimum=1)
    options = [
        options_for(
            network,
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            penalty=penalty(lmbda),
            dropout=dropout,
            input_noise=0.0,
            shuffle=True,
        )
        for lmbda in strengths
    ]
    rows = opened(X, y, network.n_inputs)
    if network._cost.regression:
        raise ValueError(
            f"lambda_path is for classes, and cost {network.cost!r} is for real targets"
        )
    validation = validation_of(network, validation_data)
    steps = []
    for lmbda, chosen in zip(strengths, options, strict=True):
        history = network.fit(
            *rows,
            epochs=epochs,
            batch_size=chosen.batch_size,
            optimizer=chosen.optimizer,
            penalty=chosen.penalties,
            dropout=chosen.dropout,
            validation_data=validation_data if chosen.schedule.needs_scores else None,
            threads=threads,
        )
        steps.append(_step(network, lmbda, history, validation))
        if on_step is not None:
            on_step(steps[-1])
    return steps


def sparsest(steps: Sequence[PathStep]) -> PathStep:
    """Return the step with the fewest nonzero weights and an accuracy as good as the best.

    An accuracy is as good if it lies within one standard error of the best (Breiman, Friedman,
    Olshen and Stone, *Classification and Regression Trees*, 1984, section 3.4.3).

    Raises
    ------
    ValueError
        If `steps` is empty.
    """
    if not steps:
        raise ValueError("steps must hold at least one step of a path, not none")
    best = max(steps, key=lambda step: step.accuracy)
    good = [step for step in steps if step.accuracy >= best.accuracy - best.standard_error]
    return min(good, key=lambda step: (_weights_left(step), -step.accuracy))


def geometric(first: float, last: float, count: int) -> list[float]:
    """Return `count` strengths from `first` to `last`, with a constant ratio between neighbours.

    Raises
    ------
    TypeError, ValueError
        If the ends are not finite numbers above 0, or `count` is not a whole number of at least 1.
    """
    ends = real("first", first, above=0), real("last", last, above=0)
    return [float(lmbda) for lmbda in np.geomspace(*ends, whole("count", count, minimum=1))]


def _step(
    network: Network,
    lmbda: float,
    history: History,
    validation: Rows,
) -> PathStep:
    val_cost, accuracy = network._evaluate(*validation)
    left = sparsity.compact(*network._arrays(), network._activations).kept
    return PathStep(
        lmbda,
        history.train_cost[-1],
        val_cost,
        accuracy,
        math.sqrt(accuracy * (1 - accuracy) / validation.total),
        network.sparsity(),
        [*map(len, left), network.sizes[-1]],
        sum(history.seconds),
        copy.deepcopy(network),
    )


def _weights_left(step: PathStep) -> int:
    return sum(int(np.count_nonzero(w)) for w in step.network.weights)
