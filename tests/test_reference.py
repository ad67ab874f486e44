"""The oracle itself, against finite differences and against numbers worked out by hand."""

from __future__ import annotations

import ast
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from fastnn import reference as ref

COSTS = ("quadratic", "cross_entropy")


def random_network(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(y, x)) for x, y in itertools.pairwise(sizes)]
    return weights, [rng.normal(size=(y, 1)) for y in sizes[1:]]


def random_data(n: int, sizes: list[int], seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        (rng.random((sizes[0], 1)), np.eye(sizes[-1])[:, [rng.integers(sizes[-1])]])
        for _ in range(n)
    ]


def test_it_stands_alone() -> None:
    tree = ast.parse(Path(ref.__file__).read_text("utf-8"))
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert froms | plain == {"__future__", "collections.abc", "numpy", "numpy.typing"}


def test_sigmoid_and_its_slope() -> None:
    z = np.array([[0.0], [1.0], [-1.0]])
    e = math.e
    np.testing.assert_allclose(ref.sigmoid(z), [[0.5], [e / (1 + e)], [1 / (1 + e)]], rtol=1e-15)
    h = 1e-6
    slope = (ref.sigmoid(z + h) - ref.sigmoid(z - h)) / (2 * h)
    np.testing.assert_allclose(ref.sigmoid_prime(z), slope, rtol=1e-8)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("sizes", [[3, 2], [4, 3, 2], [3, 4, 1, 2], [2, 3, 1]])
def test_gradient_against_finite_differences(sizes: list[int], cost: str) -> None:
    weights, biases = random_network(sizes)
    x = random_data(1, sizes)[0][0]
    y = np.linspace(0.1, 0.9, sizes[-1])[:, None]
    nabla_b, nabla_w = ref.backprop(weights, biases, x, y, cost)

    def cost_now() -> float:
        return ref.output_cost(ref.feedforward(weights, biases, x), y, cost)

    h = 1e-6
    for arrays, gradients in ((weights, nabla_w), (biases, nabla_b)):
        for array, gradient in zip(arrays, gradients, strict=True):
            assert gradient.shape == array.shape
            for place in np.ndindex(array.shape):
                kept = array[place]
                array[place] = kept + h
                above = cost_now()
                array[place] = kept - h
                below = cost_now()
                array[place] = kept
                assert gradient[place] == pytest.approx((above - below) / (2 * h), abs=1e-8)


def test_costs_by_hand() -> None:
    a, y = np.array([[0.8], [0.4]]), np.array([[1.0], [0.0]])
    assert ref.output_cost(a, y, "quadratic") == pytest.approx(0.5 * (0.04 + 0.16))
    assert ref.output_cost(a, y, "cross_entropy") == pytest.approx(-math.log(0.8) - math.log(0.6))


def test_a_saturated_right_output_costs_nothing() -> None:
    weights, biases = [np.zeros((2, 1))], [np.array([[800.0], [-800.0]])]
    data = [(np.ones((1, 1)), np.array([[1.0], [0.0]]))]
    assert ref.total_cost(weights, biases, data) == 0.0
    assert ref.accuracy(weights, biases, data) == 1


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [("none", [-2.0, 0.0, 3.0]), ("l1", [-1.9, 0.0, 2.9]), ("l2", [-1.8, 0.0, 2.7])],
)
def test_shrink_by_hand(penalty: str, expected: list[float]) -> None:
    np.testing.assert_allclose(ref.shrink(np.array([-2.0, 0.0, 3.0]), 0.1, penalty), expected)


@pytest.mark.parametrize("penalty", ["none", "l1", "l2"])
def test_a_step_divides_the_gradient_by_the_batch_and_the_penalty_by_n(penalty: str) -> None:
    sizes = [3, 2, 2]
    weights, biases = random_network(sizes)
    batch = random_data(4, sizes)
    gradients = [ref.backprop(weights, biases, x, y, "cross_entropy") for x, y in batch]
    eta, lmbda, n = 0.3, 5.0, 100
    new_weights, new_biases = ref.update_mini_batch(
        weights, biases, batch, eta, lmbda, n, cost="cross_entropy", penalty=penalty
    )
    slope = {"none": np.zeros_like, "l1": np.sign, "l2": lambda w: w}[penalty]
    for layer in range(2):
        mean_w = sum(g[1][layer] for g in gradients) / 4
        mean_b = sum(g[0][layer] for g in gradients) / 4
        expected = weights[layer] - eta * (mean_w + lmbda / n * slope(weights[layer]))
        np.testing.assert_allclose(new_weights[layer], expected, rtol=1e-13)
        np.testing.assert_allclose(new_biases[layer], biases[layer] - eta * mean_b, rtol=1e-13)


def test_an_epoch_is_its_batches_in_order() -> None:
    sizes = [3, 2]
    weights, biases = random_network(sizes)
    kept = [array.copy() for array in weights + biases]
    data, order = random_data(5, sizes), [3, 0, 4, 1, 2]
    expected = (weights, biases)
    for batch in ([3, 0], [4, 1], [2]):
        expected = ref.update_mini_batch(
            *expected, [data[i] for i in batch], 0.5, 2.0, 5, cost="quadratic", penalty="l2"
        )
    came = ref.epoch(weights, biases, data, order, 2, 0.5, 2.0, cost="quadratic", penalty="l2")
    for got, wanted in zip(came[0] + came[1], expected[0] + expected[1], strict=True):
        np.testing.assert_array_equal(got, wanted)
    for array, before in zip(weights + biases, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(("penalty", "norm"), [("none", 0.0), ("l1", 10.0), ("l2", 15.0)])
def test_total_cost_by_hand(penalty: str, norm: float) -> None:
    weights = [np.array([[1.0, -2.0], [3.0, -4.0]])]  # abs(w) sums to 10, w**2 to 30
    biases = [np.zeros((2, 1))]
    data = [(np.zeros((2, 1)), np.array([[1.0], [0.0]]))] * 4  # every output is 0.5
    cost = ref.total_cost(weights, biases, data, 6.0, cost="quadratic", penalty=penalty)
    assert cost == pytest.approx(0.25 + 6.0 / 4 * norm)


def test_accuracy_counts() -> None:
    weights, biases = [np.eye(2)], [np.zeros((2, 1))]
    one, two = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    assert ref.accuracy(weights, biases, [(one, one), (two, two), (one, two)]) == 2
