"""The options that every kind of fit takes, wherever its rows come from, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnn import engine
from fastnn.checks import flag, real, whole
from fastnn.model_files import require_finite
from fastnn.network import Network
from fastnn.optimizers import Optimizer, check_penalties
from fastnn.penalties import Penalty, PenaltyLike, per_layer
from fastnn.schedules import Schedule, as_schedule
from fastnn.strength import warn_if_too_strong
from fastnn.trainer.arguments import checked_dropout, checked_optimizer
from fastnn.trainer.rows import Rows
from fastnn.trainer.warm_start import begun_from

__all__ = ["Options", "options_for"]


@dataclass(frozen=True)
class Options:
    """How batches are formed and steps are made; `options_for` creates them.

    largest_rate: the schedule's `largest`, as a float.
    """

    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    largest_rate: float
    penalties: Sequence[Penalty | None]
    dropout: Sequence[float] | None
    input_noise: float
    shuffle: bool

    def begin(self, network: Network, n: int, *, warm_start: bool) -> engine.State | None:
        """Return the state a fit of `n` rows starts from; warn if a penalty is too strong.

        Raises
        ------
        ValueError
            If the fit is to continue from the state of another optimizer, or the network's weights
            or biases hold NaN or infinity.
        """
        weights, biases = network._arrays()
        require_finite(
            {"weights": weights, "biases": biases},
            "before training: replace it, or make a new network",
        )
        left = network.optimizer_state if warm_start else None
        state = begun_from(left, self.optimizer, self.penalties, [*weights, *biases])
        if self.optimizer.step_size is None:  # else the gradient alone does not set a step's size
            warn_if_too_strong(
                weights, self.penalties, learning_rate=self.largest_rate, n=n,
                batch_size=self.batch_size, gain=self.optimizer.gain,
            )  # fmt: skip
        return state

    def seed(self, state: engine.State | None, rng: np.random.Generator) -> int:
        """Return a seed for dropout and noise, drawn if `state` lacks their generators, else 0."""
        draws = not (state and state.draws) and (self.dropout or self.input_noise)
        return int(rng.integers(2**63)) if draws else 0

    def training(
        self,
        network: Network,
        weights: list[np.ndarray],
        biases: list[np.ndarray],
        rows: Rows,
        *,
        n: int,
        threads: int | None,
        state: engine.State | None,
        seed: int,
        row_weights: np.ndarray | None = None,
    ) -> engine.Training:
        """Return the engine, ready to train these arrays of a network like `network` in place.

        Parameters
        ----------
        n : int
            The number of training rows in lmbda/n.
        threads, state, seed, row_weights
            As in `engine.Training`.
        """
        return engine.Training(
            weights,
            biases,
            activations=network._activations,
            cost=network._cost,
            penalties=self.penalties,
            inputs=rows.inputs,
            targets=rows.targets,
            batch_size=self.batch_size,
            learning_rate=self.largest_rate,
            optimizer=self.optimizer,
            n=n,
            threads=threads,
            row_weights=row_weights,
            dropout=self.dropout,
            input_noise=self.input_noise,
            seed=seed,
            state=state,
        )


def options_for(
    network: Network,
    *,
    batch_size: int,
    learning_rate: float | Schedule | None,
    optimizer: Optimizer | None,
    penalty: PenaltyLike,
    dropout: float | Sequence[float] | None,
    input_noise: float,
    shuffle: bool,
) -> Options:
    """Check arguments of `Network.fit` and return them as `Options`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or does not suit this network or that optimizer.
    """
    layers = len(network.sizes) - 1
    optimizer = checked_optimizer(optimizer, learning_rate)
    schedule = as_schedule("learning_rate", optimizer.learning_rate)
    options = Options(
        batch_size=whole("batch_size", batch_size, minimum=1),
        optimizer=optimizer,
        schedule=schedule,
        largest_rate=real(f"`largest` of {schedule!r}", schedule.largest),
        penalties=per_layer(penalty, layers),
        dropout=checked_dropout(dropout, layers - 1),
        input_noise=real("input_noise", input_noise),
        shuffle=flag("shuffle", shuffle),
    )
    check_penalties(optimizer, options.penalties)
    return options
