"""The network that users meet: training, and what it predicts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import engine, initializers
from fastnn.arrays import Inputs, MatrixLike, as_inputs
from fastnn.network.stack import Stack
from fastnn.network_checks import checked_generator, checked_sizes
from fastnn.penalties import PenaltyLike, per_layer, value_of
from fastnn.row_files import RowsLike, TargetsLike, opened
from fastnn.tasks import Values

if TYPE_CHECKING:
    from fastnn.blocks import Blocks
    from fastnn.callbacks import Callback, EarlyStopping
    from fastnn.history import History
    from fastnn.optimizers import Optimizer
    from fastnn.schedules import Schedule

__all__ = ["Network"]


class Network(Stack):
    """A fully connected network.

    Parameters
    ----------
    sizes : sequence of int
        The units of each layer, inputs first: at least two layers, each of at least one unit.
    activation : str or sequence of str, default "sigmoid"
        The name of the activation of all layers, or one name for each layer after the input.
        One of `fastnn.activations`: "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu",
        "softplus", "identity", "exponential" or, for the output layer only, "softmax".
    cost : str, default "cross_entropy"
        For classes "cross_entropy" (of independent sigmoid outputs), "log_likelihood" (of softmax
        outputs) or "quadratic"; for real targets "mean_squared", "absolute" or "huber", usually of
        "identity" outputs; these four take any but softmax and exponential ones. For counts
        "poisson" (of exponential outputs).
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
    seed : int or numpy.random.Generator, optional
        Seeds the network's own generator, or is it, from which the initial values and every shuffle
        are drawn. Not given, each network is different.

    Attributes
    ----------
    weights : list of ndarray, shape (out, in)
        One array for each layer after the input. They may be edited in place or replaced; what
        stands here is checked, and used, at the next call.
    biases : list of ndarray, shape (out,)
        Likewise.
    kept_inputs : ndarray of int64, or None
        The columns of X that the network uses, where `compact` has dropped others.
    penalty : Penalty, list or None
        What the last `fit` took; it is saved with the network.
    optimizer_state : OptimizerState or None
        What the optimizer of the last `fit` remembers, for `warm_start`; it is saved with the
        network in safetensors. None where that is nothing, where the fit ended in an error (with
        rows in blocks or on a cluster also by Ctrl-C) or early stopping put earlier weights back,
        and after `compact`. Set it to None to forget it.
    history : History or None
        The history of the last `fit`; after a `KeyboardInterrupt`, of the epochs it finished.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; the message says what was expected.
    """

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
        seed: int | np.random.Generator | None = None,
    ) -> None:
        start = initializers.named("initializer", initializer)
        self._consist(checked_sizes(sizes), activation, cost, multilabel, dtype, input_scale)
        self._rng = checked_generator(seed)
        self.weights, self.biases = start.draw(self._rng, self._sizes, self._dtype)

    def fit(
        self,
        X: RowsLike | Blocks,
        y: TargetsLike | None = None,
        *,
        epochs: int,
        batch_size: int = 10,
        learning_rate: float | Schedule | None = None,
        optimizer: Optimizer | None = None,
        penalty: PenaltyLike = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        dropout: float | Sequence[float] | None = None,
        input_noise: float = 0.0,
        validation_data: tuple[RowsLike, TargetsLike] | None = None,
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
        warm_start: bool = False,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, from the weights as they are.

        Parameters
        ----------
        X : array_like or sparse matrix of scipy, shape (n, n_inputs); path, or Blocks
            Floats or uint8; the network computes with ``X * input_scale``. A sparse matrix stays
            one: CSR is taken as it is, other formats are converted to it. A path is that of an npy
            file (.npy), of an svmlight file (.svm, .svmlight, .libsvm, and these and .gz or .bz2),
            or else of an IDX file. npy and IDX are mapped, and not read into memory.
            `fastnn.Blocks` are rows that are read as they are needed, with their y in them.
        y : array_like, shape (n,) or (n, sizes[-1]), or path
            Class indices (0 or 1 where there is one output unit), or targets, which the cost
            "cross_entropy" needs from 0 to 1, and "log_likelihood" so that a row sums to 1 besides;
            real targets where the cost is for these, and rows of 0 and 1 where the network is
            multilabel. An svmlight file has its own.
        epochs : int
            Passes over the rows; a whole float is taken, and 0 trains nothing.
        batch_size : int, default 10
            Rows a step; the last batch of an epoch may be short, and a batch_size above n is n.
        learning_rate : float or Schedule, optional
            The book's eta: a step is learning_rate times the batch's mean gradient. A schedule of
            `fastnn.schedules` gives each epoch its own. By default 0.5; an optimizer has its own.
        optimizer : Optimizer, optional
            One of `fastnn.optimizers`, such as `fastnn.Adam`; by default plain descent,
            ``SGD(learning_rate)``. What it remembers of earlier steps begins anew with each fit
            that has no `warm_start`, and where `compact_every` removes something.
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
            Called before and after every epoch; they may end the fit. `weights` and `biases` are up
            to date for them, and when the fit ends, however it does.
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
            `threads` and the callbacks, of which only early stopping is kept. Of X a sample of the
            rows is compared.
        warm_start : bool, default False
            Go on with what the optimizer remembers of the last fit (`optimizer_state`), and a
            penalty such as `CumulativeL1` if it is the same; where there is nothing, begin anew. It
            is an error if another optimizer left it. Two fits of 5 epochs are then one of 10, bit
            by bit, but for what is drawn or counted anew: dropout, noise, rows held out by
            `validation_fraction`, a schedule's epochs, and without an optimizer's memory the steps
            of `TruncatedGradient`.

        Returns
        -------
        History
            Costs, scores, learning rates and seconds of each epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above, or the checkpoint is one of another fit; no
            weight has changed then. And where a schedule gives an epoch a rate beyond its bound.
        FileFormatError
            If a file of rows, or the checkpoint to resume from, is not one.
        BlockError
            If a block of `Blocks` cannot be read.
        OSError
            If a file cannot be read or written.
        ModuleNotFoundError
            If an svmlight file is given without scikit-learn.
        RuntimeError
            If the network is being trained already, in another thread or by the fit whose callback
            this is; or a callback has changed its arrays.
        DivergenceError
            If weights, or what the optimizer remembers, are no longer finite. Weights and biases
            are then as after the last finished epoch, or at the batch within one where the fit was
            resumed; the generator does not go back.
        KeyboardInterrupt
            On Ctrl-C, about 0.1 s after it at most, or one batch, where one takes longer, or when a
            kernel is compiled. The network is then between two batches, and `history` has the
            epochs that were finished.
        """
        from fastnn import trainer
        from fastnn.blocks import Blocks

        train: Callable[..., History]
        if isinstance(X, Blocks):
            from fastnn import block_training

            train = partial(block_training.fit, self, X, y=y)
        else:
            train = partial(trainer.fit, self, *self._opened(X, y, with_targets=True))
        return train(
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
            warm_start=warm_start,
        )

    def predict(self, X: RowsLike) -> np.ndarray:
        """Return what the network says of each row.

        * Classes: the index of the unit with the largest output, int64 (n,); with one output unit,
          1 where it exceeds 0.5.
        * A multilabel network: 1 where an output exceeds 0.5, else 0; int64 (n, sizes[-1]).
        * With a cost for real targets: the outputs, (n,) where there is one unit, else
          (n, sizes[-1]), in the network's dtype.

        Parameters
        ----------
        X : array_like, sparse matrix or path, shape (n, n_inputs)
            Rows as in `fit`, or the file of such.

        Raises
        ------
        TypeError, ValueError
            If the rows are not numbers, not finite, or not as wide as the network.
        FileFormatError, OSError, ModuleNotFoundError
            For a file, as in `fit`.
        """
        rows, _ = self._opened(X, None)
        found = self._outputs(self._inputs(rows))
        return self._task.predictions(found.a, found.largest)

    def predict_proba(self, X: RowsLike) -> np.ndarray:
        """Return the outputs of the network, (n, sizes[-1]) in its dtype; else as `predict`."""
        rows, _ = self._opened(X, None)
        return self._outputs(self._inputs(rows)).a

    def accuracy(self, X: RowsLike, y: TargetsLike = None) -> float:
        """Return the share of rows, 0 to 1, whose prediction is that of `y` (in every label).

        Where `X` is the path of an svmlight file, `y` may be left out: the file has the labels.

        Raises
        ------
        ValueError
            If the cost is one for real targets, of which `score` is the measure.
        TypeError, ValueError, FileFormatError, OSError, ModuleNotFoundError
            If rows or targets are not as in `fit`; likewise in `score` and `total_cost`.
        """
        if isinstance(self._task, Values):
            raise ValueError(
                f"cost {self.cost!r} is for real targets, which have no accuracy; use score"
            )
        return self.score(X, y)

    def score(self, X: RowsLike, y: TargetsLike = None) -> float:
        """Return the `accuracy`, or with a cost for real targets the mean R**2 of the outputs.

        R**2 is 1 for perfect predictions and 0 for always predicting the mean of y, as
        scikit-learn's ``r2_score``. `y` is as in `accuracy`.
        """
        rows, given = self._opened(X, y, with_targets=True)
        inputs = self._inputs(rows)
        wanted = self._task.wanted(given, inputs.n, self._sizes[-1])
        found = self._outputs(inputs)
        return self._task.score(self._task.predictions(found.a, found.largest), wanted)

    def total_cost(
        self, X: RowsLike, y: TargetsLike = None, *, penalty: PenaltyLike = None
    ) -> float:
        """Return the mean cost of the rows, plus the penalty's value if one is given.

        The penalty is divided by the rows of `X`, as in the book's ``total_cost``. The cost is
        computed from the weighted inputs, so that a saturated output has a finite one. `y` is as in
        `accuracy`.
        """
        penalties = per_layer(penalty, len(self._sizes) - 1)
        rows, given = self._opened(X, y, with_targets=True)
        inputs = self._inputs(rows)
        n = inputs.n
        targets = self._task.targets(given, n, self._sizes[-1], self._dtype)
        found = self._outputs(inputs)
        cost = self._cost.mean(found.z, found.a, targets)
        return cost + value_of(penalties, self.weights, self.biases) / n

    def _opened(self, X: Any, y: Any, *, with_targets: bool = False) -> tuple[Any, Any]:
        """Return X and y, from their files where they are paths; refuse to lack a y that is due."""
        if not isinstance(X, np.ndarray):
            from fastnn.blocks import Blocks

            if isinstance(X, Blocks):
                raise TypeError("Blocks are for fit: give an array, a sparse matrix or a path")
        X, y = opened(X, y, self.n_inputs)
        if with_targets and y is None:
            raise TypeError("y is missing: rows need their classes or targets")
        return X, y

    def _inputs(self, X: MatrixLike, *, all_columns: bool = False) -> Inputs:
        """Return X for the engine: the columns that are used, or all that X must have."""
        inputs = as_inputs(X, self._dtype, self._input_scale, self._n_inputs)
        if all_columns or self.kept_inputs is None:
            return inputs
        return inputs.columns(self.kept_inputs)

    def _outputs(self, inputs: Inputs) -> engine.Outputs:
        """Return what the output layer says of every row."""
        weights, biases = self._arrays()
        return engine.outputs(weights, biases, self._activations, inputs)

    def _evaluate(
        self, inputs: Inputs, targets: np.ndarray, wanted: np.ndarray
    ) -> tuple[float, float]:
        """Return the mean cost, without a penalty, and the score, from one pass."""
        found = self._outputs(inputs)
        score = self._task.score(self._task.predictions(found.a, found.largest), wanted)
        return self._cost.mean(found.z, found.a, targets), score
