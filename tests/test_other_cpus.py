"""The engine compiled for CPUs with fewer features: correct, and using those that they have.

Numba reads its target from the environment when it is imported, so each target runs in a separate
process: this file, run as a program.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding

from fastnn import costs, penalties
from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.engine import Training, jit

HAS_AVX2 = platform.machine() in ("x86_64", "AMD64") and binding.get_host_cpu_features().get("avx2")

pytestmark = pytest.mark.skipif(
    not (jit.is_on() and HAS_AVX2), reason="compiles for x86-64 with AVX2, and runs it"
)

AVX2 = (
    "+64bit,+cmov,+cx8,+cx16,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,"
    "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+popcnt"
)

# Dtype, dtype of the rows, share of zeros, penalty, sizes, batch size. There are panels of one and
# of two vectors, short last batches, and numbers of columns that are multiples neither of a
# vector's length nor of 64. The last cases run with AVX2 only.
CASES = [
    ("float32", "uint8", 0.8, penalties.L1(0.3), [100, 17, 10], 7),
    ("float32", "uint8", 0.8, penalties.L1(0.3), [65, 40, 9, 1], 13),
    ("float64", "uint8", 0.8, penalties.ElasticNet(0.3, 0.2), [129, 5, 3], 59),
    ("float64", "float64", 0.0, penalties.L2(0.3), [3, 1, 2], 1),
    ("float32", "float32", 0.8, penalties.L1(0.3), [100, 17, 10], 7),
    ("float32", "uint8", 0.8, penalties.TruncatedGradient(0.3, every=2), [100, 17, 10], 7),
]
OF_GENERIC = 4  # how many of these, from the first on, run without AVX2
ROWS = 60


class OnNumpy:
    """A cost that `Training` takes for a user-defined one, so that it uses the numpy path."""

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return a - y


def train(dtype, rows, zeros, penalty, sizes, batch_size, *, cost):
    """Return the weights after two epochs, and the training kernel."""
    rng = np.random.default_rng(1)
    weights = [
        (rng.standard_normal((o, i)) / np.sqrt(i)).astype(dtype)
        for i, o in itertools.pairwise(sizes)
    ]
    matrix = rng.integers(1, 256, (ROWS, sizes[0])) * (rng.random((ROWS, sizes[0])) >= zeros)
    training = Training(
        weights,
        [np.zeros(o, dtype) for o in sizes[1:]],
        activations=[Sigmoid()] * len(weights),
        cost=cost,
        penalties=[penalty] * len(weights),
        inputs=Inputs(np.ascontiguousarray(matrix, rows), 1 / 256),
        targets=rng.integers(0, sizes[-1], (ROWS, sizes[-1])).astype(dtype),
        batch_size=batch_size,
        learning_rate=0.1,
    )
    for _ in range(2):
        training.epoch(rng.permutation(ROWS))
    return weights, getattr(training._path, "_train", None)


def loops(assembly: str) -> list[list[str]]:
    """Return the lines of each loop without a label inside: innermost, straight-line loops."""
    found, start, label = [], 0, ""
    lines = assembly.splitlines()
    for number, line in enumerate(lines):
        if match := re.match(r"(\.L\w+):", line):
            start, label = number, match[1]
        elif label and re.match(rf"\s+j\w+\s+{re.escape(label)}\b", line):
            found.append(lines[start + 1 : number + 1])
    return found


def is_tile(loop: list[str]) -> bool:
    """Return whether a loop broadcasts several rows' values and multiplies each by 1 or 2 vectors.

    The loops of exp and similar functions broadcast constants, and have another number of products.
    """
    spread = sum("vbroadcast" in x and not re.search(r"\(%r[is]p", x) for x in loop)
    return spread >= 5 and sum("vfmadd" in line for line in loop) in (spread, 2 * spread)


def report(cases: int) -> dict[str, object]:
    """Return how far the paths differ in the first `cases` cases, and what the assembly has."""
    apart, assembly = [], ""
    for case in CASES[:cases]:
        ours, kernel = train(*case, cost=costs.CrossEntropy())
        numpys, _ = train(*case, cost=OnNumpy())
        apart.append(max(float(abs(a - b).max()) for a, b in zip(ours, numpys, strict=True)))
        assembly += "".join(kernel.inspect_asm().values())
    tiles = [loop for loop in loops(assembly) if is_tile(loop)]
    return {
        "vector_bytes": jit.vector_bytes(),
        "apart": apart,
        "found": [word for word in ("zmm", "ymm", "xmm", "vfmadd") if word in assembly],
        "masked_stores": re.findall(r"vp?maskmov\w+\s+%\w+, %\w+, .*", assembly),
        "library_fma": re.findall(r"(?<![\w.])fmaf?(?!\w)", assembly),
        "tiles": len(tiles),
        "written": [x for loop in tiles for x in loop if re.search(r"%[xyz]mm\d+, .*\(%rsp", x)],
        "read": max((sum("mm" in x and "(%rsp" in x for x in loop) for loop in tiles), default=0),
    }


def report_for(name: str, features: str, cache: Path, cases: int = len(CASES)) -> dict[str, object]:
    target = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    result = subprocess.run(
        [sys.executable, __file__, str(cases)],
        env={**os.environ, **target, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def assert_close(apart: list[float], cases: int = len(CASES)) -> None:
    for (dtype, *_), distance in zip(CASES[:cases], apart, strict=True):
        assert distance < (1e-12 if dtype == "float64" else 1e-5)


def test_avx2(tmp_path: Path) -> None:
    told = report_for("haswell", AVX2, tmp_path)
    assert_close(told["apart"])
    assert told["vector_bytes"] == 32
    assert told["found"] == ["ymm", "xmm", "vfmadd"]
    # Masked stores take tens of cycles on an AMD Zen 3.
    assert told["masked_stores"] == []
    assert told["tiles"] > 0
    # No sum, delta or weight spills to the stack. One constant may be there: the sign mask.
    assert told["written"] == []
    assert told["read"] <= 1


def test_generic(tmp_path: Path) -> None:
    told = report_for("generic", "", tmp_path, OF_GENERIC)
    assert_close(told["apart"], OF_GENERIC)
    assert told["vector_bytes"] == 16
    assert told["found"] == ["xmm"]
    assert told["library_fma"] == []


if __name__ == "__main__":
    print(json.dumps(report(int(sys.argv[1]))))
