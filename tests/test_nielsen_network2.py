"""The book's second program: costs, penalties, monitoring, early stopping.

What both programs share (data, order, edited arrays) is tested with the first program.
"""

from __future__ import annotations

import inspect
import json
import math
import random
from typing import Any

import numpy as np
import pytest

from book_networks import MONITORS, SIZES, Pairs, seeded, vectors
from comparisons import assert_equal, snapshot
from fastnn import reference as ref
from fastnn.nielsen import network2


@pytest.fixture
def net() -> network2.Network:
    return seeded(network2.Network)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("__init__", "self sizes cost"),
        ("default_weight_initializer", "self"),
        ("large_weight_initializer", "self"),
        ("feedforward", "self a"),
        ("backprop", "self x y"),
        ("update_mini_batch", "self mini_batch eta lmbda n"),
        (
            "SGD",
            "self training_data epochs mini_batch_size eta lmbda evaluation_data "
            "monitor_evaluation_cost monitor_evaluation_accuracy monitor_training_cost "
            "monitor_training_accuracy early_stopping_n",
        ),
        ("accuracy", "self data convert"),
        ("total_cost", "self data lmbda convert"),
        ("save", "self filename"),
    ],
)
def test_signatures_are_the_books(function: str, parameters: str) -> None:
    signature = inspect.signature(getattr(network2.Network, function))
    positional = [p.name for p in signature.parameters.values() if p.kind != p.KEYWORD_ONLY]
    assert positional == parameters.split()


def test_draws_are_the_books(net: network2.Network) -> None:
    np.random.seed(5)
    biases = [np.random.randn(y, 1) for y in SIZES[1:]]
    weights = [np.random.randn(12, 64) / np.sqrt(64), np.random.randn(10, 12) / np.sqrt(12)]
    assert (net.num_layers, net.sizes, net.cost) == (3, SIZES, network2.CrossEntropyCost)
    assert_equal(net.biases + net.weights, biases + weights)

    np.random.seed(5)
    net.large_weight_initializer()
    assert_equal(
        net.biases + net.weights, [*biases, weights[0] * 8, weights[1] * np.sqrt(12)], 1e-15
    )

    np.random.seed(5)
    net.default_weight_initializer()
    assert_equal(net.biases + net.weights, biases + weights)


@pytest.mark.usefixtures("numpy_path")
def test_large_initializer_at_any_time(net: network2.Network, training_pairs: Pairs) -> None:
    net.SGD(training_pairs, 1, 10, 0.5)
    net.large_weight_initializer()
    expected = ref.accuracy(net.weights, net.biases, training_pairs)
    assert net.accuracy(training_pairs, convert=True) == expected


def test_vectorized_result() -> None:
    vector = network2.vectorized_result(3)
    assert (vector.shape, vector.dtype) == ((10, 1), "float64")
    assert vector[3, 0] == vector.sum() == 1.0
    with pytest.raises(ValueError, match=r"in 0\.\.9, not -1"):
        network2.vectorized_result(-1)


def test_the_costs_functions() -> None:
    z = np.array([[0.3], [-2.0]])
    a, y = network2.sigmoid(z), np.array([[1.0], [0.0]])
    for name, cost in (
        ("quadratic", network2.QuadraticCost),
        ("cross_entropy", network2.CrossEntropyCost),
    ):
        assert cost.fn(a, y) == pytest.approx(ref.output_cost(a, y, name), rel=1e-14)
        np.testing.assert_allclose(cost.delta(z, a, y), ref.output_delta(z, a, y, name))
    assert network2.CrossEntropyCost.fn(np.array([[1.0], [0.0]]), y) == 0.0
    assert network2.CrossEntropyCost.fn(np.array([[0.0]]), np.array([[1.0]])) > 1e308


@pytest.mark.parametrize("as_instance", [False, True])
@pytest.mark.parametrize("name", ["quadratic", "cross_entropy"])
def test_backprop_with_a_class_or_an_instance(
    training_pairs: Pairs, name: str, as_instance: bool
) -> None:
    cost: Any = {
        "quadratic": network2.QuadraticCost,
        "cross_entropy": network2.CrossEntropyCost,
    }[name]
    net = network2.Network([64, 12, 7, 10], cost=cost() if as_instance else cost)
    expected = ref.backprop(net.weights, net.biases, *training_pairs[0], name)
    for came, wanted in zip(net.backprop(*training_pairs[0]), expected, strict=True):
        assert_equal(came, wanted, 1e-13)
    oracle = ref.update_mini_batch(
        net.weights, net.biases, training_pairs[:7], 0.5, 5.0, 60, cost=name, penalty="l2"
    )
    net.update_mini_batch(training_pairs[:7], 0.5, 5.0, 60)
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-12)


@pytest.mark.parametrize("penalty", ["none", "l1", "l2"])
def test_penalties(net: network2.Network, training_pairs: Pairs, penalty: str) -> None:
    expected = ref.total_cost(net.weights, net.biases, training_pairs, 5.0, penalty=penalty)
    assert net.total_cost(training_pairs, 5.0, penalty=penalty) == pytest.approx(
        expected, rel=1e-13
    )
    oracle = ref.update_mini_batch(
        net.weights,
        net.biases,
        training_pairs[:7],
        0.5,
        5.0,
        60,
        cost="cross_entropy",
        penalty=penalty,
    )
    assert net.update_mini_batch(training_pairs[:7], 0.5, 5.0, 60, penalty=penalty) is None
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-12)


def test_an_elastic_net_is_half_l1_and_half_l2(
    net: network2.Network, training_pairs: Pairs
) -> None:
    l1, l2 = (net.total_cost(training_pairs, 5.0, penalty=name) for name in ("l1", "l2"))
    assert net.total_cost(training_pairs, 5.0, penalty="elasticnet") == pytest.approx((l1 + l2) / 2)


def test_l2_is_the_default_penalty(net: network2.Network, training_pairs: Pairs) -> None:
    assert net.total_cost(training_pairs, 5.0) == net.total_cost(training_pairs, 5.0, penalty="l2")


def test_total_cost_divides_lmbda_by_the_data_passed(
    net: network2.Network, training_pairs: Pairs
) -> None:
    half = training_pairs[:30]
    difference = net.total_cost(half, 5.0) - net.total_cost(half, 0.0)
    squares = sum(float(np.square(w).sum()) for w in net.weights)
    assert difference == pytest.approx(0.5 * 5.0 / 30 * squares)


def test_accuracy_and_total_cost_in_both_forms(net: network2.Network, test_pairs: Pairs) -> None:
    correct = ref.accuracy(net.weights, net.biases, vectors(test_pairs))
    cost = ref.total_cost(net.weights, net.biases, vectors(test_pairs), 5.0)
    assert net.accuracy(test_pairs) == net.accuracy(vectors(test_pairs), convert=True) == correct
    assert net.accuracy(zip(*zip(*test_pairs, strict=True), strict=True)) == correct
    assert net.total_cost(test_pairs, 5.0, convert=True) == pytest.approx(cost, rel=1e-13)
    assert net.total_cost(vectors(test_pairs), 5.0) == pytest.approx(cost, rel=1e-13)
    assert type(net.accuracy(test_pairs)) is int
    assert type(net.total_cost(test_pairs, 5.0, convert=True)) is float


def test_one_output_is_compared_as_in_the_book(training_pairs: Pairs) -> None:
    lone = network2.Network([64, 1])
    pairs = [(x, np.array([[i % 3]], dtype=float)) for i, (x, _) in enumerate(training_pairs)]
    assert lone.accuracy(pairs, convert=True) == 60
    assert lone.accuracy(pairs) == lone.accuracy([(x, int(y[0, 0])) for x, y in pairs]) == 20


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("desired", "units"), [(0.0, 0), (1.0, 1)])
def test_the_cost_of_saturated_outputs(dtype: str, desired: float, units: int) -> None:
    """As with the book's `nan_to_num`, 0*log(0) costs 0, and log(0) costs the largest number."""
    net = network2.Network([1, 1], dtype=dtype)
    net.weights, net.biases = [np.zeros((1, 1))], [np.full((1, 1), -800.0)]
    pairs = [(np.ones((1, 1)), np.array([[desired]]))] * 4
    largest = float(np.finfo(dtype).max)
    assert net.total_cost(pairs, 0.0) == pytest.approx(units * largest, rel=1e-12)
    if dtype == "float64":
        assert net.total_cost(pairs, 0.0) == ref.total_cost(net.weights, net.biases, pairs)


def test_the_cost_of_a_network_gone_astray(net: network2.Network, test_pairs: Pairs) -> None:
    net.weights = [w * 1e6 for w in net.weights]
    expected = ref.total_cost(net.weights, net.biases, vectors(test_pairs))
    assert expected > 1e300
    assert net.total_cost(test_pairs, 0.0, convert=True) == pytest.approx(expected, rel=1e-12)


def test_printed_lines_and_figures(
    net: network2.Network,
    training_pairs: Pairs,
    test_pairs: Pairs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = net.SGD(training_pairs, 2, 10, 0.5, 0.1, test_pairs, **MONITORS)
    evaluation_cost, evaluation_accuracy, training_cost, training_accuracy = figures
    expected = "".join(
        f"Epoch {j} training complete\n"
        f"Cost on training data: {training_cost[j]}\n"
        f"Accuracy on training data: {training_accuracy[j]} / 60\n"
        f"Cost on evaluation data: {evaluation_cost[j]}\n"
        f"Accuracy on evaluation data: {evaluation_accuracy[j]} / 40\n"
        "\n"
        for j in range(2)
    )
    assert capsys.readouterr().out == expected
    assert [len(values) for values in figures] == [2, 2, 2, 2]
    assert {type(value) for value in evaluation_cost + training_cost} == {float}
    assert {type(value) for value in evaluation_accuracy + training_accuracy} == {int}
    assert json.loads(json.dumps(figures)) == list(figures)
    assert evaluation_cost[1] == net.total_cost(test_pairs, 0.1, convert=True)
    assert evaluation_accuracy[1] == net.accuracy(test_pairs)
    assert training_cost[1] == pytest.approx(net.total_cost(training_pairs, 0.1), rel=1e-13)
    assert training_accuracy[1] == net.accuracy(training_pairs, convert=True)


@pytest.mark.parametrize("number", range(4))
def test_one_monitor_alone(
    net: network2.Network,
    training_pairs: Pairs,
    test_pairs: Pairs,
    number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = list(MONITORS)[number]
    figures = net.SGD(training_pairs, 1, 10, 0.5, evaluation_data=test_pairs, **{name: True})
    assert [len(values) for values in figures] == [int(i == number) for i in range(4)]
    assert len(capsys.readouterr().out.splitlines()) == 3


class OwnForward(network2.Network):
    """A network with a `feedforward` of its own, which gives the same outputs."""

    def feedforward(self, a):
        return super().feedforward(a)


@pytest.mark.usefixtures("numpy_path")
def test_a_feedforward_of_ones_own_judges_a_list_that_is_reordered(
    training_pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each output belongs to its target, also where one list is both training and evaluation."""
    monkeypatch.setattr(random, "shuffle", lambda items: items.append(items.pop(0)))
    figures = []
    for kind in (network2.Network, OwnForward):
        np.random.seed(5)
        pairs = list(training_pairs)
        figures.append(kind(SIZES).SGD(pairs, 2, 10, 0.5, 0.1, pairs, **MONITORS))
    assert figures[1] == tuple(pytest.approx(expected, rel=1e-12) for expected in figures[0])


def test_no_monitor(
    net: network2.Network, training_pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert net.SGD(training_pairs, 2, 10, 0.5) == ([], [], [], [])
    assert capsys.readouterr().out == "Epoch 0 training complete\n\nEpoch 1 training complete\n\n"


def test_both_data_may_have_either_form(
    net: network2.Network, training_pairs: Pairs, test_pairs: Pairs
) -> None:
    start, state = snapshot(net), random.getstate()
    expected = net.SGD(list(training_pairs), 2, 10, 0.5, 0.1, test_pairs, **MONITORS)
    net.weights, net.biases = start[:2], start[2:]
    random.setstate(state)
    numbers = [(x, int(y.argmax())) for x, y in training_pairs]
    came = net.SGD(iter(numbers), 2, 10, 0.5, 0.1, iter(vectors(test_pairs)), **MONITORS)
    assert came == expected


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs"),
    [
        ([3, 3, 3, 3, 3, 3], 2, 3),
        ([3, 2, 4, 4, 3, 9], 2, 5),
        ([3, 2, 4, 4, 3, 9], 3, 6),
        ([0, 0, 5, 5, 5, 5], 2, 2),
        ([1, 2, 3, 4, 5, 6], 1, 6),
        ([6, 5, 4, 3, 2, 1], 1, 2),
        ([6, 5, 4, 3, 2, 1], 0, 6),
    ],
)
def test_early_stopping(
    net: network2.Network,
    training_pairs: Pairs,
    test_pairs: Pairs,
    accuracies: list[int],
    patience: int,
    epochs: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = iter(accuracies)
    monkeypatch.setattr(network2.Samples, "correct", lambda *_, **__: next(given))
    figures = net.SGD(
        training_pairs, 6, 10, 0.5, 0.0, test_pairs,
        monitor_evaluation_accuracy=True, early_stopping_n=patience,
    )  # fmt: skip
    assert figures[1] == accuracies[:epochs]
    printed = capsys.readouterr().out
    assert printed.count("training complete") == epochs
    assert printed.endswith("/ 40\n\n")


def test_float32(training_pairs: Pairs, test_pairs: Pairs) -> None:
    narrow = seeded(network2.Network, dtype=np.float32)
    figures = narrow.SGD(list(training_pairs), 3, 10, 0.5, 0.1, test_pairs, **MONITORS)
    wide = seeded(network2.Network)
    expected = wide.SGD(list(training_pairs), 3, 10, 0.5, 0.1, test_pairs, **MONITORS)
    assert {array.dtype.name for array in narrow.weights + narrow.biases} == {"float32"}
    assert narrow.feedforward(training_pairs[0][0]).dtype == np.float32
    assert_equal(snapshot(narrow), snapshot(wide), 1e-4)
    assert figures[0] == pytest.approx(expected[0], rel=1e-4)
    assert {type(value) for value in figures[0]} == {float}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lmbda": -1.0}, ValueError, "lmbda"),
        ({"lmbda": math.nan}, ValueError, "lmbda"),
        ({"lmbda": math.inf}, ValueError, "lmbda"),
        ({"lmbda": "5"}, TypeError, "lmbda"),
        ({"lmbda": -1.0, "penalty": "none"}, ValueError, "lmbda"),
        ({"penalty": "L1"}, ValueError, "not 'L1'; did you mean 'l1'"),
        ({"penalty": "non"}, ValueError, "did you mean 'none'"),
        ({"penalty": None}, ValueError, "penalty"),
        ({"eta": -0.5}, ValueError, "eta"),
        ({"epochs": 0.5}, ValueError, "epochs"),
        ({"mini_batch_size": 0}, ValueError, "mini_batch_size"),
        ({"early_stopping_n": -1}, ValueError, "early_stopping_n"),
        ({"early_stopping_n": 2}, ValueError, "needs monitor_evaluation_accuracy=True"),
        ({"monitor_evaluation_cost": True}, ValueError, "needs evaluation_data"),
        ({"monitor_evaluation_accuracy": True}, ValueError, "needs evaluation_data"),
        (
            {"monitor_evaluation_accuracy": True, "evaluation_data": []},
            ValueError,
            "at least one pair",
        ),
    ],
    ids=str,
)
def test_bad_arguments_change_nothing(
    net: network2.Network,
    training_pairs: Pairs,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    arguments = {"epochs": 1, "mini_batch_size": 10, "eta": 0.5} | change
    before, state, order = snapshot(net), random.getstate(), list(training_pairs)
    with pytest.raises(error, match=message):
        net.SGD(training_pairs, **arguments)
    assert_equal(snapshot(net), before)
    assert random.getstate() == state
    assert all(a is b for a, b in zip(training_pairs, order, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 0.5, 5.0, 60), "at least one pair"),
        ((None, -0.5, 5.0, 60), "eta"),
        ((None, 0.5, -5.0, 60), "lmbda"),
        ((None, 0.5, 5.0, 0), "n must be"),
    ],
)
def test_bad_arguments_of_a_step(
    net: network2.Network, training_pairs: Pairs, arguments: Any, message: str
) -> None:
    before = snapshot(net)
    with pytest.raises(ValueError, match=message):
        net.update_mini_batch(training_pairs if arguments[0] is None else [], *arguments[1:])
    assert_equal(snapshot(net), before)


@pytest.mark.parametrize("name", ["backprop", "accuracy", "total_cost"])
def test_a_method_that_would_be_ignored_is_refused(
    net: network2.Network, training_pairs: Pairs, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network2.Network, name, lambda self, *arguments: None)
    with pytest.raises(TypeError, match=f"SGD does not call {name}"):
        net.SGD(training_pairs, 1, 10, 0.5)
