"""User-defined activations, costs and initializers that are known by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, costs, initializers
from fastnn.engine import jit

RNG = np.random.default_rng(2)
X, Y = RNG.random((40, 5)), RNG.random(40)


pytestmark = pytest.mark.usefixtures("registered_for_one_test")


def cube() -> type[activations.Activation]:
    class Cube(activations.Activation):
        name = "cube"

        @staticmethod
        def value(xp: Any, z: Any) -> Any:
            return z * z * z

        @staticmethod
        def derivative(xp: Any, z: Any, a: Any) -> Any:
            return 3 * z * z

    return Cube


class Halves(costs.Quadratic):
    name = "halves"
    outputs = ("identity",)
    regression = True


class Tenths(initializers.Initializer):
    name = "tenths"

    def weights(self, rng: np.random.Generator, inputs: int, units: int) -> np.ndarray:
        return initializers.Glorot().weights(rng, inputs, units) / 10


@pytest.mark.parametrize("path", ["compiled", "numpy"])
def test_a_network_has_them_by_name(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "compiled" and not jit.is_on():
        pytest.skip("there is no compiled path")
    monkeypatch.setattr(jit, "is_on", lambda: path == "compiled")
    fastnn.register(cube())
    assert fastnn.register(Halves) is Halves
    net = fastnn.Network([5, 4, 1], activation=["cube", "identity"], cost="halves", seed=1)
    net.fit(X, Y, epochs=60, learning_rate=0.1)
    assert net.score(X, Y) > 0.0  # better than the mean
    net.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "model").predict(X), net.predict(X))


@pytest.mark.usefixtures("numpy_path")
def test_a_file_that_names_a_class_which_is_not_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(activations, "ALL", activations.ALL)
        fastnn.register(cube())
        fastnn.Network([5, 4, 1], activation=["cube", "sigmoid"]).save(tmp_path / "model")
    with pytest.raises(
        fastnn.FileFormatError, match=r"not 'cube'.*; fastnn.register makes the name of a class"
    ):
        fastnn.load(tmp_path / "model")


def test_an_initializer() -> None:
    fastnn.register(Tenths)
    wide, narrow = (
        fastnn.Network([5, 4, 1], initializer=name, seed=1) for name in ("glorot", "tenths")
    )
    np.testing.assert_allclose(narrow.weights[0], wide.weights[0] / 10, rtol=1e-6)


def test_a_class_of_the_same_origin_takes_the_others_place() -> None:
    """As in a notebook whose cell is run again."""
    first, second = fastnn.register(cube()), fastnn.register(cube())
    assert first not in activations.ALL
    assert activations.ALL[-1] is second


def test_classes_that_one_function_makes_are_several() -> None:
    def power(exponent: int) -> type[activations.Activation]:
        class Power(cube()):  # type: ignore[misc]
            name = f"power{exponent}"

        return Power

    kinds = [fastnn.register(power(exponent)) for exponent in (2, 4)]
    assert list(activations.ALL[-2:]) == kinds


@pytest.mark.parametrize(
    ("bounds", "y", "message"),
    [
        ({"most": 1.0}, [0.5, 5.0], r"must be at most 1 for the cost 'bounded'; row 1 has 5$"),
        ({"least": -1.0, "most": 1.0}, [-2.0, 0.5], r"must be from -1 to 1 for .*; row 0 has -2$"),
        (
            {"sums_to_1": True},
            [1.0, 0.5],
            r"those of row 1 sum to 0\.5\. Divide each row by its sum$",
        ),
    ],
)
def test_targets_for_a_cost_of_ones_own(bounds: Any, y: list[float], message: str) -> None:
    fastnn.register(type("Bounded", (Halves,), {"name": "bounded", **bounds}))
    net = fastnn.Network([5, 1], activation="identity", cost="bounded")
    before = net.weights[0].copy()
    for ask in (partial(net.fit, epochs=1), net.score, net.total_cost):
        with pytest.raises(ValueError, match=message):
            ask(X[:2], y)
    np.testing.assert_array_equal(net.weights[0], before)


@pytest.mark.usefixtures("numpy_path")
def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    def fit(factor: float, epochs: int) -> None:
        class Scaled(cube()):  # type: ignore[misc]
            name = "scaled"

            @staticmethod
            def value(xp: Any, z: Any, by: float = factor) -> Any:
                return by * z * z * z

        fastnn.register(Scaled)
        net = fastnn.Network([5, 4, 1], activation=["scaled", "sigmoid"], seed=1)
        net.fit(X, Y.round(), epochs=epochs, checkpoint=tmp_path / "run", resume=True)

    fit(1.0, 1)
    fit(1.0, 2)
    with pytest.raises(ValueError, match="of another fit: its activations is"):
        fit(3.0, 3)


def test_what_cannot_be_registered() -> None:
    class Taken(activations.Activation):
        name = "tanh"

    class Nameless(costs.Cost):
        pass

    class OneOutput(costs.Cost):
        name, outputs = "own", "identity"

    for kind, error, message in (
        (Taken, ValueError, "the name 'tanh' is taken"),
        (Nameless, TypeError, "needs a name"),
        (OneOutput, TypeError, r"needs outputs, a tuple of the names .*, not 'identity'"),
        (fastnn.L1, TypeError, "register takes a subclass of"),
        (cube()(), TypeError, "register takes a subclass of"),
    ):
        with pytest.raises(error, match=message):
            fastnn.register(kind)
