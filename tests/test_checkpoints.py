"""Checkpoints: a run stopped anywhere, in any setting, resumes as if it had never stopped."""

from __future__ import annotations

import copy
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import fastnn
from checkpoint_runs import COLUMNS, SETTINGS, N, X, Y, assert_same, new, stopped_after
from fastnn import L1, Network
from fastnn.engine import jit
from fastnn.trainer.checkpoints import read
from fastnn.trainer.position import Position

pytestmark = pytest.mark.usefixtures("small_chunks")


COMPILED = ("adam", "cumulative", "dropout and noise")  # the others test what both paths share


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_was_stopped_ends_in_the_same_bits(name, tmp_path: Path, monkeypatch) -> None:
    if name not in COMPILED:
        monkeypatch.setattr(jit, "is_on", lambda: False)
    setting = SETTINGS[name]
    expected, path, pieces = new(), tmp_path / "run.checkpoint", 1
    expected.fit(X, Y, epochs=6, **setting)
    while not stopped_after(4, network := new(), path, epochs=6, **setting):
        pieces += 1
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert pieces > 3
    assert_same(network, expected)


def test_by_epochs_and_to_more_of_them(tmp_path: Path) -> None:
    """The same network resumes, and a finished run has nothing left to do."""
    path, expected = tmp_path / "run", new()
    expected.fit(X, Y, epochs=5)
    network = new()
    network.fit(X, Y, epochs=3, checkpoint=path, checkpoint_every=10)
    assert len(network.fit(X, Y, epochs=3, checkpoint=path, resume=True).seconds) == 3
    assert len(network.fit(X, Y, epochs=5, checkpoint=path, resume=True).seconds) == 5
    assert_same(network, expected)


@pytest.mark.usefixtures("numpy_path")
def test_the_progress_bar_goes_on_where_the_fit_does(tmp_path: Path, shown_chunks: Any) -> None:
    new().fit(X, Y, epochs=2, checkpoint=tmp_path / "run")
    given = {"checkpoint": tmp_path / "run", "resume": True, "progress": True}
    new().fit(X, Y, epochs=4, batch_size=10, **given)
    assert shown_chunks[0] == (3, 2 * N + 10)
    assert shown_chunks[-1] == (4, 4 * N)


def test_resume_without_a_file_starts_afresh(tmp_path: Path) -> None:
    network, expected = new(), new()
    network.fit(X, Y, epochs=2, checkpoint=tmp_path / "none yet", resume=True)
    expected.fit(X, Y, epochs=2)
    assert_same(network, expected)


OTHERS = {
    "batch_size": {"batch_size": 9},
    "optimizer": {"optimizer": fastnn.Adam()},
    "penalty": {"penalty": L1(0.1)},
    "dropout": {"dropout": 0.1},
    "held_out": {"validation_fraction": 0.5},
    "row_weights": {"sample_weight": np.ones(N)},
    "compact_every": {"compact_every": 1},
    "validation_data": {"validation_data": (X, Y)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_fit_is_refused(name: str, tmp_path: Path) -> None:
    path, network = tmp_path / "run", new(2)
    new().fit(X, Y, epochs=1, checkpoint=path)
    before = [w.copy() for w in network.weights]
    with pytest.raises(ValueError, match=f"of another fit: its {name} is"):
        network.fit(X, Y, epochs=2, checkpoint=path, resume=True, **OTHERS[name])
    for one, other in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_target_or_hidden_layer_is_refused(tmp_path: Path) -> None:
    path, targets = tmp_path / "run", np.resize(Y, 1000)
    rows = np.resize(X, (1000, COLUMNS))
    new().fit(rows, targets, epochs=1, checkpoint=path)
    for row in range(0, 1000, 331):  # every target counts, not only a sample of them
        others = targets.copy()
        others[row] = (others[row] + 1) % 4
        with pytest.raises(ValueError, match="of another fit: its data is"):
            new().fit(rows, others, epochs=2, checkpoint=path, resume=True)
    sizes = new().sizes
    sizes[1] += 1
    wider = fastnn.Network(sizes, seed=1)
    with pytest.raises(ValueError, match="of another fit: its hidden is"):
        wider.fit(rows, targets, epochs=2, checkpoint=path, resume=True)
    assert wider.sizes == sizes


@pytest.mark.usefixtures("numpy_path")
def test_labels_are_not_classes(tmp_path: Path) -> None:
    """Labels have other scores than targets, so a checkpoint of a fit on targets is refused."""
    labels = (np.random.default_rng(6).random((N, 3)) < 0.5).astype(np.uint8)
    as_targets, as_labels = (Network([COLUMNS, 3], multilabel=m, seed=1) for m in (False, True))
    as_targets.fit(X, labels, epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="of another fit: its multilabel is"):
        as_labels.fit(X, labels, epochs=2, checkpoint=tmp_path / "run", resume=True)


def test_pixels_by_another_scale_are_other_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(6).integers(256, size=(N, COLUMNS), dtype=np.uint8)
    new().fit(pixels, Y, epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="of another fit: its data is"):  # also stored as bytes
        new().fit(pixels / 255, Y, epochs=2, checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"resume": True}, ValueError),
        ({"checkpoint_seconds": 3}, ValueError),
        ({"checkpoint_every": 2}, ValueError),
        ({"checkpoint": 3}, TypeError),
        ({"checkpoint": "x", "checkpoint_every": 0}, ValueError),
        ({"checkpoint": "x", "checkpoint_seconds": -1}, ValueError),
    ],
)
def test_bad_arguments(keywords, error) -> None:
    with pytest.raises(error, match=r"checkpoint"):
        new().fit(X, Y, epochs=1, **keywords)


@pytest.mark.parametrize("where", ["evaluation", "epoch_begin", "epoch_end", "an order is drawn"])
def test_ctrl_c_between_two_epochs_writes_one_too(where: str, tmp_path: Path, monkeypatch) -> None:
    """Whatever is interrupted, the resumed run ends in the same bits."""
    path, network, expected = tmp_path / "run", new(), new()
    options: dict[str, Any] = {"epochs": 6, "validation_data": (X[:9], Y[:9])}
    options["early_stopping"] = 2
    expected.fit(X, Y, **options)

    class Interrupts(fastnn.Callback):
        def epoch_begin(self, epoch: int, network: Network) -> None:
            if where == "epoch_begin" and epoch == 2:
                signal.raise_signal(signal.SIGINT)

        def epoch_end(self, epoch: int, network: Network, history: fastnn.History) -> None:
            if where == "epoch_end" and epoch == 2:
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        if where == "evaluation":
            evaluate, count = Network._evaluate, itertools.count()

            def evaluating(self: Network, *rows: Any) -> Any:
                if next(count) == 2:
                    signal.raise_signal(signal.SIGINT)
                return evaluate(self, *rows)

            patch.setattr(Network, "_evaluate", evaluating)
        elif where == "an order is drawn":
            begin, count = Position.begin, itertools.count()

            def beginning(self: Position, *arguments: Any) -> None:
                if next(count) == 2:
                    signal.raise_signal(signal.SIGINT)
                begin(self, *arguments)

            patch.setattr(Position, "begin", beginning)
        with pytest.raises(KeyboardInterrupt):
            network.fit(
                X, Y, **options, checkpoint=path, checkpoint_every=9, callbacks=[Interrupts()]
            )
    assert read(path).record["position"]["epoch"] >= 2
    resumed = new()
    resumed.fit(X, Y, **options, checkpoint=path, resume=True)
    assert_same(resumed, expected)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("where", ["begin", "end"])
def test_a_run_that_a_callback_has_ended_goes_on(where: str, tmp_path: Path) -> None:
    """The callback may have ended the run because of a time limit."""

    class TimeIsUp(fastnn.Callback):
        def epoch_begin(self, epoch: int, network: Network) -> bool:
            return (where, epoch) == ("begin", 2)

        def epoch_end(self, epoch: int, network: Network, history: fastnn.History) -> bool:
            return (where, epoch) == ("end", 1)

    expected, network = new(), new()
    expected.fit(X, Y, epochs=5)
    first = network.fit(X, Y, epochs=5, checkpoint=tmp_path / "run", callbacks=[TimeIsUp()])
    assert len(first.seconds) == 2
    assert read(tmp_path / "run").record["position"]["epoch"] == 2
    resumed = new()
    resumed.fit(X, Y, epochs=5, checkpoint=tmp_path / "run", resume=True)
    assert_same(resumed, expected)


class ByFunction(fastnn.Schedule):
    """A schedule whose repr contains an address."""

    largest = 0.5

    def __init__(self, function: Any) -> None:
        self.function = function

    def __repr__(self) -> str:
        return f"ByFunction({self.function!r})"

    def rate(self, epoch: int, epochs: int, scores: Any) -> float:
        return self.function(epoch)


@pytest.mark.usefixtures("numpy_path")
def test_a_schedule_of_a_function_goes_on(tmp_path: Path) -> None:
    def run(epochs: int, network: Network, **options: Any) -> Network:
        schedule = ByFunction(lambda epoch: 0.5 / (1 + epoch))
        network.fit(X, Y, epochs=epochs, learning_rate=schedule, **options)
        return network

    run(2, new(), checkpoint=tmp_path / "run")
    assert read(tmp_path / "run").record["position"]["epoch"] == 2
    resumed = run(4, new(), checkpoint=tmp_path / "run", resume=True)
    assert_same(resumed, run(4, new()))


PROGRAM = """
import sys
import numpy as np
import fastnn
from fastnn.engine import training

training.CHUNK_FLOPS = 1
rng = np.random.default_rng(0)
X, y = rng.random((400, 70)), rng.integers(0, 4, 400)
net = fastnn.Network([70, 9, 4], seed=1)
options = dict(optimizer=fastnn.Adam(0.001), penalty=fastnn.L1(1.0), dropout=0.2)
if sys.argv[1] != "-":
    options |= dict(checkpoint=sys.argv[1], checkpoint_seconds=0, resume=True)
net.fit(X, y, epochs=12, **options)
net.save(sys.argv[2])
"""


def runs_killed(tmp_path: Path, kills: int) -> None:
    """Kill a program at random moments, often while it writes, and restart it each time."""
    checkpoint, rng = tmp_path / "run", np.random.default_rng(3)
    killed, command = 0, [sys.executable, "-c", PROGRAM]
    while True:
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        with subprocess.Popen([*command, str(checkpoint), str(tmp_path / "a.json")]) as process:
            while process.poll() is None and killed < kills:
                if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                    time.sleep(rng.uniform(0, 0.02))
                    process.kill()
                    killed += 1
                    break
                time.sleep(0.001)
            process.wait()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
    assert killed == kills
    subprocess.run([*command, "-", str(tmp_path / "b.json")], check=True)
    one, other = fastnn.load(tmp_path / "a.json"), fastnn.load(tmp_path / "b.json")
    for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True):
        np.testing.assert_array_equal(a, b)


def test_killed_runs_end_in_the_same_bits(tmp_path: Path) -> None:
    runs_killed(tmp_path, 4)


@pytest.mark.long
def test_thirty_killed_runs_end_in_the_same_bits(tmp_path: Path) -> None:
    runs_killed(tmp_path, 30)


class Sawtooth(fastnn.Schedule):
    largest = 0.8

    def __init__(self, top: float) -> None:
        self.top = top

    def rate(self, epoch: int, epochs: int, scores: Any) -> float:
        return self.top / (1 + epoch % 3)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_any_generator_and_a_schedule_of_ones_own_go_on(kind: Any, tmp_path: Path) -> None:
    def fitted(epochs: int, **options: Any) -> Network:
        network = Network([X.shape[1], 5, 4], seed=np.random.Generator(kind(5)))
        network.fit(X, Y, epochs=epochs, learning_rate=Sawtooth(0.5), **options)
        return network

    path = tmp_path / "run"
    fitted(2, checkpoint=path)
    assert_same(fitted(4, checkpoint=path, resume=True), fitted(4))
    with pytest.raises(ValueError, match=f"draws from {kind.__name__}, and this one from PCG64"):
        Network([X.shape[1], 5, 4], seed=1).fit(
            X, Y, epochs=4, learning_rate=Sawtooth(0.5), checkpoint=path, resume=True
        )


@pytest.mark.usefixtures("numpy_path")
def test_epochs_that_would_not_have_come_to_the_checkpoint(tmp_path: Path) -> None:
    path, options = tmp_path / "run", {"learning_rate": fastnn.CosineDecay(0.5)}
    new().fit(X, Y, epochs=2, checkpoint=path, **options)
    with pytest.raises(ValueError, match=r"CosineDecay.* has other rates in one of 5"):
        new().fit(X, Y, epochs=5, checkpoint=path, resume=True, **options)
    with pytest.raises(ValueError, match="has begun epoch 2: epochs must be at least that, not 1"):
        new().fit(X, Y, epochs=1, checkpoint=path, resume=True, **options)


@pytest.mark.usefixtures("numpy_path")
def test_an_epoch_that_had_begun_is_not_left_unfinished(tmp_path: Path) -> None:
    path, network = tmp_path / "run", new()
    assert not stopped_after(-(-N // 10) + 2, network, path, epochs=4)
    other = new()
    before = other.weights[0].copy()
    with pytest.raises(ValueError, match="has begun epoch 2: epochs must be at least that, not 1"):
        other.fit(X, Y, epochs=1, checkpoint=path, resume=True)
    np.testing.assert_array_equal(other.weights[0], before)


@pytest.mark.usefixtures("numpy_path")
def test_a_network_that_was_compacted_goes_on(tmp_path: Path) -> None:
    """Resume in a compacted network, in one that is not, and in the one that was stopped."""
    start = new()
    start.weights[0][:, :3] = 0
    start.compact()
    given = {"epochs": 6, **SETTINGS["compacting"]}
    expected = copy.deepcopy(start)
    expected.fit(X, Y, **given)
    for number, again in enumerate((start, new(), None)):
        path, stopped = tmp_path / f"{number}", copy.deepcopy(start)
        assert not stopped_after(4 * -(-N // 10) + 2, stopped, path, **given)
        assert stopped.sizes[0] < start.sizes[0]
        network = stopped if again is None else copy.deepcopy(again)
        network.fit(X, Y, checkpoint=path, resume=True, **given)
        assert_same(network, expected)


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_what_an_optimizer_remembers_can_diverge(
    compiled: bool, blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training stops with an error, since a checkpoint of such a state could not be read."""
    monkeypatch.setattr(jit, "is_on", lambda: compiled and not numba.config.DISABLE_JIT)
    network, before = Network([6, 3], seed=1), Network([6, 3], seed=1).weights[0]
    huge = np.random.default_rng(0).random((20, 6)).astype(np.float32) * 1e25
    given = [fastnn.Blocks([(huge, np.arange(20) % 3)])] if blocks else [huge, np.arange(20) % 3]
    with pytest.raises(fastnn.DivergenceError, match="what the optimizer remembers is no longer"):
        network.fit(*given, epochs=2, optimizer=fastnn.Adagrad(0.01))
    assert not network.history.seconds
    np.testing.assert_array_equal(network.weights[0], before)
