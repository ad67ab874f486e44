"""User-defined methods in the book's first program, and what happens while one of them runs."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from book_networks import SIZES, Pairs, seeded
from comparisons import assert_equal, snapshot
from fastnn import reference as ref
from fastnn.nielsen import network


@pytest.fixture
def net() -> network.Network:
    return seeded(network.Network)


class CrossEntropyNetwork(network.Network):
    """An exercise of the book: another cost, by overriding the derivative."""

    def cost_derivative(self, output_activations: np.ndarray, y: np.ndarray) -> np.ndarray:
        assert output_activations.shape == y.shape == (10, 1)
        derivative: np.ndarray = (output_activations - y) / (
            output_activations * (1 - output_activations)
        )
        return derivative


def test_a_cost_derivative_of_ones_own(training_pairs: Pairs) -> None:
    net = CrossEntropyNetwork(SIZES)
    oracle: Any = net.weights, net.biases
    state = random.getstate()
    net.SGD(list(training_pairs), 2, 7, 0.5)
    random.setstate(state)
    order = list(range(60))
    for _ in range(2):
        random.shuffle(order)
        oracle = ref.epoch(*oracle, training_pairs, order, 7, 0.5, penalty="none")
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-9)


@pytest.mark.parametrize("name", ["backprop", "update_mini_batch", "evaluate"])
def test_a_method_that_would_be_ignored_is_refused(training_pairs: Pairs, name: str) -> None:
    own = type("Own", (network.Network,), {name: lambda self, *arguments: None})
    net = own(SIZES)
    before = snapshot(net)
    with pytest.raises(TypeError, match=f"SGD does not call {name}"):
        net.SGD(training_pairs, 1, 10, 3.0)
    if name == "backprop":
        with pytest.raises(TypeError, match="update_mini_batch does not call backprop"):
            net.update_mini_batch(training_pairs[:10], 3.0)
    assert_equal(snapshot(net), before)


def wrapped(method: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    """Return a function that notes its calls, and has the name and the module of `method`."""

    @functools.wraps(method)
    def noting(*arguments: Any) -> Any:
        calls.append(method.__name__)
        return method(*arguments)

    return noting


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("name", ["backprop", "update_mini_batch", "evaluate"])
def test_a_wrapped_method_is_refused_too(
    net: network.Network, training_pairs: Pairs, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.Network, name, wrapped(getattr(network.Network, name), []))
    with pytest.raises(TypeError, match=f"SGD does not call {name}"):
        net.SGD(training_pairs, 1, 10, 3.0)


@pytest.mark.usefixtures("numpy_path")
def test_a_wrapped_method_is_called_where_ones_own_would_be(
    net: network.Network, training_pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("feedforward", "cost_derivative"):
        monkeypatch.setattr(network.Network, name, wrapped(getattr(network.Network, name), calls))
    net.evaluate(training_pairs[:3])
    assert calls == ["feedforward"] * 3
    net.update_mini_batch(training_pairs[:4], 3.0)
    assert calls[3:] == ["cost_derivative"] * 4


def test_a_feedforward_of_ones_own_judges(
    training_pairs: Pairs, test_pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user-defined `feedforward` evaluates but does not train, as in the book's code."""

    class AlwaysThree(network.Network):
        def feedforward(self, a):
            return np.eye(SIZES[-1])[:, [3]] if np.ndim(a) else None

    net = AlwaysThree(SIZES)
    assert net.evaluate(test_pairs) == sum(int(y) == 3 for _, y in test_pairs)
    capsys.readouterr()
    net.SGD(training_pairs, 1, 10, 3.0, test_pairs)
    count = net.evaluate(test_pairs)
    assert capsys.readouterr().out == f"Epoch 0: {count} / {len(test_pairs)}\n"
    net.feedforward = lambda a: 0.5
    with pytest.raises(ValueError, match=r"feedforward must return the shape"):
        net.evaluate(test_pairs)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(
    "train",
    [
        lambda net, pairs: net.SGD(pairs, 1, 10, 3.0),
        lambda net, pairs: net.update_mini_batch(pairs, 3.0),
    ],
    ids=["SGD", "update_mini_batch"],
)
def test_a_second_training_is_refused_and_leaves_the_first_alone(
    training_pairs: Pairs, test_pairs: Pairs, capsys: pytest.CaptureFixture[str], train: Any
) -> None:
    """Between two epochs too, as the second would replace the arrays that the first trains."""
    others, begun = list(training_pairs), []

    class Trains(network.Network):
        def feedforward(self, a):
            arrays, order, state = snapshot(self), list(others), random.getstate()
            same = self.weights[0]
            with pytest.raises(RuntimeError, match="is being trained already"):
                train(self, others)
            assert self.weights[0] is same
            assert_equal(snapshot(self), arrays)
            assert all(one is other for one, other in zip(others, order, strict=True))
            assert random.getstate() == state
            begun.append(True)
            return super().feedforward(a)

    def trained(kind: type[network.Network]) -> network.Network:
        net = seeded(kind)
        net.SGD(list(training_pairs), 2, 10, 3.0, test_pairs[:3])
        return net

    expected, printed = snapshot(trained(network.Network)), capsys.readouterr().out
    net = trained(Trains)
    assert len(begun) == 6
    assert capsys.readouterr().out == printed
    assert_equal(snapshot(net), expected)
    train(net, others)


@pytest.mark.usefixtures("numpy_path")
def test_a_network_can_be_trained_after_an_interrupt(
    training_pairs: Pairs, test_pairs: Pairs
) -> None:
    class Interrupted(network.Network):
        def feedforward(self, a):
            raise KeyboardInterrupt

    net = Interrupted(SIZES)
    with pytest.raises(KeyboardInterrupt):
        net.SGD(training_pairs, 1, 10, 3.0, test_pairs)
    net.SGD(training_pairs, 1, 10, 3.0)
