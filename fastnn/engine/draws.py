"""Random draws during training, from generators whose state can be saved and restored."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Draws", "plain"]


class Draws:
    """A source of draws with a generator of its own, whose state can be written as JSON."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.Philox(seed))

    @property
    def state(self) -> dict[str, Any]:
        """The generator's state, in lists and plain numbers."""
        state: dict[str, Any] = plain(self._rng.bit_generator.state)
        return state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state


def plain(state: Any) -> Any:
    """Return a bit generator's state with lists and ints instead of numpy's arrays and scalars."""
    if isinstance(state, dict):
        return {name: plain(part) for name, part in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
