"""One fit of a network at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["alone"]

_lock = threading.Lock()
_trained: set[int] = set()


@contextmanager
def alone(network: object) -> Iterator[None]:
    """Keep a second fit of the same network out, of another thread or of a callback.

    Raises
    ------
    RuntimeError
        If it is being trained.
    """
    with _lock:
        if id(network) in _trained:
            raise RuntimeError(
                "this network is being trained already; wait for that, or train a copy "
                "(copy.deepcopy)"
            )
        _trained.add(id(network))
    try:
        yield
    finally:
        with _lock:
            _trained.discard(id(network))


def _forget() -> None:
    """In a child process: what threads of the parent were training, nobody trains here."""
    global _lock
    _lock = threading.Lock()  # which one of them may have held
    _trained.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
