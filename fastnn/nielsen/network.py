"""The book's ``network.py`` (chapter 1): sigmoid layers, the quadratic cost, no penalty.

Names, arguments, printed lines and random draws are those of the book's program; training runs on
the compiled engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import costs
from fastnn.nielsen._base import BookNetwork, as_list, sigmoid, sigmoid_prime
from fastnn.nielsen._samples import SampleDeltas, Samples
from fastnn.nielsen._sgd import sgd, update
from fastnn.trainer.exclusive import exclusive_fit

__all__ = ["Network", "sigmoid", "sigmoid_prime"]


class Network(BookNetwork):
    """A network of sigmoid neurons, trained with the quadratic cost.

    Parameters
    ----------
    sizes : sequence of int
        The neurons of each layer, inputs first: ``[784, 30, 10]``.
    dtype : {"float64", "float32"}
        The dtype of the arrays and computations.

    Attributes
    ----------
    num_layers : int
    sizes : list of int
    biases : list of ndarray, shape (y, 1)
        One for each layer after the input, drawn from N(0, 1) by `numpy.random.randn`.
    weights : list of ndarray, shape (y, x)
        Drawn in the same way, after the biases. Both lists may be edited or replaced; each call
        uses the current arrays.

    Raises
    ------
    TypeError, ValueError
        If `sizes` or `dtype` are not as above.
    """

    _monitors = ("evaluate",)

    def __init__(self, sizes: Sequence[int], *, dtype: DTypeLike = "float64") -> None:
        super().__init__(sizes, dtype)
        self._draw(normalized=False)

    def SGD(
        self,
        training_data: Iterable[tuple[Any, Any]],
        epochs: float,
        mini_batch_size: int,
        eta: float,
        test_data: Iterable[tuple[Any, Any]] | None = None,
        *,
        progress: bool = False,
    ) -> None:
        """Train by stochastic gradient descent over mini-batches.

        After each epoch, it prints ``Epoch 0: 9129 / 10000`` if there are test data, else
        ``Epoch 0 complete``.

        Parameters
        ----------
        training_data : iterable of (x, y)
            x of shape (sizes[0], 1); y of shape (sizes[-1], 1), or the int of its class. A list
            is shuffled in place, by `random.shuffle`, before every epoch.
        epochs : int
            A whole-number float is accepted.
        mini_batch_size : int
        eta : float
            The learning rate.
        test_data : iterable of (x, y), optional
            Evaluated after every epoch, unless empty.
        progress : bool, default False
            Show a progress bar.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above; no weight has changed then.
        RuntimeError
            If the network is being trained already.
        """
        with exclusive_fit(self), ExitStack() as stack:
            training = Samples("training_data", training_data, self)
            test_data = None if test_data is None else as_list("test_data", test_data)
            test = Samples("test_data", test_data, self) if test_data else None
            trained = sgd(
                self, training, epochs, mini_batch_size, eta, cost=self._cost(), progress=progress
            )
            for epoch in stack.enter_context(closing(trained)):
                if test is None:
                    print(f"Epoch {epoch} complete")
                else:
                    print(f"Epoch {epoch}: {_correct(test)} / {len(test)}")

    def update_mini_batch(self, mini_batch: Iterable[tuple[Any, Any]], eta: float) -> None:
        """Take one step of gradient descent, with the learning rate `eta`, over `mini_batch`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as in `SGD`; no weight has changed then.
        RuntimeError
            If the network is being trained already.
        """
        update(self, mini_batch, eta, cost=self._cost())

    def evaluate(self, test_data: Iterable[tuple[Any, Any]]) -> int:
        """Return for how many pairs (x, y) the largest output is that of the class y."""
        return _correct(Samples("test_data", test_data, self))

    def cost_derivative(self, output_activations: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return a sample cost's derivative with respect to the output; may be overridden."""
        derivative: np.ndarray = output_activations - y
        return derivative

    def _cost(self) -> Any:
        """Return the engine's cost, or an adapter if `cost_derivative` is user-defined."""
        if self._is_overridden("cost_derivative"):
            return SampleDeltas(self._output_delta)
        return costs.Quadratic()

    def _output_delta(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        delta: np.ndarray = self.cost_derivative(a, y) * sigmoid_prime(z)
        return delta


def _correct(samples: Samples) -> int:
    return samples.correct(samples.activations(), convert=False)
