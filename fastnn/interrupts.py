"""Ctrl-C and SIGTERM between two batches, never inside one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["held_back"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# What calls the handlers, while they are held back.
_releases: list[Callable[[], None]] = []


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold back Python's handlers of these signals; the function this gives calls those that came.

    So does the end of the block, unless it ends with an exception.

    Outside the main thread, where Python delivers no signals, nothing is changed, and neither is
    what the operating system does by itself. Within another `held_back` it is the outer one's.
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
    release()  # what came since its last call
