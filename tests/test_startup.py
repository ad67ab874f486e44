"""Compiled kernels on disk: they are found, recompiled when necessary, and never break a fit."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import fastnn
from fastnn.arrays import Inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import Training, cache, jit
from fastnn.interrupts import signals_deferred

pytestmark = [
    pytest.mark.cpu_tiles,  # the tiles that other processes use
    pytest.mark.skipif(not jit.is_on(), reason="nothing is compiled"),
]

PACKAGE = Path(fastnn.__file__).parent


def adder(number: float) -> Any:
    """Return a kernel that adds `number`; it compiles quickly."""

    @jit.kernel
    def add(x):
        return x + number

    return add


def kernels(folder: Path) -> list[Path]:
    """Return the files of complete kernels under `folder`."""
    return sorted(folder.rglob("*.nbc"))


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty cache; the folder does not exist yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "a" / "b"))
    monkeypatch.setattr(cache, "_warn", cache.functools.cache(cache._warn.__wrapped__))
    return cache.folders()[0]


@pytest.fixture
def unwritable(folder: Path, tmp_path: Path) -> Path:
    """Return a folder that not even root can create: one of its parents is a file."""
    (tmp_path / "a").write_text("")
    return folder


# -------------------------------------------------------------------------------- one function


def test_a_missing_folder_is_made_and_the_function_found_there(folder: Path) -> None:
    assert adder(2.0)(1.0) == 3.0
    assert len(kernels(folder)) == 1
    again = adder(2.0)
    assert again(1.0) == 3.0
    assert hits(again) == 1


def test_what_it_closes_over_and_argument_types_make_another_file(folder: Path) -> None:
    for number, argument in [(2.0, 1.0), (3.0, 1.0), (2.0, 1)]:
        function = adder(number)
        assert function(argument) == argument + number
        assert hits(function) == 0
    assert len(kernels(folder)) == 3


def test_other_code_of_the_function_makes_another_file(folder: Path) -> None:
    @jit.kernel
    def twice(x):
        return 2 * x

    first = twice
    first(1.0)

    @jit.kernel
    def twice(x):
        return x + x

    assert twice(1.0) == 2.0
    assert hits(twice) == 0
    assert len(kernels(folder)) == 2


def test_other_sources_make_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder(2.0)(1.0)
    monkeypatch.setattr(cache, "sources", lambda: "edited")
    function = adder(2.0)
    function(1.0)
    assert hits(function) == 0


def test_one_warning_where_nothing_can_be_written(unwritable: Path) -> None:
    with pytest.warns(RuntimeWarning, match=rf"{re.escape(str(unwritable))}.*NUMBA_CACHE_DIR"):
        assert adder(2.0)(1.0) == 3.0
    assert adder(3.0)(1.0) == 4.0  # warnings are errors here


def test_the_next_folder_is_taken(
    unwritable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "folders", lambda: [unwritable, tmp_path / "second"])
    adder(2.0)(1.0)
    again = adder(2.0)
    again(1.0)
    assert hits(again) == 1


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="cannot be saved"):
        assert adder(2.0)(1.0) == 3.0
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["lock"]


@pytest.mark.parametrize("length", [0, 100])
def test_a_file_cut_short_is_written_anew(folder: Path, length: int) -> None:
    adder(2.0)(1.0)
    (file,) = kernels(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:length])
    assert adder(2.0)(1.0) == 3.0
    assert len(file.read_bytes()) == len(whole)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_file_is_written_anew(folder: Path, place: int) -> None:
    adder(2.0)(1.0)
    (file,) = kernels(folder)
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    again = adder(2.0)
    assert again(1.0) == 3.0
    assert hits(again) == 0
    third = adder(2.0)
    third(1.0)
    assert hits(third) == 1


def test_kernels_unused_for_long_are_deleted_when_one_is_saved(folder: Path) -> None:
    for number in (1.0, 2.0, 3.0):
        adder(number)(1.0)
    used, unused, recent = sorted(kernels(folder), key=lambda file: file.stat().st_mtime_ns)
    (folder / "other").touch()
    unfinished = folder / f"{unused.name}.{32 * 'a'}"
    unfinished.touch()
    for file in (used, unused, unfinished, folder / "other"):
        os.utime(file, (0, 0))
    adder(1.0)(1.0)  # notes that it has been used
    adder(4.0)(1.0)
    assert {used, recent} < set(kernels(folder))
    assert len(kernels(folder)) == 3
    assert {file.name for file in folder.iterdir() if file.suffix != ".nbc"} == {"lock", "other"}


# ------------------------------------------------------------------------------------ processes


HOLDS_THE_LOCKS = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(cache.fcntl is None, reason="there are no locks here")
@pytest.mark.parametrize("is_fit", [False, True], ids=["a kernel", "a fit"])
def test_ctrl_c_while_another_process_compiles(folder: Path, is_fit: bool) -> None:
    """A fit defers signals, and handles them while it waits."""

    def compiles() -> Any:
        with signals_deferred() if is_fit else nullcontext():
            return adder(2.0)(1.0)

    folder.mkdir(parents=True)
    command = [sys.executable, "-c", HOLDS_THE_LOCKS, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            compiles()
        assert other.poll() is None  # it still holds them
        other.communicate()
    assert compiles() == 3.0


class Interrupted:
    """A kernel that is not compiled yet, and whose compilation Ctrl-C interrupts."""

    overloads = ()

    def compile(self, signature: Any) -> None:
        raise KeyboardInterrupt

    def __call__(self, *arguments: Any) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kernel", ["_train", "_settle"])
def test_a_call_interrupted_while_it_compiles_has_taken_nothing(kernel: str, monkeypatch) -> None:
    network, rng = fastnn.Network([70, 5, 3], seed=1), np.random.default_rng(0)
    rows = (rng.integers(1, 256, (20, 70)) * (rng.random((20, 70)) < 0.3)).astype(np.uint8)
    training = Training(
        *network._arrays(),
        activations=network._activations,
        cost=CrossEntropy(),
        penalties=[fastnn.L1(1.0)] * 2,
        inputs=Inputs(rows, 1 / 256),
        targets=np.arange(20) % 3,
        batch_size=5,
        learning_rate=0.5,
        dropout=[0.5],
    )
    before, weights = training.state(), [w.copy() for w in network.weights]
    monkeypatch.setattr(training._path, kernel, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        training.epoch(np.arange(20))
    after = training.state()
    assert (after.steps, after.total, after.draws) == (before.steps, before.total, before.draws)
    for now, then in zip(network.weights, weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_thread_waits_for_another_that_compiles(folder: Path) -> None:
    """If it did not, closing the lock file would release the other thread's lock."""
    one, other, entered = adder(2.0), adder(3.0), []

    def enter() -> None:
        with other._cache.alone("other", other.targetctx.codegen()):
            entered.append(True)

    waiting = threading.Thread(target=enter)
    with one._cache.alone("one", one.targetctx.codegen()):
        waiting.start()
        waiting.join(0.2)
        assert not entered
    waiting.join(60)
    assert entered


def run_python(program: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a process that caches its kernels under `folder`, compiled without optimisation."""
    settings = {"NUMBA_CACHE_DIR": str(folder), "NUMBA_OPT": "0"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **settings, **environment},
        cwd=folder,  # not a folder in which Python might find another fastnn
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def printed(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return out


TRAIN = """
import hashlib, fastnn, numpy as np
from numba.core import event
rng = np.random.default_rng(0)
X, y = rng.integers(0, 256, (40, 20), dtype=np.uint8), rng.integers(0, 3, 40)
network = fastnn.Network([20, 5, 3], seed=1)
with event.install_recorder("numba:compile") as found:
    network.fit(X, y, epochs=2, penalty=PENALTY)
started = [e.data["dispatcher"].py_func.__qualname__ for _, e in found.buffer if e.is_start]
print(sum(name.startswith("build_") for name in started), end=" ")
print(hashlib.sha256(b"".join(w.tobytes() for w in network.weights)).hexdigest())
"""


def test_eight_processes_start_on_an_empty_cache(tmp_path: Path) -> None:
    """Two programs in four processes each; their kernels share names but not the penalty.

    One process compiles a kernel while the others wait for it.
    """
    programs = [TRAIN.replace("PENALTY", p) for p in ("None", "fastnn.L2(1.0)")]
    running = [run_python(program, tmp_path) for program in programs * 4]
    compiled_here, first = zip(*(printed(process).split() for process in running), strict=True)
    assert first == first[:2] * 4
    assert first[0] != first[1]
    files = kernels(tmp_path)
    assert sum(map(int, compiled_here)) == len(files) >= 2
    again = [printed(run_python(program, tmp_path)).split() for program in programs]
    assert again == [["0", digest] for digest in first[:2]]
    assert kernels(tmp_path) == files
    assert {file.name for file in files[0].parent.iterdir()} == {"lock", *(f.name for f in files)}


OUTPUTS = """
import fastnn, numpy as np
from fastnn import activations, arrays
from fastnn.engine import compiled
assert fastnn.__file__.startswith(FOLDER), fastnn.__file__
weights, biases = [np.eye(3), np.eye(3)], [np.zeros(3), np.zeros(3)]
rows = arrays.Inputs(np.full((1, 3), 0.3), 1.0)
print(compiled.outputs(weights, biases, [activations.Sigmoid()] * 2, rows)[0].tolist())
"""


def test_edited_sources_compile_anew(tmp_path: Path) -> None:
    """A formula is edited, then a helper of `trace`: with the same cache, the results change."""
    copy = tmp_path / "copy" / "fastnn"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.nbc", "*.nbi"))
    program = OUTPUTS.replace("FOLDER", repr(str(tmp_path)))
    results = []
    for file, old, new in [
        ("__init__.py", "", ""),
        ("activations.py", "return 1 / (1 + xp.exp(-z))", "return 2 / (1 + xp.exp(-z))"),
        ("engine/trace.py", "math.inf, fraction * power + power", "math.inf, fraction * power"),
    ]:
        path = copy / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        for _ in range(2):
            process = run_python(program, tmp_path, PYTHONPATH=str(copy.parent))
            results.append(printed(process))
    assert results[0::2] == results[1::2]
    assert len(set(results)) == 3


def test_warm_kernels_are_compiled_by_warmup(folder: Path) -> None:
    """Compile one case for real: it leaves the files, and a second process adds none."""
    program = "from fastnn.engine import warmup; print(warmup.warm_up(warmup.USUAL[0]))"
    folder.parent.mkdir(parents=True)
    for _ in range(2):
        printed(run_python(program, folder.parent))
        names = sorted(re.match("[a-z]+", file.name)[0] for file in kernels(folder))
        assert names == ["outputs", "train", "unpack"]
