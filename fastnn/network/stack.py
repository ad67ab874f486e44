"""The parts of a network, and what is done with them: sparsity, files, other libraries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn import costs as cost_plugins
from fastnn import penalties, sparsity
from fastnn.checks import flag, real
from fastnn.model_files import Model, write_model
from fastnn.network_checks import (
    checked_activations,
    checked_arrays,
    checked_dtype,
    checked_scale,
    in_place,
    layer_shapes,
)
from fastnn.optimizer_state import OptimizerState
from fastnn.penalties import PenaltyLike, records
from fastnn.tasks import Labels, task_of

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Self

    from fastnn.history import History

__all__ = ["Arrays", "Stack"]


class Arrays(NamedTuple):
    """A network's arrays, the sizes of its layers, and the inputs that it keeps."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    sizes: tuple[int, ...]
    kept_inputs: np.ndarray | None


class Stack:
    """The layers of a network; `fastnn.Network` initializes, trains and evaluates them.

    `fastnn.Network` documents the attributes. Names with one underscore are internal: other modules
    of the package use them, and nothing outside it should.
    """

    _rng: np.random.Generator
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    kept_inputs: np.ndarray | None
    penalty: PenaltyLike
    optimizer_state: OptimizerState | None = None
    history: History | None

    def _configure(
        self,
        sizes: tuple[int, ...],
        activation: str | Sequence[str],
        cost: str,
        multilabel: bool,
        dtype: DTypeLike,
        input_scale: float | None,
    ) -> None:
        """Check and set everything except the arrays and the generator."""
        self._sizes = sizes
        self._activations = checked_activations(activation, len(sizes) - 1)
        self._cost = cost_plugins.named("cost", cost)
        output = self._activations[-1].name
        if output not in self._cost.outputs:
            fitting = [kind.name for kind in cost_plugins.ALL if output in kind.outputs]
            hint = f" give cost={' or '.join(map(repr, fitting))}, or" if fitting else ""
            raise ValueError(
                f"cost {cost!r} needs one of the output activations "
                f"{', '.join(map(repr, self._cost.outputs))}, not {output!r}:{hint} one activation "
                f"for each layer, such as {['relu'] * (len(sizes) - 2) + [self._cost.outputs[0]]}"
            )
        if self._activations[-1].normalises and sizes[-1] == 1:
            raise ValueError(
                f"{self._activations[-1].name!r} of one output unit is always 1: for two classes "
                "use 'sigmoid' and the cost 'cross_entropy', or two output units"
            )
        labels = flag("multilabel", multilabel)
        self._task = task_of(self._cost, self._activations[-1].name, multilabel=labels)
        self._dtype = checked_dtype(dtype)
        self._input_scale = None if input_scale is None else checked_scale(input_scale)
        self._n_inputs, self.kept_inputs = sizes[0], None
        self.penalty, self.optimizer_state, self.history = None, None, None

    @classmethod
    def _of(
        cls,
        weights: list[np.ndarray],
        biases: list[np.ndarray],
        *,
        activation: str | Sequence[str],
        cost: str,
        multilabel: bool = False,
        dtype: DTypeLike = "float32",
        input_scale: float | None = None,
    ) -> Self:
        """Return a network of these arrays, (out, in) and (out,), with an unseeded generator."""
        network = cls.__new__(cls)
        sizes = (weights[0].shape[1], *map(len, weights))
        network._configure(sizes, activation, cost, multilabel, dtype, input_scale)
        network._rng = np.random.default_rng()
        network.weights, network.biases = weights, biases
        network._arrays()
        return network

    def __repr__(self) -> str:
        names = dict.fromkeys(self.activations)
        activation = self.activations[0] if len(names) == 1 else self.activations
        return (
            f"Network({self.sizes}, activation={activation!r}, cost={self.cost!r}, "
            f"dtype={self.dtype.name!r}, input_scale={self.input_scale}"
            f"{', multilabel=True' if self.multilabel else ''})"
        )

    @property
    def sizes(self) -> list[int]:
        """The units of each layer, inputs first."""
        return list(self._sizes)

    @property
    def n_inputs(self) -> int:
        """The number of columns of X: ``sizes[0]`` plus those that `compact` has dropped."""
        return self._n_inputs

    @property
    def activations(self) -> list[str]:
        """The name of each layer's activation; the output layer's is last."""
        return [activation.name for activation in self._activations]

    @property
    def cost(self) -> str:
        """The name of the cost."""
        return self._cost.name

    @property
    def multilabel(self) -> bool:
        """Whether each output unit is a separate label."""
        return isinstance(self._task, Labels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the arrays: float32 or float64."""
        return self._dtype

    @property
    def input_scale(self) -> float | None:
        """The factor on X; None means 1 for floats and 1/256 for uint8."""
        return self._input_scale

    def sparsity(self) -> list[float]:
        """Return the share of exact zeros, 0 to 1, in each layer's weights."""
        return sparsity.zero_shares(self._arrays()[0])

    def prune(self, threshold: float) -> int:
        """Set every weight with abs(w) <= `threshold` to 0, in place.

        Returns
        -------
        int
            How many of these weights were not 0 before.

        Raises
        ------
        TypeError, ValueError
            If `threshold` is not a finite number of at least 0.
        """
        return sparsity.prune(self._arrays()[0], real("threshold", threshold))

    def compact(self) -> list[int]:
        """Remove inputs and hidden units that the outputs do not need; outputs stay the same.

        An input is removed if all its weights are 0. A hidden unit is removed if all weights out
        of it are 0, or all weights into it: its constant output is then added, through its weights,
        to the next layer's biases. This is repeated, because one removal may empty another unit.
        At least one input stays, and one unit in each hidden layer.

        The network still takes all columns of X (`n_inputs`) and uses those in `kept_inputs`. If
        something is removed, `weights` and `biases` are new lists of new arrays.

        Returns
        -------
        list of int
            How many were removed from each layer, inputs first.
        """
        before = self._sizes
        self._compact()
        return [b - now for b, now in zip(before, self._sizes, strict=True)]

    def save(self, path: str | os.PathLike[str], *, optimizer_state: bool = True) -> None:
        """Write the network to `path`; `fastnn.load` reads it back exactly.

        The native form is safetensors; with the suffix ``.json`` it is JSON. The book's
        ``network2.load`` also reads the JSON of a network like the book's: all sigmoid, with the
        quadratic or the cross-entropy cost. There, the inputs must be ``X * input_scale``. Columns
        that `compact` has dropped are written as zeros, so that every reader takes the same X. An
        existing file at `path` is replaced whole or not at all.

        Parameters
        ----------
        path : path
        optimizer_state : bool, default True
            Whether to include `optimizer_state`; only safetensors files can hold it. Prediction
            does not need it, and Adam's is twice the size of the weights.

        Raises
        ------
        ValueError
            If a weight, a bias or a number in `optimizer_state` is not finite, or if
            `optimizer_state` belongs to layers of other sizes.
        OSError
            If the file cannot be written.
        """
        weights, biases = self._arrays()
        left = self.optimizer_state if flag("optimizer_state", optimizer_state) else None
        if left is not None and not left.fits([*weights, *biases]):
            raise ValueError(
                "optimizer_state is of layers of other sizes; set it to None, or save with "
                "optimizer_state=False"
            )
        model = Model(
            weights=[self._first_weights(), *weights[1:]],
            biases=biases,
            activations=self.activations,
            cost=self.cost,
            dtype=self._dtype.name,
            input_scale=self._input_scale,
            kept_inputs=self.kept_inputs,
            multilabel=self.multilabel,
            penalty=records.to_record(self.penalty, penalties.ALL),
            optimizer_state=left,
        )
        write_model(path, model)

    def to_onnx(self, path: str | os.PathLike[str], *, input_dtype: str | None = None) -> None:
        """Write the network to `path` as an ONNX model (extra ``onnx``).

        Its input ``X`` is (n, n_inputs) for any n, and its output ``outputs`` is what
        `predict_proba` returns. The model contains the scaling of the inputs and the selection of
        `kept_inputs`. An existing file at `path` is replaced whole or not at all.

        Parameters
        ----------
        path : path
        input_dtype : str, optional
            The dtype of X: the network's dtype (the default) or "uint8".

        Raises
        ------
        ModuleNotFoundError
            If the package onnx is not installed.
        ValueError
            If `input_dtype` is neither of these.
        OSError
            If the file cannot be written.
        """
        from fastnn import exchange

        exchange.to_onnx(self, path, input_dtype=input_dtype)

    def to_torch(self) -> nn.Sequential:
        """Return a ``torch.nn.Sequential`` of ``Linear`` and activations, with the same outputs.

        It has the network's dtype and takes the same float rows, with all `n_inputs` columns:
        `input_scale` is multiplied into the first layer's weights, and the weights of columns that
        `compact` has dropped are zeros. `fastnn.from_torch` converts back.

        Raises
        ------
        ModuleNotFoundError
            If PyTorch is not installed.
        ValueError
            If PyTorch has no module for an activation.
        """
        from fastnn import exchange

        return exchange.to_torch(self)

    def _first_weights(self) -> np.ndarray:
        """Return the first layer's weights for all columns of X, with zeros for dropped ones."""
        if self.kept_inputs is None:
            return self.weights[0]
        return sparsity.with_all_columns(self.weights[0], self.kept_inputs, self.n_inputs)

    def _compact(self) -> np.ndarray | None:
        """Compact the network; return which of its columns remain, or None if nothing changes."""
        weights, biases, kept = sparsity.compact(*self._arrays(), self._activations)
        sizes, columns = (*map(len, kept), self._sizes[-1]), self.kept_inputs
        if sizes == self._sizes:
            return None
        if len(kept[0]) < self._sizes[0]:
            columns = kept[0] if columns is None else columns[kept[0]]
        self.weights, self.biases, self._sizes, self.kept_inputs = weights, biases, sizes, columns
        self.optimizer_state = None  # it belongs to the old arrays
        return kept[0]

    def _copied(self) -> Arrays:
        """Return a copy of the arrays, for `_restore`."""
        weights, biases = ([a.copy() for a in held] for held in (self.weights, self.biases))
        return Arrays(weights, biases, self._sizes, self.kept_inputs)

    def _restore(self, copied: Arrays) -> None:
        """Restore copied arrays, in place unless `compact` has removed something since."""
        if copied.sizes == self._sizes:
            now = (*self.weights, *self.biases)
            for array, old in zip(now, (*copied.weights, *copied.biases), strict=True):
                array[...] = old
        else:
            self.weights, self.biases, self._sizes = copied[:3]
        self.kept_inputs = copied.kept_inputs

    def _trained_with(self, penalty: PenaltyLike) -> None:
        """Record the penalty of a fit that begins, and discard the last fit's optimizer state."""
        self.penalty = list(penalty) if isinstance(penalty, Sequence) else penalty
        self.optimizer_state = None

    def _arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Check the current `weights` and `biases` and return them, ready for the engine."""
        shapes = layer_shapes(self._sizes)
        weights = checked_arrays("weights", self.weights, shapes, self._dtype)
        biases = checked_arrays("biases", self.biases, [s[:1] for s in shapes], self._dtype)
        self.weights = in_place(self.weights, weights)
        self.biases = in_place(self.biases, biases)
        return self.weights, self.biases
