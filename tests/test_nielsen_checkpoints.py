"""Checkpoints of the book's SGD: a resumed call prints, draws and returns the same as unbroken."""

from __future__ import annotations

import itertools
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import FileFormatError
from fastnn.engine import training
from fastnn.nielsen import network2
from fastnn.nielsen._samples import Samples
from fastnn.trainer import checkpoints

pytestmark = pytest.mark.usefixtures("small_chunks")

RNG = np.random.default_rng(6)
PAIRS = [
    ((x := (RNG.random((70, 1)) * (RNG.random((70, 1)) < 0.4))), network2.vectorized_result(y)[:4])
    for y in RNG.integers(0, 4, 45)
]
EVALUATION = [(x, int(y.argmax())) for x, y in PAIRS[:20]]

OPTIONS = {
    "lmbda": 1.0,
    "penalty": "l1_cumulative",
    "evaluation_data": EVALUATION,
    "monitor_evaluation_accuracy": True,
    "monitor_training_cost": True,
}


def begin() -> tuple[network2.Network, list]:
    random.seed(5)
    np.random.seed(5)
    return network2.Network([70, 9, 4]), list(PAIRS)


def stopped_after(batches: int, network: network2.Network, pairs: list, path: Path, epochs: int):
    """Return what SGD returns, or None if it was interrupted after `batches` batches."""
    write, count = training.Training.epoch, []

    def epoch(self, order, on_chunk, **keywords):
        def counting(done: int, total: float) -> None:
            on_chunk(done, total)
            count.append(done)
            if len(count) == batches:
                signal.raise_signal(signal.SIGINT)

        return write(self, order, counting, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Training, "epoch", epoch)
        try:
            return network.SGD(pairs, epochs, 10, 0.5, checkpoint=path, resume=True, **OPTIONS)
        except KeyboardInterrupt:
            return None


@pytest.mark.parametrize("list_is", ["as it was given first", "as it was left"])
def test_a_call_that_was_stopped_goes_on(list_is: str, tmp_path: Path, capsys) -> None:
    """The list may also be as SGD has left it, shuffled, so that a notebook cell can be rerun."""
    expected, pairs = begin()
    wanted = expected.SGD(pairs, 5, 10, 0.5, **OPTIONS)
    printed, after = capsys.readouterr().out, (random.random(), np.random.random())
    pieces, figures, left = 0, None, None
    while figures is None:
        network, again = begin()
        if list_is == "as it was left":
            left = again = again if left is None else left
        if pieces:  # the generators' states before the call do not matter
            random.seed(pieces)
            np.random.seed(pieces)
        figures = stopped_after(7, network, again, tmp_path / "run", 5)
        pieces += 1
    assert pieces > 3
    assert figures == wanted
    assert capsys.readouterr().out == printed
    assert after == (random.random(), np.random.random())
    assert [id(x) for x, _ in again] == [id(x) for x, _ in pairs]
    arrays = network.weights + network.biases, expected.weights + expected.biases
    for one, other in zip(*arrays, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("numpy_path")
def test_the_progress_bar_goes_on_where_the_call_does(tmp_path: Path, shown_chunks: Any) -> None:
    for epochs, progress in ((2, False), (4, True)):
        network, pairs = begin()
        given = {"checkpoint": tmp_path / "run", "resume": True, "progress": progress}
        network.SGD(pairs, epochs, 10, 0.5, **given)
    assert shown_chunks[0][0] == 3
    assert shown_chunks[-1] == (4, 4 * len(pairs))


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("list_is", ["as it was given first", "as it was left"])
def test_a_feedforward_of_ones_own_judges_a_resumed_call(list_is: str, tmp_path: Path) -> None:
    """Resuming reorders the list, and each output still belongs to its target."""

    class Own(network2.Network):
        def feedforward(self, a):
            return super().feedforward(a)

    options: dict[str, Any] = {"monitor_training_accuracy": True, "monitor_training_cost": True}
    expected, pairs = begin()
    wanted = expected.SGD(pairs, 3, 10, 0.5, **options)
    options |= {"checkpoint": tmp_path / "run", "resume": True}
    left = list(PAIRS)
    for epochs in (1, 3):
        network, pairs = begin()
        own = Own(network.sizes)
        own.weights, own.biases = network.weights, network.biases
        given = left if list_is == "as it was left" else pairs
        figures = own.SGD(given, epochs, 10, 0.5, **options)
    assert figures[2] == pytest.approx(wanted[2], rel=1e-12)
    assert figures[3] == wanted[3]


@pytest.mark.usefixtures("numpy_path")
def test_one_is_written_where_the_accuracy_ends_the_call(tmp_path: Path, capsys) -> None:
    """A call that resumes from it has nothing left to do."""
    options: dict[str, Any] = {"early_stopping_n": 3, "checkpoint": tmp_path / "run"} | OPTIONS
    network, pairs = begin()
    figures = network.SGD(pairs, 50, 10, 0.0, checkpoint_every=10, **options)
    assert 3 <= len(figures[1]) < 10
    again, others = begin()
    capsys.readouterr()
    assert again.SGD(others, 50, 10, 0.0, checkpoint_every=10, resume=True, **options) == figures
    assert not capsys.readouterr().out
    np.testing.assert_array_equal(again.weights[0], network.weights[0])


@pytest.mark.usefixtures("numpy_path")
def test_figures_that_were_interrupted_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    expected, pairs = begin()
    wanted = expected.SGD(pairs, 4, 10, 0.5, **OPTIONS)
    capsys.readouterr()
    correct, count = Samples.correct, itertools.count()

    def interrupted(self: Samples, *arguments: Any, **keywords: Any) -> int:
        if next(count) == 2:
            signal.raise_signal(signal.SIGINT)
        return correct(self, *arguments, **keywords)

    network, again = begin()
    options: dict[str, Any] = {"checkpoint": tmp_path / "run", "checkpoint_every": 9} | OPTIONS
    with monkeypatch.context() as patch:
        patch.setattr(Samples, "correct", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network.SGD(again, 4, 10, 0.5, **options)
    assert "Epoch 2 training complete" in capsys.readouterr().out
    network, again = begin()
    figures = network.SGD(again, 4, 10, 0.5, resume=True, **options)
    assert figures == wanted
    assert capsys.readouterr().out.startswith("Epoch 2 training complete")
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


def test_another_call_is_refused(tmp_path: Path) -> None:
    network, pairs = begin()
    network.SGD(pairs, 1, 10, 0.5, checkpoint=tmp_path / "run")
    other, again = begin()
    before = other.weights[0].copy()
    with pytest.raises(ValueError, match=r"of another call: its eta is 0\.5"):
        other.SGD(again, 2, 10, 0.3, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="of another call: its data is"):
        other.SGD(pairs[::-1], 2, 10, 0.5, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match=r"monitored is \[\], and here it is \['training cost'\]"):
        other.SGD(
            again, 2, 10, 0.5, checkpoint=tmp_path / "run", resume=True, monitor_training_cost=True
        )
    with pytest.raises(ValueError, match="checkpoint"):
        other.SGD(again, 2, 10, 0.5, resume=True)
    np.testing.assert_array_equal(other.weights[0], before)


@pytest.mark.usefixtures("numpy_path")
def test_another_cost_of_ones_own_is_refused(tmp_path: Path) -> None:
    class Halved(network2.QuadraticCost):
        delta = staticmethod(lambda z, a, y: (a - y) / 2)

    class Doubled(network2.QuadraticCost):
        delta = staticmethod(lambda z, a, y: 2 * (a - y))

    for cost in (Halved, Doubled):
        network, pairs = begin()
        network.cost = cost
        if cost is Halved:
            network.SGD(pairs, 1, 10, 0.5, checkpoint=tmp_path / "run")
            continue
        with pytest.raises(ValueError, match=r"its cost is '.*Halved.*', and here .*Doubled"):
            network.SGD(pairs, 2, 10, 0.5, checkpoint=tmp_path / "run", resume=True)


def test_other_evaluation_data_are_refused(tmp_path: Path) -> None:
    network, pairs = begin()
    options: dict[str, Any] = {"checkpoint": tmp_path / "run", "monitor_evaluation_accuracy": True}
    evaluated = [(x, int(np.argmax(y))) for x, y in pairs]
    network.SGD(pairs, 1, 10, 0.5, evaluation_data=evaluated[:20], **options)
    for others in (evaluated[:19], [*evaluated[:19], evaluated[20]]):
        other, again = begin()
        with pytest.raises(ValueError, match="of another call: its monitored_data is"):
            other.SGD(again, 2, 10, 0.5, evaluation_data=others, resume=True, **options)
    same, again = begin()
    counts = same.SGD(again, 2, 10, 0.5, evaluation_data=evaluated[:20], resume=True, **options)[1]
    assert len(counts) == 2


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    network, pairs = begin()
    state = random.getstate()
    (tmp_path / "run").write_bytes(b"no checkpoint")
    with pytest.raises(FileFormatError, match="not a checkpoint"):
        network.SGD(pairs, 2, 10, 0.5, checkpoint=tmp_path / "run", resume=True)
    assert random.getstate() == state


def set_in(record: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return the record with `change` in it; a dict changes only the entries it names."""
    return record | {
        name: record[name] | value if isinstance(value, dict) and value else value
        for name, value in change.items()
    }


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(
    "change",
    [
        {"position": {"epoch": "3"}},
        {"position": {"epoch": -2}},
        {"position": {"epoch": 2.5}},
        {"position": {"epoch": 10**9}},
        {"position": {"epoch": 4}},
        {"position": {"done": "7"}},
        {"position": {"done": 7.5}},
        {"begun": True, "position": {"done": 7}},
        {"position": {"total": None}},
        {"position": {"total": "x"}},
        {"position": {"unknown": 1}},
        {"begun": "no"},
        {"begun": True, "position": {"epoch": 3}},
        {"steps": -1},
        {"steps": "x"},
        {"total": float("nan")},
        {"total": "1"},
        {"figures": []},
        {"figures": [[[], []], [[], []]]},
        {"figures": [[[0.5] * 2, []], [[], [7]]]},
        {"figures": [[[0.5] * 9, []], [[], [7] * 9]]},
        {"figures": [[[0.5] * 2, []], [[0.5] * 2, [7] * 2]]},
        {"figures": [[[0.5, None], []], [[], [7] * 2]]},
        {"figures": [[[0.5] * 2, []], [[], [7.5] * 2]]},
        {"random": [3, [0] * 625, "0.5"]},
        {"random": [3, [0.5] * 625, None]},
        {"random": [3, [0] * 624, None]},
        {"numpy_random": {}},
        {"numpy_random": {"state": {}}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_damaged_record_changes_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    """The list is as the call has left it, so that resuming would reorder it."""
    network, pairs = begin()
    network.SGD(pairs, 2, 10, 0.5, checkpoint=tmp_path / "run", **OPTIONS)
    found = checkpoints.read(tmp_path / "run")
    assert found is not None
    record = set_in(found.record, change)
    checkpoints.write(tmp_path / "run", checkpoints.Checkpoint(record, found.arrays))
    before = list(pairs), [w.copy() for w in network.weights], random.getstate()
    draws = np.random.get_state()
    with pytest.raises(FileFormatError, match="not a checkpoint"):
        network.SGD(pairs, 5, 10, 0.5, checkpoint=tmp_path / "run", resume=True, **OPTIONS)
    assert all(one is other for one, other in zip(pairs, before[0], strict=True))
    for one, other in zip(network.weights, before[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert random.getstate() == before[2]
    np.testing.assert_equal(np.random.get_state(), draws)


@pytest.mark.usefixtures("numpy_path")
def test_fewer_epochs_than_were_done_are_refused(tmp_path: Path) -> None:
    network, pairs = begin()
    options: dict[str, Any] = {"checkpoint": tmp_path / "run"} | OPTIONS
    figures = network.SGD(pairs, 3, 10, 0.5, **options)
    other, again = begin()
    before = other.weights[0].copy()
    with pytest.raises(ValueError, match="has begun epoch 3: epochs must be at least that, not 2"):
        other.SGD(again, 2, 10, 0.5, resume=True, **options)
    np.testing.assert_array_equal(other.weights[0], before)
    assert other.SGD(again, 3, 10, 0.5, resume=True, **options) == figures
