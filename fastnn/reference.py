"""The oracle: the book's algorithm, one sample at a time, in plain numpy.

It is slow and obvious on purpose. Tests compare every fast path with it, and the benchmarks use it
as the per-sample baseline, so it has the form of the programs in Michael Nielsen's *Neural
Networks and Deep Learning* (chapters 1 to 3): column vectors, `numpy.dot`, a sum of gradients over
the mini-batch. It imports nothing from fastnn, so that it cannot share a wrong formula.

In all functions, `weights` is a list of arrays (y, x) and `biases` a list of arrays (y, 1), one of
each per layer after the input. A sample is a pair of an input x of shape (sizes[0], 1) and a
target y of shape (sizes[-1], 1). Nothing is changed in place: an update returns new lists.
`cost` is "quadratic" or "cross_entropy"; `penalty` is "none", "l1" or "l2".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "accuracy",
    "backprop",
    "epoch",
    "feedforward",
    "output_cost",
    "output_delta",
    "shrink",
    "sigmoid",
    "sigmoid_prime",
    "total_cost",
    "update_mini_batch",
]

Array = NDArray[np.float64]
Sample = tuple[Array, Array]


def sigmoid(z: Array) -> Array:
    """Return 1/(1 + exp(-z)) (chapter 1, equation 3)."""
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z: Array) -> Array:
    """Return the derivative of the sigmoid at z."""
    s = sigmoid(z)
    return s * (1.0 - s)


def output_cost(a: Array, y: Array, cost: str) -> float:
    """Return one sample's cost for the output `a` (equations 6 and 63).

    If a and y are both 0 or both 1, the cross-entropy has a term 0*log(0), whose limit is 0.
    """
    if cost == "quadratic":
        return float(0.5 * np.linalg.norm(a - y) ** 2)
    return float(np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))))


def output_delta(z: Array, a: Array, y: Array, cost: str) -> Array:
    """Return the derivative of a sample's cost with respect to z, the output's weighted input."""
    if cost == "quadratic":
        return (a - y) * sigmoid_prime(z)
    return a - y


def feedforward(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    """Return the network's output, (sizes[-1], 1), for the input `x`."""
    a = x
    for w, b in zip(weights, biases, strict=True):
        a = sigmoid(np.dot(w, a) + b)
    return a


def backprop(
    weights: Sequence[Array], biases: Sequence[Array], x: Array, y: Array, cost: str
) -> tuple[list[Array], list[Array]]:
    """Return (nabla_b, nabla_w), the gradient of one sample's cost (chapter 2, BP1 to BP4)."""
    activations, zs = [x], []
    for w, b in zip(weights, biases, strict=True):
        zs.append(np.dot(w, activations[-1]) + b)
        activations.append(sigmoid(zs[-1]))
    delta = output_delta(zs[-1], activations[-1], y, cost)
    nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]
    for layer in range(len(weights) - 2, -1, -1):
        delta = np.dot(weights[layer + 1].T, delta) * sigmoid_prime(zs[layer])
        nabla_b.insert(0, delta)
        nabla_w.insert(0, np.dot(delta, activations[layer].T))
    return nabla_b, nabla_w


def shrink(w: Array, kappa: float, penalty: str) -> Array:
    """Return `w` after one step of the penalty, with kappa = eta*lmbda/n.

    L2 is the weight decay of chapter 3, equation 93; L1 subtracts kappa*sign(w), with sign(0) = 0.
    """
    if penalty == "l1":
        return w - kappa * np.sign(w)
    if penalty == "l2":
        return (1.0 - kappa) * w
    return w


def update_mini_batch(
    weights: Sequence[Array],
    biases: Sequence[Array],
    mini_batch: Sequence[Sample],
    eta: float,
    lmbda: float,
    n: int,
    *,
    cost: str,
    penalty: str,
) -> tuple[list[Array], list[Array]]:
    """Return (weights, biases) after one step of gradient descent over `mini_batch`.

    The gradient's step is eta divided by the size of the mini-batch; the penalty's step is
    eta*lmbda/n, where n is the size of the whole training set.
    """
    nabla_b = [np.zeros(b.shape) for b in biases]
    nabla_w = [np.zeros(w.shape) for w in weights]
    for x, y in mini_batch:
        delta_nabla_b, delta_nabla_w = backprop(weights, biases, x, y, cost)
        nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_nabla_b, strict=True)]
        nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_nabla_w, strict=True)]
    step, kappa = eta / len(mini_batch), eta * lmbda / n
    new_weights = [
        shrink(w, kappa, penalty) - step * nw for w, nw in zip(weights, nabla_w, strict=True)
    ]
    new_biases = [b - step * nb for b, nb in zip(biases, nabla_b, strict=True)]
    return new_weights, new_biases


def epoch(
    weights: Sequence[Array],
    biases: Sequence[Array],
    training_data: Sequence[Sample],
    order: Iterable[int],
    mini_batch_size: int,
    eta: float,
    lmbda: float = 0.0,
    *,
    cost: str = "cross_entropy",
    penalty: str = "l2",
) -> tuple[list[Array], list[Array]]:
    """Return (weights, biases) after one epoch over `training_data`, taken in the given order.

    The mini-batches are consecutive slices of that order; the last one may be shorter.
    """
    shuffled = [training_data[i] for i in order]
    new_weights, new_biases = list(weights), list(biases)
    with np.errstate(over="ignore"):  # of exp in a saturated unit: 1/(1+inf) is rightly 0
        for k in range(0, len(shuffled), mini_batch_size):
            new_weights, new_biases = update_mini_batch(
                new_weights,
                new_biases,
                shuffled[k : k + mini_batch_size],
                eta,
                lmbda,
                len(shuffled),
                cost=cost,
                penalty=penalty,
            )
    return new_weights, new_biases


def total_cost(
    weights: Sequence[Array],
    biases: Sequence[Array],
    data: Sequence[Sample],
    lmbda: float = 0.0,
    *,
    cost: str = "cross_entropy",
    penalty: str = "l2",
) -> float:
    """Return the mean cost over `data` plus the penalty, with lmbda divided by ``len(data)``.

    Chapter 3, equations 87 (L2: half the sum of squares) and 95 (L1: the sum of absolute values).
    """
    total = 0.0
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for x, y in data:
            total += output_cost(feedforward(weights, biases, x), y, cost) / len(data)
    if penalty == "l1":
        total += (lmbda / len(data)) * sum(float(np.sum(np.abs(w))) for w in weights)
    elif penalty == "l2":
        total += 0.5 * (lmbda / len(data)) * sum(float(np.linalg.norm(w)) ** 2 for w in weights)
    return total


def accuracy(weights: Sequence[Array], biases: Sequence[Array], data: Sequence[Sample]) -> int:
    """Return how many samples have their largest output at the index of their largest target."""
    with np.errstate(over="ignore"):
        return sum(int(np.argmax(feedforward(weights, biases, x)) == np.argmax(y)) for x, y in data)
