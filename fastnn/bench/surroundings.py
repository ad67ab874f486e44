"""What a benchmark runs in: environment variables, and the machine and versions it reports.

Nothing that loads numpy is imported here, since its BLAS counts the CPUs when it is loaded.
"""

from __future__ import annotations

import os
import platform
from typing import Any

from fastnn.machine import cpu_name, cpus

__all__ = ["describe", "environment"]

# These make numpy's BLAS use an older kernel or other block sizes; peers should run at their best.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("fastnn", "numpy", "numba", "scipy", "torch", "jax", "jaxlib", "scikit-learn")


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, adapted to a process that uses `threads` threads."""
    changed = {k: v for k, v in os.environ.items() if k not in BLAS_OVERRIDES}
    changed |= dict.fromkeys(THREAD_COUNTS, str(threads))
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false"
        changed["XLA_FLAGS"] = f"{changed.get('XLA_FLAGS', '')} {flags}".strip()
    return changed


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
