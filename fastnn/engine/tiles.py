"""The tiles that fit a CPU: how many rows and vectors its kernels take at once.

Rows that share a list of the columns they use are divided into groups. A row multiplies all columns
that its group uses, also those where the row itself has a zero.
"""

from __future__ import annotations

from typing import NamedTuple

from fastnn.engine import jit

__all__ = ["TILES", "Listing", "Tiles", "of_cpu", "panel_vectors"]


class Listing(NamedTuple):
    """How the columns that rows use are listed.

    rows: the most rows that share a list. widths: the widths, in vectors, that the layer's panels
    may have: every width if lists are not sorted, so that one kernel serves any layer, else only
    those that occur, as each takes much code. groups: the sizes of the groups that share a bit of a
    column's key, as even as possible, if lists are sorted.
    """

    rows: int
    widths: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()


class Tiles(NamedTuple):
    """The tiles that fit a CPU's registers: the sums, or deltas, and a row of weights.

    rows: the most rows of a tile that is 1, 2, ... vectors wide; widths that allow fewer rows than
    others are used for listed columns only. listed: how many rows share a list of the columns they
    use. sorted_from: the fewest vectors of a first layer for which these lists are sorted, or 0 if
    they never are. doubled_to: the most vectors of a panel for which twice as many rows share a
    sorted list. most_groups: into how many groups these rows are divided at most.
    """

    rows: tuple[int, ...]
    listed: int
    sorted_from: int = 0
    doubled_to: int = 0
    most_groups: int = 0

    def listing(self, vectors: int, batch_size: int | None) -> Listing:
        """Return how the columns are listed that rows use of a first layer with so many vectors.

        No `batch_size` means that a kernel is for any number of rows.
        """
        panel = panel_vectors(vectors, len(self.rows))
        sorts = 0 < self.sorted_from <= vectors and batch_size != 1  # one row's list is in order
        rows = 2 * self.listed if sorts and panel <= self.doubled_to else self.listed
        rows = rows if batch_size is None else min(rows, batch_size)
        if not sorts:
            return Listing(rows, tuple(range(1, len(self.rows) + 1)))
        widths = {min(panel, vectors - first) for first in range(0, vectors, panel)}
        count = min(rows, self.most_groups)
        groups = (rows // count + (number < rows % count) for number in range(count))
        return Listing(rows, tuple(sorted(widths)), tuple(groups))


# Fewer rows a list, and smaller groups, multiply fewer zeros. More rows pass the weights between
# caches less often; fewer groups have fewer loops to end.
TILES = {
    "16 registers": Tiles((4, 4, 4, 2, 2), 2),
    "32 registers": Tiles((5, 5, 5, 5), 5, sorted_from=2, doubled_to=2, most_groups=5),
    "AVX-512": Tiles((5, 5, 5, 5), 5, sorted_from=1, doubled_to=2, most_groups=3),
}


def of_cpu() -> Tiles:
    """Return the tiles for the CPU that kernels are compiled for."""
    if jit.vector_bytes() == 64 and not jit.halves_vectors():  # zeros cost half as much
        return TILES["AVX-512"]
    return TILES[f"{jit.register_count()} registers"]


def panel_vectors(vectors: int, most: int) -> int:
    """Return the width, at most `most` vectors, of panels that divide a layer most evenly."""
    panels = -(-vectors // most)
    return -(-vectors // panels)
