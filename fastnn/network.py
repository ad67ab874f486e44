"""The native network: its arrays, how they start, what it predicts, saving and loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import costs as cost_plugins
from fastnn import engine
from fastnn.arrays import Inputs, as_inputs, as_labels, as_targets
from fastnn.checks import FileFormatError
from fastnn.costs import Cost
from fastnn.model_file import Model, read_model, write_model
from fastnn.network_checks import (
    checked_activations,
    checked_arrays,
    checked_dtype,
    checked_scale,
    checked_sizes,
    in_place,
)
from fastnn.penalties import Penalty

if TYPE_CHECKING:
    from fastnn.trainer import History

__all__ = ["Network", "load"]


class Network:
    """A fully connected network.

    It starts as the book advises (chapter 3, "Weight initialization"): weights drawn from
    N(0, 1/sqrt(inputs of the unit)), biases from N(0, 1).

    Parameters
    ----------
    sizes : sequence of int
        The units of each layer, inputs first: at least two layers, each of at least one unit.
    activation : str or sequence of str, default "sigmoid"
        The name of the activation of all layers, or one name for each layer after the input.
        "sigmoid", "tanh", "relu" or, for the output layer only, "softmax".
    cost : str, default "cross_entropy"
        "cross_entropy" (of independent sigmoid outputs), "log_likelihood" (of softmax outputs) or
        "quadratic" (of any others).
    dtype : {"float32", "float64"}
        What the network computes in, and the dtype of its arrays.
    input_scale : float, optional
        The network computes with ``X * input_scale``, whatever the dtype of X. Not given, it is 1
        for floats and 1/256 (the book's) for uint8, so that pixels may come in either form. It is
        saved with the network.
    seed : int, optional
        Seeds the network's own generator, from which the initial values and every shuffle are
        drawn. Not given, each network is different.

    Attributes
    ----------
    weights : list of ndarray, shape (out, in)
        One array for each layer after the input. They may be edited in place or replaced; what
        stands here is checked, and used, at the next call.
    biases : list of ndarray, shape (out,)
        Likewise.
    history : History or None
        The history of the last `fit`; after a `KeyboardInterrupt`, of the epochs it finished.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; the message says what was expected.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    history: History | None

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        cost: str = "cross_entropy",
        dtype: DTypeLike = "float32",
        input_scale: float | None = None,
        seed: int | None = None,
    ) -> None:
        self._sizes = checked_sizes(sizes)
        self._activations = checked_activations(activation, len(self._sizes) - 1)
        self._cost = cost_plugins.named("cost", cost)
        if self._activations[-1].name not in self._cost.outputs:
            raise ValueError(
                f"cost {cost!r} needs one of the output activations "
                f"{', '.join(map(repr, self._cost.outputs))}, not {self._activations[-1].name!r}"
            )
        self._dtype = checked_dtype(dtype)
        self._input_scale = None if input_scale is None else checked_scale(input_scale)
        self._rng = np.random.default_rng(seed)
        self.history = None
        self._draw()

    def _draw(self) -> None:
        """Draw the initial values, in float64 so that both dtypes start from the same ones."""
        self.weights, self.biases = [], []
        for inputs, units in zip(self._sizes, self._sizes[1:], strict=False):
            w = self._rng.standard_normal((units, inputs)) / np.sqrt(inputs)
            self.weights.append(w.astype(self._dtype))
            self.biases.append(self._rng.standard_normal(units).astype(self._dtype))

    def __repr__(self) -> str:
        names = dict.fromkeys(self.activations)
        activation = self.activations[0] if len(names) == 1 else self.activations
        return (
            f"Network({self.sizes}, activation={activation!r}, cost={self.cost!r}, "
            f"dtype={self.dtype.name!r}, input_scale={self.input_scale})"
        )

    @property
    def sizes(self) -> list[int]:
        """The units of each layer, inputs first."""
        return list(self._sizes)

    @property
    def activations(self) -> list[str]:
        """The name of each layer's activation, the output's last."""
        return [activation.name for activation in self._activations]

    @property
    def cost(self) -> str:
        """The name of the cost."""
        return self._cost.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the arrays: float32 or float64."""
        return self._dtype

    @property
    def input_scale(self) -> float | None:
        """What X is multiplied by; None means 1 for floats and 1/256 for uint8."""
        return self._input_scale

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int,
        batch_size: int = 10,
        learning_rate: float = 0.5,
        penalty: Penalty | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        progress: bool = False,
        threads: int | None = None,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, from the weights as they are.

        Parameters
        ----------
        X : array_like, shape (n, sizes[0])
            Floats or uint8; the network computes with ``X * input_scale``.
        y : array_like, shape (n,) or (n, sizes[-1])
            Class indices (0 or 1 where there is one output unit), or targets.
        epochs : int
            Passes over the rows; a whole float is taken, and 0 trains nothing.
        batch_size : int, default 10
            Rows a step; the last batch of an epoch may be short, and a batch_size above n is n.
        learning_rate : float, default 0.5
            The book's eta: a step is learning_rate times the batch's mean gradient.
        penalty : Penalty or None
            `fastnn.L1`, `fastnn.L2` or `fastnn.ElasticNet`. A step shrinks the weights by
            learning_rate*lmbda/n, n being the rows of `X`; where that is too much for training to
            work, a `fastnn.RegularizationWarning` says so before it starts.
        validation_data : tuple (X, y), optional
            Evaluated after every epoch.
        shuffle : bool, default True
            Draw a new order for every epoch from the network's generator; else keep the one given.
        progress : bool, default False
            Show a progress bar.
        threads : int, optional
            How many threads share a batch's work; by default 1 where that is little, else the CPUs
            that the process may use. The results do not depend on it.

        Returns
        -------
        History
            Costs, accuracies and seconds of each epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above; no weight has changed then.
        KeyboardInterrupt
            On Ctrl-C, about 0.1 s after it at most (or one batch, where one takes longer). The
            network is then between two batches, and `history` has the epochs that were finished.
        """
        from fastnn import trainer

        return trainer.fit(
            self,
            X,
            y,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            penalty=penalty,
            validation_data=validation_data,
            shuffle=shuffle,
            progress=progress,
            threads=threads,
        )

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return each row's class index, int64 (n,).

        It is the unit with the largest output; with one output unit, 1 where it exceeds 0.5.
        """
        return _classes(self.predict_proba(X))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the outputs of the network, (n, sizes[-1]) in its dtype."""
        return self._outputs(self._inputs(X))[1]

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the share of rows, 0 to 1, whose predicted class is that of `y`."""
        inputs = self._inputs(X)
        labels = as_labels(y, len(inputs.matrix), self._sizes[-1])
        return float((_classes(self._outputs(inputs)[1]) == labels).mean())

    def total_cost(self, X: ArrayLike, y: ArrayLike, *, penalty: Penalty | None = None) -> float:
        """Return the mean cost of the rows, plus the penalty's value if one is given.

        The penalty is divided by the rows of `X`, as in the book's ``total_cost``. The cost is
        computed from the weighted inputs, so that a saturated output has a finite one.
        """
        penalty = checked_penalty(penalty)
        inputs = self._inputs(X)
        n = len(inputs.matrix)
        targets = as_targets(y, n, self._sizes[-1], self._dtype)
        cost = _mean_cost(self._cost, *self._outputs(inputs), targets)
        return cost if penalty is None else cost + penalty.value(self.weights) / n

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to `path` as JSON, which `fastnn.load` reads back exactly.

        The book's ``network2.load`` reads it too where the network is one of the book's: all
        sigmoid, with the quadratic or the cross-entropy cost. Such a network takes ``X *
        input_scale``. A file already at `path` is replaced whole or not at all.

        Raises
        ------
        ValueError
            If a weight or bias is not finite.
        OSError
            If the file cannot be written.
        """
        arrays, names = self._arrays(), self.activations
        dtype, scale = self._dtype.name, self._input_scale
        write_model(path, Model(self.sizes, *arrays, names, self.cost, dtype, scale))

    def _arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Check what stands in `weights` and `biases` and return it, ready for the engine."""
        shapes = list(zip(self._sizes[1:], self._sizes[:-1], strict=True))
        weights = checked_arrays("weights", self.weights, shapes, self._dtype)
        biases = checked_arrays("biases", self.biases, [s[:1] for s in shapes], self._dtype)
        self.weights = in_place(self.weights, weights)
        self.biases = in_place(self.biases, biases)
        return self.weights, self.biases

    def _inputs(self, X: ArrayLike) -> Inputs:
        return as_inputs(X, self._dtype, self._input_scale, self._sizes[0])

    def _outputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted inputs z and the outputs a of the output layer, each (n, O)."""
        weights, biases = self._arrays()
        return engine.outputs(weights, biases, self._activations, inputs)

    def _evaluate(
        self, inputs: Inputs, targets: np.ndarray, labels: np.ndarray
    ) -> tuple[float, float]:
        """Return the mean cost, without a penalty, and the accuracy, from one pass."""
        z, a = self._outputs(inputs)
        return _mean_cost(self._cost, z, a, targets), float((_classes(a) == labels).mean())


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `Network.save` or the ``save`` of the book's network2 has written.

    One of the book's becomes a float64 network with the file's cost.

    Raises
    ------
    FileFormatError
        If the file is not such a file, or is damaged; the message says what is wrong with it.
    OSError
        If it cannot be read.
    """
    model = read_model(path)
    try:
        network = Network(
            model.sizes,
            activation=model.activations,
            cost=model.cost,
            dtype=model.dtype,
            input_scale=model.input_scale,
        )
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{os.fspath(path)}: not a model file: {error}") from error
    network.weights, network.biases = model.weights, model.biases
    network._arrays()
    return network


def _mean_cost(cost: Cost, z: np.ndarray, a: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean cost of the rows; `targets` are class indices (n,) or (n, O)."""
    if targets.ndim == 1:
        y = np.zeros_like(z)
        y[np.arange(len(z)), targets] = 1
    else:
        y = targets
    return float(cost.value(np, z, a, y).sum(dtype=np.float64)) / len(z)


def _classes(a: np.ndarray) -> np.ndarray:
    """Return the class index of each row of the outputs `a`, int64 (n,)."""
    if a.shape[1] == 1:
        return (a[:, 0] > 0.5).astype(np.int64)
    classes: np.ndarray = a.argmax(axis=1)
    return classes.astype(np.int64, copy=False)


def checked_penalty(penalty: object) -> Penalty | None:
    """Return `penalty` if it is one, or None; a `TypeError` otherwise."""
    if penalty is None or isinstance(penalty, Penalty):
        return penalty
    raise TypeError(
        "penalty must be None or a penalty with its strength, such as fastnn.L1(5.0), "
        f"not {penalty!r}"
    )
