"""The book's ``network2.py`` (chapter 3): costs, L1 and L2 penalties, monitoring, saving.

Names, arguments, printed lines and random draws are those of the book's program; training runs on
the compiled engine. A user-defined cost class with ``fn`` and ``delta`` works too: it is called for
one sample at a time, as in the book, so training with it is slower.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import costs, penalties
from fastnn.checks import FileFormatError, flag, whole
from fastnn.files import replace_text
from fastnn.model_files import book_arrays, book_object, content_of, require_finite
from fastnn.nielsen._base import BookNetwork, sigmoid, sigmoid_prime, vectorized_result
from fastnn.nielsen._monitor import Monitor, epochs_without_gain
from fastnn.nielsen._row_costs import (
    SATURATED,
    cross_entropies,
    cross_entropy_rows,
    quadratic_rows,
)
from fastnn.nielsen._samples import SampleDeltas, Samples
from fastnn.nielsen._sgd import penalty_of, sgd, update
from fastnn.trainer.checkpoints import checkpoint_writer
from fastnn.trainer.exclusive import exclusive_fit

__all__ = [
    "CrossEntropyCost",
    "Network",
    "QuadraticCost",
    "load",
    "sigmoid",
    "sigmoid_prime",
    "vectorized_result",
]


class QuadraticCost:
    """Half the squared distance between output and target (the book, equation 6)."""

    @staticmethod
    def fn(a: np.ndarray, y: np.ndarray) -> float:
        """Return the cost of the output `a` if `y` is desired."""
        return float(0.5 * np.linalg.norm(a - y) ** 2)

    @staticmethod
    def delta(z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the derivative of the cost with respect to the output's weighted input `z`."""
        delta: np.ndarray = (a - y) * sigmoid_prime(z)
        return delta


class CrossEntropyCost:
    """Cross-entropy of independent sigmoid outputs (the book, equation 63)."""

    @staticmethod
    def fn(a: np.ndarray, y: np.ndarray) -> float:
        """Return the cost of the output `a` if `y` is desired.

        `numpy.nan_to_num` turns 0*log(0) into its limit 0, and an infinite cost into a large one.
        """
        with np.errstate(**SATURATED):
            return float(np.sum(cross_entropies(a, y)))

    @staticmethod
    def delta(z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the derivative of the cost with respect to `z`, whose value it does not need."""
        delta: np.ndarray = a - y
        return delta


class Network(BookNetwork):
    """A network of sigmoid neurons.

    Parameters
    ----------
    sizes : sequence of int
        The neurons of each layer, inputs first: ``[784, 30, 10]``.
    cost : class or instance, default CrossEntropyCost
        It provides ``fn(a, y)``, the cost of one sample, and ``delta(z, a, y)``, its derivative
        with respect to z; both take columns.
    dtype : {"float64", "float32"}
        The dtype of the arrays and computations.

    Attributes
    ----------
    num_layers : int
    sizes : list of int
    cost : class or instance
    biases : list of ndarray, shape (y, 1)
        One for each layer after the input.
    weights : list of ndarray, shape (y, x)
        Both lists may be edited or replaced; each call uses the current arrays.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    """

    _monitors = ("accuracy", "total_cost")

    def __init__(
        self, sizes: Sequence[int], cost: Any = CrossEntropyCost, *, dtype: DTypeLike = "float64"
    ) -> None:
        super().__init__(sizes, dtype)
        self.cost = cost
        self._engine_cost()  # raises, before anything is drawn, if it is no cost
        self.default_weight_initializer()

    def default_weight_initializer(self) -> None:
        """Draw from N(0, 1); divide weights by the square root of their neuron's inputs."""
        self._draw(normalized=True)

    def large_weight_initializer(self) -> None:
        """Draw biases and weights from N(0, 1), as in chapter 1."""
        self._draw(normalized=False)

    def SGD(
        self,
        training_data: Iterable[tuple[Any, Any]],
        epochs: float,
        mini_batch_size: int,
        eta: float,
        lmbda: float = 0.0,
        evaluation_data: Iterable[tuple[Any, Any]] | None = None,
        monitor_evaluation_cost: bool = False,
        monitor_evaluation_accuracy: bool = False,
        monitor_training_cost: bool = False,
        monitor_training_accuracy: bool = False,
        early_stopping_n: int = 0,
        *,
        penalty: str | penalties.Penalty = "l2",
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        checkpoint_seconds: float | None = None,
        resume: bool = False,
    ) -> tuple[list[float], list[int], list[float], list[int]]:
        """Train by stochastic gradient descent over mini-batches.

        After each epoch, it prints ``Epoch 0 training complete``, a line for each monitored figure,
        and a blank line.

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
        lmbda : float, default 0.0
            The strength of the penalty: a step shrinks the weights by eta*lmbda/n, where n is the
            length of the training data.
        evaluation_data : iterable of (x, y), optional
            In the same form as the training data.
        monitor_evaluation_cost, monitor_evaluation_accuracy : bool, default False
        monitor_training_cost, monitor_training_accuracy : bool, default False
            Which figures to compute after every epoch.
        early_stopping_n : int, default 0
            Stop after this many epochs without a better accuracy on the evaluation data; 0 never
            stops.
        penalty : str or Penalty, default "l2"
            The name of one in `fastnn.penalties`, such as "l1", "l1_proximal" or "elasticnet" (L1
            and L2 with half of `lmbda` each); "none", which ignores `lmbda`; or a penalty object,
            which has its own strength and requires `lmbda` to be 0.
        progress : bool, default False
            Show a progress bar.
        checkpoint, checkpoint_every, checkpoint_seconds, resume
            As in `fastnn.Network.fit`. The file also holds the states of `random` and of numpy's
            generator. To resume, give the training data in their initial order, or in the order in
            which they were left; the list is then put into the order it had when the file was
            written. The returned figures are those of all epochs.

        Returns
        -------
        evaluation_cost, evaluation_accuracy, training_cost, training_accuracy : list
            A number for each epoch; empty if not monitored. An accuracy is a count.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are not as above, or the checkpoint is of another call, has
            more epochs, or is damaged (`FileFormatError`); no weight has changed then.
        RuntimeError
            If the network is being trained already.
        OSError
            If the checkpoint's folder does not exist.
        """
        evaluated = monitor_evaluation_cost or monitor_evaluation_accuracy
        if evaluated and evaluation_data is None:
            raise ValueError("monitoring the evaluation data needs evaluation_data")
        patience = whole("early_stopping_n", early_stopping_n, minimum=0)
        if patience and not monitor_evaluation_accuracy:
            raise ValueError("early_stopping_n needs monitor_evaluation_accuracy=True")
        strength = penalty_of(lmbda, penalty)
        resume, progress = flag("resume", resume), flag("progress", progress)
        with exclusive_fit(self), ExitStack() as stack:
            writer = checkpoint_writer(
                checkpoint, checkpoint_every, checkpoint_seconds, resume=resume
            )
            training = Samples("training_data", training_data, self)
            evaluation = training
            if evaluated and evaluation_data is not None:
                evaluation = Samples("evaluation_data", evaluation_data, self)
            on_training = Monitor(
                "training", training, strength, monitor_training_cost, monitor_training_accuracy
            )
            on_evaluation = Monitor(
                "evaluation", evaluation, strength, monitor_evaluation_cost,
                monitor_evaluation_accuracy,
            )  # fmt: skip
            trained = sgd(
                self, training, epochs, mini_batch_size, eta, cost=self._engine_cost(),
                penalty=strength, progress=progress, writer=writer, resume=resume,
                monitors=(on_training, on_evaluation),
            )  # fmt: skip
            stack.enter_context(closing(trained))
            while not patience or epochs_without_gain(on_evaluation.accuracies) < patience:
                epoch = next(trained, None)
                if epoch is None:
                    break
                print(f"Epoch {epoch} training complete")
                on_training.report(self._total_cost)
                on_evaluation.report(self._total_cost)
                print()
        return (
            on_evaluation.costs,
            on_evaluation.accuracies,
            on_training.costs,
            on_training.accuracies,
        )

    def update_mini_batch(
        self,
        mini_batch: Iterable[tuple[Any, Any]],
        eta: float,
        lmbda: float,
        n: int,
        *,
        penalty: str | penalties.Penalty = "l2",
    ) -> None:
        """Take one step of gradient descent over `mini_batch`.

        The weights shrink by eta*lmbda/n, where `n` is the size of the whole training set. A
        penalty that depends on earlier steps starts anew with every call.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as in `SGD`; no weight has changed then.
        RuntimeError
            If the network is being trained already.
        """
        strength, n = penalty_of(lmbda, penalty), whole("n", n, minimum=1)
        update(self, mini_batch, eta, cost=self._engine_cost(), penalty=strength, n=n)

    def accuracy(self, data: Iterable[tuple[Any, Any]], convert: bool = False) -> int:
        """Return for how many pairs (x, y) the largest output is the desired one.

        In the book, `convert` says that y is a vector (as in the training data), not an int. Here
        the form is detected from the data. `convert` matters only with a single output, which is
        always the largest: unless `convert` is true, the number y is compared with 0.
        """
        samples = Samples("data", data, self)
        return samples.correct(samples.activations(), convert=convert)

    def total_cost(
        self,
        data: Iterable[tuple[Any, Any]],
        lmbda: float,
        convert: bool = False,
        *,
        penalty: str | penalties.Penalty = "l2",
    ) -> float:
        """Return the mean cost over `data`, plus the penalty with lmbda divided by their number.

        In the book, `convert` says that y is an int (as in the test data), not a vector. Here the
        form is detected from the data.
        """
        strength, samples = penalty_of(lmbda, penalty), Samples("data", data, self)
        return self._total_cost(samples.activations(), samples, strength)

    def save(self, filename: str | os.PathLike[str]) -> None:
        """Write sizes, weights, biases and the cost class's name as JSON, whole or not at all.

        Numbers are written exactly, but not their dtype: `load` returns a float64 network.

        Raises
        ------
        ValueError
            If a weight or a bias is not finite; nothing is written.
        OSError
            If the file cannot be written.
        """
        weights, biases = self._arrays()
        require_finite({"weights": weights, "biases": biases})
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        content = {
            "sizes": self.sizes,
            "weights": [w.tolist() for w in weights],
            "biases": [b.tolist() for b in biases],
            "cost": cost.__name__,
        }
        replace_text(filename, json.dumps(content))

    def _total_cost(
        self, a: np.ndarray, samples: Samples, penalty: penalties.Penalty | None
    ) -> float:
        """Return the total cost of the outputs `a`, (n, outputs)."""
        n, y = len(samples), samples.vectors()
        if self.cost.fn in _ROW_COSTS:
            each = _ROW_COSTS[self.cost.fn](a, y)
        else:
            found = [np.asarray(self.cost.fn(a[i, :, None], y[i, :, None])) for i in range(n)]
            each = np.array([cost.item() for cost in found])
        total = float(np.sum(each / n))
        weights, biases = self._arrays()
        chosen = penalties.per_layer(penalty, len(weights))
        return total + penalties.value_of(chosen, weights, biases) / n

    def _engine_cost(self) -> Any:
        """Return the engine's cost, or a user-defined one in an adapter."""
        if not callable(getattr(self.cost, "fn", None)) or not callable(
            getattr(self.cost, "delta", None)
        ):
            raise TypeError(
                f"cost must be a class (or instance) with fn(a, y) and delta(z, a, y), such as "
                f"CrossEntropyCost, not {self.cost!r}"
            )
        compiled = _ENGINE_COSTS.get(self.cost.delta)
        return SampleDeltas(self.cost.delta) if compiled is None else compiled()

    def _output_delta(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        delta: np.ndarray = self.cost.delta(z, a, y)
        return delta


def load(filename: str | os.PathLike[str], *, max_bytes: int = 1 << 31) -> Network:
    """Return the network that `Network.save` (or the book's own program) wrote to `filename`.

    It is a float64 network, also if a float32 one was saved. Its cost is the attribute of this
    module that the file names. To load a network with a user-defined cost class, first make the
    class an attribute of this module.

    Parameters
    ----------
    filename : path
    max_bytes : int, default 2 GiB
        The largest file that is read.

    Raises
    ------
    TypeError, ValueError
        If `max_bytes` is not a whole number of at least 1.
    FileFormatError
        If the file holds no such network, or is larger than `max_bytes`.
    OSError
        If the file cannot be read.
    """
    raw = content_of(filename, max_bytes=whole("max_bytes", max_bytes, minimum=1))
    if b"\0" in raw[:8]:  # a safetensors file begins with a length
        raise FileFormatError(f"{filename} is not a network of network2: fastnn.load reads it")
    try:
        content = book_object(raw)
        cost = getattr(sys.modules[__name__], str(content["cost"]), None)
        if not hasattr(cost, "delta"):
            raise ValueError(
                f"no cost class {content['cost']!r:.60} in {__name__}; if it is your own, "
                f"set it as an attribute of that module first"
            )
        # Check the arrays before making the network: sizes alone must not allocate anything.
        weights, biases = book_arrays(content, "float64")
        network = Network(content["sizes"], cost)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{filename} is not a network of network2: {error}") from None
    network.weights, network.biases = weights, biases
    return network


# By function: a subclass that overrides only one of the two keeps the fast path for the other.
_ENGINE_COSTS: dict[Any, type[costs.Cost]] = {
    QuadraticCost.delta: costs.Quadratic,
    CrossEntropyCost.delta: costs.CrossEntropy,
}
_ROW_COSTS = {QuadraticCost.fn: quadratic_rows, CrossEntropyCost.fn: cross_entropy_rows}
