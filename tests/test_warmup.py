"""The kernels that are compiled ahead are those that common fits call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import fastnn
from fastnn.engine import cache, compiled, jit, warmup
from fastnn.nielsen import network as chapter1
from fastnn.nielsen import network2

pytestmark = [
    pytest.mark.cpu_tiles,  # the tiles that other processes use
    pytest.mark.skipif(not jit.is_on(), reason="nothing is compiled"),
]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, compiled_outputs: None) -> set[Any]:
    """Return the set of kernels that are called; none is compiled."""
    kernels = set()

    def kernel(build: Callable[[str], Any], text: str) -> Any:
        def call(*arguments: Any) -> float:
            kernels.add((build.__name__, text, tuple(map(numba.typeof, arguments))))
            return 0.0

        call.overloads = ["compiled"]  # type: ignore[attr-defined]
        return call

    monkeypatch.setattr(compiled, "_kernel", kernel)
    return kernels


def fit(dtype: str, rows: np.ndarray, penalty: Any, hidden: int, batch_size: int) -> None:
    network = fastnn.Network([70, hidden, 3], dtype=dtype)
    network.fit(rows, np.arange(20) % 3, epochs=1, penalty=penalty, batch_size=batch_size)
    network.predict(rows)
    network.predict(rows[:1])


def rows_of(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 256, (20, 70))
    if "zeros" in kind:
        rows *= rng.random(rows.shape) < 0.3
    return rows.astype(np.uint8) if "uint8" in kind else rows / 300  # not storable as bytes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [None, fastnn.L1(0.2), fastnn.L2(0.2)], ids=str)
@pytest.mark.parametrize("kind", ["uint8 with zeros", "floats with zeros", "floats"])
@pytest.mark.parametrize(("hidden", "batch_size"), [(5, 10), (30, 10), (100, 1), (100, 20)])
def test_fit_calls_no_kernel_that_is_not_warm(
    dtype, penalty, kind: str, hidden: int, batch_size: int, called
) -> None:
    for case in warmup.USUAL:
        warmup.warm_up(case, [hidden], batch_size)
    warm = called.copy()
    called.clear()
    fit(dtype, rows_of(kind), penalty, hidden, batch_size)
    assert {name for name, *_ in called} >= {"build_train", "build_outputs"}
    assert called <= warm


@pytest.mark.parametrize("lmbda", [0.0, 5.0])
def test_the_books_modules_call_no_kernel_that_is_not_warm(lmbda: float, called, capsys) -> None:
    for case in warmup.USUAL:
        warmup.warm_up(case)
    warm = called.copy()
    called.clear()
    pairs = [(x.reshape(70, 1), np.eye(3)[[0]].T) for x in rows_of("uint8 with zeros") / 256]
    chapter1.Network([70, 30, 3]).SGD(pairs, 1, 10, 0.5)
    network2.Network([70, 30, 3]).SGD(
        pairs, 1, 10, 0.5, lmbda=lmbda, evaluation_data=[(pairs[0][0], 0)],
        monitor_evaluation_accuracy=True,
    )  # fmt: skip
    assert "build_train" in {name for name, *_ in called}
    assert called <= warm


def test_the_command_says_what_it_compiles(called, monkeypatch) -> None:
    from typer.testing import CliRunner

    from fastnn.cli import app

    result = CliRunner().invoke(app, ["warmup", "--hidden", "100,30", "--batch-size", "20"])
    assert result.exit_code == 0
    *lines, last = result.stdout.splitlines()
    assert len(lines) == len(warmup.USUAL) == len(set(lines))
    assert lines[0].startswith("float32, uint8 rows with many zeros, cross_entropy, no penalty: ")
    assert str(cache.folders()[0]) in last
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    result = CliRunner().invoke(app, ["warmup"])
    assert result.exit_code == 1
    assert "NUMBA_DISABLE_JIT" in result.stderr
