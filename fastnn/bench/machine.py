"""The machine: pinning a process to some of its CPUs, and writing down what it is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

__all__ = ["cpus", "describe", "environment", "pin"]

# These hold numpy's BLAS back to an older kernel or other blocks; peers are to run at their best.
HOLDS_BLAS_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("fastnn", "numpy", "numba", "scipy", "torch", "jax", "jaxlib", "scikit-learn")


def cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, changed for a process that uses `threads` threads."""
    changed = {k: v for k, v in os.environ.items() if k not in HOLDS_BLAS_BACK}
    changed |= dict.fromkeys(THREAD_COUNTS, str(threads))
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false"
        changed["XLA_FLAGS"] = f"{changed.get('XLA_FLAGS', '')} {flags}".strip()
    return changed


def pin(threads: int) -> list[int] | None:
    """Let this thread, and those that it starts, run on `threads` CPUs only.

    Called before a library starts its threads, it sets their number too, where that follows the
    CPUs. Returns the CPUs, or None where the system cannot do it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise ValueError(f"{threads} threads need as many CPUs; this process has {len(allowed)}")
    os.sched_setaffinity(0, allowed[-threads:])
    return allowed[-threads:]


def describe() -> dict[str, Any]:
    """Return the CPU, the versions and the thread pools that are loaded (BLAS kernel, threads)."""
    from threadpoolctl import threadpool_info

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    known = ("user_api", "internal_api", "prefix", "version", "architecture", "num_threads")
    return {
        "cpu": _cpu(),
        "cpus": cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "pools": [{key: pool.get(key) for key in known} for pool in threadpool_info()],
        "held_back": [name for name in HOLDS_BLAS_BACK if name in os.environ],
    }


def _cpu() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
