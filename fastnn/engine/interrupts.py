"""Ctrl-C between two batches, never inside one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["held_back"]


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back; the function this gives raises the one that came meanwhile.

    Outside the main thread, where Python delivers no signals, and under a handler that the caller
    installed, nothing is changed.
    """
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or not default:
        yield lambda: None
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))

    def release() -> None:
        if came:
            came.clear()
            raise KeyboardInterrupt

    try:
        yield release
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
