"""What a whole process needs: memory, and the time to its first trained batch.

Each measurement starts new processes. The memory is saved in `extra_info` of the results, and
printed: ``pytest benchmarks/test_processes.py -s``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FEW_ROWS = 1_000
ROWS = 50_000

# Resident memory in MiB, now and at its peak. The peak can be reset, so that earlier work (reading
# files) does not hide the peak of what follows.
GAUGES = """
import json, re, sys
def status(key):
    with open("/proc/self/status") as file:
        return int(re.search(key + r":\\s+(\\d+) kB", file.read())[1]) / 1024
def now():
    return status("VmRSS")
def peak():
    return status("VmHWM")
def set_back():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
found = {}
"""

NATIVE = """
import numpy as np, fastnn
found["after import"] = now()
tiny = fastnn.Network([784, 30, 10])
tiny.fit(np.zeros((10, 784), np.uint8), np.zeros(10, int), epochs=1, penalty=fastnn.L1(1.0))
found["after the first batch"] = now()
from fastnn.bench import cases, problem
given = problem.problem(cases.Case("memory", (784, 30, 10), 10, n=ROWS))
rows, labels = given.rows, given.labels
found["data"] = (rows.nbytes + labels.nbytes) / 2**20
found["with the data"] = now()
set_back()
fastnn.Network([784, 30, 10], input_scale=given.scale).fit(
    rows, labels, epochs=3, penalty=fastnn.L1(5.0), validation_data=(rows[:1000], labels[:1000])
)
found["peak of the fit"] = peak()
print(json.dumps(found))
"""

DROP_IN = """
import contextlib, io
from fastnn.bench import cases, problem
from fastnn.nielsen import network2
given = problem.problem(cases.Case("memory", (784, 30, 10), 10, n=ROWS))
pairs = given.pairs()
network = network2.Network([784, 30, 10])
with contextlib.redirect_stdout(io.StringIO()):
    network.SGD(pairs[:10], 1, 10, 0.5, lmbda=5.0, penalty="l1")
    found["with the lists"] = now()
    set_back()
    network.SGD(pairs, 3, 10, 0.5, lmbda=5.0, penalty="l1")
found["peak of SGD"] = peak()
print(json.dumps(found))
"""

FIRST_BATCH = """
import numpy as np, fastnn
fastnn.Network([784, 30, 10], seed=1).fit(
    np.zeros((10, 784), np.uint8), np.zeros(10, int), epochs=1, penalty=fastnn.L1(5.0)
)
"""


def in_new_process(program: str, **variables: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    ).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("program", [NATIVE, DROP_IN], ids=["native", "drop-in"])
def test_memory(benchmark: Any, runs_once: bool, program: str) -> None:
    benchmark.group = "memory (see extra_info)"
    text = GAUGES + f"ROWS = {FEW_ROWS if runs_once else ROWS}\n" + program
    found = json.loads(benchmark.pedantic(in_new_process, args=(text,), rounds=1))
    benchmark.extra_info.update(found)
    print(*(f"\n{what}: {value:.0f} MB" for what, value in found.items()), end="")


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("program", ["import numpy", "from fastnn import Network"])
def test_import(benchmark: Any, runs_once: bool, program: str) -> None:
    benchmark.pedantic(
        in_new_process,
        args=(program,),
        rounds=1 if runs_once else 10,
        warmup_rounds=1,
    )


@pytest.mark.benchmark(group="start-up")
def test_first_batch_from_the_cache(benchmark: Any, runs_once: bool) -> None:
    """The warm-up fills Numba's disk cache, if it is empty."""
    benchmark.pedantic(
        in_new_process, args=(FIRST_BATCH,), rounds=1 if runs_once else 5, warmup_rounds=1
    )


@pytest.mark.benchmark(group="start-up")
def test_first_batch_compiled(benchmark: Any, tmp_path: Path) -> None:
    benchmark.pedantic(
        in_new_process,
        args=(FIRST_BATCH,),
        kwargs={"NUMBA_CACHE_DIR": str(tmp_path)},
        rounds=1,
    )
