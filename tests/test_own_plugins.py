"""User-defined penalties, optimizers and formulas: what the contracts allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations
from fastnn.engine import jit
from fastnn.optimizers import FTRL, Momentum, Nesterov, Optimizer
from fastnn.penalties import L1Like, ProximalL1, Shrinking
from fastnn.penalties.base import soft

RNG = np.random.default_rng(9)
X = RNG.random((60, 70)) * (RNG.random((60, 70)) < 0.1)
Y = RNG.integers(0, 3, 60)
FIT: dict[str, Any] = {"epochs": 3, "batch_size": 4, "shuffle": False}

PATHS = pytest.mark.parametrize("path", ["compiled", "numpy"])


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that selects the path that fits take."""

    def choose(path: str) -> None:
        if path == "compiled" and not jit.is_on():
            pytest.skip("there is no compiled path")
        monkeypatch.setattr(jit, "is_on", lambda: path == "compiled")

    return choose


def new(*sizes: int) -> fastnn.Network:
    return fastnn.Network(sizes or (70, 5, 3), dtype="float64", seed=1)


def same(one: fastnn.Network, other: fastnn.Network, atol: float = 1e-12) -> None:
    arrays = one.weights + one.biases, other.weights + other.biases
    for mine, others in zip(*arrays, strict=True):
        np.testing.assert_allclose(mine, others, rtol=0, atol=atol)


class BeforeTheGradient(Shrinking):
    name = "log"

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda,)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any) -> Any:
        return w - kappa * w / (1 + w * w)

    def value(self, w: np.ndarray) -> float:
        return 0.5 * self.lmbda * float(np.log1p(w * w).sum())

    def strengths(self, step: float) -> tuple[float, float]:
        return 0.0, step * self.lmbda


@pytest.mark.parametrize("optimizer", [Momentum(0.05), Nesterov(0.05), fastnn.Adam()], ids=repr)
def test_a_rule_before_the_gradient_needs_a_slope(optimizer: Optimizer) -> None:
    """Otherwise an optimizer, whose steps use the gradient alone, would ignore the penalty."""
    network = new()
    with pytest.raises(ValueError, match=r"cannot be had with .*"):
        network.fit(X, Y, penalty=BeforeTheGradient(1.0), optimizer=optimizer, **FIT)
    same(network, new())


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("name", [None, ""])
def test_an_optimizer_without_a_name_is_refused(name: str | None) -> None:
    nameless, network = type("Nameless", (Momentum,), {"name": name})(0.05), new()
    with pytest.raises(TypeError, match="Nameless needs a name, such as name = 'signum', not"):
        network.fit(X, Y, optimizer=nameless, **FIT)
    same(network, new())


class Sleeping(BeforeTheGradient):
    """It does nothing in any step."""

    skips = True

    def step_coefficients(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.ones_like(count),)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, sleeps: Any) -> Any:
        return w - kappa * w

    @staticmethod
    def slope(xp: Any, w: Any, kappa: Any, sleeps: Any) -> Any:
        return kappa * w


@PATHS
@pytest.mark.parametrize("optimizer", [None, fastnn.Adam(0.05)], ids=repr)
def test_a_step_that_is_skipped_has_no_slope(optimizer: Any, path: str, on: Any) -> None:
    on(path)
    networks = new(), new()
    for network, penalty in zip(networks, (Sleeping(5.0), None), strict=True):
        network.fit(X, Y, penalty=penalty, optimizer=optimizer, **FIT)
    same(*networks)


@PATHS
def test_cumulative_l1_owes_no_less_with_another_momentum(path: str, on: Any) -> None:
    on(path)
    network, penalty = new(), fastnn.L1(3.0, method="cumulative")
    network.fit(X, Y, optimizer=Momentum(0.05, 0.9), penalty=penalty, **FIT)
    before = [w.copy() for w in network.weights]
    assert any((w == 0).any() for w in before)
    given: dict[str, Any] = {"optimizer": Momentum(1e-12, 0.5), "penalty": penalty}
    network.fit(X[:1], Y[:1], epochs=1, warm_start=True, **given)
    for w, old in zip(network.weights, before, strict=True):  # only leftover velocity moves w
        np.testing.assert_allclose(w, old, rtol=0, atol=0.05)
        assert not w[old == 0].any()


@dataclass(frozen=True)
class SparseMaxNorm(ProximalL1):
    """Proximal L1 and a limit on each unit's norm, which must be that of up-to-date weights."""

    name = "sparse_max_norm"
    limit: float = 0.8

    @property
    def grouping(self) -> str:
        return "neurons"

    def coefficients(self, step: float) -> tuple[float, ...]:
        return step * self.lmbda, self.limit

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, limit: Any) -> Any:
        return soft(xp, w, kappa)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, limit: Any) -> Any:
        return soft(xp, w, steps * kappa)

    @staticmethod
    def scale(xp: Any, norm: Any, size: Any, steps: Any, kappa: Any, limit: Any) -> Any:
        return limit / xp.maximum(norm, limit)


def test_a_penalty_with_shrink_and_scale_has_norms_of_weights_up_to_date(on: Any) -> None:
    networks = [new(), new()]
    for network, path in zip(networks, ("compiled", "numpy"), strict=True):
        on(path)
        network.fit(X, Y, penalty=SparseMaxNorm(0.1), **FIT | {"batch_size": 1})
    same(*networks)


class Scaled(ProximalL1):
    """Proximal L1 times `factor`, which is not a field: instances with equal lmbda are equal."""

    name = "scaled"

    def __init__(self, lmbda: float, factor: float) -> None:
        super().__init__(lmbda)
        object.__setattr__(self, "factor", factor)

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (step * self.lmbda * self.factor,)  # type: ignore[attr-defined]


@PATHS
def test_layers_have_each_their_penalty_though_these_are_equal(path: str, on: Any) -> None:
    on(path)
    own, told = new(), new()
    own.fit(X, Y, penalty=[Scaled(0.05, 1.0), Scaled(0.05, 5.0)], **FIT)
    told.fit(X, Y, penalty=[ProximalL1(0.05), ProximalL1(0.25)], **FIT)
    same(own, told)


@dataclass(frozen=True)
class Accumulating(Optimizer):
    """Adagrad with a sum that starts above 0, so that its root needs no epsilon."""

    name = "accumulating"
    memories = 1
    learning_rate: Any = 0.1

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        return [np.full_like(w, 0.1)]

    @staticmethod
    def step(xp: Any, w: Any, g: Any, s: Any, rate: Any) -> tuple[Any, ...]:
        s = s + g * g
        return w - rate * g / xp.sqrt(s), s


def test_an_optimizers_memories_begin_in_the_padding_too(on: Any) -> None:
    networks = [new(), new()]
    for network, path in zip(networks, ("compiled", "numpy"), strict=True):
        on(path)
        network.fit(X, Y, optimizer=Accumulating(), **FIT)
    same(*networks)


class InFloat64(Accumulating):
    name = "in_float64"

    def start(self, w: np.ndarray) -> Sequence[np.ndarray]:
        return [np.full(w.shape, 0.1)]


@PATHS
def test_an_optimizers_memories_have_the_networks_dtype(path: str, on: Any) -> None:
    on(path)
    twice, once = (fastnn.Network([70, 37, 3], seed=1) for _ in range(2))
    once.fit(X, Y, optimizer=InFloat64(), **FIT | {"epochs": 2})
    for _ in range(2):
        twice.fit(X, Y, optimizer=InFloat64(), warm_start=True, **FIT | {"epochs": 1})
    same(once, twice, atol=0)
    assert once.optimizer_state is not None
    assert {a.dtype for a in once.optimizer_state.memories[0]} == {np.dtype("float32")}


class ByInverse(ProximalL1):
    """Proximal L1, whose missed steps are divided by: there must be at least one."""

    name = "by_inverse"

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any) -> Any:
        return soft(xp, w, (2 - 1 / steps) * steps * kappa - (steps - 1) * kappa)


def test_no_column_catches_up_with_no_step(on: Any) -> None:
    networks = [new(), new()]
    for network, path in zip(networks, ("compiled", "numpy"), strict=True):
        on(path)
        network.fit(X, Y, penalty=ByInverse(0.1), **FIT)
    same(*networks)


@PATHS
def test_ftrl_goes_on_from_the_weights_as_they_are(path: str, on: Any) -> None:
    on(path)
    network = new()
    network.fit(X, Y, optimizer=FTRL(alpha=0.1), **FIT)
    network.prune(0.2)
    pruned = [w.copy() for w in network.weights]
    step: dict[str, Any] = {"epochs": 1, "warm_start": True}
    network.fit(np.zeros((1, 70)), Y[:1], optimizer=FTRL(alpha=0.1), **step)
    np.testing.assert_allclose(network.weights[0], pruned[0], rtol=0, atol=1e-12)
    network.fit(np.zeros((1, 70)), Y[:1], optimizer=FTRL(alpha=0.01), **step)
    np.testing.assert_allclose(network.weights[0], pruned[0], rtol=0, atol=1e-12)


@dataclass(frozen=True)
class Odd(L1Like):
    """Proximal L1, twice as strong and in odd steps only."""

    name = "odd"
    after_gradient = True

    def coefficients(self, step: float) -> tuple[float, ...]:
        return (2 * step * self.lmbda,)

    def step_coefficients(self, count: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, ...]:
        return (count % 2,)

    @staticmethod
    def shrink(xp: Any, w: Any, kappa: Any, odd: Any) -> Any:
        return soft(xp, w, kappa * odd)

    @staticmethod
    def caught_up(xp: Any, w: Any, steps: Any, kappa: Any, odd: Any) -> Any:
        return soft(xp, w, xp.floor((steps + odd) * 0.5) * kappa)


@PATHS
def test_numbers_that_move_reach_columns_that_no_row_uses(path: str, on: Any) -> None:
    from scipy import sparse

    on(path)
    used = X.copy()
    used[:, 20:] = 0
    dense, rows = new(), new()
    dense.fit(used, Y, penalty=Odd(0.1), **FIT)
    rows.fit(sparse.csr_array(used), Y, penalty=Odd(0.1), **FIT)
    same(dense, rows)


class Mixed(activations.Activation):
    name = "mixed"

    @staticmethod
    def value(xp: Any, z: Any) -> Any:
        size = xp.copysign(z, 1.0) + xp.copysign(z, -2.0)
        size = xp.sqrt(0.25) * xp.exp(xp.log(2.0)) * size  # times 1
        return size + xp.maximum(0.0, z) + 0.25 * xp.minimum(0.5, xp.logaddexp(0.0, z))


def test_a_formula_may_have_numbers_first() -> None:
    from fastnn.exchange.onnx_files import Graph, Space, Value

    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    graph = Graph(onnx, "float64")
    value = Mixed.value(Space(), Value(graph, "X"))
    graph.node("Identity", value.name, output="outputs")
    session = runtime.InferenceSession(graph.model(("float64", 5), 5).SerializeToString())
    z = np.linspace(-2, 2, 20).reshape(4, 5)
    [found] = session.run(None, {"X": z})
    np.testing.assert_allclose(found, Mixed.value(np, z), rtol=1e-12)
