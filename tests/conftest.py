"""Data sets for all tests, and the rule for tests that need MNIST.

Without ``FASTNN_DATA`` such a test is skipped. With it, a skip is a failure: data that are there
but not found would otherwise go unnoticed.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pooch  # noqa: F401 - its logger keeps the stderr of its first import: not a CliRunner's
import pytest

from fastnn import data
from fastnn.engine import layout, spec, training

# Kernels with tiles of two rows by two vectors, of which there is less to compile, and spans of 64
# columns of these.
SMALL = spec.Tiles((2, 2), 2, 0, 0)
OF_CPUS, spec.TILES = spec.TILES, {16: SMALL, 32: SMALL}
SPAN_BYTES, layout.SPAN_BYTES = layout.SPAN_BYTES, 64 * 64

# Bytes behind each part of a kernel's arrays, all ones: NaN, or -1, to who reads them.
GUARD = 4 * layout.CACHE_LINE
PIECES, ALLOCATE = layout._pieces, layout.allocate
WATCHED: deque[tuple[np.ndarray, np.ndarray]] = deque()  # memory, and where its guards are
WATCHED_AT_ONCE = 8


def guarded_pieces(floats: Any, **lengths: tuple[int, int]) -> tuple[dict[str, Any], int]:
    """Return where arrays lie, with a guard behind each part."""
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
    """Return the places of all bytes of guards, but for two arrays that Python clears whole."""
    starts, pieces = [], layout._plan(shape).pieces
    for piece in (one for name, one in pieces.items() if name not in ("met", "ticks")):
        size = (piece.end - piece.start) // piece.parts
        room = (
            size - GUARD if piece.parts > 1 else -(-size // layout.CACHE_LINE) * layout.CACHE_LINE
        )
        starts += [piece.part(part) + room for part in range(piece.parts)]
    return (np.array(starts)[:, np.newaxis] + np.arange(GUARD)).ravel()


def guarded_allocate(shape: layout.Shape) -> layout.Arrays:
    """Return a kernel's arrays with the guards filled."""
    arrays = ALLOCATE(shape)
    memory: Any = arrays.weights.base
    memory = memory[-memory.ctypes.data % layout.CACHE_LINE :]
    memory[guards(shape)] = 255
    look_at_guards(WATCHED_AT_ONCE - 1)
    WATCHED.append((memory, guards(shape)))
    return arrays


def look_at_guards(left: int) -> None:
    """Look at the oldest ones, and forget them, until so many are left."""
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
    """Give what is marked ``cpu_tiles`` the tiles of this CPU.

    Most tests are of what a kernel is made of; those of its shapes are marked.
    """
    with pytest.MonkeyPatch.context() as patch:
        if node.get_closest_marker("cpu_tiles") is not None:
            patch.setattr(spec, "TILES", OF_CPUS)
            patch.setattr(layout, "SPAN_BYTES", SPAN_BYTES)
        yield


@pytest.fixture(autouse=True, scope="module")
def tiles_of_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """For the fixtures of whole modules."""
    with tiles_for(request.node):
        yield


@pytest.fixture(autouse=True)
def tiles(request: pytest.FixtureRequest) -> Iterator[None]:
    with tiles_for(request.node):
        yield


@pytest.fixture
def compiled_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs by compiled kernels, of more than a few rows, however small the network is."""
    monkeypatch.setattr(training, "FEW_PRODUCTS", 0)


@pytest.fixture(autouse=True)
def usual_outputs(request: pytest.FixtureRequest) -> None:
    """Compiled ones, but for what is compared with other processes."""
    if request.node.get_closest_marker("cpu_tiles") is None:
        request.getfixturevalue("compiled_outputs")


@pytest.fixture
def numpy_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's numpy path, for tests of what is around it: there is nothing to compile."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    """The embedded digits."""
    return data.load("digits")


@pytest.fixture(scope="session")
def mnist() -> data.Dataset:
    """MNIST from the folder in ``FASTNN_DATA``; never downloaded."""
    if not os.environ.get("FASTNN_DATA"):
        pytest.skip("needs MNIST: set FASTNN_DATA to a folder that holds it")
    return data.load("mnist", download=False)


def pytest_configure() -> None:
    """Take Ctrl-C where this was started in the background of a shell, which ignores it."""
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
