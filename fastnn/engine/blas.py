"""How many threads numpy's BLAS may use while the numpy path trains."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

__all__ = ["limited"]

_lock = threading.Lock()
_inside = 0
_limit = ExitStack()


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Limit BLAS to `threads` threads, and restore what was before.

    The setting is the process's: of several callers at once the first one's limit holds for all,
    and the last one restores.
    """
    global _inside
    with _lock:
        if not _inside:
            _limit.enter_context(_pools().limit(limits=threads, user_api="blas"))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limit.close()


def _forget() -> None:
    """In a child process: nobody is inside here; the limit that was set stays."""
    global _lock, _inside, _limit
    _lock, _inside, _limit = threading.Lock(), 0, ExitStack()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@functools.cache
def _pools() -> Any:
    """Return the pools of threads in this process; to look for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
