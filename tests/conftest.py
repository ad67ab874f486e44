"""Fixtures for all tests, guards between a kernel's arrays, and the rule for tests that need MNIST.

Without ``FASTNN_DATA``, tests that need MNIST are skipped. With it, a skip is a failure, so that
a failure to find existing data does not go unnoticed.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pooch  # noqa: F401 - imported now, or its logger would keep a CliRunner's stderr
import pytest
from threadpoolctl import threadpool_limits

from book_networks import Pairs, vectors
from fastnn import activations, arrays, costs, data, initializers
from fastnn.engine import layout, tiles, training
from fastnn.progress import ProgressBar

pytest.register_assert_rewrite("checkpoint_runs", "command_line", "comparisons")

# Tiles of at most two rows by two vectors, which compile faster, and spans of as few as 64 columns.
SMALL = tiles.Tiles((2, 2), 2)
OF_CPUS, tiles.TILES = tiles.TILES, dict.fromkeys(tiles.TILES, SMALL)
SPAN_BYTES, layout.SPAN_BYTES = layout.SPAN_BYTES, 64 * 64

# Guard bytes after each part of a kernel's arrays. All bits are set: they read as NaN, or as -1.
GUARD = 4 * layout.CACHE_LINE
PIECES, ALLOCATE = layout._pieces, layout.allocate
WATCHED: deque[tuple[np.ndarray, np.ndarray]] = deque()  # memory, offsets of its guards
WATCHED_AT_ONCE = 8


def guarded_pieces(floats: Any, **lengths: tuple[int, int]) -> tuple[dict[str, Any], int]:
    """Return where arrays lie, as `layout._pieces` does, with a guard after each part."""
    pieces, total = {}, 0
    for name, (parts, length) in lengths.items():
        alone, room = PIECES(floats, **{name: (parts, length)})
        size = parts * (room // parts + GUARD)
        end = total + (size if parts > 1 else alone[name].end)
        pieces[name] = alone[name]._replace(start=total, end=end)
        total += size
    return pieces, total


@functools.lru_cache(maxsize=64)
def guards(shape: layout.Shape) -> np.ndarray:
    """Return the offsets of all guard bytes, except in two arrays that Python clears whole."""
    starts, pieces = [], layout._plan(shape).pieces
    for piece in (one for name, one in pieces.items() if name not in ("met", "ticks")):
        size = (piece.end - piece.start) // piece.parts
        room = (
            size - GUARD if piece.parts > 1 else -(-size // layout.CACHE_LINE) * layout.CACHE_LINE
        )
        starts += [piece.part(part) + room for part in range(piece.parts)]
    return (np.array(starts)[:, np.newaxis] + np.arange(GUARD)).ravel()


def guarded_allocate(shape: layout.Shape) -> layout.Arrays:
    """Return a kernel's arrays, with the guards filled."""
    arrays = ALLOCATE(shape)
    memory: Any = arrays.weights.base
    memory = memory[-memory.ctypes.data % layout.CACHE_LINE :]
    memory[guards(shape)] = 255
    look_at_guards(WATCHED_AT_ONCE - 1)
    WATCHED.append((memory, guards(shape)))
    return arrays


def look_at_guards(left: int) -> None:
    """Check and forget the oldest guards, until those of `left` kernels remain."""
    while len(WATCHED) > left:
        memory, places = WATCHED.popleft()
        assert (memory[places] == 255).all(), "a kernel wrote past an array"


layout._pieces, layout.allocate = guarded_pieces, guarded_allocate


@pytest.fixture(autouse=True)
def nothing_is_written_between_arrays() -> Iterator[None]:
    yield
    look_at_guards(0)


@contextmanager
def tiles_for(node: pytest.Item | pytest.Module) -> Iterator[None]:
    """Use the tiles of this CPU if `node` is marked ``cpu_tiles``.

    Most tests check what a kernel computes, for which small tiles suffice. The mark is for tests
    that depend on the tiles' shapes, and for results that are compared with other processes.
    """
    with pytest.MonkeyPatch.context() as patch:
        if node.get_closest_marker("cpu_tiles") is not None:
            patch.setattr(tiles, "TILES", OF_CPUS)
            patch.setattr(layout, "SPAN_BYTES", SPAN_BYTES)
        yield


@pytest.fixture(autouse=True, scope="module")
def tiles_of_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Choose the tiles for module-scoped fixtures."""
    with tiles_for(request.node):
        yield


@pytest.fixture(autouse=True)
def tiles_of_test(request: pytest.FixtureRequest) -> Iterator[None]:
    with tiles_for(request.node):
        yield


@pytest.fixture
def registered_for_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget afterwards what a test has registered."""
    for module in (activations, costs, initializers):
        monkeypatch.setattr(module, "ALL", module.ALL)


@pytest.fixture
def compiled_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute outputs with compiled kernels for any size of network, unless the rows are few."""
    monkeypatch.setattr(training, "FEW_PRODUCTS", 0)


@pytest.fixture(autouse=True)
def usual_outputs(request: pytest.FixtureRequest) -> None:
    """Use `compiled_outputs` in all tests that are not marked ``cpu_tiles``."""
    if request.node.get_closest_marker("cpu_tiles") is None:
        request.getfixturevalue("compiled_outputs")


@pytest.fixture(scope="module")
def nothing_compiled() -> Iterator[None]:
    """Take the numpy path, on one thread, in a module whose many formulas would take a minute."""
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        yield


@pytest.fixture
def numpy_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the numpy path, for tests of the code around the engine: nothing is compiled."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty cache: the usual one does not notice changes in kernels that tests define."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every chunk a single batch."""
    monkeypatch.setattr(training, "CHUNK_FLOPS", 1)


@pytest.fixture
def bytes_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store exact multiples as bytes, however few rows there are."""
    monkeypatch.setattr(arrays, "FEW_ROWS", 1)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a block hold two rows of five float32, so that small arrays have several blocks."""
    monkeypatch.setattr(arrays, "_BLOCK_BYTES", 40)


@pytest.fixture
def shown_chunks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Return a list to which progress bars append epoch and finished rows after every chunk."""
    shown, chunk = [], ProgressBar.chunk

    def noted(bar: ProgressBar, done: int) -> None:
        chunk(bar, done)
        (task,) = bar._bar.tasks
        shown.append((task.fields["epoch"], task.completed))

    monkeypatch.setattr(ProgressBar, "chunk", noted)
    return shown


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    """The embedded digits."""
    return data.load("digits")


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Return 45 rows of 12 bytes, and labels of four classes."""
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (45, 12), dtype=np.uint8), rng.integers(0, 4, 45)


@pytest.fixture
def training_pairs(digits: data.Dataset) -> Pairs:
    """Return 60 digits as the book's pairs of a column and a unit vector."""
    images = (digits.train_images[:60] * digits.input_scale).reshape(60, 64, 1)
    return vectors(zip(images, digits.train_labels[:60], strict=True))


@pytest.fixture
def test_pairs(digits: data.Dataset) -> Pairs:
    """Return 40 digits as the book's pairs of a column and a numpy integer."""
    images = (digits.test_images[:40] * digits.input_scale).reshape(40, 64, 1)
    return list(zip(images, digits.test_labels[:40], strict=True))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network that the command line has trained on the digits."""
    from command_line import QUICK, run

    path = tmp_path_factory.mktemp("model") / "digits.json"
    assert run("train", *QUICK, "--out", path).exit_code == 0
    return path


@pytest.fixture(scope="module")
def expected_records() -> list[dict[str, Any]]:
    """What a sweep must return for `sweep_runs.SPACE`, whatever trains its trials."""
    from sweep_runs import run, untimed

    return untimed(run())


@pytest.fixture(scope="session")
def mnist() -> data.Dataset:
    """MNIST from the folder in ``FASTNN_DATA``; never downloaded."""
    if not os.environ.get("FASTNN_DATA"):
        pytest.skip("needs MNIST: set FASTNN_DATA to a folder that holds it")
    return data.load("mnist", download=False)


def pytest_configure() -> None:
    """Accept Ctrl-C even if a shell has started pytest in the background, with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "mnist" in getattr(item, "fixturenames", ()):
            item.add_marker("mnist")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.get_closest_marker("mnist") and os.environ.get("FASTNN_DATA"):
        report.outcome = "failed"
        report.longrepr = f"skipped although FASTNN_DATA is set: {report.longrepr}"
    return report
