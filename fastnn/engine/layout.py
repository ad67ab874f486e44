"""How a network's arrays lie in memory while a kernel runs.

V is the elements of a vector. A layer's weights are kept as panels, each (inputs, some vectors)
with the units as columns, as evenly divided as it can be, so that a row of a panel is whole vectors
and lies beside the next. Values that belong to a sample (z, a, delta) are
rows of whole vectors. Everything is padded with zeros, which stay zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.engine.phases import PHASE_COUNT

__all__ = [
    "ACTIVATION",
    "A_AT",
    "B_AT",
    "DELTA_AT",
    "ENTERING",
    "FIELDS",
    "FOLLOWS",
    "IN_BATCH",
    "NUMBERS",
    "ON_BIASES",
    "PANEL",
    "PITCH",
    "RESTS",
    "SCALED",
    "SEEN",
    "SHORTENED",
    "SHRUNK",
    "ROOM_MORE",
    "STREAMS",
    "UNITS",
    "VECTORS",
    "WT_AT",
    "W_AT",
    "Z_AT",
    "Arrays",
    "Choice",
    "allocate",
    "memory",
    "pack",
    "unpack",
]

# Columns of `Arrays.table`, which has a row for the inputs and one for every layer after them.
UNITS, VECTORS, PANEL, PITCH, Z_AT, A_AT, DELTA_AT, W_AT, WT_AT, B_AT = range(10)
ACTIVATION, SHRUNK, SCALED, FOLLOWS, ON_BIASES, NUMBERS, RESTS, SHORTENED = range(10, 18)
FIELDS = 18

# Places in `Arrays.counts`.
ENTERING, IN_BATCH, IDLE = range(3)

# Above every number of steps: what `Arrays.left_at` is raised by for a column in a batch's list.
SEEN = 1 << 30

CACHE_LINE = 64

# Up to so many threads, and bytes of a batch's inputs, each thread has these for itself: to read
# what another one has written takes longer than to write it. Beyond, they share the work.
OWN_THREADS = 4
OWN_BYTES = 1 << 20

# Lists are written in whole vectors, which go beyond their end.
ROOM_MORE = 64

# A list is sorted in so many places at once.
STREAMS = 4

# So many inputs of a panel are turned into rows of weights at a time: they stay in the cache.
COPIED = 1024


class Choice(NamedTuple):
    """What is chosen for a layer, as numbers: the last columns of `Arrays.table`, in this order.

    activation: its number. shrunk, scaled: the number of the penalty that shrinks its weights, and
    of that which scales groups of them, 0 where there is none. follows: whether the first comes
    after the gradient. on_biases: whether it is of the biases too. numbers: where in a row of
    coefficients the penalty's begin. rests: how many of them there are, if a step does nothing
    whose last is above 0; else 0. shortened: where the norms of groups are shortened by steps that
    differ from weight to weight, twice the place after that of their strength in a row of
    coefficients, and 1 more if a group is an input's weights; else 0.
    """

    activation: int
    shrunk: int = 0
    scaled: int = 0
    follows: int = 0
    on_biases: int = 0
    numbers: int = 0
    rests: int = 0
    shortened: int = 0


class Arrays(NamedTuple):
    """What a kernel works on.

    tables : int64 (copies, layers + 1, FIELDS)
        For each thread where each has the inputs and their lists for itself, else for all; there
        for the inputs, which have `a` alone, and each layer: units; vectors they fill; vectors of a
        panel; elements from a row to the next; where z, a, delta, weights, transposed weights and
        biases start; the `Choice`.
    weights, transposed, biases, work : 1-D, the network's dtype
        Panels of all layers; of all layers but the first, transposed; biases; each copy of
        the inputs, and each layer's z, a, delta.
    state, bias_state : 1-D, the network's dtype
        What a penalty keeps beside each weight and bias; without one that does, of length 1.
    memory, bias_memory : 1-D, the network's dtype
        The gradient as the weights and biases lie, and after it likewise each number that an
        optimiser keeps beside them; without an optimiser, of length 1.
    paces, members : 1-D, the network's dtype
        The size of each weight's step, and two rows for each thread; where nothing is shortened by
        these, of length 1.
    targets, real : 1-D, the network's dtype
        Rows of targets; rows with 1, or the row's weight, at each output unit and 0 in the padding.
    ones, zeros : 1-D, the network's dtype
        As long as a row.
    room : 1-D, the network's dtype
        For each thread, V rows of the output, transposed.
    sums : 1-D, the network's dtype
        For each thread, room for a panel's row.
    missed, one_step : int32
        For each thread, the steps that V columns miss; V times 1.
    idle, every : int32
        The input columns that a batch does not use; 0, 1, 2, ...
    in_batch : int32
        The input columns that a batch uses.
    block_used : int32
        For each copy, the input columns that each block of a batch's rows uses, in two parts: those
        where the penalty acts, and those where it rests. Where columns are sorted by the rows that
        use them, each kind of column in two parts.
    block_ends : int32
        For each copy, where the parts of each block's list end.
    block_bits, block_rests : uint64
        For each copy, a bit for each column: whether the block uses it; whether the penalty rests
        there, as it acts with a block before this one, or with one after it.
    block_keys : uint8
        For each copy, where columns are sorted, which rows of each block use a column, as bits from
        the second on; the first is set where the penalty rests.
    listed, tallies : int32
        For each thread, room for a list of columns, and some numbers for each of its parts.
    items : uint16
        For each thread, four times room for a list, each with ROOM_MORE places more.
    values : 1-D, the network's dtype
        What each byte of a row stands for, where rows are stored so.
    entering : int32
        The columns in use that were not in the batch before.
    in_use : uint64
        A bit for each input column: whether the last batch used it.
    left_at : int32
        For a column that is not in use, how many steps of the penalty it has had; of sparse rows
        for all, and raised by SEEN while a column is in use.
    steps : int64, length 1
        How many batches have been trained on since all columns were last up to date.
    counts : int64
        How many columns are in `entering`, `in_batch` and `idle`.
    orders : int64
        For each thread, the numbers of two batches' rows, and after each a count for each class.
    costs : float64
        The sum of the costs of each block of rows.
    arrived : int64, length 1
        How often a thread has come to a meeting point.
    ticks : int64
        For each thread, the cycles of each of `phases.PHASES`, in a kernel that is timed.
    """

    tables: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    biases: np.ndarray
    state: np.ndarray
    bias_state: np.ndarray
    memory: np.ndarray
    bias_memory: np.ndarray
    paces: np.ndarray
    members: np.ndarray
    work: np.ndarray
    targets: np.ndarray
    real: np.ndarray
    ones: np.ndarray
    zeros: np.ndarray
    room: np.ndarray
    sums: np.ndarray
    missed: np.ndarray
    one_step: np.ndarray
    idle: np.ndarray
    every: np.ndarray
    in_batch: np.ndarray
    block_used: np.ndarray
    block_ends: np.ndarray
    block_bits: np.ndarray
    block_rests: np.ndarray
    block_keys: np.ndarray
    listed: np.ndarray
    tallies: np.ndarray
    items: np.ndarray
    values: np.ndarray
    entering: np.ndarray
    in_use: np.ndarray
    left_at: np.ndarray
    steps: np.ndarray
    counts: np.ndarray
    orders: np.ndarray
    costs: np.ndarray
    arrived: np.ndarray
    ticks: np.ndarray

    @property
    def table(self) -> np.ndarray:
        """The first thread's table; the others' differ in where the inputs are."""
        first: np.ndarray = self.tables[0]
        return first


def allocate(
    sizes: Sequence[int],
    choices: Sequence[Choice],
    batch_size: int,
    blocks: int,
    lanes: int,
    panels: Sequence[int],
    threads: int,
    stateful: bool,
    memories: int,
    shortens: bool,
    sparse: bool,
    parts: int,
    dtype: np.dtype[Any],
) -> Arrays:
    """Return zeroed arrays for a network of `sizes`.

    A batch of `batch_size` rows is taken in so many `blocks`; a layer's panels are at most so many
    vectors wide as `panels` says. `stateful` says whether a penalty keeps numbers beside the
    weights, `memories` how many an optimiser does, its gradient among them; `shortens`, whether
    groups are shortened by the sizes of its steps; `sparse`, whether rows
    list their nonzeros: then the values of the inputs are not kept; `parts`, how many parts the
    list of the columns that a block of rows uses has: 2, more where they are sorted, 0 without one.
    """
    table = np.zeros((len(sizes), FIELDS), np.int64)
    work = weights = transposed = biases = 0
    for layer, units in enumerate(sizes):
        row = table[layer]
        row[UNITS], row[VECTORS] = units, -(-units // lanes)
        row[PANEL] = _evenly(int(row[VECTORS]), panels[layer - 1]) if layer else 0
        row[PITCH] = _pitch(int(row[VECTORS]) * lanes, lanes, dtype.itemsize)
        if sparse and not layer:
            row[PITCH] = 0
        size = batch_size * int(row[PITCH])
        if not layer:
            alone = threads <= OWN_THREADS and size * dtype.itemsize <= OWN_BYTES
            inputs, copies = size, threads if alone else 1
        for column in (Z_AT, A_AT, DELTA_AT) if layer else (A_AT,):
            row[column] = work
            work += size if layer else copies * size
        if layer:
            padded, below = int(row[VECTORS]) * lanes, int(table[layer - 1, VECTORS]) * lanes
            row[W_AT], row[WT_AT], row[B_AT] = weights, transposed, biases
            row[ACTIVATION:] = choices[layer - 1]
            weights, biases = weights + below * padded, biases + padded
            transposed += below * padded if layer > 1 else 0
    tables = np.repeat(table[np.newaxis], copies, axis=0)
    tables[:, 0, A_AT] = np.arange(copies) * inputs
    out, width = table[-1], int(max(table[:, PITCH]))
    real = _zeros(batch_size * int(out[PITCH]), dtype)
    real.reshape(batch_size, -1)[:, : sizes[-1]] = 1
    columns, words = max(sizes) + 2 * lanes + CACHE_LINE, -(-sizes[0] // 64)
    listed = blocks if parts else 0
    return Arrays(
        tables=tables,
        weights=_zeros(weights, dtype),
        transposed=_zeros(transposed, dtype),
        biases=_zeros(biases, dtype),
        state=_zeros(weights if stateful else 1, dtype),
        bias_state=_zeros(biases if stateful else 1, dtype),
        memory=_zeros(memories * weights or 1, dtype),
        bias_memory=_zeros(memories * biases or 1, dtype),
        paces=_zeros(weights if shortens else 1, dtype),
        members=_zeros(threads * 2 * max(sizes) if shortens else 1, dtype),
        work=_zeros(work + lanes * width, dtype),  # V rows are read at a time
        targets=_zeros(len(real), dtype),
        real=real,
        ones=_zeros(width, dtype) + 1,
        zeros=_zeros(width, dtype),
        room=_zeros(threads * int(out[VECTORS]) * lanes * lanes, dtype),
        sums=_zeros(threads * max(panels) * lanes, dtype),
        missed=np.ones(threads * lanes, np.int32),
        one_step=np.ones(lanes, np.int32),
        idle=_counting(columns),
        every=_counting(columns),
        in_batch=_counting(columns),
        block_used=_parts_of(copies, listed * columns, np.int32),
        block_ends=_parts_of(copies, listed * parts, np.int32),
        block_bits=_parts_of(copies, listed * words, np.uint64),
        block_rests=_parts_of(copies, listed * words, np.uint64),
        block_keys=_parts_of(copies, listed * words * 64 if parts > 2 else 0, np.uint8),
        listed=_parts_of(threads, columns, np.int32),
        tallies=_parts_of(threads, STREAMS * parts, np.int32),
        items=_parts_of(threads, 4 * (words * 64 + ROOM_MORE) if parts > 2 else 0, np.uint16),
        values=_zeros(256, dtype),
        entering=_counting(columns),
        in_use=np.zeros(words, np.uint64),
        left_at=np.zeros(words * 64, np.int32),
        steps=np.zeros(1, np.int64),
        counts=np.zeros(3, np.int64),
        orders=_parts_of(threads, 2 * (batch_size + sizes[-1] + 1), np.int64),
        costs=np.zeros(blocks),
        arrived=np.zeros(1, np.int64),
        ticks=np.zeros(threads * PHASE_COUNT, np.int64),
    )


def memory(arrays: Arrays, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of weights' and biases' `memory` for one number; 0 is the gradient."""
    parts = (arrays.memory, len(arrays.weights)), (arrays.bias_memory, len(arrays.biases))
    of_weights, of_biases = (flat[number * size :][:size] for flat, size in parts)
    return of_weights, of_biases


def pack(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
    order: np.ndarray | None = None,
) -> None:
    """Copy a network's weights (out, in), then biases (out,), into panels of both.

    `order` has the input columns as the panels are to have them; without it they stay as they are.
    """
    for layer, panel, part in _parts(table, panels, arrays, lanes):
        panel[..., : part.shape[-1]] = part if order is None or layer > 1 else part[order]


def unpack(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
    places: np.ndarray | None = None,
) -> None:
    """Copy panels back into a network's weights (out, in), then biases (out,).

    `places` are where the panels have each input column; without it they have them in their order.
    """
    for layer, panel, part in _parts(table, panels, arrays, lanes):
        for start in range(0, len(panel), COPIED):
            rows = slice(start, start + COPIED)
            found = panel[rows]
            if places is not None and layer == 1:
                found = panel.take(places[rows], axis=0)
            part[rows] = found[..., : part.shape[-1]]


def _parts(
    table: np.ndarray,
    panels: tuple[np.ndarray, np.ndarray],
    arrays: Sequence[np.ndarray],
    lanes: int,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the parts of panels, each with that of `arrays` which lies there, the first in a row.

    With them the number of the layer whose weights they are; after these, past the last, biases.
    """
    of_weights, of_biases = panels
    layers = len(arrays) // 2
    for layer, (w, b) in enumerate(zip(arrays[:layers], arrays[layers:], strict=True), 1):
        for units, panel in _panels(table, of_weights, layer, lanes):
            yield layer, panel[: w.shape[1]], w[units].T
        at = table[layer, B_AT]
        yield layers + 1, of_biases[at : at + len(b)], b


def _panels(
    table: np.ndarray, flat: np.ndarray, layer: int, lanes: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield each panel of a layer as (inputs, width), with the units that are its columns."""
    inputs = int(table[layer - 1, VECTORS]) * lanes
    at, vectors, most = (int(table[layer, field]) for field in (W_AT, VECTORS, PANEL))
    for first in range(0, vectors, most):
        width = min(most, vectors - first) * lanes
        panel = flat[at : at + inputs * width].reshape(inputs, width)
        yield slice(first * lanes, first * lanes + width), panel
        at += inputs * width


def _evenly(count: int, most: int) -> int:
    """Return the size of the parts, none larger than `most`, that `count` is best divided into."""
    parts = -(-count // most)
    return -(-count // parts)


def _pitch(width: int, lanes: int, itemsize: int) -> int:
    """Return the row length, one vector more where rows 1 KiB apart would share cache sets."""
    return width + lanes if width * itemsize % 1024 == 0 else width


def _counting(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int32)


def _parts_of(parts: int, count: int, dtype: DTypeLike) -> np.ndarray:
    """Return zeros, at least `count` for each of so many threads, no line of the cache in two."""
    line = CACHE_LINE // np.dtype(dtype).itemsize
    return _zeros(parts * -(-count // line) * line, np.dtype(dtype))


def _zeros(count: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return zeros that start on a cache line, as vectors that cross two lines load slowly."""
    spare = CACHE_LINE // dtype.itemsize
    raw = np.zeros(count + spare, dtype)
    skip = (-raw.ctypes.data) % CACHE_LINE // dtype.itemsize
    return raw[skip : skip + count]
