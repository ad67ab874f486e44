"""The native network: its arrays, how they start, what it predicts, saving and loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import activations as activation_plugins
from fastnn import costs as cost_plugins
from fastnn import engine, sparsity
from fastnn.activations import Activation
from fastnn.arrays import Inputs, as_inputs, as_labels, as_targets
from fastnn.checks import FileFormatError, one_of, real, whole
from fastnn.costs import Cost
from fastnn.model_file import Model, read_model, write_model
from fastnn.penalties import Layers, per_layer, value_of

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
    kept_inputs : ndarray of int64, or None
        The columns of X that the network uses, where `compact` has dropped others.
    history : History or None
        The history of the last `fit`; after a `KeyboardInterrupt`, of the epochs it finished.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; the message says what was expected.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    kept_inputs: np.ndarray | None
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
        self._sizes = _checked_sizes(sizes)
        self._activations = _checked_activations(activation, len(self._sizes) - 1)
        self._cost = cost_plugins.named("cost", cost)
        if self._activations[-1].name not in self._cost.outputs:
            raise ValueError(
                f"cost {cost!r} needs one of the output activations "
                f"{', '.join(map(repr, self._cost.outputs))}, not {self._activations[-1].name!r}"
            )
        self._dtype = np.dtype(one_of("dtype", _dtype_name(dtype), ("float32", "float64")))
        self._input_scale = None if input_scale is None else _checked_scale(input_scale)
        self._rng = np.random.default_rng(seed)
        self._n_inputs, self.kept_inputs = self._sizes[0], None
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
    def n_inputs(self) -> int:
        """The columns X must have: ``sizes[0]``, and those that `compact` has dropped."""
        return self._n_inputs

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
        penalty: Layers = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        progress: bool = False,
        threads: int | None = None,
        compact_every: int | None = None,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, from the weights as they are.

        Parameters
        ----------
        X : array_like, shape (n, n_inputs)
            Floats or uint8; the network computes with ``X * input_scale``.
        y : array_like, shape (n,) or (n, sizes[-1])
            Class indices (0 or 1 where there is one output unit), or targets.
        epochs : int
            Passes over the rows; a whole float is taken, and 0 trains nothing.
        batch_size : int, default 10
            Rows a step; the last batch of an epoch may be short, and a batch_size above n is n.
        learning_rate : float, default 0.5
            The book's eta: a step is learning_rate times the batch's mean gradient.
        penalty : Penalty, sequence of Penalty or None, or None
            One of `fastnn.penalties`, such as `fastnn.L1`, for all layers, or a list with one for
            each layer after the input. A step shrinks the weights by learning_rate*lmbda/n, n being
            the rows of `X`; where that is too much for training to work, a
            `fastnn.RegularizationWarning` says so before it starts.
        validation_data : tuple (X, y), optional
            Evaluated after every epoch.
        shuffle : bool, default True
            Draw a new order for every epoch from the network's generator; else keep the one given.
        progress : bool, default False
            Show a progress bar.
        threads : int, optional
            How many threads share a batch's work; by default 1 where that is little, else the CPUs
            that the process may use. The results do not depend on it.
        compact_every : int, optional
            `compact` the network after each so many epochs and go on with what is left: the epochs
            get faster, and what has gone cannot come back. A penalty that depends on the steps
            before, such as `CumulativeL1`, starts anew where something goes.

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
            compact_every=compact_every,
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

    def total_cost(self, X: ArrayLike, y: ArrayLike, *, penalty: Layers = None) -> float:
        """Return the mean cost of the rows, plus the penalty's value if one is given.

        The penalty is divided by the rows of `X`, as in the book's ``total_cost``. The cost is
        computed from the weighted inputs, so that a saturated output has a finite one.
        """
        penalties = per_layer(penalty, len(self._sizes) - 1)
        inputs = self._inputs(X)
        n = len(inputs.matrix)
        targets = as_targets(y, n, self._sizes[-1], self._dtype)
        cost = _mean_cost(self._cost, *self._outputs(inputs), targets)
        return cost + value_of(penalties, self.weights, self.biases) / n

    def sparsity(self) -> list[float]:
        """Return the share of exact zeros, 0 to 1, in each layer's weights."""
        return sparsity.zero_shares(self._arrays()[0])

    def prune(self, threshold: float) -> int:
        """Set every weight with abs(w) <= `threshold` to 0, in place.

        Returns
        -------
        int
            How many of them were not 0 before.

        Raises
        ------
        TypeError, ValueError
            If `threshold` is not a finite number of at least 0.
        """
        return sparsity.prune(self._arrays()[0], real("threshold", threshold))

    def compact(self) -> list[int]:
        """Remove the inputs and hidden units that the outputs do not need; these stay the same.

        An input goes where all its weights are 0. A hidden unit goes where all weights out of it
        are 0, or all into it: its constant output is then added, through its weights, to the next
        layer's biases. This is repeated, as one removal may empty another unit. At least one input
        stays, and one unit in each hidden layer.

        The network still takes all columns of X (`n_inputs`) and uses those in `kept_inputs`.
        Where something goes, `weights` and `biases` are new lists of new arrays.

        Returns
        -------
        list of int
            How many went from each layer, inputs first.
        """
        before = self._sizes
        self._compact()
        return [b - now for b, now in zip(before, self._sizes, strict=True)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to `path` as JSON, which `fastnn.load` reads back exactly.

        The book's ``network2.load`` reads it too where the network is one of the book's: all
        sigmoid, with the quadratic or the cross-entropy cost. Such a network takes ``X *
        input_scale``. Columns that `compact` has dropped are written as zeros, so that every reader
        takes the same X. A file already at `path` is replaced whole or not at all.

        Raises
        ------
        ValueError
            If a weight or bias is not finite.
        OSError
            If the file cannot be written.
        """
        weights, biases = self._arrays()
        if self.kept_inputs is not None:
            first = sparsity.with_all_columns(weights[0], self.kept_inputs, self.n_inputs)
            weights = [first, *weights[1:]]
        sizes, names = [self.n_inputs, *self.sizes[1:]], self.activations
        rest = names, self.cost, self._dtype.name, self._input_scale, self.kept_inputs
        write_model(path, Model(sizes, weights, biases, *rest))

    def _compact(self) -> np.ndarray | None:
        """Compact the network; return which of its columns it still uses, None if nothing goes."""
        weights, biases, kept = sparsity.compact(*self._arrays(), self._activations)
        sizes, columns = (*map(len, kept), self._sizes[-1]), self.kept_inputs
        if sizes == self._sizes:
            return None
        if len(kept[0]) < self._sizes[0]:
            columns = kept[0] if columns is None else columns[kept[0]]
        self.weights, self.biases, self._sizes, self.kept_inputs = weights, biases, sizes, columns
        return kept[0]

    def _arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Check what stands in `weights` and `biases` and return it, ready for the engine."""
        shapes = list(zip(self._sizes[1:], self._sizes[:-1], strict=True))
        weights = _checked_arrays("weights", self.weights, shapes, self._dtype)
        biases = _checked_arrays("biases", self.biases, [s[:1] for s in shapes], self._dtype)
        self.weights = _in_place(self.weights, weights)
        self.biases = _in_place(self.biases, biases)
        return self.weights, self.biases

    def _inputs(self, X: ArrayLike) -> Inputs:
        inputs = as_inputs(X, self._dtype, self._input_scale, self._n_inputs)
        return inputs if self.kept_inputs is None else inputs.columns(self.kept_inputs)

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
    if (kept := model.kept_inputs) is not None:
        network.weights[0] = np.ascontiguousarray(network.weights[0][:, kept])
        network._sizes, network.kept_inputs = (len(kept), *network._sizes[1:]), kept
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


def _checked_sizes(sizes: object) -> tuple[int, ...]:
    if isinstance(sizes, str) or not isinstance(sizes, (Sequence, np.ndarray)):
        raise TypeError(
            f"sizes must be a list of whole numbers such as [784, 30, 10], not {sizes!r}"
        )
    if len(sizes) < 2:
        raise ValueError(
            f"sizes must name at least two layers, the inputs and the outputs, not {list(sizes)}"
        )
    return tuple(whole(f"sizes[{i}]", size, minimum=1) for i, size in enumerate(sizes))


def _checked_activations(names: object, layers: int) -> list[Activation]:
    if isinstance(names, str):
        chosen = [activation_plugins.named("activation", names)] * layers
    elif not isinstance(names, Sequence):
        raise TypeError(f"activation must be a name or one name for each layer, not {names!r}")
    elif len(names) != layers:
        raise ValueError(
            f"activation must be one name, or one for each of the {layers} layers after the "
            f"input, not {len(names)} names"
        )
    else:
        chosen = [activation_plugins.named(f"activation[{i}]", a) for i, a in enumerate(names)]
    for activation in chosen[:-1]:
        if activation.normalises:
            raise ValueError(
                f"{activation.name!r} is for the output layer only, not a hidden one: give one "
                f"name for each layer, such as {['sigmoid'] * (layers - 1) + [activation.name]}"
            )
    return chosen


def _checked_scale(scale: object) -> float:
    number = real("input_scale", scale)
    if number == 0:
        raise ValueError("input_scale must be above 0: with 0 the network would not see its inputs")
    return number


def _dtype_name(dtype: DTypeLike) -> object:
    try:
        return dtype if dtype is None else np.dtype(dtype).name
    except TypeError:
        return dtype


def _checked_arrays(
    name: str, arrays: object, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]
) -> list[np.ndarray]:
    """Return `arrays` as the engine takes them: those that are right already, converted others."""
    if not isinstance(arrays, (list, tuple)) or len(arrays) != len(shapes):
        came = f"{len(arrays)}" if isinstance(arrays, (list, tuple)) else type(arrays).__name__
        raise ValueError(f"{name} must be a list of {len(shapes)} arrays, not {came}")
    checked = []
    for layer, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            came = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else f"{array!r:.60}"
            raise TypeError(f"{name}[{layer}] must be an array of floats, not {came}")
        if array.shape != shape:
            raise ValueError(f"{name}[{layer}] must have the shape {shape}, not {array.shape}")
        checked.append(np.require(array, dtype, ["C", "A", "W"]))
    return checked


def _in_place(held: list[np.ndarray], checked: list[np.ndarray]) -> list[np.ndarray]:
    """Put the checked arrays into the list that the network holds."""
    if not isinstance(held, list):
        return checked
    held[:] = checked
    return held
