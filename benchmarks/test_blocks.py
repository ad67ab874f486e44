"""A file of 4 GiB: the memory that training on it takes, and an epoch from a file and in memory.

Only anonymous memory is counted (RssAnon): pages of the file belong to the kernel's cache. The
epochs are compared on 1 GiB of rows, which have been read once before.
"""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

import fastnn

WIDTH, GIB = 784, 2**30
SIZE, COMPARED, FEW = 4 * GIB, GIB, 2**22
PIECE = 4096  # rows


def anonymous() -> float:
    """Return this process's anonymous memory in MB."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) / 1000


def written(folder: Path, size: int) -> tuple[Path, Path]:
    """Write `size` bytes of float32 rows, piece by piece, and their labels; return both paths."""
    rng = np.random.default_rng(1)
    rows = size // (4 * WIDTH)
    paths = folder / "X.npy", folder / "y.npy"
    X = np.lib.format.open_memmap(paths[0], "w+", np.float32, (rows, WIDTH))
    piece = rng.random((PIECE, WIDTH), np.float32) * (rng.random((PIECE, WIDTH)) < 0.2)
    for start in range(0, rows, PIECE):
        X[start : start + PIECE] = piece[: rows - start]
    del X
    np.save(paths[1], np.resize(np.arange(10), rows))
    return paths


def trained(X: Any, y: Any = None, epochs: int = 1) -> list[float]:
    network = fastnn.Network([WIDTH, 30, 10], seed=1)
    return network.fit(X, y, epochs=epochs, penalty=fastnn.L1(5.0)).seconds


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.benchmark(group="larger than memory (see extra_info)")
def test_a_file_of_4_gib(benchmark: Any, runs_once: bool, threads: Any, tmp_path: Path) -> None:
    threads(2)
    blocks = fastnn.Blocks.of_files(*written(tmp_path, FEW if runs_once else SIZE))
    peak, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    benchmark.pedantic(trained, args=(blocks,))
    done.set()
    watcher.join()
    benchmark.extra_info.update({"rows": blocks.rows, "most anonymous memory, MB": max(peak)})
    print(f"\nmost anonymous memory: {max(peak):.0f} MB", end="")


@pytest.mark.benchmark(group="an epoch from a cached file (see extra_info)")
def test_an_epoch_beside_rows_in_memory(
    benchmark: Any, runs_once: bool, threads: Any, tmp_path: Path
) -> None:
    threads(2)
    paths = written(tmp_path, FEW if runs_once else COMPARED)
    X, y = (np.load(path) for path in paths)  # in memory, and in the page cache
    in_memory = median(trained(X, y, 3)[1:])
    seconds = benchmark.pedantic(trained, args=(fastnn.Blocks.of_files(*paths), None, 3))
    from_file = median(seconds[1:])
    found = {"in memory": in_memory, "from the file": from_file, "times": from_file / in_memory}
    benchmark.extra_info.update(found)
    print(*(f"\n{what}: {value:.2f}" for what, value in found.items()), end="")
