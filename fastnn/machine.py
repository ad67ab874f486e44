"""The machine's CPUs: their number, their name, and pinning to some of them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cpu_name", "cpus", "pin", "pinned", "threads_allowed"]


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


def cpu_name() -> str:
    """Return the CPU's name."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
