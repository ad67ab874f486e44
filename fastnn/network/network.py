"""The public network class: training and prediction."""

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
        The units of each layer, inputs first: at least two layers with at least one unit each.
    activation : str or sequence of str, default "sigmoid"
        The activation of all layers, or one name for each layer after the input. The names are
        those of `fastnn.activations`: "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu",
        "softplus", "identity", "exponential" or, for the output layer only, "softmax".
    cost : str, default "cross_entropy"
        For classes, "cross_entropy" (independent sigmoid outputs), "log_likelihood" (softmax
        outputs) or "quadratic". For real targets, "mean_squared", "absolute" or "huber", usually
        with "identity" outputs. "quadratic" and these three accept every output activation except
        softmax and exponential. For counts, "poisson" (exponential outputs).
    initializer : str, default "book"
        How weights and biases are drawn: "book" (the book's chapter 3), "book_large" (its
        chapter 1), "glorot" or "he" (`fastnn.initializers`).
    multilabel : bool, default False
        Whether each output unit is a separate label, so that a row may have none or several. y and
        the predictions are then rows of 0 and 1. This needs sigmoid outputs. It is saved with the
        network.
    dtype : {"float32", "float64"}
        The dtype of the network's arrays and computations.
    input_scale : float, optional
        The network computes with ``X * input_scale``, whatever the dtype of X. By default it is 1
        for floats and 1/256 (the book's) for uint8, so that pixels may be given in either form. It
        is saved with the network.
    seed : int or numpy.random.Generator, optional
        The seed of the network's generator, or the generator itself. The initial values and every
        shuffle are drawn from it. Without a seed, each network is different.

    Attributes
    ----------
    weights : list of ndarray, shape (out, in)
        One array for each layer after the input. Arrays may be edited in place or replaced; each
        call checks and uses the current ones.
    biases : list of ndarray, shape (out,)
        As `weights`.
    kept_inputs : ndarray of int64, or None
        The columns of X that the network uses; None unless `compact` has dropped some.
    penalty : Penalty, list or None
        The penalty of the last `fit`; it is saved with the network.
    optimizer_state : OptimizerState or None
        What the optimizer of the last `fit` remembers, for `warm_start`; safetensors files include
        it. It is None if there is nothing to remember, after `compact`, and if the fit ended in an
        error (with rows in blocks or on a cluster, also on Ctrl-C) or early stopping restored
        earlier weights. Set it to None to discard it.
    history : History or None
        The history of the last `fit`; after a `KeyboardInterrupt`, of the epochs it finished.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; the message says what was expected.
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
        self._configure(checked_sizes(sizes), activation, cost, multilabel, dtype, input_scale)
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
        checkpoint_every: int | None = None,
        checkpoint_seconds: float | None = None,
        resume: bool = False,
        warm_start: bool = False,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, starting from the current weights.

        Parameters
        ----------
        X : array_like or sparse matrix of scipy, shape (n, n_inputs); path, or Blocks
            Floats or uint8; the network computes with ``X * input_scale``. A sparse matrix stays
            sparse: CSR is used as it is, other formats are converted to CSR. A path names an npy
            file (.npy), an svmlight file (.svm, .svmlight or .libsvm, optionally followed by .gz or
            .bz2), or else an IDX file. npy and IDX files are memory-mapped, not read.
            `fastnn.Blocks` are rows that are read as they are needed and include their y.
        y : array_like, shape (n,) or (n, sizes[-1]), or path
            Class indices (0 or 1 if there is one output unit), or targets: "cross_entropy" and
            "log_likelihood" need them between 0 and 1, and "log_likelihood" needs each row to sum
            to 1. Real targets if the cost is for these; rows of 0 and 1 if the network is
            multilabel. An svmlight file contains its own labels.
        epochs : int
            Passes over the rows. A whole-number float is accepted; 0 trains nothing.
        batch_size : int, default 10
            Rows per step. The last batch of an epoch may be short; a batch_size above n means n.
        learning_rate : float or Schedule, optional
            The book's eta: a step is learning_rate times the batch's mean gradient. A schedule from
            `fastnn.schedules` sets the rate of each epoch. The default is 0.5; an optimizer brings
            its own rate.
        optimizer : Optimizer, optional
            One of `fastnn.optimizers`, such as `fastnn.Adam`; by default plain gradient descent,
            ``SGD(learning_rate)``. Its memory of earlier steps is reset at the start of each fit
            without `warm_start`, and whenever `compact_every` removes something.
        penalty : Penalty, sequence of Penalty or None, or None
            One of `fastnn.penalties`, such as `fastnn.L1`, for all layers, or a list with one for
            each layer after the input. A step shrinks the weights by learning_rate*lmbda/n, where n
            is the number of rows of `X`. If that is too strong for training to work, a
            `fastnn.RegularizationWarning` is issued before it starts. With an optimizer, L1, L2
            and ElasticNet are part of the gradient; the others are applied after its step.
        sample_weight : array_like, shape (n,), optional
            How much each row counts, at least 0. A batch's gradient is the weighted mean: the sum
            of the weighted gradients divided by the sum of the batch's weights. The n in lmbda/n
            remains the number of rows.
        class_weight : dict or "balanced", optional
            The weight of each class (1 for those not named), multiplied by the row's weight.
            "balanced" means n/(classes*rows of the class).
        dropout : float or sequence of float, optional
            The share, below 1, of hidden units dropped for each row: one number for all hidden
            layers, or one for each. The remaining units are scaled by 1/(1-dropout), so prediction
            needs no change (Srivastava et al. 2014).
        input_noise : float, default 0.0
            The standard deviation of normal noise that is added to the scaled inputs and drawn
            anew in every epoch (Bishop 1995).
        validation_data : tuple (X, y), optional
            Evaluated after every epoch.
        validation_fraction : float, optional
            Hold out this share of the rows, rounded up, as validation data. They are drawn with
            the network's generator; n is then the number of remaining rows.
        early_stopping : int or EarlyStopping, optional
            Stop after this many epochs without a better validation score, and restore the best
            epoch's weights.
        callbacks : sequence of Callback, optional
            Called before and after every epoch; they may end the fit. `weights` and `biases` are up
            to date during these calls and whenever the fit ends, for whatever reason.
        shuffle : bool, default True
            Draw a new order for every epoch with the network's generator; else keep the given one.
        progress : bool, default False
            Show a progress bar.
        threads : int, optional
            How many threads share a batch's work. The default is 1 if a batch or an epoch is little
            work, else the number of CPUs that the process may use, or OMP_NUM_THREADS if that is
            less. The results do not depend on it.
        compact_every : int, optional
            `compact` the network every so many epochs and continue with what is left: epochs get
            faster, but what is removed cannot come back. A penalty that depends on earlier steps,
            such as `CumulativeL1`, starts anew whenever something is removed.
        checkpoint : path, optional
            Write everything needed to resume the fit to this safetensors file: weights, what the
            optimizer and the penalty remember, generators, history, and the position in the epoch.
            An existing file is replaced whole or not at all. If the file cannot be written,
            training continues with a warning.
        checkpoint_every : int, optional
            Epochs between checkpoints; by default 1, or more where writing them would take over a
            tenth of the time. One is also written at the end, and on Ctrl-C.
        checkpoint_seconds : float, optional
            Also write one, between two batches, when this much time has passed since the last.
        resume : bool, default False
            Resume from the checkpoint, with the same bits as an uninterrupted fit; if there is none
            yet, start afresh. All else that affects training must be unchanged, except `epochs`,
            `threads` and the callbacks, of which only early stopping is stored. For X, a sample of
            the rows is compared.
        warm_start : bool, default False
            Continue with what the optimizer (`optimizer_state`) and a penalty such as
            `CumulativeL1`, if unchanged, remember of the last fit; start anew if there is nothing.
            State left by another optimizer is an error. Two fits of 5 epochs then equal one of 10,
            bit for bit, except for what starts anew: dropout, noise, rows held out by
            `validation_fraction`, the epochs of a schedule and of `compact_every`, and, without an
            optimizer's memory, the steps of `TruncatedGradient`.

        Returns
        -------
        History
            The costs, scores, learning rate and seconds of each epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above, or the checkpoint belongs to another fit;
            no weight has changed then. Also if a schedule returns a rate beyond its bound.
        FileFormatError
            If a file of rows, or the checkpoint to resume from, is not one or is damaged.
        BlockError
            If a block of `Blocks` cannot be read.
        OSError
            If a file cannot be read or written.
        ModuleNotFoundError
            If an svmlight file is given without scikit-learn.
        RuntimeError
            If the network is being trained already, in another thread or by the fit whose callback
            makes this call; or if a callback has changed its arrays.
        DivergenceError
            If weights, or what the optimizer remembers, are no longer finite. Weights and biases
            are then those after the last finished epoch or, if later, those at the batch where the
            fit was resumed; the generator is not rewound.
        KeyboardInterrupt
            On Ctrl-C: within about 0.1 s, or one batch if that takes longer, or once a kernel has
            been compiled. The network is then between two batches, and `history` has the finished
            epochs.
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
        """Return the prediction for each row.

        * Classes: the index of the unit with the largest output, int64 (n,); with one output unit,
          1 if it exceeds 0.5, else 0.
        * A multilabel network: 1 where an output exceeds 0.5, else 0; int64 (n, sizes[-1]).
        * With a cost for real targets: the outputs, (n,) if there is one unit, else
          (n, sizes[-1]), in the network's dtype.

        Parameters
        ----------
        X : array_like, sparse matrix or path, shape (n, n_inputs)
            Rows, or a file of rows, as in `fit`.

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
        """Return the outputs of the network, (n, sizes[-1]) in its dtype; `X` as in `predict`."""
        rows, _ = self._opened(X, None)
        return self._outputs(self._inputs(rows)).a

    def accuracy(self, X: RowsLike, y: TargetsLike = None) -> float:
        """Return the share of rows, 0 to 1, whose prediction equals `y` (in every label).

        If `X` is the path of an svmlight file, `y` may be omitted: the file contains the labels.

        Raises
        ------
        ValueError
            If the cost is one for real targets, which have no accuracy; use `score`.
        TypeError, ValueError, FileFormatError, OSError, ModuleNotFoundError
            If rows or targets are not as in `fit`; `score` and `total_cost` raise these too.
        """
        if isinstance(self._task, Values):
            raise ValueError(
                f"cost {self.cost!r} is for real targets, which have no accuracy; use score"
            )
        return self.score(X, y)

    def score(self, X: RowsLike, y: TargetsLike = None) -> float:
        """Return the `accuracy` or, with a cost for real targets, the mean R**2 of the outputs.

        R**2 is 1 for perfect predictions and 0 for always predicting the mean of y, as in
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

        The penalty is divided by the number of rows of `X`, as in the book's ``total_cost``. The
        cost is computed from the weighted inputs, so that it is finite for a saturated output. `y`
        is as in `accuracy`.
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
        """Return X and y, opening them if they are paths; raise if a required y is missing."""
        if not isinstance(X, np.ndarray):
            from fastnn.blocks import Blocks

            if isinstance(X, Blocks):
                np.asarray(X)  # they refuse this; else y, which they contain, would seem missing
        X, y = opened(X, y, self.n_inputs, classes=not self._cost.regression)
        if with_targets and y is None:
            raise TypeError("y is missing: rows need their classes or targets")
        return X, y

    def _inputs(self, X: MatrixLike, *, all_columns: bool = False) -> Inputs:
        """Return X for the engine: the kept columns only, or all columns that X must have."""
        inputs = as_inputs(X, self._dtype, self._input_scale, self._n_inputs)
        if all_columns or self.kept_inputs is None:
            return inputs
        return inputs.columns(self.kept_inputs)

    def _outputs(self, inputs: Inputs) -> engine.Outputs:
        """Return the output layer's values for every row."""
        weights, biases = self._arrays()
        return engine.outputs(weights, biases, self._activations, inputs)

    def _evaluate(
        self, inputs: Inputs, targets: np.ndarray, wanted: np.ndarray
    ) -> tuple[float, float]:
        """Return the mean cost, without a penalty, and the score, from one forward pass."""
        found = self._outputs(inputs)
        score = self._task.score(self._task.predictions(found.a, found.largest), wanted)
        return self._cost.mean(found.z, found.a, targets), score
