"""Schedules: rates computed by hand, their effect on a fit, and rate changes in the engine."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import fastnn
from fastnn import L1, L2, Network, RegularizationWarning, schedules
from fastnn.schedules import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    HalveOnPlateau,
    InverseScaling,
    LinearWarmup,
    Schedule,
    StepDecay,
)

RNG = np.random.default_rng(5)
X, Y = RNG.integers(0, 256, (45, 12), dtype=np.uint8), RNG.integers(0, 4, 45)

every_schedule = pytest.mark.parametrize("schedule", schedules.ALL, ids=lambda s: s.name)


def new(**keywords) -> Network:
    return Network([12, 7, 4], **{"dtype": "float64", "seed": 1, **keywords})


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ConstantRate(0.5), [0.5] * 6),
        (StepDecay(0.8, every=2, factor=0.5), [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]),
        (ExponentialDecay(1.0, factor=0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (CosineDecay(2.0), [1 + math.cos(math.pi * t / 6) for t in range(6)]),
        (CosineDecay(2.0, period=2), [2, 1, 2, 1, 2, 1]),
        (InverseScaling(1.0, power=1), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        (LinearWarmup(0.8, epochs=3), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]),
        (LinearWarmup(StepDecay(0.8, 1, 0.5), epochs=1), [0.4, 0.8, 0.4, 0.2, 0.1, 0.05]),
        (LinearWarmup(CosineDecay(2.0), 2), [2 / 3, 4 / 3, 2, 1 + math.sqrt(0.5), 1,
                                              1 - math.sqrt(0.5)]),
    ],
    ids=repr,
)  # fmt: skip
def test_rates(schedule: Schedule, expected: list[float]) -> None:
    assert [schedule.rate(t, 6, []) for t in range(6)] == pytest.approx(expected)
    history = new().fit(X, Y, epochs=6, learning_rate=schedule)
    assert history.learning_rate == pytest.approx(expected)


def test_halving_counts_epochs_without_a_better_score() -> None:
    schedule = HalveOnPlateau(1.0, patience=2, stop_at=1 / 4)
    scores = [0.5, 0.6, 0.6, 0.5, 0.7, 0.7, 0.7, 0.7]
    rates = [schedule.rate(t, 99, scores[:t]) for t in range(len(scores))]
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, None]
    assert HalveOnPlateau(1.0, 1, stop_at=0).rate(9, 10, [0.1] * 9) == 2.0**-8


def test_a_plateau_ends_the_fit_at_a_128th() -> None:
    network = new()
    network.weights[0][:] = network.weights[1][:] = 0
    history = network.fit(
        X, Y * 0, epochs=99, learning_rate=HalveOnPlateau(0.5, patience=1), validation_data=(X, Y)
    )  # class 0 is always predicted after the first epoch: the score is constant
    assert len(set(history.val_score)) == 1
    assert history.learning_rate == [0.5, *(0.5 / 2**k for k in range(7))]


@every_schedule
def test_a_schedule_is_bounded_by_its_largest_and_serves_several_fits(schedule) -> None:
    one = schedule(0.5)
    assert one.largest == 0.5
    scores = [0.3] * 20
    rates = [one.rate(t, 20, scores[:t]) for t in range(20)]
    assert all(0 < rate <= 0.5 for rate in rates if rate is not None)
    histories = [
        new().fit(X, Y, epochs=4, learning_rate=one, validation_data=(X, Y)) for _ in range(2)
    ]
    assert histories[0].train_cost == histories[1].train_cost


@every_schedule
@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_rate_out_of_range(schedule, rate: float) -> None:
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        schedule(rate)


@every_schedule
def test_a_rate_that_is_no_number(schedule) -> None:
    with pytest.raises(TypeError, match="must be a number"):
        schedule("0.5")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StepDecay(0.5, every=0),
        lambda: StepDecay(0.5, factor=1.5),
        lambda: StepDecay(0.5, factor=0),
        lambda: ExponentialDecay(0.5, factor=0.0),
        lambda: ExponentialDecay(0.5, factor=-1),
        lambda: CosineDecay(0.5, period=0),
        lambda: InverseScaling(0.5, power=-1),
        lambda: HalveOnPlateau(0.5, patience=0),
        lambda: HalveOnPlateau(0.5, stop_at=2),
        lambda: LinearWarmup(0.5, epochs=0),
    ],
)
def test_parameters_out_of_range(make) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize("penalty", [None, L1(0.5), L2(4.0)], ids=str)
def test_an_epoch_with_its_rate_is_a_fit_with_that_rate(penalty) -> None:
    """Each penalty step, too, has the rate of its own epoch."""
    sparse = X * (RNG.random((45, 12)) < 0.2)
    wide = np.hstack([sparse] * 6)  # enough columns for kernels to list the used ones
    ours, theirs = (Network([72, 7, 4], dtype="float64", seed=1) for _ in range(2))
    ours.fit(
        wide, Y, epochs=3, learning_rate=ExponentialDecay(0.5, 0.3), penalty=penalty, shuffle=False
    )
    for rate in (0.5, 0.5 * 0.3, 0.5 * 0.3**2):
        theirs.fit(wide, Y, epochs=1, learning_rate=rate, penalty=penalty, shuffle=False)
    for one, other in zip(ours.weights + ours.biases, theirs.weights + theirs.biases, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)


def test_the_strength_of_a_penalty_is_judged_by_the_largest_rate() -> None:
    with pytest.warns(RegularizationWarning):
        new().fit(X, Y, epochs=0, learning_rate=LinearWarmup(0.5), penalty=L1(20.0))


def test_a_plateau_needs_validation_rows() -> None:
    for schedule in (HalveOnPlateau(0.5), LinearWarmup(HalveOnPlateau(0.5))):
        with pytest.raises(ValueError, match="watches validation rows: give validation_data"):
            new().fit(X, Y, epochs=1, learning_rate=schedule)


@dataclasses.dataclass(frozen=True)
class Own(Schedule):
    value: float

    @property
    def largest(self) -> float:
        return 0.5

    def rate(self, epoch, epochs, scores):
        return self.value if epoch else 0.25


@pytest.mark.parametrize("value", [-0.1, 0.6, float("nan")])
def test_a_schedule_of_ones_own_with_a_wrong_rate(value: float) -> None:
    network, expected = new(), new()
    with pytest.raises(ValueError, match="gives epoch 1 the learning rate"):
        network.fit(X, Y, epochs=3, learning_rate=Own(value))
    expected.fit(X, Y, epochs=1, learning_rate=0.25)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


@pytest.mark.parametrize(
    "schedule",
    [Own(0.0), ExponentialDecay(0.25, factor=1e-323), InverseScaling(0.25, power=2000),
     StepDecay(0.25, every=1, factor=1e-323)],
    ids=repr,
)  # fmt: skip
def test_a_rate_that_has_come_down_to_0_ends_the_fit(schedule) -> None:
    network, expected = new(), new()
    history = network.fit(X, Y, epochs=3, learning_rate=schedule)
    assert history.learning_rate == [0.25]
    expected.fit(X, Y, epochs=1, learning_rate=0.25)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


def test_a_constant_rate_of_0_trains_nothing() -> None:
    network = new()
    assert network.fit(X, Y, epochs=2, learning_rate=0).learning_rate == [0, 0]
    np.testing.assert_array_equal(network.weights[0], new().weights[0])


@pytest.mark.parametrize("optimizer", [None, fastnn.Adam], ids=str)
@pytest.mark.parametrize("missing", ["largest", "rate"])
def test_a_schedule_of_ones_own_that_lacks_something(missing: str, optimizer) -> None:
    parts = {"largest": 0.5, "rate": lambda self, epoch, epochs, scores: 0.5}
    del parts[missing]
    lacking, network = type("Lacking", (Schedule,), parts)(), new()
    given = {"learning_rate": lacking} if optimizer is None else {"optimizer": optimizer(lacking)}
    with pytest.raises(NotImplementedError, match=f"Lacking needs `{missing}"):
        network.fit(X, Y, epochs=1, **given)
    np.testing.assert_array_equal(network.weights[0], new().weights[0])


@pytest.mark.parametrize("kind", [int, np.float32])
def test_any_number_is_a_bound(kind: type) -> None:
    """A class of one's own may compute it as it likes: the engine takes a float."""
    networks = new(), new()
    for network, largest in zip(networks, (kind(1), 1.0), strict=True):
        parts = {"largest": largest, "rate": lambda self, epoch, epochs, scores: 1.0}
        schedule = type("Constant", (Schedule,), parts)()
        network.fit(X, Y, epochs=2, learning_rate=schedule, penalty=L1(0.1))
    np.testing.assert_array_equal(*(network.weights[0] for network in networks))


@pytest.mark.parametrize(("largest", "error"), [("0.5", TypeError), (math.inf, ValueError)])
def test_a_bound_that_is_none(largest, error) -> None:
    parts = {"largest": largest, "rate": lambda self, epoch, epochs, scores: 0.5}
    schedule, network = type("Boundless", (Schedule,), parts)(), new()
    with pytest.raises(error, match=r"`largest` of Boundless\(\) must be"):
        network.fit(X, Y, epochs=1, learning_rate=schedule)
    np.testing.assert_array_equal(network.weights[0], new().weights[0])
