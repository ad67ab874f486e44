"""Whole training runs of the book's modules against the oracle, with the same seeds and data."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

from fastnn import data
from fastnn import reference as ref
from fastnn.nielsen import network, network2

pytestmark = pytest.mark.cpu_tiles

COSTS = {"quadratic": network2.QuadraticCost, "cross_entropy": network2.CrossEntropyCost}
PENALTIES = ("none", "l1", "l2")
BATCHES = (1, 7, 10, 64, 2000)
EPOCHS = 3
Pairs = list[tuple[np.ndarray, Any]]


def pairs(dataset: data.Dataset, n: int, outputs: int) -> Pairs:
    """Return the first `n` training samples; with one output, the target is 1 for odd digits."""
    images = (dataset.train_images[:n] * dataset.input_scale).reshape(n, -1, 1)
    labels = dataset.train_labels[:n]
    if outputs == 1:
        return list(zip(images, (labels % 2).astype(float).reshape(n, 1, 1), strict=True))
    return list(zip(images, np.eye(outputs)[labels].reshape(n, outputs, 1), strict=True))


def seed() -> None:
    random.seed(3)
    np.random.seed(4)


def assert_close(net: network2.Network | network.Network, oracle: Any, start: Any) -> None:
    """Compare every layer with the oracle's, in units of the layer's largest value."""
    for came, wanted, before in zip(
        net.weights + net.biases, oracle[0] + oracle[1], start[0] + start[1], strict=True
    ):
        largest = np.abs(wanted).max()
        assert np.abs(wanted - before).max() > 1e-3 * largest, "nothing was trained"
        assert np.abs(came - wanted).max() <= 1e-10 * largest


def learning_rate(batch: int) -> float:
    """Return a rate at which a run is stable.

    With single samples at 0.5, the last bit of an initial weight decides the outcome: changing it
    moves the oracle's own result by as much as the weights, so that a comparison means nothing.
    """
    return 0.05 if batch == 1 else 0.5


def compare(sizes: list[int], training: Pairs, batch: int, cost: str, penalty: str) -> None:
    """Train `network2` and the oracle from the same seeds; compare arrays, order and figures."""
    eta, lmbda = learning_rate(batch), 1e-4 * len(training)
    seed()
    net = network2.Network(sizes, COSTS[cost])
    start = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    mine = list(training)
    figures = net.SGD(
        mine, EPOCHS, batch, eta, lmbda, monitor_training_cost=True,
        monitor_training_accuracy=True, penalty=penalty,
    )  # fmt: skip
    after = random.getstate()

    seed()
    oracle, order = start, list(range(len(training)))
    for _ in range(EPOCHS):
        random.shuffle(order)
        oracle = ref.epoch(*oracle, training, order, batch, eta, lmbda, cost=cost, penalty=penalty)
    expected = ref.total_cost(*oracle, training, lmbda, cost=cost, penalty=penalty)
    assert_close(net, oracle, start)
    assert figures[2][-1] == pytest.approx(expected, rel=1e-10)
    assert figures[3][-1] == ref.accuracy(*oracle, training)
    assert [id(pair) for pair in mine] == [id(training[i]) for i in order]
    assert random.getstate() == after


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(
    "sizes", [[64, 30, 10], [64, 30, 30, 10], [64, 1, 10], [64, 27, 1]], ids=str
)
def test_digits(
    digits: data.Dataset, sizes: list[int], cost: str, penalty: str, batch: int
) -> None:
    compare(sizes, pairs(digits, 203, sizes[-1]), batch, cost, penalty)


def covering_set() -> list[Any]:
    """Return every size with every cost and penalty; batch sizes cycle, so all pairs occur."""
    sizes = ([784, 30, 10], [784, 30, 30, 10], [784, 1, 10])
    rows = enumerate(itertools.product(sizes, COSTS, PENALTIES))
    return [(*row, BATCHES[number % len(BATCHES)]) for number, row in rows]


def test_the_covering_set_covers_every_pair() -> None:
    rows = covering_set()
    every = [row[0] for row in rows], COSTS, PENALTIES, BATCHES
    for a, b in itertools.combinations(range(4), 2):
        values_a, values_b = ({str(value) for value in every[i]} for i in (a, b))
        came = {(str(row[a]), str(row[b])) for row in rows}
        assert came == set(itertools.product(values_a, values_b))


@pytest.mark.parametrize(("sizes", "cost", "penalty", "batch"), covering_set(), ids=str)
def test_mnist(mnist: data.Dataset, sizes: list[int], cost: str, penalty: str, batch: int) -> None:
    compare(sizes, pairs(mnist, 2000, sizes[-1]), batch, cost, penalty)


@pytest.mark.parametrize("batch", BATCHES)
def test_the_first_chapters_network(digits: data.Dataset, batch: int) -> None:
    training = pairs(digits, 203, 10)
    seed()
    net = network.Network([64, 30, 10])
    start = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    net.SGD(list(training), EPOCHS, batch, learning_rate(batch))
    seed()
    oracle, order = start, list(range(len(training)))
    for _ in range(EPOCHS):
        random.shuffle(order)
        oracle = ref.epoch(
            *oracle, training, order, batch, learning_rate(batch), cost="quadratic", penalty="none"
        )
    assert_close(net, oracle, start)


def oracle_trajectory(training: Pairs) -> tuple[list[float], list[int]]:
    seed()
    net = network2.Network([64, 30, 10])
    arrays, order, costs, correct = (net.weights, net.biases), list(range(len(training))), [], []
    for _ in range(len(COST_TRAJECTORY)):
        random.shuffle(order)
        arrays = ref.epoch(*arrays, training, order, 10, 0.5, 2.0, penalty="l1")
        costs.append(ref.total_cost(*arrays, training, 2.0, penalty="l1"))
        correct.append(ref.accuracy(*arrays, training))
    return costs, correct


# The oracle's results on the embedded digits: [64, 30, 10], batch 10, eta 0.5, L1 with lmbda 2.
COST_TRAJECTORY = [
    2.4304084948106235,
    1.6817474936901597,
    1.4489342962998968,
    1.3736679525523536,
    1.2479400991862775,
    1.2992959759994647,
    1.2290233616248891,
    1.1809713253196432,
    1.185886917526143,
    1.3381875243783954,
]
CORRECT_TRAJECTORY = [913, 1267, 1311, 1327, 1376, 1344, 1360, 1377, 1374, 1336]


def test_the_pinned_trajectory_is_the_oracles(digits: data.Dataset) -> None:
    costs, correct = oracle_trajectory(pairs(digits, 1437, 10))
    assert costs == pytest.approx(COST_TRAJECTORY, rel=1e-10)
    assert correct == CORRECT_TRAJECTORY


def test_the_pinned_trajectory_is_followed(digits: data.Dataset) -> None:
    seed()
    net = network2.Network([64, 30, 10])
    _, _, costs, correct = net.SGD(
        pairs(digits, 1437, 10), 10, 10, 0.5, 2.0, monitor_training_cost=True,
        monitor_training_accuracy=True, penalty="l1",
    )  # fmt: skip
    assert costs == pytest.approx(COST_TRAJECTORY, rel=1e-10)
    assert correct == CORRECT_TRAJECTORY
