"""The steps of a stochastic solver: its optimizer, and how the learning rate changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.engine import State
from fastnn.optimizers import Adam, Momentum, Nesterov, Optimizer
from fastnn.penalties import Penalty
from fastnn.trainer.warm_start import descriptions

__all__ = ["Steps", "steps_of"]

SMALLEST_RATE, DIVISOR = 1e-6, 5.0


@dataclass(frozen=True, repr=False)
class AdamOfScikitLearn(Adam):
    """Adam with epsilon added to sqrt(v) instead of sqrt(v/(1-beta_2**t)).

    This is the form at the end of section 2 of Kingma and Ba, "Adam: a method for stochastic
    optimization", 2015. It equals their algorithm 1 with epsilon/sqrt(1-beta_2**t) for epsilon.
    """

    def __repr__(self) -> str:  # the name that users know
        return super().__repr__().replace(type(self).__qualname__, "Adam")

    def numbers(self, rate: float, count: np.ndarray, of_biases: bool) -> Any:
        rates, root, *shares, epsilon, kept = super().numbers(rate, count, of_biases)
        return rates, root, *shares, epsilon * root, kept


@dataclass
class Steps:
    """What `partial_fit` keeps from one call to the next.

    Attributes
    ----------
    optimizer : Optimizer or None
        None means plain descent.
    learning_rate : float
        The rate of the next epoch.
    policy : str
        How the rate changes: scikit-learn's parameter ``learning_rate``.
    power_t : float
        The exponent of "invscaling".
    state : State or None
        What the optimizer and the penalties remember.
    penalties : list of str or None
        Each layer's last penalty, to detect that another one is asked for.
    """

    optimizer: Optimizer | None
    learning_rate: float
    policy: str
    power_t: float
    state: State | None = None
    penalties: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        self._first_rate = self.learning_rate

    def state_for(
        self, arrays: Sequence[np.ndarray], penalties: Sequence[Penalty | None]
    ) -> State | None:
        """Return the state from which to continue training `arrays` with these penalties.

        It has the dtype of the arrays. What penalties remember is kept if they are unchanged.

        Raises
        ------
        ValueError
            If the state is of layers of other sizes.
        """
        shapes, state = [array.shape for array in arrays], self.state
        for held in [] if state is None else [*state.memories, state.kept]:
            if [array.shape for array in held] != shapes:
                raise ValueError(
                    "what the solver remembers is of layers of other sizes than the weights: "
                    "fit a clone, or call fit, with warm_start=False"
                )
        now = descriptions(penalties)
        same, self.penalties = self.penalties == now, now
        return None if state is None else state.carried(arrays[0].dtype, same_penalties=same)

    def epoch_ends(self, rows: int) -> None:
        """Change the rate if it depends on `rows`, the number of rows seen since the first fit."""
        if self.policy == "invscaling":
            self.learning_rate = self._first_rate / (rows + 1) ** self.power_t

    def stop(self, reason: str, verbose: bool) -> bool:
        """Return whether to end training for `reason`.

        An adaptive rate that is not yet too small is divided instead.
        """
        what, ends = "Stopping.", True
        if self.policy == "adaptive":
            if self.learning_rate <= SMALLEST_RATE:
                what = "Learning rate too small. Stopping."
            else:
                self.learning_rate /= DIVISOR
                what, ends = f"Setting learning rate to {self.learning_rate:f}", False
        if verbose:
            print(f"{reason} {what}")
        return ends


def steps_of(mlp: Any) -> Steps:
    """Return the steps with which an estimator's solver begins."""
    rate, power_t = float(mlp.learning_rate_init), float(mlp.power_t)
    if mlp.solver == "adam":
        adam = AdamOfScikitLearn(rate, mlp.beta_1, mlp.beta_2, mlp.epsilon)
        return Steps(adam, rate, "constant", power_t)
    descent: Optimizer | None = None
    if mlp.momentum:
        descent = (Nesterov if mlp.nesterovs_momentum else Momentum)(rate)
        object.__setattr__(descent, "momentum", float(mlp.momentum))  # 1 too, as scikit-learn
    return Steps(descent, rate, mlp.learning_rate, power_t)
