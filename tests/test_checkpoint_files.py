"""The files of checkpoints: when they are written, what cannot be written, and damage."""

from __future__ import annotations

import copy
import errno
import functools
import operator
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastnn
from checkpoint_runs import SETTINGS, X, Y, assert_same, new, stopped_after
from fastnn import L1, FileFormatError, Network, files
from fastnn.engine import training
from fastnn.engine.draws import plain
from fastnn.penalties import CumulativeL1
from fastnn.trainer import checkpoints, fit_checkpoints
from fastnn.trainer.checkpoints import read

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.mark.usefixtures("numpy_path")
def test_the_time_of_writing_one_is_no_time_of_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "write", lambda path, checkpoint: time.sleep(0.2))
    history = new().fit(X, Y, epochs=1, checkpoint=tmp_path / "run", checkpoint_seconds=0)
    assert history.seconds[0] < 0.2  # although it has written four


def test_they_are_written_when_they_are_due(tmp_path: Path, monkeypatch) -> None:
    from fastnn.trainer import checkpoints

    steps = []
    write = checkpoints.write
    monkeypatch.setattr(
        checkpoints, "write", lambda path, it: steps.append(it.record["steps"]) or write(path, it)
    )
    new().fit(X, Y, epochs=5, checkpoint=tmp_path / "a", checkpoint_every=2)
    assert steps == [10, 20, 25]
    steps.clear()
    new().fit(X, Y, epochs=2, checkpoint=tmp_path / "b", checkpoint_seconds=0)
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def full_disk(*_) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_warns_once_and_training_goes_on(tmp_path: Path, monkeypatch) -> None:
    path, network, expected = tmp_path / "run", new(), new()
    network.fit(X, Y, epochs=1, checkpoint=path)
    last = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.warns(RuntimeWarning, match="cannot be written") as caught:
            network.fit(X, Y, epochs=4, checkpoint=path, resume=True)
    assert len(caught) == 1
    assert path.read_bytes() == last
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    expected.fit(X, Y, epochs=4)
    assert_same(network, expected)


def test_a_folder_that_is_gone_warns_and_training_goes_on(tmp_path: Path) -> None:
    class Removes(fastnn.Callback):
        def epoch_begin(self, epoch: int, network: Network) -> None:
            shutil.rmtree(tmp_path / "gone", ignore_errors=True)

    (tmp_path / "gone").mkdir()
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        history = new().fit(
            X, Y, epochs=3, checkpoint=tmp_path / "gone" / "run", callbacks=[Removes()]
        )
    assert len(history.seconds) == 3


@pytest.mark.parametrize(
    ("path", "error"), [("none/run", FileNotFoundError), ("", IsADirectoryError)]
)
def test_a_folder_that_is_not_there_is_refused(path: str, error: Any, tmp_path: Path) -> None:
    network, untrained = new(), new()
    with pytest.raises(error):
        network.fit(X, Y, epochs=1, checkpoint=tmp_path / path)
    np.testing.assert_array_equal(network.weights[0], untrained.weights[0])


@pytest.mark.usefixtures("numpy_path")
def test_writing_takes_a_tenth_of_the_time_unless_asked(tmp_path: Path, monkeypatch) -> None:
    written: list[int] = []

    def slow(path: Any, checkpoint: Any) -> None:
        written.append(checkpoint.record["position"]["epoch"])
        time.sleep(0.05)

    monkeypatch.setattr(checkpoints, "write", slow)
    new().fit(X, Y, epochs=30, checkpoint=tmp_path / "run")
    assert written[0] == 1
    assert written[-1] == 30
    assert len(written) < 10
    written.clear()
    new().fit(X, Y, epochs=3, checkpoint=tmp_path / "run", checkpoint_every=1)
    assert written == [1, 2, 3]


def test_a_file_that_is_read_only_stays_and_training_goes_on(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "run"
    new().fit(X, Y, epochs=1, checkpoint=path)
    last = path.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)  # what a user who is not root gets
    with pytest.warns(RuntimeWarning, match="Permission denied") as caught:
        new().fit(X, Y, epochs=3, checkpoint=path)
    assert len(caught) == 1
    assert path.read_bytes() == last


@pytest.mark.usefixtures("numpy_path")  # a kernel could not be cached either
def test_a_folder_that_has_become_read_only_is_no_reason_to_stop(tmp_path: Path, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / ".run.01234567.tmp").write_bytes(b"of a process that was killed")
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        history = new().fit(X, Y, epochs=1, checkpoint=tmp_path / "run")
    assert len(history.seconds) == 1


def test_what_is_removed_is_of_no_other_file(tmp_path: Path) -> None:
    """The names have the maximum length and differ only in their last character."""
    one, other = (tmp_path / (254 * "l" + end) for end in ("1", "2"))
    pieces = [files._beside(path) for path in (one, other)]
    for piece in pieces:
        piece.write_bytes(b"part of it")
    files.remove_leftovers(one)
    assert [piece.exists() for piece in pieces] == [False, True]


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(("penalty", "stored"), [(L1(1.0), 0), (CumulativeL1(1.0), 4)], ids=str)
def test_zeros_are_not_stored(penalty: Any, stored: int, tmp_path: Path) -> None:
    new().fit(X, Y, epochs=1, penalty=penalty, checkpoint=tmp_path / "run")
    path = tmp_path / "run"
    record, arrays = read(path)
    assert sum(name.startswith("kept.") for name in arrays) == stored
    if stored:  # one that is missing is no zeros
        del arrays["kept.0"]
        checkpoints.write(path, checkpoints.Checkpoint(record, arrays))
        with pytest.raises(FileFormatError):
            new().fit(X, Y, epochs=2, penalty=penalty, checkpoint=path, resume=True)


@pytest.mark.usefixtures("numpy_path")
def test_files_of_others_beside_it_stay(tmp_path: Path) -> None:
    """Only what writers of this very file have left behind is removed."""
    others = [".run.notes.tmp", ".run.a.1234abcd.tmp", ".run.1234abcde.tmp"]
    for name in (*others, ".run.1234abcd.tmp"):
        (tmp_path / name).write_text("x")
    new().fit(X, Y, epochs=1, checkpoint=tmp_path / "run")
    assert {file.name for file in tmp_path.iterdir()} == {"run", *others}


DAMAGED = SETTINGS["early stopping"] | {
    "optimizer": fastnn.Adam(fastnn.HalveOnPlateau(0.01)), "learning_rate": None, "dropout": 0.2,
    "input_noise": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def a_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHUNK_FLOPS", 1)
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        stopped_after(6, new(), path, epochs=3, **DAMAGED)
    assert "order" in read(path).arrays
    return path


def resume_damaged(path: Path) -> None:
    """Resume from a damaged file for more epochs than were done; it is refused or understood."""
    network = new()
    drawn = plain(network._rng.bit_generator.state)
    before = network._copied()
    try:
        network.fit(X, Y, epochs=4, checkpoint=path, resume=True, **DAMAGED)
    except fastnn.DivergenceError:  # from huge weights
        return
    except ValueError as error:  # FileFormatError is a subclass
        refusals = ("of another fit", "draws from")
        if not isinstance(error, FileFormatError) and not any(r in str(error) for r in refusals):
            raise
        assert plain(network._rng.bit_generator.state) == drawn
        assert network.history is None
        arrays = (*network.weights, *network.biases), (*before.weights, *before.biases)
        for now, was in zip(*arrays, strict=True):
            np.testing.assert_array_equal(now, was)


@pytest.mark.usefixtures("numpy_path")
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_understood(data, a_checkpoint: Path, tmp_path: Path) -> None:
    content = bytearray(a_checkpoint.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, header + 200))
        kind = data.draw(st.sampled_from(["set", "cut", "delete", "repeat"]))
        if kind == "set":
            content[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
        elif kind == "cut":
            del content[place:]
        else:
            piece = content[place : place + data.draw(st.integers(1, 40))]
            content[place : place + len(piece)] = b"" if kind == "delete" else piece * 2
    path = tmp_path / "damaged"
    path.write_bytes(bytes(content))
    resume_damaged(path)


def places_in(value: Any, *before: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value in a JSON value."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, part in value.items() if isinstance(value, dict) else ():
        yield (*before, key)
        yield from places_in(part, *before, key)


@pytest.mark.usefixtures("numpy_path")
def test_every_value_of_a_record_is_checked(a_checkpoint: Path, monkeypatch) -> None:
    found = read(a_checkpoint)
    monkeypatch.setattr(checkpoints, "write", lambda path, checkpoint: None)
    for *keys, last in places_in(found.record):
        for value in (None, "x", -1, 1, 2.0, 2.5, 10**30, [], [None], {}):
            damaged = found._replace(record=copy.deepcopy(found.record))
            functools.reduce(operator.getitem, keys, damaged.record)[last] = value
            monkeypatch.setattr(fit_checkpoints, "read", lambda path, damaged=damaged: damaged)
            resume_damaged(a_checkpoint)


DAMAGE: dict[str, tuple[tuple[Any, ...], Any]] = {
    "an unknown generator": (("draws", "dropout", "bit_generator"), "Filox"),
    "no draws": (("draws",), {}),
    "too few memories": (("memories",), 1),
    "no rate": (("position", "rate"), None),
    "rows that are no number": (("position", "done"), "10"),
    "an epoch without a cost": (("history", "train_cost"), [None]),
    "no costs": (("history", "train_cost"), []),
    "a score that is not recorded": (("history", "val_r2"), [0.5]),
    "fewer epochs than were done": (("epochs",), 1),
    "patience of nothing": (("best",), [0.5, 100]),
}


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize(("keys", "value"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused(keys: Any, value: Any, a_checkpoint: Path, tmp_path: Path) -> None:
    found = read(a_checkpoint)
    record = copy.deepcopy(found.record)
    functools.reduce(operator.getitem, keys[:-1], record)[keys[-1]] = value
    checkpoints.write(tmp_path / "damaged", found._replace(record=record))
    with pytest.raises(FileFormatError):
        new().fit(X, Y, epochs=4, checkpoint=tmp_path / "damaged", resume=True, **DAMAGED)
