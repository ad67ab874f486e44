"""The warning before training, and conversions of other libraries' strengths."""

from __future__ import annotations

import itertools
import os
import random
import re
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import checks, penalties
from fastnn.nielsen import network2
from fastnn.regularization_path import lambda_path
from fastnn.strength import warn_if_too_strong

RNG = np.random.default_rng(0)
ROWS = RNG.integers(0, 256, (60, 20), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 60)


def weights(*sizes: int) -> list[np.ndarray]:
    shapes = itertools.pairwise(sizes)
    return [RNG.standard_normal((units, inputs)) / inputs**0.5 for inputs, units in shapes]


def warn(penalty, *, eta: float, n: int, m: int, layers: list[np.ndarray] | None = None) -> None:
    layers = weights(784, 30, 10) if layers is None else layers
    chosen = penalties.per_layer(penalty, len(layers))
    warn_if_too_strong(layers, chosen, learning_rate=eta, n=n, batch_size=m)


@pytest.mark.parametrize("m", [1, 10, 100])
@pytest.mark.parametrize("penalty", penalties.ALL)
def test_the_books_settings_are_silent(penalty, m: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for eta, lmbda, n in [(0.5, 5.0, 50_000), (0.1, 5.0, 50_000), (0.5, 0.1, 1_000)]:
            warn(penalty(lmbda), eta=eta, n=n, m=m)
        warn(None, eta=1e9, n=1, m=1)
        # All weights are 0, as a convex problem may start: there is nothing to compare with.
        warn(penalty(5.0), eta=0.5, n=50_000, m=m, layers=[np.zeros((1, 5))])


@pytest.mark.parametrize("penalty", [penalties.L1, penalties.ProximalL1, penalties.ElasticNet])
def test_lmbda_divided_by_the_batch_is_caught(penalty) -> None:
    """A step of eta*lmbda/m instead of eta*lmbda/n is that of a lmbda that is n/m times larger."""
    n, m = 50_000, 10
    lmbda = 5.0 * n / m
    with pytest.warns(fastnn.RegularizationWarning, match="divided by the batch size 10"):
        warn(penalty(lmbda), eta=0.5, n=n, m=m)


def test_the_message_names_step_weights_and_a_strength_that_works() -> None:
    with pytest.warns(fastnn.RegularizationWarning) as caught:
        warn(penalties.L1(25_000.0), eta=0.5, n=50_000, m=10)
    text = str(caught[0].message)
    assert "shrinks weights by 0.25" in text
    assert "0.03" in text  # 1/sqrt(784)
    usual = float(re.search(r"lmbda=(\S+) would give", text)[1])
    assert usual == pytest.approx(5.0, rel=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn(penalties.L1(usual), eta=0.5, n=50_000, m=10)


def test_weight_decay_that_keeps_less_than_half() -> None:
    with pytest.warns(fastnn.RegularizationWarning, match="multiplies the weights by 1 - 0.6"):
        warn(penalties.L2(120.0), eta=0.5, n=100, m=10)
    with pytest.warns(fastnn.RegularizationWarning, match="another convention's"):
        warn(penalties.L2(1e6), eta=0.5, n=100, m=100)


def test_fit_and_the_books_sgd_warn_where_they_are_called() -> None:
    net = fastnn.Network([20, 5, 3], seed=1)
    with pytest.warns(fastnn.RegularizationWarning) as caught:
        net.fit(ROWS, LABELS, epochs=0, learning_rate=0.5, penalty=fastnn.L1(100.0))
    assert caught[0].filename == __file__
    random.seed(1)
    book = network2.Network([20, 5, 3])
    pairs = [(x[:, None] / 256, np.eye(3)[y][:, None]) for x, y in zip(ROWS, LABELS, strict=True)]
    with pytest.warns(fastnn.RegularizationWarning) as caught:
        book.SGD(pairs, 0, 10, 0.5, lmbda=100.0, penalty="l1")
    assert caught[0].filename == __file__


def test_a_folder_beside_the_package_is_not_in_it() -> None:
    beside = os.path.dirname(fastnn.__file__) + "_examples/script.py"
    names = {"warn": checks.warn}
    exec(compile("def main():\n    warn('here')\n", beside, "exec"), names)
    with pytest.warns(UserWarning, match="here") as caught:
        names["main"]()
    assert caught[0].filename == beside


@pytest.mark.usefixtures("numpy_path")
def test_blocks_and_paths_warn_where_they_are_called() -> None:
    net, blocks = fastnn.Network([20, 5, 3], seed=1), fastnn.Blocks([(ROWS, LABELS)])
    with pytest.warns(fastnn.RegularizationWarning) as caught:
        net.fit(blocks, epochs=0, penalty=fastnn.L1(100.0))
    assert caught[0].filename == __file__
    with pytest.warns(fastnn.RegularizationWarning) as caught:
        lambda_path(net, ROWS, LABELS, [100.0], validation_data=(ROWS, LABELS), epochs=1)
    assert caught[0].filename == __file__


# ------------------------------------------------------------------------ other libraries


@pytest.mark.parametrize("n", [1, 60, 50_000])
@pytest.mark.parametrize("strength", [0.0, 1e-4, 3.0])
def test_there_and_back(strength: float, n: int) -> None:
    assert penalties.to_sklearn(penalties.from_sklearn(strength, n, 10), n, 10) == pytest.approx(
        strength
    )
    whole = penalties.from_sklearn(strength, n, 2 * n)  # there, n rows at most are in a batch
    assert whole == penalties.from_sklearn(strength, n, n)
    assert penalties.to_sklearn(whole, n, 2 * n) == pytest.approx(strength)
    assert penalties.to_torch(penalties.from_torch(strength, n), n) == pytest.approx(strength)
    for l1, l2 in [(strength, 0.0), (0.0, strength), (strength, 2 * strength)]:
        assert penalties.to_keras(penalties.from_keras(l1, l2, n), n) == pytest.approx((l1, l2))


def test_what_has_no_equal_there() -> None:
    for away in (penalties.to_torch, lambda p, n: penalties.to_sklearn(p, n, 10)):
        with pytest.raises(ValueError, match=r"L1\(lmbda=1.* has no equivalent: "):
            away(penalties.L1(1.0), 60)
    with pytest.raises(ValueError, match="scikit-learn's is of weights alone"):
        penalties.to_sklearn(penalties.L2(1.0, biases=True), 60, 10)
    for proximal in (penalties.ProximalL1(1.0), penalties.L1(1.0, "proximal")):
        with pytest.raises(ValueError, match="Keras has L1 and L2 alone"):
            penalties.to_keras(proximal, 60)


@pytest.mark.parametrize(
    "call",
    [
        lambda: penalties.from_sklearn(-1.0, 60, 10),
        lambda: penalties.from_sklearn(1.0, 0, 10),
        lambda: penalties.from_sklearn(1.0, 60, 0),
        lambda: penalties.from_keras(0.1, float("nan"), 60),
        lambda: penalties.from_torch(0.1, 2.5),
    ],
)
def test_strengths_out_of_range(call) -> None:
    with pytest.raises(ValueError, match=r"alpha|n must|batch_size|l2|finite"):
        call()


def test_keras_by_its_documented_formula() -> None:
    """L1L2 adds l1*sum(abs(w)) + l2*sum(w**2) to the mean cost."""
    w, l1, l2, n = np.array([0.5, -2.0]), 0.01, 0.03, 60
    value = penalties.from_keras(l1, l2, n).value([w]) / n
    assert value == pytest.approx(l1 * 2.5 + l2 * 4.25)


def start() -> fastnn.Network:
    return fastnn.Network(
        [20, 5, 3], activation=["tanh", "softmax"], cost="log_likelihood", dtype="float64", seed=1
    )


STEPS, BATCH, ETA = 20, 6, 0.05


@pytest.mark.usefixtures("numpy_path")
def test_scikit_learn_trains_to_the_same_weights() -> None:
    """20 steps of MLPClassifier with alpha equal 20 of fastnn with the converted penalty."""
    sklearn = pytest.importorskip("sklearn.neural_network")
    net, alpha, X = start(), 0.5, ROWS / 256
    peer = sklearn.MLPClassifier(
        (5,), activation="tanh", solver="sgd", alpha=alpha, batch_size=BATCH, momentum=0,
        learning_rate_init=ETA, shuffle=False,
    )  # fmt: skip
    peer.partial_fit(X[:BATCH], LABELS[:BATCH], classes=[0, 1, 2])  # creates its arrays
    peer.coefs_ = [w.T.copy() for w in net.weights]
    peer.intercepts_ = [b.copy() for b in net.biases]
    peer._optimizer.params = peer.coefs_ + peer.intercepts_
    for step in range(STEPS):
        rows = slice(step % 10 * BATCH, (step % 10 + 1) * BATCH)
        peer.partial_fit(X[rows], LABELS[rows])
    penalty = penalties.from_sklearn(alpha, len(X), BATCH)
    net.fit(
        X, LABELS, epochs=STEPS * BATCH // len(X), batch_size=BATCH, learning_rate=ETA,
        penalty=penalty, shuffle=False,
    )  # fmt: skip
    for ours, theirs in zip(net.weights, peer.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("biases", [False, True])
def test_torch_trains_to_the_same_weights(biases: bool) -> None:
    torch = pytest.importorskip("torch")
    net, decay, X = start(), 0.1, ROWS / 256
    layers = [torch.nn.Linear(20, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)]
    module = torch.nn.Sequential(*layers).double()
    linear = [layers[0], layers[2]]
    with torch.no_grad():
        for layer, w, b in zip(linear, net.weights, net.biases, strict=True):
            layer.weight.copy_(torch.tensor(w))
            layer.bias.copy_(torch.tensor(b))
    groups = [
        {"params": [layer.weight for layer in linear], "weight_decay": decay},
        {"params": [layer.bias for layer in linear], "weight_decay": decay if biases else 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=ETA)
    for step in range(STEPS):
        rows = slice(step % 10 * BATCH, (step % 10 + 1) * BATCH)
        optimizer.zero_grad()
        outputs = module(torch.tensor(X[rows]))
        torch.nn.functional.cross_entropy(outputs, torch.tensor(LABELS[rows])).backward()
        optimizer.step()
    net.fit(
        X, LABELS, epochs=STEPS * BATCH // len(X), batch_size=BATCH, learning_rate=ETA,
        penalty=penalties.from_torch(decay, len(X), biases=biases), shuffle=False,
    )  # fmt: skip
    for w, layer in zip(net.weights, linear, strict=True):
        np.testing.assert_allclose(w, layer.weight.detach().numpy(), rtol=0, atol=1e-12)
