"""The 400 epochs whose figures the book's program published, repeated with `network2`.

The figures are those of the book's chapter 3, "Overfitting and regularization". The program ran
under Python 2, so its `random.shuffle` replaces today's here.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.nielsen import mnist_loader, network2

pytestmark = pytest.mark.cpu_tiles

PUBLISHED = Path(os.environ.get("FASTNN_DATA", "")) / "book" / "overfitting.json"
EPOCHS = 400


def python2_shuffle(items: list[Any]) -> None:
    """Shuffle as Python 2 did: one `random.random()` for each swap."""
    for i in reversed(range(1, len(items))):
        j = int(random.random() * (i + 1))
        items[i], items[j] = items[j], items[i]


@pytest.fixture
def _seeds() -> Iterator[None]:
    state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(12345678)
    np.random.seed(12345678)
    yield
    random.setstate(state)
    np.random.set_state(numpy_state)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs book/overfitting.json in FASTNN_DATA")
@pytest.mark.usefixtures("_seeds")
def test_the_published_run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not a parameter, which would mark the test `mnist` even if the published file is missing.
    request.getfixturevalue("mnist")
    monkeypatch.setattr(random, "shuffle", python2_shuffle)
    training_data, _, test_data = mnist_loader.load_data_wrapper()
    net = network2.Network([784, 30, 10], cost=network2.CrossEntropyCost())
    net.large_weight_initializer()
    test_cost, test_accuracy, training_cost, training_accuracy = net.SGD(
        training_data[:1000],
        EPOCHS,
        10,
        0.5,
        evaluation_data=test_data,
        lmbda=0.0,
        monitor_evaluation_cost=True,
        monitor_evaluation_accuracy=True,
        monitor_training_cost=True,
        monitor_training_accuracy=True,
    )
    published = json.loads(PUBLISHED.read_text("utf-8"))
    assert [len(figures) for figures in published] == [EPOCHS] * 4
    assert test_accuracy == published[1]
    assert training_accuracy == published[3]
    assert np.abs(np.subtract(test_cost, published[0])).max() < 1e-9
    assert np.abs(np.subtract(training_cost, published[2])).max() < 1e-9


if PUBLISHED.is_file():
    test_the_published_run = pytest.mark.mnist(test_the_published_run)
