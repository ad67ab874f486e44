"""A limit on the threads that numpy's BLAS uses while the numpy path trains."""

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
    """Limit BLAS to `threads` threads, and restore the previous setting at the end.

    The setting belongs to the process. With several callers at once, the first one's limit holds
    for all, and the last one to leave restores the setting.
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
    """Reset the state in a forked child, where no caller is inside; a limit once set stays."""
    global _lock, _inside, _limit
    _lock, _inside, _limit = threading.Lock(), 0, ExitStack()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@functools.cache
def _pools() -> Any:
    """Return the controller of this process's thread pools; finding them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
