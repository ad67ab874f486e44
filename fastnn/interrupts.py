"""Defer Ctrl-C and SIGTERM, so that they act between two batches and never inside one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["signals_deferred"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# The function that calls deferred handlers, while a block holds them back.
_releases: list[Callable[[], None]] = []


@contextlib.contextmanager
def signals_deferred() -> Iterator[Callable[[], None]]:
    """Defer Python's handlers of `SIGNALS` in a block; yield a function that calls pending ones.

    The end of the block also calls them, unless it ends with an exception.

    Nothing changes outside the main thread, where Python delivers no signals, or for signals
    without a Python handler. Inside another `signals_deferred`, the outer function is yielded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    if _releases:
        yield _releases[0]
        return
    found = {number: signal.getsignal(number) for number in SIGNALS}
    handlers: dict[int, Any] = {n: h for n, h in found.items() if callable(h)}
    came: list[tuple[int, Any]] = []

    def release() -> None:
        while came:
            number, frame = came.pop(0)
            handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    _releases.append(release)
    try:
        yield release
    finally:
        _releases.clear()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    release()  # handlers that became pending since its last call
