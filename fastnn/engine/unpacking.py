"""A compiled copy from a panel back into a network's array.

With sparse rows a first layer may have millions of weights, few of which a batch uses, so this copy
takes a good part of an epoch.
"""

from __future__ import annotations

from typing import Any

from fastnn.engine.constants import lanes
from fastnn.engine.jit import kernel
from fastnn.engine.pointers import after, at, get, prefetch, put
from fastnn.engine.transpose import transpose_numbered

__all__ = ["build_unpack"]

# Rows of w are prefetched this many columns ahead: the CPU cannot follow so many rows by itself.
AHEAD = 128


def build_unpack(spec: str) -> Any:
    """Return the compiled function that writes ``w[u, j] = panel[places[j], u]``.

    Of `spec` only the lanes matter.
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
