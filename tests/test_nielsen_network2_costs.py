"""User-defined costs in the book's second program."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from book_networks import MONITORS, SIZES, Pairs, seeded, vectors
from comparisons import assert_equal, snapshot
from fastnn import reference as ref
from fastnn.checks import FileFormatError
from fastnn.nielsen import network2


@pytest.fixture
def net() -> network2.Network:
    return seeded(network2.Network)


class OwnQuadratic:
    """A cost as a reader of the book would write it, for columns."""

    shapes: ClassVar[set[Any]] = set()

    @staticmethod
    def fn(a: np.ndarray, y: np.ndarray) -> float:
        OwnQuadratic.shapes.add((a.shape, y.shape))
        return float(0.5 * np.linalg.norm(a - y) ** 2)

    @staticmethod
    def delta(z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        OwnQuadratic.shapes.add((z.shape, a.shape, y.shape))
        delta: np.ndarray = (a - y) * network2.sigmoid_prime(z)
        return delta


class Weighted:
    """A cost whose instances have a parameter, so that its methods are not static."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def fn(self, a: np.ndarray, y: np.ndarray) -> float:
        return self.weight * network2.QuadraticCost.fn(a, y)

    def delta(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.weight * network2.QuadraticCost.delta(z, a, y)


class OtherDelta(network2.CrossEntropyCost):
    """Inherits `fn` and overrides `delta`."""

    delta = staticmethod(network2.QuadraticCost.delta)


class OtherFn(network2.QuadraticCost):
    """Inherits `delta` and overrides `fn`."""

    @staticmethod
    def fn(a: np.ndarray, y: np.ndarray) -> float:
        return float(np.abs(a - y).sum())


@pytest.mark.parametrize("cost", [OwnQuadratic, OwnQuadratic(), Weighted(2.0), OtherDelta, OtherFn])
def test_a_cost_of_ones_own(training_pairs: Pairs, test_pairs: Pairs, cost: Any) -> None:
    """All have the quadratic cost's delta, or twice it, so the oracle can compute the weights."""
    weight = getattr(cost, "weight", 1.0)
    random.seed(6)
    net = network2.Network(SIZES, cost)
    oracle: Any = net.weights, net.biases
    state = random.getstate()
    figures = net.SGD(list(training_pairs), 2, 7, 0.5, 0.1, test_pairs, **MONITORS)
    random.setstate(state)
    order = list(range(60))
    for _ in range(2):
        random.shuffle(order)
        oracle = ref.epoch(
            *oracle, training_pairs, order, 7, 0.5 * weight, 0.1 / weight, cost="quadratic"
        )
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-12)
    each = [cost.fn(ref.feedforward(*oracle, x), y) for x, y in vectors(test_pairs)]
    squares = sum(float(np.square(w).sum()) for w in oracle[0])
    expected = sum(each) / 40 + 0.5 * 0.1 / 40 * squares
    assert figures[0][-1] == pytest.approx(expected, rel=1e-12)


def test_a_cost_of_ones_own_is_given_columns(training_pairs: Pairs) -> None:
    OwnQuadratic.shapes.clear()
    net = network2.Network(SIZES, OwnQuadratic)
    net.SGD(training_pairs, 1, 7, 0.5, monitor_training_cost=True)
    assert OwnQuadratic.shapes == {((10, 1),) * 2, ((10, 1),) * 3}


def test_a_delta_of_the_wrong_shape(training_pairs: Pairs) -> None:
    class Flat(network2.QuadraticCost):
        @staticmethod
        def delta(z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.ravel(a - y)

    net = network2.Network(SIZES, Flat)
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"delta must return the shape \(10, 1\), not \(10,\)"):
        net.SGD(training_pairs, 1, 10, 0.5)
    assert_equal(snapshot(net), before)


@pytest.mark.usefixtures("numpy_path")
def test_a_cost_put_in_later_takes_effect(net: network2.Network, training_pairs: Pairs) -> None:
    net.cost = network2.QuadraticCost
    oracle = ref.update_mini_batch(
        net.weights, net.biases, training_pairs, 0.5, 0.0, 60, cost="quadratic", penalty="none"
    )
    net.update_mini_batch(training_pairs, 0.5, 0.0, 60)
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-12)


@pytest.mark.parametrize("cost", [None, "CrossEntropyCost", object, object()])
def test_what_is_no_cost(cost: Any) -> None:
    with pytest.raises(TypeError, match="cost must be a class"):
        network2.Network(SIZES, cost)


def test_a_cost_of_ones_own_is_found_in_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.json"
    network2.Network(SIZES, OwnQuadratic).save(path)
    with pytest.raises(FileFormatError, match="no cost class 'OwnQuadratic' in"):
        network2.load(path)
    monkeypatch.setattr(network2, "OwnQuadratic", OwnQuadratic, raising=False)
    assert network2.load(path).cost is OwnQuadratic
