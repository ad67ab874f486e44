"""PyTorch on the CPU: eager with autograd, and backprop by hand."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import nn

from fastnn.bench.cases import Case
from fastnn.bench.problem import Problem

__all__ = ["ByHand", "Eager"]

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": functools.partial(torch.optim.Adam, fused=True)}
LAYERS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class _Torch:
    """What both peers share: tensors in the network's dtype, batches, the penalty."""

    epochs = 1
    _weights: list[Any]

    def __init__(self, case: Case, problem: Problem) -> None:
        torch.set_num_threads(case.threads)
        self._case = case
        self._x = torch.from_numpy(problem.floats(case.dtype))
        self._y = torch.from_numpy(problem.targets(case.dtype))
        self._labels = torch.from_numpy(problem.labels)

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        for rows in torch.from_numpy(order).split(self._case.batch_size):
            self._step(rows)

    def weights(self) -> list[np.ndarray]:
        """Return the weights, (out, in)."""
        return [w.detach().numpy() for w in self._weights]

    def _step(self, rows: Any) -> None:
        raise NotImplementedError

    def _shrink(self, w: Any) -> None:
        kappa1, kappa2 = self._case.shrinks()
        if kappa2:
            w.mul_(1 - kappa2)
        if kappa1:
            w.sub_(torch.sign(w), alpha=kappa1)


class Eager(_Torch):
    """`nn.Sequential`, a loss, ``backward`` and an optimizer of `torch.optim`."""

    def __init__(self, case: Case, problem: Problem) -> None:
        super().__init__(case, problem)
        dtype = getattr(torch, case.dtype)
        modules: list[Any] = []
        for inputs, units in zip(case.sizes, case.sizes[1:], strict=False):
            modules += [nn.Linear(inputs, units, dtype=dtype), LAYERS[case.hidden]()]
        self._model = nn.Sequential(*modules[:-1])  # the loss takes the output's weighted inputs
        linears = modules[::2]
        for linear, w, b in zip(linears, *problem.start(case.dtype), strict=True):
            linear.weight.data, linear.bias.data = torch.from_numpy(w), torch.from_numpy(b)
        self._weights = [linear.weight for linear in linears]
        self._optimizer = OPTIMIZERS[case.optimizer](
            self._model.parameters(), lr=case.learning_rate
        )
        self._loss = (
            nn.CrossEntropyLoss(reduction="sum")
            if case.output == "softmax"
            else nn.BCEWithLogitsLoss(reduction="sum")
        )
        self._targets = self._labels if case.output == "softmax" else self._y

    def accuracy(self) -> float:
        """Return the share of rows that are classified correctly."""
        with torch.no_grad():
            return float((self._model(self._x).argmax(1) == self._labels).float().mean())

    def _step(self, rows: Any) -> None:
        self._optimizer.zero_grad()
        loss = self._loss(self._model(self._x[rows]), self._targets[rows]) / len(rows)
        loss.backward()
        with torch.no_grad():
            for w in self._weights:
                self._shrink(w)
        self._optimizer.step()


class ByHand(_Torch):
    """Backprop written out as matrix products, under `torch.no_grad`."""

    def __init__(self, case: Case, problem: Problem) -> None:
        super().__init__(case, problem)
        weights, biases = problem.start(case.dtype)
        self._weights = [torch.from_numpy(w) for w in weights]
        self._biases = [torch.from_numpy(b) for b in biases]

    def epoch(self, order: np.ndarray) -> None:
        """Train once over the rows in `order`."""
        with torch.no_grad():
            super().epoch(order)

    def _step(self, rows: Any) -> None:
        case, layers = self._case, [self._x[rows]]
        for w, b, name in zip(self._weights, self._biases, case.activations, strict=True):
            z = torch.addmm(b, layers[-1], w.t())
            layers.append(torch.softmax(z, 1) if name == "softmax" else getattr(torch, name)(z))
        delta = (layers[-1] - self._y[rows]).mul_(case.learning_rate / len(rows))
        for i in reversed(range(len(self._weights))):
            w, here = self._weights[i], delta
            if i:
                delta = (delta @ w).mul_(_slope(layers[i], case.hidden))
            self._shrink(w)
            w.addmm_(here.t(), layers[i], alpha=-1)
            self._biases[i].sub_(here.sum(0))


def _slope(a: Any, name: str) -> Any:
    if name == "sigmoid":
        return a * (1 - a)
    return 1 - a * a if name == "tanh" else a > 0
