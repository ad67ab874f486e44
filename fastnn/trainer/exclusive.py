"""Only one fit of a network at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["exclusive_fit"]

_lock = threading.Lock()
_trained: set[int] = set()


@contextmanager
def exclusive_fit(network: object) -> Iterator[None]:
    """Refuse a second fit of the same network, from another thread or from a callback.

    Raises
    ------
    RuntimeError
        If the network is being trained already.
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
    """Start afresh in a forked child, which has none of the parent's training threads."""
    global _lock
    _lock = threading.Lock()  # one of them may have held the old lock
    _trained.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
