"""The book's first program: its names, its printed lines, its numbers."""

from __future__ import annotations

import functools
import inspect
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from book_networks import SIZES, Pairs, seeded, vectors
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


def numbers(pairs: Pairs) -> Pairs:
    return [(x, int(y.argmax())) for x, y in pairs]


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
        np.random.seed(5)
        random.seed(6)
        net = kind(SIZES)
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


def test_test_data_that_are_none(training_pairs: Pairs, capsys: pytest.CaptureFixture[str]) -> None:
    network.Network(SIZES).SGD(training_pairs, 1, 10, 3.0, [])
    assert capsys.readouterr().out == "Epoch 0 complete\n"


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
