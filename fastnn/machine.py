"""The machine: pinning to some of its CPUs, its memory bandwidth, and its description.

numpy is imported late, since its BLAS counts the CPUs when it is loaded.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "MEMORY_BYTES",
    "cpu_name",
    "cpus",
    "describe",
    "environment",
    "pin",
    "pinned",
    "read_bandwidth",
    "threads_allowed",
    "update_bandwidth",
]

MEMORY_BYTES = 1 << 28
"""The size of an array that is in no cache."""

LEAST_CACHE_BYTES = 1 << 18  # for smaller arrays the call itself takes too much of the time
REPEATS = 15

# These make numpy's BLAS use an older kernel or other block sizes; peers should run at their best.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("fastnn", "numpy", "numba", "scipy", "torch", "jax", "jaxlib", "scikit-learn")


def cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_allowed() -> int:
    """Return how many threads may compute: one per CPU, or fewer if OMP_NUM_THREADS says so.

    Programs that start several processes at once, such as joblib, set it for each of them.
    """
    most = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(cpus(), int(most)) if most.isdecimal() and int(most) > 0 else cpus()


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, adapted to a process that uses `threads` threads."""
    changed = {k: v for k, v in os.environ.items() if k not in BLAS_OVERRIDES}
    changed |= dict.fromkeys(THREAD_COUNTS, str(threads))
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false"
        changed["XLA_FLAGS"] = f"{changed.get('XLA_FLAGS', '')} {flags}".strip()
    return changed


def pin(threads: int) -> list[int] | None:
    """Pin this thread, and the threads that it starts, to `threads` CPUs.

    If a library that starts a thread per CPU is loaded afterwards, this also limits its threads.
    Return the CPUs, or None if the system cannot pin. Raise a `ValueError` if there are too few.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise ValueError(f"{threads} threads need as many CPUs; this process has {len(allowed)}")
    os.sched_setaffinity(0, allowed[-threads:])
    return allowed[-threads:]


@contextmanager
def pinned(threads: int) -> Iterator[list[int] | None]:
    """Pin this thread, and the threads that it starts, to `threads` CPUs within the block.

    Yield what `pin` returns, and raise what it raises.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        yield pin(threads)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)


def read_bandwidth(size: int, dtype: np.dtype[np.floating]) -> float:
    """Return the bytes per second that a dot product of an array of `size` bytes with itself reads.

    Sizes below 256 KiB are measured with 256 KiB, which fit in the same cache or the next one.
    """
    import numpy as np

    a = np.ones(max(size, LEAST_CACHE_BYTES) // dtype.itemsize, dtype)
    return a.nbytes / _least_seconds(lambda: a.dot(a), a.nbytes)


def update_bandwidth(size: int, dtype: np.dtype[np.floating]) -> float:
    """Return the bytes per second read and written by an in-place update of `size` bytes.

    Sizes below 256 KiB are measured with 256 KiB, as in `read_bandwidth`.
    """
    import numpy as np

    a = np.ones(max(size, LEAST_CACHE_BYTES) // dtype.itemsize, dtype)
    return 2 * a.nbytes / _least_seconds(lambda: np.negative(a, out=a), a.nbytes)


def _least_seconds(run: Callable[[], object], size: int) -> float:
    """Return the shortest time of at least 15 runs; fewer bytes get more runs, up to 20."""
    times = []
    for _ in range(max(REPEATS, 20 * LEAST_CACHE_BYTES // size)):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def describe() -> dict[str, Any]:
    """Return the CPU, package versions and loaded thread pools (BLAS kernel, threads)."""
    import importlib.metadata

    from threadpoolctl import threadpool_info

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    known = ("user_api", "internal_api", "prefix", "version", "architecture", "num_threads")
    return {
        "cpu": cpu_name(),
        "cpus": cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "pools": [{key: pool.get(key) for key in known} for pool in threadpool_info()],
        "held_back": [name for name in BLAS_OVERRIDES if name in os.environ],
    }


def cpu_name() -> str:
    """Return the CPU's name."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
