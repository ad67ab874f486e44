"""Each epoch's order: exactly what ``random.shuffle(training_data)`` gives.

For each try, Python's shuffle takes a 32-bit word from its Mersenne Twister, and rejects it if its
top bits are too large. numpy has the same generator and draws words in bulk. A compiled loop does
the rest and leaves `random` in the state in which Python's shuffle would leave it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.interrupts import signals_deferred

__all__ = ["Shuffler"]

# A shuffle takes 1.39 to 1.47 words per item on average, depending on the number of items.
WORDS_PER_ITEM = 1.5

_STANDARD_SHUFFLE = random.Random.shuffle
_HOOKS = ("shuffle", "_randbelow", "getrandbits", "random")


class Shuffler:
    """Does what ``random.shuffle(items)`` does, epoch after epoch.

    Moving 50,000 items to new places takes longer than drawing the places, so the list itself is
    reordered only at the end, by `settle`.

    Parameters
    ----------
    items : list
        The caller's list.
    """

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self._places: np.ndarray | None = None

    def shuffle(self) -> np.ndarray:
        """Shuffle once more, and return the permutation.

        `random.shuffle` is looked up at every call. If it has been replaced by a user-defined
        function, that function is called, on the list as it should be by then.

        Returns
        -------
        ndarray of int64, shape (len(items),)
            For each item, its index before this shuffle.

        Raises
        ------
        ValueError
            If a user-defined shuffle did anything but reorder (or repeat) the items.
        """
        generator = _plain_generator(random.shuffle)
        if generator is None:
            self.settle()
            return _call(random.shuffle, self._items)
        order = _draw_order(generator, len(self._items))
        self._places = order if self._places is None else self._places[order]
        return order

    def settle(self) -> None:
        """Bring the list itself into the order of the shuffles so far."""
        if self._places is not None:
            with signals_deferred():
                self._items[:] = [self._items[i] for i in self._places.tolist()]
                self._places = None


def _plain_generator(function: Any) -> random.Random | None:
    """Return the generator whose standard shuffle `function` is, or None for any other function."""
    owner = getattr(function, "__self__", None)
    if type(owner) is not random.Random or function.__func__ is not _STANDARD_SHUFFLE:
        return None
    return None if any(hook in vars(owner) for hook in _HOOKS) else owner


def _call(function: Callable[[list[Any]], object], items: list[Any]) -> np.ndarray:
    before = list(items)  # keeps every item alive, so that ids stay unique
    place = {id(item): i for i, item in enumerate(before)}
    function(items)
    if len(items) != len(before) or any(id(item) not in place for item in items):
        raise ValueError(
            "the function put in place of random.shuffle must reorder the training data; "
            "it changed their number or put in new items"
        )
    return np.array([place[id(item)] for item in items], dtype=np.int64)


def _draw_order(generator: random.Random, n: int) -> np.ndarray:
    compiled = _compiled_fisher_yates()
    if compiled is None:
        places = list(range(n))
        generator.shuffle(places)
        return np.array(places, dtype=np.int64)
    version, internal, gauss_next = generator.getstate()
    count, used = int(WORDS_PER_ITEM * n) + 64, -1
    while used < 0:
        words = _twister(internal).random_raw(count).view(np.int64)
        order = np.arange(n, dtype=np.int64)
        used = compiled(words, order)
        count *= 2
    after = _twister(internal)
    after.random_raw(used, output=False)
    state = after.state["state"]
    generator.setstate((version, (*state["key"].tolist(), int(state["pos"])), gauss_next))
    return order


def _twister(internal: tuple[int, ...]) -> np.random.MT19937:
    """Return numpy's generator in the state of Python's: 624 words and the index of the next."""
    twister = np.random.MT19937()
    key = np.array(internal[:-1], dtype=np.uint32)
    twister.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": internal[-1]}}
    return twister


@functools.cache
def _compiled_fisher_yates() -> Callable[[np.ndarray, np.ndarray], int] | None:
    """Return the compiled loop, or None if the JIT is off, as Python's shuffle is then faster."""
    from fastnn.engine.jit import is_on, kernel

    if not is_on():
        return None

    def fisher_yates(words: Any, order: Any) -> Any:
        """Shuffle `order`; return the number of words it took, or -1 if they ran out."""
        bits = 0
        while len(order) >> bits:
            bits += 1
        used = 0
        for last in range(len(order) - 1, 0, -1):
            choices = last + 1
            if not choices >> (bits - 1):
                bits -= 1  # bits is choices.bit_length()
            choice = choices
            while choice >= choices:
                if used == len(words):
                    return -1
                choice = words[used] >> (32 - bits)
                used += 1
            order[last], order[choice] = order[choice], order[last]
        return used

    compiled: Callable[[np.ndarray, np.ndarray], int] = kernel(fisher_yates)
    return compiled
