"""What the book's first program refuses, without changing anything."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from book_networks import SIZES, Pairs, numbers, seeded
from comparisons import assert_equal, snapshot
from fastnn.nielsen import network


@pytest.fixture
def net() -> network.Network:
    return seeded(network.Network)


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ([], ValueError, "at least two layers"),
        ([784], ValueError, "at least two layers"),
        ([784, 0, 10], ValueError, "at least 1, not 0"),
        ([784, -1, 10], ValueError, "at least 1, not -1"),
        ([784, 2.5, 10], ValueError, "whole number"),
        (["784", 10], TypeError, "must be a number"),
        ("784", TypeError, "a list of whole numbers"),
        (784, TypeError, "a list of whole numbers"),
    ],
)
def test_bad_sizes(sizes: Any, error: type[Exception], message: str) -> None:
    state = np.random.get_state()[1].copy()
    with pytest.raises(error, match=message):
        network.Network(sizes)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("dtype", ["float16", "int64", "flaot32", object])
def test_bad_dtype(dtype: Any) -> None:
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float64'"):
        network.Network(SIZES, dtype=dtype)


def with_pair(place: int, x: Any, y: Any) -> Callable[[Pairs], Pairs]:
    return lambda pairs: [*pairs[:place], (x, y), *pairs[place + 1 :]]


X, Y = np.zeros((64, 1)), np.eye(10)[:, :1]
BAD_DATA = {
    "empty": (lambda pairs: [], ValueError),
    "no iterable": (lambda pairs: 5, TypeError),
    "no pairs": (lambda pairs: [1, 2], ValueError),
    "flat x": (with_pair(3, np.zeros(64), Y), ValueError),
    "short x": (with_pair(3, np.zeros((63, 1)), Y), ValueError),
    "short y": (with_pair(3, X, np.zeros((9, 1))), ValueError),
    "flat y": (with_pair(3, X, np.zeros(10)), ValueError),
    "label 10": (lambda pairs: with_pair(3, X, 10)(numbers(pairs)), ValueError),
    "label -1": (lambda pairs: with_pair(3, X, -1)(numbers(pairs)), ValueError),
    "nan": (with_pair(3, np.full((64, 1), np.nan), Y), ValueError),
    "infinity": (with_pair(3, np.full((64, 1), np.inf), Y), ValueError),
    "nan in y": (with_pair(3, X, np.full((10, 1), np.nan)), ValueError),
    "text": (with_pair(3, np.full((64, 1), "a"), Y), TypeError),
}


@pytest.mark.parametrize(("spoil", "error"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_change_nothing(
    net: network.Network, training_pairs: Pairs, spoil: Any, error: type[Exception]
) -> None:
    before, state = snapshot(net), random.getstate()
    calls: list[Callable[[Any], object]] = [
        lambda bad: net.SGD(bad, 1, 10, 3.0),
        lambda bad: net.update_mini_batch(bad, 3.0),
        lambda bad: net.evaluate(bad),
    ]
    if spoil(training_pairs) != []:  # an empty list means no test data
        calls.append(lambda bad: net.SGD(training_pairs, 1, 10, 3.0, test_data=bad))
    for call in calls:
        with pytest.raises(error):
            call(spoil(training_pairs))
    assert_equal(snapshot(net), before)
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1.5, 10, 3.0), ValueError, "epochs must be a whole number"),
        ((-1, 10, 3.0), ValueError, "epochs"),
        (("1", 10, 3.0), TypeError, "epochs"),
        ((1, 0, 3.0), ValueError, "mini_batch_size"),
        ((1, 2.5, 3.0), ValueError, "mini_batch_size"),
        ((1, 10, -0.1), ValueError, "eta"),
        ((1, 10, math.nan), ValueError, "eta"),
        ((1, 10, math.inf), ValueError, "eta"),
        ((1, 10, None), TypeError, "eta"),
    ],
)
def test_bad_arguments_change_nothing(
    net: network.Network,
    training_pairs: Pairs,
    arguments: Any,
    error: type[Exception],
    message: str,
) -> None:
    before, state, order = snapshot(net), random.getstate(), list(training_pairs)
    with pytest.raises(error, match=message):
        net.SGD(training_pairs, *arguments)
    assert_equal(snapshot(net), before)
    assert random.getstate() == state
    assert all(a is b for a, b in zip(training_pairs, order, strict=True))


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("weights", [], "a list of 2 arrays, not 0"),
        ("weights", 5, "a list of 2 arrays, not int"),
        ("weights", [np.zeros((12, 64)), np.zeros((12, 10))], r"weights\[1\].*\(10, 12\)"),
        ("biases", [np.zeros(12), np.zeros((10, 1))], r"biases\[0\].*\(12, 1\)"),
    ],
)
def test_arrays_that_do_not_fit(
    net: network.Network, training_pairs: Pairs, name: str, arrays: Any, message: str
) -> None:
    setattr(net, name, arrays)
    with pytest.raises(ValueError, match=message):
        net.SGD(training_pairs, 1, 10, 3.0)
    with pytest.raises(ValueError, match=message):
        net.evaluate(training_pairs)


def test_inputs_that_are_no_columns(net: network.Network) -> None:
    with pytest.raises(ValueError, match=r"a must be a column of shape \(64, 1\)"):
        net.feedforward(np.zeros(64))
    with pytest.raises(ValueError, match="x must be one column"):
        net.backprop(np.zeros((64, 2)), Y)
    with pytest.raises(ValueError, match=r"y must be a column of shape \(10, 1\)"):
        net.backprop(X, np.zeros(10))
    with pytest.raises(ValueError, match=r"in 0\.\.9"):
        net.backprop(X, 10)
