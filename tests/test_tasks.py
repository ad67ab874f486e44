"""Real targets, and several labels per row: training, predictions and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import Network, activations, costs

RNG = np.random.default_rng(3)
X = RNG.standard_normal((60, 12))
PLANE = X @ RNG.standard_normal((12, 2)) + 0.5
LABELS = (X[:, :3] > 0).astype(int)  # 8 combinations: rows with none, one or several


def values(outputs: int, **keywords) -> Network:
    settings = {"activation": "identity", "cost": "mean_squared", "dtype": "float64", "seed": 1}
    return Network([12, outputs], **(settings | keywords))


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_linear_network_finds_the_plane(outputs: int) -> None:
    y = PLANE[:, 0] if outputs == 1 else PLANE
    network = values(outputs)
    network.fit(X, y, epochs=300, batch_size=10, learning_rate=0.02)
    np.testing.assert_allclose(network.predict(X), y, atol=1e-8)
    assert network.predict(X).shape == y.shape
    assert network.score(X, y) == pytest.approx(1)
    assert network.total_cost(X, y) == pytest.approx(0, abs=1e-15)


@pytest.mark.usefixtures("numpy_path")
def test_whole_numbers_are_values() -> None:
    y = np.arange(60)
    network, same = values(1), values(1)
    network.fit(X, y, epochs=2, batch_size=7, learning_rate=0.01)
    same.fit(X, y.astype(float)[:, None], epochs=2, batch_size=7, learning_rate=0.01)
    np.testing.assert_array_equal(network.weights[0], same.weights[0])
    with pytest.raises(ValueError, match=r"y must hold targets \(60, 2\), not shape \(60,\)"):
        values(2).fit(X, y % 2, epochs=1)


def test_score_is_r2_and_there_is_no_accuracy() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    network, one = values(2), values(1)
    expected = metrics.r2_score(PLANE, network.predict(X))
    assert network.score(X, PLANE) == pytest.approx(expected)
    assert one.score(X, PLANE[:, 0]) == pytest.approx(metrics.r2_score(PLANE[:, 0], one.predict(X)))
    with pytest.raises(ValueError, match="have no accuracy; use score"):
        network.accuracy(X, PLANE)
    one.weights[0][:] = 0
    assert one.score(X, np.full(60, one.biases[0][0])) == 1
    assert one.score(X, np.full(60, 3.0)) == 0


def test_r2_of_targets_that_are_all_the_same() -> None:
    """Rounding can make their mean another number than they are."""
    same, network = np.full((60, 2), 0.1), values(2)
    assert (same.mean(axis=0) != 0.1).any()
    assert network.score(X, same) == 0
    y = PLANE[:, 1]
    of_one = 1 - ((y - network.predict(X)[:, 1]) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert network.score(X, np.column_stack([same[:, 0], y])) == pytest.approx(of_one / 2)
    assert values(1).score(X, same[:, 0]) == 0


def test_history_has_r2(capsys) -> None:
    network = values(2)
    history = network.fit(
        X, PLANE, epochs=2, learning_rate=0.01, validation_data=(X[:20], PLANE[:20]), progress=True
    )
    assert history.val_accuracy == []
    assert history.val_r2[-1] == history.val_score[-1] == network.score(X[:20], PLANE[:20])
    shown = capsys.readouterr().err
    assert "R2" in shown
    assert "accuracy" not in shown


def test_labels_beside_each_other(tmp_path: Path) -> None:
    network = Network([12, 3], multilabel=True, dtype="float64", seed=1)
    history = network.fit(X, LABELS, epochs=200, batch_size=10, learning_rate=1.0,
                          validation_data=(X, LABELS))  # fmt: skip
    predicted = network.predict(X)
    np.testing.assert_array_equal(predicted, network.predict_proba(X) > 0.5)
    assert predicted.dtype == np.int64
    right = (predicted == LABELS).all(axis=1).mean()
    assert right > 0.9
    assert network.score(X, LABELS) == network.accuracy(X, LABELS) == right
    assert history.val_accuracy[-1] == right
    assert "multilabel=True" in repr(network)
    network.save(tmp_path / "labels.json")
    again = fastnn.load(tmp_path / "labels.json")
    assert again.multilabel
    np.testing.assert_array_equal(again.predict(X), predicted)


def test_training_on_labels_is_training_on_rows_of_targets() -> None:
    labels, rows = Network([12, 3], multilabel=True, seed=1), Network([12, 3], seed=1)
    for network in (labels, rows):
        network.fit(X, LABELS, epochs=2)
    np.testing.assert_array_equal(labels.weights[0], rows.weights[0])


def test_labels_that_are_none() -> None:
    network = Network([12, 3], multilabel=True, seed=1)
    with pytest.raises(ValueError, match="0 or 1; row 4 is"):
        network.fit(X, LABELS + 2 * (np.arange(60) == 4)[:, None], epochs=1)
    with pytest.raises(ValueError, match=r"y must hold targets \(60, 3\), not shape \(60,\)"):
        network.fit(X, LABELS[:, 0], epochs=1)


SHARES = np.tile([0.5, 0.25, 0.25], (60, 1))
SOFTMAX = {"activation": "softmax", "cost": "log_likelihood"}


@pytest.mark.parametrize(
    ("outputs", "keywords", "y", "message"),
    [
        (1, {}, np.arange(60) % 3, "from 0 to 1 .*'cross_entropy'; row 2 has 2. Give classes as 0"),
        (1, {}, np.where(LABELS[:, 0], 1, -1), r"row \d+ has -1\. Give classes as 0 and 1"),
        (3, {}, 5 * np.eye(3)[np.arange(60) % 3], r"row 0 has 5\. Give class indices"),
        (3, SOFTMAX, -np.eye(3)[np.arange(60) % 3], "'log_likelihood'; row 0 has -1"),
        (3, SOFTMAX, SHARES * np.linspace(1, 1.99, 60)[:, None], "of row 1 sum to 1.01678"),
        (3, SOFTMAX, LABELS * 0, "must sum to 1 .* those of row 0 sum to 0. Divide"),
    ],
)
def test_targets_whose_cost_means_nothing(outputs, keywords, y, message) -> None:
    network = Network([12, outputs], seed=1, **keywords)
    before = network.weights[0].copy()
    with pytest.raises(ValueError, match=message):
        network.fit(X, y, epochs=1)
    np.testing.assert_array_equal(network.weights[0], before)
    for ask in (network.total_cost, network.accuracy):
        with pytest.raises(ValueError, match=message):
            ask(X, y)


@pytest.mark.usefixtures("numpy_path")
def test_targets_that_are_shares() -> None:
    for network, shares in (
        (Network([12, 3], **SOFTMAX), SHARES * 1.0004),
        (Network([12, 3]), 2 * SHARES),
        (Network([12, 1]), LABELS[:, 0]),
        (Network([12, 3], cost="quadratic"), -5 * SHARES),
    ):
        costs = network.fit(X, shares, epochs=5, learning_rate=0.1).train_cost
        assert costs[-1] < costs[0]


def test_counts_are_not_negative() -> None:
    network = Network([12, 2], activation="exponential", cost="poisson")
    with pytest.raises(ValueError, match=r"at least 0 for the cost 'poisson'; row 3 has -2$"):
        network.fit(np.zeros((5, 12)), [[0, 1]] * 3 + [[1, -2]] * 2, epochs=1)


@pytest.mark.parametrize(
    "keywords",
    [
        {"activation": "softmax", "cost": "log_likelihood"},
        {"activation": "sigmoid", "cost": "mean_squared"},
        {"activation": "tanh", "cost": "quadratic"},
    ],
)
def test_labels_need_probabilities_of_their_own(keywords) -> None:
    with pytest.raises(ValueError, match="multilabel=True needs sigmoid outputs"):
        Network([12, 3], multilabel=True, **keywords)


# ---------------------------------------------------------------------------- against PyTorch

TORCH = {
    "sigmoid": lambda F, z: F.sigmoid(z),
    "tanh": lambda F, z: F.tanh(z),
    "relu": lambda F, z: F.relu(z),
    "leaky_relu": lambda F, z: F.leaky_relu(z),
    "elu": lambda F, z: F.elu(z),
    "gelu": lambda F, z: F.gelu(z, approximate="tanh"),
    "softplus": lambda F, z: F.softplus(z),
    "identity": lambda F, z: z * 1,
    "exponential": lambda F, z: z.exp(),
    "softmax": lambda F, z: F.softmax(z, dim=-1),
}
TORCH_COSTS = {
    "mean_squared": lambda F, a, y: F.mse_loss(a, y, reduction="sum"),
    "absolute": lambda F, a, y: F.l1_loss(a, y, reduction="sum"),
    "huber": lambda F, a, y: F.huber_loss(a, y, reduction="sum"),
    "quadratic": lambda F, a, y: F.mse_loss(a, y, reduction="sum") / 2,
    "cross_entropy": lambda F, a, y: F.binary_cross_entropy(a, y, reduction="sum"),
    "log_likelihood": lambda F, a, y: F.nll_loss(a.log()[None], y.argmax()[None]),
    # PyTorch omits the term that depends on y alone, which is -1 for y = 1
    "poisson": lambda F, a, y: (
        F.poisson_nll_loss(a, y, log_input=False, eps=0, reduction="sum") - y.sum()
    ),
}


@pytest.mark.parametrize("activation", activations.ALL, ids=lambda a: a.name)
@pytest.mark.parametrize("cost", costs.ALL, ids=lambda c: c.name)
def test_values_and_deltas_are_pytorchs(cost, activation) -> None:
    if activation.name not in cost.outputs:
        with pytest.raises(ValueError, match=f"cost '{cost.name}' needs"):
            Network([2, 2], activation=activation.name, cost=cost.name)
        return
    torch = pytest.importorskip("torch")
    z, y = np.linspace(-6.1, 6.2, 42), np.zeros(42)
    y[5] = 1
    free = torch.tensor(z, requires_grad=True)
    a = TORCH[activation.name](torch.nn.functional, free)
    loss = TORCH_COSTS[cost.name](torch.nn.functional, a, torch.tensor(y))
    loss.backward()
    z = activations.log_normalised(z) if activation.normalises else z
    ours = activation.value(np, z)
    np.testing.assert_allclose(ours, a.detach().numpy(), rtol=1e-10, atol=1e-14)
    assert cost.value(np, z, ours, y).sum() == pytest.approx(loss.item(), rel=1e-9)
    delta = cost.delta(np, z, ours, y, activation.derivative(np, z, ours))
    np.testing.assert_allclose(delta, free.grad.numpy(), rtol=1e-7, atol=1e-9)
