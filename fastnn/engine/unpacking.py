"""The way from a panel back into a network's array, compiled.

Of sparse rows a first layer has weights by the million, few of which a batch uses, so that this
takes a good part of an epoch. Symbols: V elements of a vector.
"""

from __future__ import annotations

from typing import Any

from fastnn.engine.constants import lanes
from fastnn.engine.jit import kernel
from fastnn.engine.pointers import after, at, get, prefetch, put
from fastnn.engine.transpose import transpose_numbered

__all__ = ["build_unpack"]

# So many columns ahead a row of w is asked for: the CPU does not go ahead in so many rows at once.
AHEAD = 128


def build_unpack(spec: str) -> Any:
    """Return the compiled function that writes ``w[u, j] = panel[places[j], u]``.

    Only the lanes of `spec` shape it.
    """

    @kernel
    def unpack(panel, places, w):
        units, inputs = w.shape
        width, v = panel.shape[1], lanes(spec)
        source, numbers, out = at(panel, 0), at(places, 0), at(w, 0)
        whole = inputs // v * v
        for j in range(0, whole, v):
            for u in range(units):
                prefetch(out, u * inputs + j + AHEAD)
            for u in range(0, units, v):
                to, some = after(out, u * inputs + j), min(v, units - u)
                transpose_numbered(
                    spec, after(source, u), width, after(numbers, j), to, inputs, some
                )
        for j in range(whole, inputs):
            for u in range(units):
                put(out, u * inputs + j, get(source, get(numbers, j) * width + u))

    return unpack
