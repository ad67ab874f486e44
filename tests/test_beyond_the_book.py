"""Networks that the oracle does not cover, compared with the algorithm written out in numpy.

The formulas are written again here, from their definitions and for whole batches. Apart from the
network under test, fastnn only provides the penalties' names, parameters and layers.
Every new activation, cost or penalty needs an entry in its table here, and a case below it.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy

from fastnn import L1, L2, ElasticNet, Network, activations, costs, penalties

N, SIZES = 45, [12, 7, 4]

# The output a, and the cost's derivative with respect to z from that with respect to a (slope).
ACTIVATIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a, slope: slope * a * (1 - a)),
    "tanh": (np.tanh, lambda z, a, slope: slope * (1 - a**2)),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a, slope: slope * (a > 0)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, z / 100),
        lambda z, a, slope: slope * np.where(z > 0, 1, 1 / 100),
    ),
    "elu": (
        lambda z: np.where(z > 0, z, np.exp(z) - 1),
        lambda z, a, slope: slope * np.where(z > 0, 1, np.exp(z)),
    ),
    "gelu": (
        lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
        lambda z, a, slope: slope * (gelu(z + 1e-5) - gelu(z - 1e-5)) / 2e-5,
    ),
    "softplus": (
        lambda z: np.log(1 + np.exp(z)),
        lambda z, a, slope: slope * np.exp(z) / (1 + np.exp(z)),
    ),
    "identity": (lambda z: z, lambda z, a, slope: slope),
    "exponential": (np.exp, lambda z, a, slope: slope * a),
    "softmax": (
        lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        lambda z, a, slope: a * (slope - (slope * a).sum(axis=1, keepdims=True)),
    ),
}
gelu = ACTIVATIONS["gelu"][0]

# The cost of each output unit, to be summed, and its derivative with respect to the output.
COSTS = {
    "quadratic": (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y),
    "cross_entropy": (
        lambda a, y: -y * np.log(a) - (1 - y) * np.log(1 - a),
        lambda a, y: -y / a + (1 - y) / (1 - a),
    ),
    "log_likelihood": (lambda a, y: -y * np.log(a), lambda a, y: -y / a),
    "mean_squared": (lambda a, y: (a - y) ** 2, lambda a, y: 2 * (a - y)),
    "absolute": (lambda a, y: abs(a - y), lambda a, y: np.sign(a - y)),
    "huber": (
        lambda a, y: np.where(abs(a - y) < 1, (a - y) ** 2 / 2, abs(a - y) - 1 / 2),
        lambda a, y: np.clip(a - y, -1, 1),
    ),
    "poisson": (lambda a, y: xlogy(y, y / a) - y + a, lambda a, y: 1 - y / a),
}


# Each rule returns a layer's weights w, (out, in), after a step. The gradient step subtracts g; eta
# is learning_rate/n, t the step's number, counted from 1; the rule keeps what it needs in `kept`.
def cumulative(p, w, g, eta, t, kept):
    u, q = t * eta * p.lmbda, kept.get("q", 0.0)
    v = w - g
    moved = np.where(v > 0, np.maximum(0, v - (u + q)), np.minimum(0, v + (u - q)))
    kept["q"] = q + moved - v
    return moved


def truncated(p, w, g, eta, t, kept):
    v = w - g
    if t % p.every:
        return v
    small = np.abs(v) <= (np.inf if p.theta is None else p.theta)
    return np.where(small, np.sign(v) * np.maximum(0, abs(v) - p.every * eta * p.lmbda), v)


def group_soft(v, groups, kappa):
    v = v.copy()
    for group in v.T if groups == "inputs" else v:
        norm, least = np.sqrt(np.sum(group**2)), kappa * np.sqrt(len(group))
        group *= 1 - least / norm if norm > least else 0.0
    return v


def sparse_group(p, w, g, eta, t, kept):
    v, kappa = w - g, eta * p.lmbda
    v = np.sign(v) * np.maximum(0, abs(v) - p.l1_ratio * kappa)
    return group_soft(v, p.groups, (1 - p.l1_ratio) * kappa)


def max_norm(p, w, g, eta, t, kept):
    v = w - g
    for unit in v:
        norm = np.sqrt(np.sum(unit**2))
        if norm > p.limit:
            unit *= p.limit / norm
    return v


PENALTIES = {
    "l1": lambda p, w, g, eta, t, kept: w - eta * p.lmbda * np.sign(w) - g,
    "l1_proximal": lambda p, w, g, eta, t, kept: (
        np.sign(w - g) * np.maximum(0, abs(w - g) - eta * p.lmbda)
    ),
    "l1_cumulative": cumulative,
    "truncated_gradient": truncated,
    "l2": lambda p, w, g, eta, t, kept: w - eta * p.lmbda * w - g,
    "elasticnet": lambda p, w, g, eta, t, kept: (
        w - eta * p.lmbda * (p.l1_ratio * np.sign(w) + (1 - p.l1_ratio) * w) - g
    ),
    "group_lasso": lambda p, w, g, eta, t, kept: group_soft(w - g, p.groups, eta * p.lmbda),
    "sparse_group_lasso": sparse_group,
    "max_norm": max_norm,
}


# What is trained, so that every entry above is used: hidden and output activation and cost of
# networks for classes and for real targets, and the penalties of one with sigmoid layers.
OF_CLASSES = [
    ("tanh", "softmax", "log_likelihood"),
    ("tanh", "tanh", "quadratic"),
    ("relu", "relu", "quadratic"),
]
OF_REAL_TARGETS = [
    ("gelu", "identity", "mean_squared"),
    ("elu", "softplus", "absolute"),
    ("leaky_relu", "identity", "huber"),
    ("tanh", "exponential", "poisson"),
]
PENALIZED = ("sigmoid", "sigmoid", "cross_entropy")
RULES = [
    L1(4.0),
    L1(4.0, method="proximal"),
    L1(4.0, method="cumulative"),
    penalties.TruncatedGradient(4.0, every=3, theta=0.4),
    L2(4.0),
    ElasticNet(4.0, 0.3),
    penalties.GroupLasso(2.0),
    penalties.SparseGroupLasso(2.0, "neurons", 0.3),
    penalties.MaxNorm(0.8),
    # A penalty for each layer, penalised biases, and rules with memories or scaling together.
    [L1(4.0, method="cumulative", biases=True), penalties.GroupLasso(1.0, "neurons")],
    [penalties.SparseGroupLasso(2.0), L1(2.0, biases=True)],
    [None, ElasticNet(4.0, 0.3, biases=True)],
    [L1(1.0, method="proximal"), L1(4.0, method="proximal", biases=True)],
]


def new(hidden: str, output: str, cost: str) -> Network:
    return Network(SIZES, activation=[hidden, output], cost=cost, dtype="float64", seed=1)


def layers_of(names, weights, biases, x: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of each layer for the rows `x`, starting with the inputs."""
    layers = [x]
    for name, w, b in zip(names, weights, biases, strict=True):
        layers.append(ACTIVATIONS[name][0](layers[-1] @ w.T + b))
    return layers


def train(network: Network, x, y, *, epochs: int, batch_size: int, learning_rate: float, penalty):
    """Return weights and biases after gradient descent over the rows in their order."""
    weights, biases = [w.copy() for w in network.weights], [b.copy() for b in network.biases]
    names, slope_of = network.activations, COSTS[network.cost][1]
    chosen = penalties.per_layer(penalty, len(weights))
    kept = [({}, {}) for _ in weights]
    for t, start in enumerate([*range(0, len(x), batch_size)] * epochs, 1):
        batch, wanted = x[start : start + batch_size], y[start : start + batch_size]
        layers = layers_of(names, weights, biases, batch)
        slope = slope_of(layers[-1], wanted)
        for layer in range(len(weights) - 1, -1, -1):
            z, a = layers[layer] @ weights[layer].T + biases[layer], layers[layer + 1]
            delta = ACTIVATIONS[names[layer]][1](z, a, slope) / len(batch)
            slope = delta @ weights[layer] * len(batch)
            taken = learning_rate * delta.T @ layers[layer]
            of_biases = learning_rate * delta.sum(axis=0)
            one, eta = chosen[layer], learning_rate / len(x)
            if one is None:
                weights[layer] -= taken
            else:
                rule = PENALTIES[one.simplified().name]
                weights[layer] = rule(one, weights[layer], taken, eta, t, kept[layer][0])
            if one is not None and one.on_biases:
                biases[layer] = rule(one, biases[layer], of_biases, eta, t, kept[layer][1])
            else:
                biases[layer] -= of_biases
    return weights, biases


@pytest.mark.parametrize(
    ("written", "module"),
    [(ACTIVATIONS, activations), (COSTS, costs), (PENALTIES, penalties)],
    ids=["activations", "costs", "penalties"],
)
def test_everything_is_written_out(written, module) -> None:
    assert written.keys() == {plugin.name for plugin in module.ALL}


def test_everything_written_out_is_trained_with() -> None:
    trained = [*OF_CLASSES, *OF_REAL_TARGETS, PENALIZED]
    layers = [one for rule in RULES for one in penalties.per_layer(rule, 2) if one is not None]
    assert {name for *names, _ in trained for name in names} == ACTIVATIONS.keys()
    assert {cost for *_, cost in trained} == COSTS.keys()
    assert {one.simplified().name for one in layers} == PENALTIES.keys()


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(
    ("cost", "output"), [(c.name, output) for c in costs.ALL for output in c.outputs]
)
def test_predictions_and_cost(cost: str, output: str, rows) -> None:
    X, labels = rows
    y = np.eye(4)[labels]
    network = new("tanh", output, cost)
    a = layers_of(network.activations, network.weights, network.biases, X / 256)[-1]
    np.testing.assert_allclose(network.predict_proba(X), a, rtol=1e-12, atol=1e-15)
    expected = COSTS[cost][0](a, y).sum(axis=1).mean()
    if cost in ("mean_squared", "absolute", "huber", "poisson"):
        np.testing.assert_array_equal(network.predict(X), network.predict_proba(X))
    else:
        np.testing.assert_array_equal(network.predict(X), a.argmax(axis=1))
        assert network.accuracy(X, labels) == (a.argmax(axis=1) == labels).mean()
        assert network.total_cost(X, labels) == pytest.approx(expected, rel=1e-12)
    assert network.total_cost(X, y) == pytest.approx(expected, rel=1e-12)


def test_hidden_layers(rows) -> None:
    X, _ = rows
    hidden = [a.name for a in activations.ALL if not a.normalises]
    sizes, names = [12, *range(5, 5 + len(hidden)), 4], [*hidden, "sigmoid"]
    network = Network(sizes, activation=names, cost="quadratic", dtype="float64", seed=1)
    a = layers_of(network.activations, network.weights, network.biases, X / 256)[-1]
    np.testing.assert_allclose(network.predict_proba(X), a, rtol=1e-11)


@pytest.mark.parametrize("batch_size", [1, 10, N])
@pytest.mark.parametrize(("hidden", "output", "cost"), OF_CLASSES)
def test_fit(hidden: str, output: str, cost: str, batch_size: int, rows) -> None:
    assert_trains_as_written(new(hidden, output, cost), rows, None, batch_size)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("batch_size", [1, 10, N])
@pytest.mark.parametrize("penalty", RULES, ids=str)
def test_penalties(penalty, batch_size: int, rows) -> None:
    assert_trains_as_written(new(*PENALIZED), rows, penalty, batch_size)


def assert_trains_as_written(network: Network, rows, penalty, batch_size: int) -> None:
    X, labels = rows
    before = [w.copy() for w in network.weights]
    options = {"batch_size": batch_size, "learning_rate": 0.1, "penalty": penalty, "epochs": 3}
    weights, biases = train(network, X / 256, np.eye(4)[labels], **options)
    network.fit(X, labels, shuffle=False, **options)
    for came, wanted in zip(network.weights + network.biases, weights + biases, strict=True):
        np.testing.assert_allclose(came, wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())
    assert not np.allclose(network.weights[0], before[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 10, N])
@pytest.mark.parametrize(("hidden", "output", "cost"), OF_REAL_TARGETS)
def test_fit_to_real_targets(hidden: str, output: str, cost: str, batch_size: int, rows) -> None:
    X, labels = rows
    network, y = new(hidden, output, cost), np.eye(4)[labels] + X[:, :4] / 100
    weights, biases = train(
        network, X / 256, y, batch_size=batch_size, learning_rate=0.02, penalty=None, epochs=3
    )
    network.fit(X, y, batch_size=batch_size, learning_rate=0.02, epochs=3, shuffle=False)
    for came, wanted in zip(network.weights + network.biases, weights + biases, strict=True):
        np.testing.assert_allclose(came, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
