"""The states of random generators in words of JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(state: Any) -> Any:
    """Return a bit generator's state with lists and ints in place of numpy's."""
    if isinstance(state, dict):
        return {name: plain(part) for name, part in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
