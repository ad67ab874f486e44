"""The book's first program: its names, its printed lines, its numbers."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from book_networks import SIZES, Pairs, numbers, seeded, vectors
from comparisons import assert_equal, snapshot
from fastnn import reference as ref
from fastnn.nielsen import network


@pytest.fixture
def net() -> network.Network:
    return seeded(network.Network)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("__init__", ["sizes"]),
        ("feedforward", ["a"]),
        ("SGD", ["training_data", "epochs", "mini_batch_size", "eta", "test_data"]),
        ("update_mini_batch", ["mini_batch", "eta"]),
        ("backprop", ["x", "y"]),
        ("evaluate", ["test_data"]),
        ("cost_derivative", ["output_activations", "y"]),
    ],
)
def test_signatures_are_the_books(function: str, parameters: list[str]) -> None:
    signature = inspect.signature(getattr(network.Network, function))
    positional = [p.name for p in signature.parameters.values() if p.kind != p.KEYWORD_ONLY]
    assert positional == ["self", *parameters]


def test_attributes_and_draws_are_the_books(net: network.Network) -> None:
    np.random.seed(5)
    biases = [np.random.randn(y, 1) for y in SIZES[1:]]
    weights = [np.random.randn(12, 64), np.random.randn(10, 12)]
    assert (net.num_layers, net.sizes) == (3, SIZES)
    assert_equal(net.biases, biases)
    assert_equal(net.weights, weights)
    assert {array.dtype.name for array in net.weights + net.biases} == {"float64"}


def test_float32_starts_from_the_same_draws(net: network.Network) -> None:
    np.random.seed(5)
    narrow = network.Network(SIZES, dtype="float32")
    for a, b in zip(narrow.weights + narrow.biases, net.weights + net.biases, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b.astype(np.float32))


def test_sigmoid_and_sigmoid_prime() -> None:
    z = np.array([0.0, 1.0, -1000.0])
    expected = np.array([0.5, 1 / (1 + math.exp(-1)), 0.0])
    np.testing.assert_allclose(network.sigmoid(z), expected, rtol=1e-15)
    np.testing.assert_allclose(network.sigmoid_prime(z), expected * (1 - expected), rtol=1e-15)
    assert network.sigmoid(0.0) == 0.5


def test_feedforward(net: network.Network, training_pairs: Pairs) -> None:
    x = training_pairs[0][0]
    expected = ref.feedforward(net.weights, net.biases, x)
    np.testing.assert_allclose(net.feedforward(x), expected, rtol=1e-14)
    side_by_side = net.feedforward(np.hstack([x, training_pairs[1][0]]))
    np.testing.assert_allclose(side_by_side[:, :1], expected, rtol=1e-14)


def test_backprop(net: network.Network, training_pairs: Pairs) -> None:
    x, y = training_pairs[0]
    expected = ref.backprop(net.weights, net.biases, x, y, "quadratic")
    for target in (y, int(y.argmax()), np.uint8(y.argmax())):
        for came, wanted in zip(net.backprop(x, target), expected, strict=True):
            assert_equal(came, wanted, 1e-13)


@pytest.mark.parametrize("size", [1, 3, 60])
def test_update_mini_batch(net: network.Network, training_pairs: Pairs, size: int) -> None:
    weights, biases = ref.update_mini_batch(
        net.weights,
        net.biases,
        training_pairs[:size],
        3.0,
        0.0,
        1,
        cost="quadratic",
        penalty="none",
    )
    assert net.update_mini_batch(training_pairs[:size], 3.0) is None
    assert_equal(net.weights + net.biases, weights + biases, 1e-12)


def test_evaluate(net: network.Network, test_pairs: Pairs) -> None:
    correct = net.evaluate(test_pairs)
    assert type(correct) is int
    assert correct == ref.accuracy(net.weights, net.biases, vectors(test_pairs))
    assert net.evaluate(vectors(test_pairs)) == net.evaluate(iter(test_pairs)) == correct


def test_one_output_is_compared_with_0(training_pairs: Pairs) -> None:
    lone = network.Network([64, 1])
    assert lone.evaluate([(x, i % 3) for i, (x, _) in enumerate(training_pairs)]) == 20


def test_cost_derivative(net: network.Network) -> None:
    a, y = np.array([[0.25], [0.5]]), np.array([[0.0], [1.0]])
    np.testing.assert_array_equal(net.cost_derivative(a, y), a - y)


def test_printed_lines_with_test_data(
    net: network.Network,
    training_pairs: Pairs,
    test_pairs: Pairs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert net.SGD(training_pairs, 2, 10, 3.0, test_pairs) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Epoch 1: {net.evaluate(test_pairs)} / 40"
    assert lines[0].startswith("Epoch 0: ")
    assert len(lines) == 2


def test_printed_lines_without(
    net: network.Network, training_pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    net.SGD(training_pairs, 2, 10, 3.0)
    assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\n"


@pytest.mark.usefixtures("numpy_path")
def test_progress_changes_no_line_and_no_number(
    net: network.Network, training_pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    state, start = random.getstate(), snapshot(net)
    net.SGD(list(training_pairs), 2, 10, 3.0)
    expected, printed = snapshot(net), capsys.readouterr().out
    net.weights, net.biases = start[:2], start[2:]
    random.setstate(state)
    net.SGD(list(training_pairs), 2, 10, 3.0, progress=True)
    assert capsys.readouterr().out == printed
    assert_equal(snapshot(net), expected)


@pytest.mark.parametrize("replaced", [False, True])
def test_the_callers_list_is_shuffled(
    net: network.Network, training_pairs: Pairs, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """Training follows the list's new order, also after a user-defined shuffle."""
    if replaced:
        monkeypatch.setattr(random, "shuffle", lambda items: items.append(items.pop(0)))
    state, original, mine = random.getstate(), list(training_pairs), list(training_pairs)
    oracle: Any = net.weights, net.biases
    net.SGD(mine, 3, 7, 3.0)
    after = random.getstate()
    random.setstate(state)
    order = list(range(60))
    for _ in range(3):
        random.shuffle(order)
        oracle = ref.epoch(*oracle, original, order, 7, 3.0, cost="quadratic", penalty="none")
    assert [id(pair) for pair in mine] == [id(original[i]) for i in order]
    assert random.getstate() == after
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-11)


@pytest.mark.parametrize(
    "form",
    [
        iter,
        tuple,
        lambda pairs: zip([x for x, _ in pairs], [y for _, y in pairs], strict=True),
        lambda pairs: [list(pair) for pair in pairs],
        lambda pairs: [(x.astype(np.float32), y) for x, y in pairs],
        numbers,
        lambda pairs: [(x, np.int64(y)) for x, y in numbers(pairs)],
        lambda pairs: [(x, np.uint8(y)) for x, y in numbers(pairs)],
    ],
    ids=["iterator", "tuple", "zip", "lists", "float32", "int", "int64", "uint8"],
)
def test_every_form_of_data_gives_the_same(
    net: network.Network, training_pairs: Pairs, form: Callable[[Pairs], Any]
) -> None:
    start, state = snapshot(net), random.getstate()
    net.SGD(list(training_pairs), 2, 10, 3.0)
    expected = snapshot(net)
    net.weights, net.biases = start[:2], start[2:]
    random.setstate(state)
    net.SGD(form(training_pairs), 2, 10, 3.0)
    assert_equal(snapshot(net), expected)


def test_epochs_may_be_a_whole_float(
    net: network.Network, training_pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    net.SGD(training_pairs, 120 / 60, 10, 3.0)
    assert capsys.readouterr().out.count("complete") == 2


def test_no_epoch_trains_nothing(net: network.Network, training_pairs: Pairs) -> None:
    before = snapshot(net)
    net.SGD(training_pairs, 0, 10, 3.0)
    assert_equal(snapshot(net), before)


def test_a_batch_beyond_the_data_is_one_batch(net: network.Network, training_pairs: Pairs) -> None:
    weights, biases = ref.epoch(
        net.weights,
        net.biases,
        training_pairs,
        range(60),
        60,
        3.0,
        cost="quadratic",
        penalty="none",
    )
    net.SGD(training_pairs, 1, 1000, 3.0)
    assert_equal(net.weights + net.biases, weights + biases, 1e-11)


@pytest.mark.parametrize(
    "edit",
    [
        lambda net: net.weights[0].__setitem__(slice(None), 0.25),
        lambda net: net.weights.__setitem__(0, np.full((12, 64), 0.25, dtype=np.float32)),
        lambda net: net.weights.__setitem__(0, np.full((64, 24), 0.25).T[::2]),
        lambda net: setattr(net, "weights", [np.full((12, 64), 0.25), net.weights[1]]),
        lambda net: net.biases[1].__setitem__(slice(None), 0.5),
        lambda net: setattr(net, "biases", tuple(b * 2 for b in net.biases)),
    ],
    ids=["in place", "float32", "strided", "whole list", "bias in place", "tuple of biases"],
)
def test_edited_arrays_take_effect(
    net: network.Network, training_pairs: Pairs, test_pairs: Pairs, edit: Callable[[Any], None]
) -> None:
    net.SGD(list(training_pairs), 1, 10, 3.0)
    edit(net)
    weights, biases = list(net.weights), list(net.biases)
    assert net.evaluate(test_pairs) == ref.accuracy(weights, biases, vectors(test_pairs))
    oracle = ref.update_mini_batch(
        weights, biases, training_pairs, 3.0, 0.0, 1, cost="quadratic", penalty="none"
    )
    net.update_mini_batch(training_pairs, 3.0)
    assert_equal(net.weights + net.biases, oracle[0] + oracle[1], 1e-11)


def test_arrays_kept_from_before_stay(net: network.Network, training_pairs: Pairs) -> None:
    """As in the book's code, where every step makes new arrays."""
    kept, before = net.weights + net.biases, snapshot(net)
    net.SGD(training_pairs, 1, 10, 3.0)
    net.update_mini_batch(training_pairs[:5], 3.0)
    assert_equal(kept, before)
    assert all((a != b).any() for a, b in zip(snapshot(net), before, strict=True))


def test_test_data_that_are_none(training_pairs: Pairs, capsys: pytest.CaptureFixture[str]) -> None:
    network.Network(SIZES).SGD(training_pairs, 1, 10, 3.0, [])
    assert capsys.readouterr().out == "Epoch 0 complete\n"
