"""The regularization path: it records what fits with one strength after another give."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from fastnn import FTRL, L1, SGD, Adam, HalveOnPlateau, Network
from fastnn.penalties import ProximalL1, TruncatedGradient
from fastnn.regularization_path import PathStep, geometric, lambda_path, sparsest

LAMBDAS = [0.3, 1.0, 4.0]


def new(seed: int = 1) -> Network:
    return Network([64, 20, 10], input_scale=1 / 16, seed=seed)


def path(digits, lambdas=LAMBDAS, network: Network | None = None, **keywords) -> list[PathStep]:
    options = {"epochs": 3, "validation_data": digits[2:4], **keywords}
    rows = digits.train_images, digits.train_labels
    return lambda_path(network or new(), *rows, lambdas, **options)


@pytest.mark.usefixtures("numpy_path")
def test_rows_and_labels_may_be_files(digits, tmp_path) -> None:
    names = [tmp_path / name for name in ("rows.npy", "labels.npy", "some.npy", "theirs.npy")]
    for name, array in zip(names, digits[:4], strict=True):
        np.save(name, array)
    rows, labels, *held_out = map(str, names)
    found = lambda_path(new(), rows, labels, [1.0], epochs=1, validation_data=tuple(held_out))
    wanted = path(digits, [1.0], epochs=1)
    np.testing.assert_array_equal(found[0].network.weights[0], wanted[0].network.weights[0])
    assert found[0].accuracy == wanted[0].accuracy


@pytest.mark.usefixtures("numpy_path")
def test_each_strength_starts_where_the_one_before_ended(digits) -> None:
    network, by_hand = new(), new()
    steps = path(digits, network=network, batch_size=20, learning_rate=0.3)
    assert [step.lmbda for step in steps] == LAMBDAS
    for step in steps:
        history = by_hand.fit(
            digits.train_images,
            digits.train_labels,
            epochs=3,
            batch_size=20,
            learning_rate=0.3,
            penalty=ProximalL1(step.lmbda),
        )
        for a, b in zip(step.network.weights, by_hand.weights, strict=True):
            np.testing.assert_array_equal(a, b)
            assert not np.shares_memory(a, network.weights[0])
        assert step.train_cost == history.train_cost[-1]
        assert step.val_cost == by_hand.total_cost(*digits[2:4])
        assert step.accuracy == by_hand.accuracy(*digits[2:4])
        right = by_hand.predict(digits.test_images) == digits.test_labels
        assert step.standard_error == pytest.approx(right.std() / math.sqrt(len(right)))
        assert step.sparsity == by_hand.sparsity()
        smaller = copy.deepcopy(by_hand)
        smaller.compact()
        assert step.sizes == smaller.sizes
        assert step.network.sizes == [64, 20, 10]
        assert step.seconds > 0
    np.testing.assert_array_equal(network.weights[0], steps[-1].network.weights[0])


def test_zeros_grow_along_the_path(digits) -> None:
    steps = path(digits, [0.1, 1, 10], epochs=10)
    shares = [step.sparsity[0] for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2
    assert sum(steps[-1].sizes) < sum(steps[0].sizes)
    assert steps[0].accuracy > 0.93


def test_the_order_does_not_matter_and_each_strength_comes_once(digits) -> None:
    first, second = path(digits, [1, 0.3, 4.0, 0.3]), path(digits, iter(LAMBDAS))
    for a, b in zip(first, second, strict=True):
        assert a.lmbda == b.lmbda
        np.testing.assert_array_equal(a.network.weights[0], b.network.weights[0])


def test_on_step_sees_each_when_it_is_done(digits, monkeypatch) -> None:
    seen, trained = [], []

    def on_step(step: PathStep) -> None:
        seen.append(step)
        trained.append(len(histories))

    histories: list[object] = []
    fit = Network.fit

    def noted(*arguments: object, **keywords: object) -> object:
        histories.append(fit(*arguments, **keywords))
        return histories[-1]

    monkeypatch.setattr(Network, "fit", noted)
    steps = path(digits, on_step=on_step)
    assert steps == seen
    assert trained == list(range(1, len(steps) + 1))


@pytest.mark.usefixtures("numpy_path")
def test_an_optimizer_and_dropout_are_those_of_fit(digits) -> None:
    given = {"optimizer": Adam(0.003), "dropout": 0.2, "batch_size": 20}
    steps, by_hand = path(digits, **given), new()
    for step in steps:
        by_hand.fit(*digits[:2], epochs=3, penalty=ProximalL1(step.lmbda), **given)
        np.testing.assert_array_equal(step.network.weights[0], by_hand.weights[0])


def test_a_path_of_another_penalty(digits) -> None:
    [step] = path(digits, [2.0], penalty=L1)
    other = new()
    other.fit(digits.train_images, digits.train_labels, epochs=3, penalty=L1(2.0))
    np.testing.assert_array_equal(step.network.weights[1], other.weights[1])


@pytest.mark.usefixtures("numpy_path")
def test_a_schedule_watches_the_validation_rows(digits) -> None:
    rate = HalveOnPlateau(0.5, patience=1)
    other = new()
    other.fit(
        *digits[:2], epochs=3, learning_rate=rate, penalty=ProximalL1(2.0),
        validation_data=digits[2:4],
    )  # fmt: skip
    for given in ({"learning_rate": rate}, {"optimizer": SGD(rate)}):
        [step] = path(digits, [2.0], **given)
        np.testing.assert_array_equal(step.network.weights[1], other.weights[1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lambdas": []}, ValueError, "lambdas must hold at least one strength"),
        ({"lambdas": [1, -1]}, ValueError, "each of lambdas must be finite and at least 0"),
        ({"lambdas": [np.nan]}, ValueError, "each of lambdas"),
        ({"lambdas": 1.0}, TypeError, "lambdas must be a list of strengths"),
        ({"lambdas": ["1"]}, TypeError, "each of lambdas must be a number"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"penalty": lambda lmbda: lmbda}, TypeError, "penalty must be"),
        ({"validation_data": (np.zeros((3, 63)), [0, 1, 2])}, ValueError, "64 columns"),
        ({"validation_data": (np.zeros((3, 64)), [0, 1])}, ValueError, "y must have 3 rows"),
        (
            {
                "penalty": lambda lmbda: TruncatedGradient(lmbda) if lmbda > 1 else L1(lmbda),
                "optimizer": Adam(),
            },
            ValueError,
            "cannot be had with Adam",
        ),
        ({"optimizer": FTRL()}, ValueError, "cannot be had with FTRL"),
        ({"optimizer": Adam(), "learning_rate": 0.1}, ValueError, "learning_rate"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be"),
        ({"dropout": 1.0}, ValueError, "dropout"),
        ({"penalty": L1(1.0)}, TypeError, "what makes a penalty of a strength"),
        ({"validation_data": None}, TypeError, r"must be a pair \(X, y\) .*, not NoneType"),
        ({"validation_data": (np.zeros((3, 64)),)}, TypeError, r"must be a pair \(X, y\)"),
    ],
)
def test_bad_arguments_leave_the_network_untouched(change, error, message, digits) -> None:
    network = new()
    with pytest.raises(error, match=message):
        path(digits, network=network, **change)
    np.testing.assert_array_equal(network.weights[0], new().weights[0])


# ---------------------------------------------------------------------------------- which to choose


def step(accuracy: float, weights_left: int) -> PathStep:
    network = Network([10, 10], seed=1)
    network.weights[0].flat[weights_left:] = 0
    error = math.sqrt(accuracy * (1 - accuracy) / 400)
    return PathStep(1.0, 0.1, 0.1, accuracy, error, network.sparsity(), [10, 10], 0.1, network)


def test_the_sparsest_is_within_one_standard_error_of_the_best() -> None:
    steps = [step(0.88, 90), step(0.90, 80), step(0.8851, 40), step(0.8849, 20), step(0.5, 1)]
    assert steps[1].standard_error == pytest.approx(0.015)
    assert sparsest(steps) is steps[2]
    assert sparsest(steps[:2]) is steps[1]
    assert sparsest(steps[3:]) is steps[3]


def test_of_two_as_sparse_the_more_accurate() -> None:
    steps = [step(0.89, 40), step(0.90, 40), step(0.895, 40)]
    assert sparsest(steps) is steps[1]


def test_a_perfect_step_has_no_error() -> None:
    steps = [step(1.0, 50), step(0.999, 10)]
    assert sparsest(steps) is steps[0]


def test_no_step() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        sparsest([])


def test_geometric() -> None:
    assert geometric(0.1, 10, 3) == pytest.approx([0.1, 1, 10])
    assert geometric(8, 1, 4) == pytest.approx([8, 4, 2, 1])
    assert geometric(2, 5, 1) == [2.0]
    assert all(type(lmbda) is float for lmbda in geometric(1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((0, 1, 3), ValueError), ((1, 0, 3), ValueError), ((-1, 1, 3), ValueError),
     ((1, np.inf, 3), ValueError), ((1, 2, 0), ValueError), ((1, 2, 1.5), ValueError),
     (("1", 2, 3), TypeError)],
)  # fmt: skip
def test_bad_geometric(arguments, error) -> None:
    with pytest.raises(error, match="must be"):
        geometric(*arguments)
