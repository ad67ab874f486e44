"""Optimizers: compared with their written-out formulas and with PyTorch; their penalties.

Every optimizer in the tuple ALL needs an entry in WRITTEN: the algorithm as its paper states it,
which uses nothing from fastnn but the optimizer's settings. It also needs a case in CASES.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import fastnn
from fastnn import L1, L2, ElasticNet, MaxNorm, Network, optimizers, penalties
from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import jit
from fastnn.engine.training import Training

N, COLUMNS, HIDDEN, OUTPUTS = 45, 70, 11, 4
FEW = 30  # columns: too few for column lists, so the kernel compiles sooner
RNG = np.random.default_rng(8)
X = RNG.integers(0, 256, (N, COLUMNS), dtype=np.uint8) * (RNG.random((N, COLUMNS)) < 0.4)
X = X.astype(np.uint8)
Y = RNG.integers(0, OUTPUTS, N)

every_optimizer = pytest.mark.parametrize("optimizer", optimizers.ALL, ids=lambda c: c.name)


# What step t, counted from 1, subtracts from w; `kept` holds what stays from step to step.
def momentum(o, w, g, t, kept):
    kept["v"] = o.momentum * kept.get("v", 0) - o.learning_rate * g
    return -kept["v"]


def nesterov(o, w, g, t, kept):
    kept["v"] = o.momentum * kept.get("v", 0) - o.learning_rate * g
    return o.learning_rate * g - o.momentum * kept["v"]


def rmsprop(o, w, g, t, kept):
    kept["s"] = o.decay * kept.get("s", 0) + (1 - o.decay) * g**2
    kept["pace"] = 1 / (np.sqrt(kept["s"]) + o.epsilon)
    return o.learning_rate * g * kept["pace"]


def adagrad(o, w, g, t, kept):
    kept["s"] = kept.get("s", 0) + g**2
    kept["pace"] = 1 / (np.sqrt(kept["s"]) + o.epsilon)
    return o.learning_rate * g * kept["pace"]


def adam(o, w, g, t, kept):
    kept["m"] = o.beta1 * kept.get("m", 0) + (1 - o.beta1) * g
    kept["s"] = o.beta2 * kept.get("s", 0) + (1 - o.beta2) * g**2
    m, s = kept["m"] / (1 - o.beta1**t), kept["s"] / (1 - o.beta2**t)
    kept["pace"] = 1 / (np.sqrt(s) + o.epsilon)
    return o.learning_rate * m * kept["pace"]


def adamw(o, w, g, t, kept):
    decay = o.learning_rate * o.weight_decay * w if w.ndim == 2 else 0
    return adam(o, w, g, t, kept) + decay


def ftrl(o, w, g, t, kept):
    l1, l2 = (o.l1, o.l2) if w.ndim == 2 else (0, 0)
    if t == 1:
        kept["n"], kept["z"] = 0, -w * (o.beta / o.alpha + l2) - l1 * np.sign(w)
    n = kept["n"] + g**2
    kept["z"] = kept["z"] + g - (np.sqrt(n) - np.sqrt(kept["n"])) / o.alpha * w
    kept["n"], z = n, kept["z"]
    new = -(z - np.sign(z) * l1) / ((o.beta + np.sqrt(n)) / o.alpha + l2)
    return w - np.where(np.abs(z) <= l1, 0, new)


WRITTEN = {
    "sgd": lambda o, w, g, t, kept: o.learning_rate * g,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": adamw,
    "ftrl": ftrl,
}


def slope(penalty, w: np.ndarray) -> np.ndarray:
    """Return the derivative of the penalty, times n."""
    if isinstance(penalty, L2):
        return penalty.lmbda * w
    if isinstance(penalty, L1) and penalty.method == "book":
        return penalty.lmbda * np.sign(w)
    if isinstance(penalty, ElasticNet):
        ratio = penalty.l1_ratio
        return penalty.lmbda * (ratio * np.sign(w) + (1 - ratio) * w)
    return np.zeros_like(w)


def followed(penalty, w: np.ndarray, optimizer, kept, t: int, n: int) -> np.ndarray:
    """Return `w` as a penalty that follows the step leaves it."""
    gain = 1 / (1 - getattr(optimizer, "momentum", 0.0))
    if isinstance(penalty, L1) and penalty.method == "proximal":
        most = optimizer.learning_rate * penalty.lmbda / n * kept.get("pace", gain)
        return np.sign(w) * np.maximum(0, np.abs(w) - most)
    if isinstance(penalty, L1) and penalty.method == "cumulative":
        u, q = t * optimizer.learning_rate * penalty.lmbda / n * gain, kept.get("q", 0.0)
        moved = np.where(w > 0, np.maximum(0, w - (u + q)), np.minimum(0, w + (u - q)))
        kept["q"] = q + moved - w
        return moved
    if isinstance(penalty, MaxNorm):
        norm = np.sqrt((w**2).sum(axis=1, keepdims=True))
        return w * np.minimum(1, penalty.limit / norm)
    return w


def by_hand(network: Network, X, optimizer, penalty, batch_size: int, epochs: int):
    """Return the arrays of sigmoid layers trained with cross-entropy on the rows in order."""
    arrays = [a.copy() for a in network.weights + network.biases]
    kept: list[dict] = [{} for _ in arrays]
    rule, layers = WRITTEN[optimizer.name], len(network.weights)
    for t, start in enumerate([*range(0, N, batch_size)] * epochs, 1):
        batch = slice(start, start + batch_size)
        outputs = [X[batch] / 256]
        for w, b in zip(arrays[:layers], arrays[layers:], strict=True):
            outputs.append(1 / (1 + np.exp(-(outputs[-1] @ w.T + b))))
        delta = (outputs[-1] - np.eye(OUTPUTS)[Y[batch]]) / len(outputs[0])
        gradients: dict[int, np.ndarray] = {}
        for layer in range(layers - 1, -1, -1):
            a = outputs[layer]
            gradients[layer] = delta.T @ a + slope(penalty, arrays[layer]) / N
            gradients[layers + layer] = delta.sum(axis=0)
            delta = (delta @ arrays[layer]) * a * (1 - a)
        for place, g in gradients.items():
            w = arrays[place]
            w = w - rule(optimizer, w, g, t, kept[place])
            if place < layers:
                w = followed(penalty, w, optimizer, kept[place], t, N)
            arrays[place] = w
    return arrays


def new(dtype: str = "float64", columns: int = COLUMNS, hidden: int = HIDDEN) -> Network:
    return Network([columns, hidden, OUTPUTS], dtype=dtype, seed=1)


def close(came, wanted, share: float) -> None:
    for one, other in zip(came, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=share * np.abs(other).max())


# No penalty, one in the gradient, one after the step, one of groups: their kernels differ.
CASES = [
    (fastnn.SGD(0.3), None),
    (fastnn.Momentum(0.1), None),
    (fastnn.Momentum(0.1, 0.5), L1(2.0, method="cumulative")),
    (fastnn.Nesterov(0.1), ElasticNet(2.0, 0.3)),
    (fastnn.RMSprop(0.01), MaxNorm(0.7)),
    (fastnn.Adagrad(0.05), L1(2.0, method="proximal")),
    (fastnn.Adam(0.01), L1(2.0)),
    (fastnn.Adam(0.01), L2(2.0)),
    (fastnn.AdamW(0.01, weight_decay=0.1), L1(0.2, method="proximal")),
    (fastnn.FTRL(0.2, 0.5, l1=0.05, l2=0.1), None),
]


def test_every_optimizer_is_written_out_and_trained_with() -> None:
    names = {optimizer.name for optimizer in optimizers.ALL}
    assert WRITTEN.keys() == {optimizer.name for optimizer, _ in CASES} == names


@pytest.mark.parametrize(("optimizer", "penalty"), CASES, ids=str)
def test_fit(optimizer, penalty) -> None:
    """There are too few columns for column lists; `test_compiled_is_numpy` has more."""
    few = X[:, :FEW].copy()
    for batch_size in (1, 10, N):
        network = new(columns=FEW)
        before = network.weights[0].copy()
        wanted = by_hand(network, few, optimizer, penalty, batch_size, epochs=3)
        network.fit(
            few, Y, epochs=3, batch_size=batch_size, optimizer=optimizer, penalty=penalty,
            shuffle=False,
        )  # fmt: skip
        close(network.weights + network.biases, wanted, 1e-10)
        assert not np.allclose(network.weights[0], before, rtol=0, atol=1e-3)
        if penalty is not None and penalty.simplified().leaves_zeros and penalty.lmbda == 2:
            assert network.sparsity()[0] > 0


def trained(
    optimizer, penalty, dtype: str = "float64", batch_size: int = 10, columns: int = FEW,
    hidden: int = HIDDEN, **keywords,
):  # fmt: skip
    """Return the arrays and the state after two epochs of one `Training`, and both costs."""
    network, order = new(dtype, columns, hidden), np.random.default_rng(3).permutation(N)
    inputs = Inputs(X[:, :columns].copy(), 1 / 256)
    training = Training(
        network.weights, network.biases, activations=[Sigmoid()] * 2, cost=CrossEntropy(),
        penalties=penalties.per_layer(penalty, 2), inputs=inputs, targets=Y,
        batch_size=batch_size, learning_rate=optimizer.learning_rate, optimizer=optimizer,
        **keywords,
    )  # fmt: skip
    costs = [training.epoch(order) for _ in range(2)]
    return network.weights + network.biases, training.state(), costs


@pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")
@pytest.mark.parametrize(
    ("dtype", "batch_size", "hidden"),
    [("float32", 10, HIDDEN), ("float64", 1, HIDDEN), ("float64", 10, 5 * HIDDEN)],
)
def test_compiled_is_numpy(
    dtype: str, batch_size: int, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam, with one penalty in the gradient, biases included, and one after the step.

    The widest layer has several panels, of which threads share the last one.
    """
    optimizer, penalty = fastnn.Adam(0.01), [L2(2.0, biases=True), L1(0.3, method="proximal")]
    given = optimizer, penalty, dtype, batch_size, COLUMNS, hidden
    one, state, costs = trained(*given, threads=1)
    two, *_ = trained(*given, threads=2)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    monkeypatch.setattr(jit, "is_on", lambda: False)
    plain, state_of_numpy, costs_of_numpy = trained(*given)
    share = 1e-11 if dtype == "float64" else 2e-4
    close(one, plain, share)
    for ours, theirs in zip(state.memories, state_of_numpy.memories, strict=True):
        close(ours, theirs, share)
    assert costs == pytest.approx(costs_of_numpy, rel=share)
    assert state.steps == state_of_numpy.steps == 2 * -(-N // batch_size)


@pytest.mark.parametrize(
    ("optimizer", "penalty"),
    [
        (fastnn.Adam(0.01), L2(2.0)),
        (fastnn.Momentum(0.1), L1(2.0, method="cumulative")),
        (fastnn.SGD(0.1), L1(2.0, method="cumulative")),
    ],
    ids=str,
)
@pytest.mark.parametrize("compiled", [True, False])
def test_training_goes_on_from_a_state(
    optimizer, penalty, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled and not jit.is_on():
        pytest.skip("of the compiled path")
    monkeypatch.setattr(jit, "is_on", lambda: compiled)
    wanted, *_ = trained(optimizer, penalty)
    network, order = new(columns=FEW), np.random.default_rng(3).permutation(N)
    state, inputs = None, Inputs(X[:, :FEW].copy(), 1 / 256)
    for _ in range(2):
        training = Training(
            network.weights, network.biases, activations=[Sigmoid()] * 2, cost=CrossEntropy(),
            penalties=penalties.per_layer(penalty, 2), inputs=inputs, targets=Y,
            batch_size=10, learning_rate=optimizer.learning_rate, optimizer=optimizer, state=state,
        )  # fmt: skip
        training.epoch(order)
        state = training.state()
    for one, other in zip(network.weights + network.biases, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.Adam(0.01)], ids=str)
def test_lmbda_by_the_rows_of_the_batch(optimizer) -> None:
    """The last of the batches of 10 has only 5 rows, so lmbda counts twice as much there."""
    came, *_ = trained(optimizer, L2(0.2), n_of_batch=True)
    network, order = new(columns=FEW), np.random.default_rng(3).permutation(N)
    arrays, kept = network.weights + network.biases, [{}, {}, {}, {}]
    for t, start in enumerate([*range(0, N, 10)] * 2, 1):
        rows = order[start : start + 10]
        a0 = X[rows, :FEW] / 256
        a1 = 1 / (1 + np.exp(-(a0 @ arrays[0].T + arrays[2])))
        a2 = 1 / (1 + np.exp(-(a1 @ arrays[1].T + arrays[3])))
        delta = (a2 - np.eye(OUTPUTS)[Y[rows]]) / len(rows)
        back = (delta @ arrays[1]) * a1 * (1 - a1)
        gradients = [
            back.T @ a0 + 0.2 / len(rows) * arrays[0], delta.T @ a1 + 0.2 / len(rows) * arrays[1],
            back.sum(axis=0), delta.sum(axis=0),
        ]  # fmt: skip
        rule = WRITTEN[optimizer.name]
        arrays = [
            w - rule(optimizer, w, g, t, k) for w, g, k in zip(arrays, gradients, kept, strict=True)
        ]
    close(came, arrays, 1e-11)


@every_optimizer
def test_pytorch_makes_the_same_steps(optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the numpy path; `test_fit` compares the compiled path with the formulas."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(jit, "is_on", lambda: False)
    theirs = {
        "sgd": lambda p: torch.optim.SGD(p, 0.3),
        "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.001, alpha=0.9),
        "adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
        "adam": lambda p: torch.optim.Adam(p, 0.001),
        "adamw": lambda p: torch.optim.AdamW(p, 0.001, weight_decay=0.01),
    }
    if optimizer.name not in theirs:
        pytest.skip("PyTorch has no such optimizer")
    network = new()
    tensors = [torch.tensor(a, requires_grad=True) for a in network.weights + network.biases]
    groups = [{"params": tensors[:2]}, {"params": tensors[2:], "weight_decay": 0.0}]
    peer = theirs[optimizer.name](groups)
    x, y = torch.tensor(X / 256), torch.tensor(np.eye(OUTPUTS)[Y])
    for start in [*range(0, N, 10)] * 2:
        peer.zero_grad()
        a = torch.sigmoid(x[start : start + 10] @ tensors[0].T + tensors[2])
        a = torch.sigmoid(a @ tensors[1].T + tensors[3])
        cost = torch.nn.functional.binary_cross_entropy(a, y[start : start + 10], reduction="sum")
        (cost / len(a)).backward()
        peer.step()
    ours = optimizer(0.3) if optimizer.name == "sgd" else optimizer()
    network.fit(X, Y, epochs=2, optimizer=ours, shuffle=False)
    close(network.weights + network.biases, [t.detach().numpy() for t in tensors], 1e-9)


@every_optimizer
def test_the_repr_makes_it_again(optimizer) -> None:
    one = optimizer(0.25)
    assert eval(repr(one), {optimizer.__name__: optimizer}) == one
    assert dataclasses.replace(one) == one


def test_one_number_of_ftrl_is_replaced() -> None:
    assert repr(fastnn.FTRL()) == "FTRL(alpha=0.1, beta=1.0, l1=0.0, l2=0.0)"
    one = dataclasses.replace(fastnn.FTRL(0.2), l1=1.0)
    assert one == fastnn.FTRL(0.2, l1=1.0)
    assert dataclasses.replace(one, alpha=0.5).learning_rate == 0.5


@pytest.mark.usefixtures("numpy_path")
def test_a_schedule_inside() -> None:
    one, other = new(), new()
    schedule = fastnn.ExponentialDecay(0.5, 0.5)
    history = one.fit(X, Y, epochs=3, optimizer=fastnn.SGD(schedule))
    other.fit(X, Y, epochs=3, learning_rate=schedule)
    assert history.learning_rate == [0.5, 0.25, 0.125]
    np.testing.assert_array_equal(one.weights[0], other.weights[0])


def test_the_default_is_plain_descent() -> None:
    one, other = new(), new()
    one.fit(X, Y, epochs=2)
    other.fit(X, Y, epochs=2, optimizer=fastnn.SGD(0.5))
    np.testing.assert_array_equal(one.weights[0], other.weights[0])


@pytest.mark.usefixtures("numpy_path")
def test_a_strong_penalty_is_no_reason_to_warn_where_steps_have_their_own_size() -> None:
    network = new()
    network.fit(X, Y, epochs=1, optimizer=fastnn.Adam(0.01), penalty=L1(5.0 * N))
    with pytest.warns(fastnn.RegularizationWarning, match="L1"):
        network.fit(X, Y, epochs=1, optimizer=fastnn.Momentum(0.1), penalty=L1(5.0 * N))


@every_optimizer
@pytest.mark.parametrize("penalty", penalties.ALL, ids=lambda c: c.name)
def test_a_pair_trains_or_is_refused(optimizer, penalty) -> None:
    """Only pairs without a closed form are refused. Accepted pairs are checked, not trained."""
    per_weight_steps = optimizer.step_size is not None
    wanted = optimizer is fastnn.FTRL or (
        per_weight_steps and penalty.name in ("l1_cumulative", "truncated_gradient")
    )
    network = new()
    before = network.weights[0].copy()
    if wanted:
        with pytest.raises(ValueError, match="cannot be had with"):
            network.fit(X, Y, epochs=1, optimizer=optimizer(), penalty=penalty(0.5))
        np.testing.assert_array_equal(network.weights[0], before)
    else:
        optimizers.check_penalties(optimizer(), [penalty(0.5)])
