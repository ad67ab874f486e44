"""The native network: its arrays, how they start, what it predicts, saving and loading."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import costs as cost_plugins
from fastnn import engine, initializers, sparsity
from fastnn.arrays import Inputs, as_inputs
from fastnn.checks import FileFormatError, real
from fastnn.model_file import Model, read_model, write_model
from fastnn.network_checks import (
    checked_activations,
    checked_arrays,
    checked_dtype,
    checked_scale,
    checked_sizes,
    in_place,
)
from fastnn.penalties import Layers, per_layer, value_of
from fastnn.tasks import Labels, Values, task_of

if TYPE_CHECKING:
    from fastnn.callbacks import Callback, EarlyStopping
    from fastnn.history import History
    from fastnn.optimizers import Optimizer
    from fastnn.schedules import Schedule

__all__ = ["Network", "load"]


class Network:
    """A fully connected network.

    Parameters
    ----------
    sizes : sequence of int
        The units of each layer, inputs first: at least two layers, each of at least one unit.
    activation : str or sequence of str, default "sigmoid"
        The name of the activation of all layers, or one name for each layer after the input.
        One of `fastnn.activations`: "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu",
        "softplus", "identity" or, for the output layer only, "softmax".
    cost : str, default "cross_entropy"
        For classes "cross_entropy" (of independent sigmoid outputs), "log_likelihood" (of softmax
        outputs) or "quadratic" (of any others); for real targets "mean_squared", "absolute" or
        "huber" (of any outputs but softmax; "identity" is the usual one).
    initializer : str, default "book"
        How weights and biases start: "book" (its chapter 3), "book_large" (its chapter 1),
        "glorot" or "he" (`fastnn.initializers`).
    multilabel : bool, default False
        Whether each output unit is a label of its own, so that a row may have none or several: y
        and predictions are then rows of 0 and 1. It needs sigmoid outputs, and is saved with the
        network.
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
        initializer: str = "book",
        multilabel: bool = False,
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
        self._task = task_of(self._cost, self._activations[-1].name, multilabel=multilabel)
        start = initializers.named("initializer", initializer)
        self._dtype = checked_dtype(dtype)
        self._input_scale = None if input_scale is None else checked_scale(input_scale)
        self._rng = np.random.default_rng(seed)
        self._n_inputs, self.kept_inputs = self._sizes[0], None
        self.history = None
        self.weights, self.biases = start.draw(self._rng, self._sizes, self._dtype)

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
    def multilabel(self) -> bool:
        """Whether each output unit is a label of its own."""
        return isinstance(self._task, Labels)

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
        learning_rate: float | Schedule | None = None,
        optimizer: Optimizer | None = None,
        penalty: Layers = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        dropout: float | Sequence[float] | None = None,
        input_noise: float = 0.0,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        validation_fraction: float | None = None,
        early_stopping: int | EarlyStopping | None = None,
        callbacks: Sequence[Callback] = (),
        shuffle: bool = True,
        progress: bool = False,
        threads: int | None = None,
        compact_every: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        checkpoint_seconds: float | None = None,
        resume: bool = False,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, from the weights as they are.

        Parameters
        ----------
        X : array_like, shape (n, n_inputs)
            Floats or uint8; the network computes with ``X * input_scale``.
        y : array_like, shape (n,) or (n, sizes[-1])
            Class indices (0 or 1 where there is one output unit), or targets; real targets where
            the cost is for these, and rows of 0 and 1 where the network is multilabel.
        epochs : int
            Passes over the rows; a whole float is taken, and 0 trains nothing.
        batch_size : int, default 10
            Rows a step; the last batch of an epoch may be short, and a batch_size above n is n.
        learning_rate : float or Schedule, optional
            The book's eta: a step is learning_rate times the batch's mean gradient. A schedule of
            `fastnn.schedules` gives each epoch its own. By default 0.5; an optimizer has its own.
        optimizer : Optimizer, optional
            One of `fastnn.optimizers`, such as `fastnn.Adam`; by default plain descent,
            ``SGD(learning_rate)``. What it remembers of earlier steps begins anew with each fit,
            and where `compact_every` removes something.
        penalty : Penalty, sequence of Penalty or None, or None
            One of `fastnn.penalties`, such as `fastnn.L1`, for all layers, or a list with one for
            each layer after the input. A step shrinks the weights by learning_rate*lmbda/n, n being
            the rows of `X`; where that is too much for training to work, a
            `fastnn.RegularizationWarning` says so before it starts. With an optimizer, L1, L2 and
            ElasticNet are part of the gradient, and the others follow its step.
        sample_weight : array_like, shape (n,), optional
            How much each row counts, at least 0: a batch's gradient is the weighted mean, the sum
            of the weighted gradients divided by the sum of the batch's weights. The n of lmbda/n
            stays the number of rows.
        class_weight : dict or "balanced", optional
            The weight of each class (1 for those not named), times that of the row; "balanced" is
            n/(classes*rows of the class).
        dropout : float or sequence of float, optional
            The share, below 1, of hidden units that each row goes without: of all hidden layers, or
            one number for each. The units left count 1/(1-dropout) times as much, so that nothing
            changes when the network predicts (Srivastava et al. 2014).
        input_noise : float, default 0.0
            The standard deviation of the normal noise that is added to the scaled inputs, drawn
            anew in every epoch (Bishop 1995).
        validation_data : tuple (X, y), optional
            Evaluated after every epoch.
        validation_fraction : float, optional
            Hold out this share of the rows, rounded up, as validation data. They are drawn from
            the network's generator; n is then the number of rows that are left.
        early_stopping : int or EarlyStopping, optional
            Stop after so many epochs without a better validation score, and put the best epoch's
            weights back.
        callbacks : sequence of Callback, optional
            Called before and after every epoch; they may end the fit.
        shuffle : bool, default True
            Draw a new order for every epoch from the network's generator; else keep the one given.
        progress : bool, default False
            Show a progress bar.
        threads : int, optional
            How many threads share a batch's work; by default 1 where that is little, else as many
            as there are CPUs that the process may use, or OMP_NUM_THREADS if that is less. The
            results do not depend on it.
        compact_every : int, optional
            `compact` the network after each so many epochs and go on with what is left: the epochs
            get faster, and what has gone cannot come back. A penalty that depends on the steps
            before, such as `CumulativeL1`, starts anew where something goes.
        checkpoint : path, optional
            Write all that the fit would need to go on to this file (a safetensors file): weights,
            what optimizer and penalty remember, generators, history, the position in the epoch. One
            that is there is replaced whole or not at all, and where it cannot be written training
            goes on with a warning.
        checkpoint_every : int, default 1
            Epochs from one checkpoint to the next. There is always one at the end, and one where
            Ctrl-C ends the fit.
        checkpoint_seconds : float, optional
            Also write one, between two batches, when so much time has passed.
        resume : bool, default False
            Go on from the checkpoint, to the same bits as a fit that was never stopped; where there
            is none yet, start afresh. Everything else must be as it was then, but for `epochs`,
            `threads` and the callbacks, of which only early stopping is kept.

        Returns
        -------
        History
            Costs, scores, learning rates and seconds of each epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above, or the checkpoint is one of another fit; no
            weight has changed then.
        FileFormatError
            If the checkpoint to resume from is damaged.
        RuntimeError
            If the network is being trained already, in another thread or by the fit whose callback
            this is.
        DivergenceError
            If weights are no longer finite. The network is then as after the last finished epoch.
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
            optimizer=optimizer,
            penalty=penalty,
            sample_weight=sample_weight,
            class_weight=class_weight,
            dropout=dropout,
            input_noise=input_noise,
            validation_data=validation_data,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            callbacks=callbacks,
            shuffle=shuffle,
            progress=progress,
            threads=threads,
            compact_every=compact_every,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            checkpoint_seconds=checkpoint_seconds,
            resume=resume,
        )

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return what the network says of each row.

        * Classes: the index of the unit with the largest output, int64 (n,); with one output unit,
          1 where it exceeds 0.5.
        * A multilabel network: 1 where an output exceeds 0.5, else 0; int64 (n, sizes[-1]).
        * With a cost for real targets: the outputs, (n,) where there is one unit, else
          (n, sizes[-1]), in the network's dtype.
        """
        return self._task.predictions(self.predict_proba(X))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the outputs of the network, (n, sizes[-1]) in its dtype."""
        return self._outputs(self._inputs(X))[1]

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the share of rows, 0 to 1, whose prediction is that of `y` (in every label).

        Raises
        ------
        ValueError
            If the cost is one for real targets, of which `score` is the measure.
        """
        if isinstance(self._task, Values):
            raise ValueError(
                f"cost {self.cost!r} is for real targets, which have no accuracy; use score"
            )
        return self.score(X, y)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the `accuracy`, or with a cost for real targets the mean R**2 of the outputs.

        R**2 is 1 for perfect predictions and 0 for always predicting the mean of y, as
        scikit-learn's ``r2_score``.
        """
        inputs = self._inputs(X)
        wanted = self._task.wanted(y, len(inputs.matrix), self._sizes[-1])
        return self._task.score(self._task.predictions(self._outputs(inputs)[1]), wanted)

    def total_cost(self, X: ArrayLike, y: ArrayLike, *, penalty: Layers = None) -> float:
        """Return the mean cost of the rows, plus the penalty's value if one is given.

        The penalty is divided by the rows of `X`, as in the book's ``total_cost``. The cost is
        computed from the weighted inputs, so that a saturated output has a finite one.
        """
        penalties = per_layer(penalty, len(self._sizes) - 1)
        inputs = self._inputs(X)
        n = len(inputs.matrix)
        targets = self._task.targets(y, n, self._sizes[-1], self._dtype)
        cost = self._cost.mean(*self._outputs(inputs), targets)
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
        write_model(path, Model(sizes, weights, biases, *rest, self.multilabel))

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

    def _copied(self) -> tuple[Any, ...]:
        """Return what `_restore` puts back: copies of the arrays, and which inputs they are for."""
        weights, biases = ([a.copy() for a in held] for held in (self.weights, self.biases))
        return weights, biases, self._sizes, self.kept_inputs

    def _restore(self, copied: tuple[Any, ...]) -> None:
        """Put arrays back, in place unless `compact` has removed something since."""
        weights, biases, sizes, kept = copied
        if sizes == self._sizes:
            for array, old in zip((*self.weights, *self.biases), (*weights, *biases), strict=True):
                array[...] = old
        else:
            self.weights, self.biases, self._sizes, self.kept_inputs = weights, biases, sizes, kept

    def _arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Check what stands in `weights` and `biases` and return it, ready for the engine."""
        shapes = list(zip(self._sizes[1:], self._sizes[:-1], strict=True))
        weights = checked_arrays("weights", self.weights, shapes, self._dtype)
        biases = checked_arrays("biases", self.biases, [s[:1] for s in shapes], self._dtype)
        self.weights = in_place(self.weights, weights)
        self.biases = in_place(self.biases, biases)
        return self.weights, self.biases

    def _inputs(self, X: ArrayLike) -> Inputs:
        inputs = as_inputs(X, self._dtype, self._input_scale, self._n_inputs)
        return inputs if self.kept_inputs is None else inputs.columns(self.kept_inputs)

    def _outputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted inputs z and the outputs a of the output layer, each (n, O)."""
        weights, biases = self._arrays()
        return engine.outputs(weights, biases, self._activations, inputs)

    def _evaluate(
        self, inputs: Inputs, targets: np.ndarray, wanted: np.ndarray
    ) -> tuple[float, float]:
        """Return the mean cost, without a penalty, and the score, from one pass."""
        z, a = self._outputs(inputs)
        score = self._task.score(self._task.predictions(a), wanted)
        return self._cost.mean(z, a, targets), score


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
            multilabel=model.multilabel,
        )
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{os.fspath(path)}: not a model file: {error}") from error
    network.weights, network.biases = model.weights, model.biases
    network._arrays()
    if (kept := model.kept_inputs) is not None:
        network.weights[0] = np.ascontiguousarray(network.weights[0][:, kept])
        network._sizes, network.kept_inputs = (len(kept), *network._sizes[1:]), kept
    return network
