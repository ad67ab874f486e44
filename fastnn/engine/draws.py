"""What is drawn at random while a network trains, and where the draws stand."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Draws", "plain"]


class Draws:
    """A generator of its own, whose state JSON can say."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.Philox(seed))

    @property
    def state(self) -> dict[str, Any]:
        """Where the draws stand, in lists and numbers."""
        state: dict[str, Any] = plain(self._rng.bit_generator.state)
        return state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state


def plain(state: Any) -> Any:
    """Return a bit generator's state with lists and ints in place of numpy's."""
    if isinstance(state, dict):
        return {name: plain(part) for name, part in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
