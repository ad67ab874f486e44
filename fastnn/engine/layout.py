"""How a network's arrays lie in memory while a kernel runs.

V is the elements of a vector. A layer's weights are kept as panels, each of shape (inputs, some
vectors) with the units as columns. The units are divided into panels as evenly as possible. The
rows of a panel are whole vectors, one directly after another. The z, a and delta of an example are
rows of whole vectors. Everything is padded with zeros, which stay zeros.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.engine.phases import PHASE_COUNT
from fastnn.engine.records import (
    A_AT,
    ACTIVATION,
    ARRAYS,
    B_AT,
    BACK_PANEL,
    DELTA_AT,
    FIELDS,
    PANEL,
    PITCH,
    UNITS,
    VECTORS,
    W_AT,
    WT_AT,
    Z_AT,
    Choice,
    Piece,
    Records,
    records_of,
)
from fastnn.engine.tiles import panel_vectors

__all__ = [
    "ENTERING",
    "IN_BATCH",
    "LEFT_OUT",
    "ROOM_MORE",
    "SEEN",
    "STREAMS",
    "Arrays",
    "Shape",
    "allocate",
]

# Indices into `Arrays.counts`.
ENTERING, IN_BATCH, LEFT_OUT = range(3)

# `Arrays.left_at` is raised by this for a column in a batch's list; no number of steps is as large.
SEEN = 1 << 30

CACHE_LINE = 64

# Up to this many threads and bytes of a batch's inputs, each thread has its own copy of the inputs:
# reading what another one has written takes longer than writing it. Beyond, threads share the work.
OWN_THREADS = 4
OWN_BYTES = 1 << 20

# Spare room after a list: lists are written in whole vectors, which may run past the end.
ROOM_MORE = 64

# If columns are not sorted, all rows of a batch go through one span of them before the next. A span
# has so many bytes of a panel; the part that the rows use stays in a 32 KiB first-level cache.
SPAN_BYTES = 56 * 1024

# Sorting by counting goes through a list in this many places at once.
STREAMS = 4


class Arrays(NamedTuple):
    """The arrays that a kernel works on.

    records : int64 (threads, ...)
        What a kernel knows of the other arrays: rows as `records.py` lays them out.
    table : int64 (layers + 1, FIELDS)
        A row for the inputs, which have only `a`, and for each layer: units; vectors they fill;
        vectors of a panel and of a transposed panel; pitch; where z, a, delta, weights, transposed
        weights and biases start; the `Choice`. If each thread has its own copy of the inputs, `a`
        is where the first one is.
    weights, transposed, biases, work : 1-D, the network's dtype
        Panels of all layers; transposed panels of all layers but the first; biases; each copy of
        the inputs, and each layer's z, a, delta.
    state, bias_state : 1-D, the network's dtype
        What a penalty stores for each weight and bias; of length 1 if no penalty does.
    memory, bias_memory : 1-D, the network's dtype
        Each number that an optimizer stores for the weights and biases, laid out like these, one
        number after the other. Of length 1 if it stores none.
    gradient, bias_gradient : 1-D, the network's dtype
        For each thread, room for the gradient of a panel and of its biases. Of length 1 without an
        optimizer.
    step_sizes, members : 1-D, the network's dtype
        The size of each weight's step; two rows for each thread. Of length 1 if no groups are
        shortened by these sizes.
    targets, real : 1-D, the network's dtype
        Rows of targets; rows with 1, or the row's weight, at each output unit and 0 in the padding.
    zeros : 1-D, the network's dtype
        As long as the longest row.
    room : 1-D, the network's dtype
        For each thread, room for V rows of the output, transposed.
    sums : 1-D, the network's dtype
        For each thread, room for a panel's row.
    missed, one_step : int32
        For each thread, the number of steps that V columns have missed; V ones.
    left_out, every : int32
        The input columns whose penalty step takes a pass of its own; 0, 1, 2, ...
    in_batch : int32
        The input columns that a batch uses.
    block_used : int32
        For each copy, the input columns that each block of a batch's rows uses: in parts of 64
        columns, or if they are sorted by the rows that use them, in a part for each set of rows.
    block_ends : int32
        For each copy, where the parts of each block's list end, after a leading 0.
    block_bits : uint64
        For each copy and block, a bit for each column: whether the block uses it.
    block_keys : uint8
        For each copy, if columns are sorted: which rows of each block use a column, as bits.
    listed, tallies : int32
        For each thread, room for a list of columns, and for STREAMS counts for each of its parts.
    items : uint16
        For each thread, room for four lists, each with ROOM_MORE elements to spare.
    values : 1-D, the network's dtype
        The value that each byte of a row stands for, if rows are stored as bytes.
    entering : int32
        The used columns that the batch before did not use; of sparse rows, that have missed a step.
    in_use : uint64
        A bit for each input column: whether the last batch used it.
    left_at : int32
        For a column that is not in use, how many penalty steps it has had. For sparse rows, kept
        for all columns, and raised by SEEN while a column is in use.
    steps : int64, length 1
        The batches trained on so far; if a penalty is deferred, since the last full catch-up.
    counts : int64
        How many columns are in `entering`, `in_batch` and `left_out`.
    orders : int64
        For each thread, the row numbers of two batches, each followed by a count for each class.
    costs : float64
        The sum of the costs of each block of rows.
    arrived : int64, length 1
        How often any thread has arrived at a meeting point.
    met : int64
        For each thread, how often it has arrived itself.
    ticks : int64
        For each thread of a timed kernel, the cycles of each of `phases.PHASES`, then the counter's
        value at the end of the last phase.
    """

    records: np.ndarray
    table: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    biases: np.ndarray
    state: np.ndarray
    bias_state: np.ndarray
    memory: np.ndarray
    bias_memory: np.ndarray
    gradient: np.ndarray
    bias_gradient: np.ndarray
    step_sizes: np.ndarray
    members: np.ndarray
    work: np.ndarray
    targets: np.ndarray
    real: np.ndarray
    zeros: np.ndarray
    room: np.ndarray
    sums: np.ndarray
    missed: np.ndarray
    one_step: np.ndarray
    left_out: np.ndarray
    every: np.ndarray
    in_batch: np.ndarray
    block_used: np.ndarray
    block_ends: np.ndarray
    block_bits: np.ndarray
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
    met: np.ndarray
    ticks: np.ndarray


class Shape(NamedTuple):
    """What determines how a network's arrays lie.

    sizes: units of each layer, the inputs first. choices: for each layer after the inputs.
    batch_size: the most rows of a batch. listed: the most rows of a block. panels: for each layer,
    the most vectors of a panel. stateful: whether a penalty stores numbers for the weights.
    memories: how many numbers an optimizer stores for each weight; None without an optimizer.
    shortens: whether groups are shortened by the sizes of its steps. sparse: whether rows list
    their nonzeros, so that no inputs are stored. lists: whether the columns that a block of rows
    uses are listed. parts: by how many sets of rows these are sorted, 0 if they are not.
    """

    sizes: tuple[int, ...]
    choices: tuple[Choice, ...]
    batch_size: int
    listed: int
    lanes: int
    panels: tuple[int, ...]
    threads: int
    stateful: bool
    memories: int | None
    shortens: bool
    sparse: bool
    lists: bool
    parts: int
    dtype: np.dtype[Any]


def allocate(shape: Shape) -> Arrays:
    """Return arrays for a network: zeros, apart from the constants that are set here."""
    plan = _plan(shape)
    raw = np.zeros(plan.total + CACHE_LINE, np.uint8)
    address = int(raw.ctypes.data)
    first = -address % CACHE_LINE
    arrays = {
        name: raw[first + piece.start : first + piece.end].view(piece.dtype)
        for name, piece in plan.pieces.items()
    }
    arrays["real"].reshape(shape.batch_size, -1)[:, : shape.sizes[-1]] = 1
    for ones in ("missed", "one_step"):
        arrays[ones][:] = 1
    counting = np.arange(len(arrays["every"]))
    for name in ("left_out", "every", "in_batch", "entering"):
        arrays[name][:] = counting
    return Arrays(plan.records.at(address + first), plan.table.copy(), **arrays)


class Lengths(NamedTuple):
    """The lengths of the arrays that layers share, and the number of copies of the inputs.

    panel: the elements of the largest panel.
    """

    work: int
    weights: int
    panel: int
    transposed: int
    biases: int
    copies: int


def _tables(shape: Shape) -> tuple[np.ndarray, Lengths]:
    """Return the layers' tables, one for each copy of the inputs, and the arrays' lengths."""
    table = np.zeros((len(shape.sizes), FIELDS), np.int64)
    work = weights = largest = transposed = biases = 0
    lanes, itemsize = shape.lanes, shape.dtype.itemsize
    for layer, units in enumerate(shape.sizes):
        row = table[layer]
        row[UNITS], row[VECTORS] = units, -(-units // lanes)
        row[PANEL] = panel_vectors(int(row[VECTORS]), shape.panels[layer - 1]) if layer else 0
        row[PITCH] = _pitch(int(row[VECTORS]) * lanes, lanes, itemsize)
        if shape.sparse and not layer:
            row[PITCH] = 0
        size = shape.batch_size * int(row[PITCH])
        if not layer:
            owns_inputs = shape.threads <= OWN_THREADS and size * itemsize <= OWN_BYTES
            inputs, copies = size, shape.threads if owns_inputs else 1
        for column in (Z_AT, A_AT, DELTA_AT) if layer else (A_AT,):
            row[column] = work
            work += size if layer else copies * size
        if layer:
            padded, below = int(row[VECTORS]) * lanes, int(table[layer - 1, VECTORS]) * lanes
            row[W_AT], row[WT_AT], row[B_AT] = weights, transposed, biases
            row[ACTIVATION:] = shape.choices[layer - 1]
            weights, biases = weights + below * padded, biases + padded
            largest = max(largest, below * int(row[PANEL]) * lanes)
            if layer > 1:
                transposed += below * padded
                row[BACK_PANEL] = panel_vectors(below // lanes, shape.panels[layer - 1])
    tables = np.repeat(table[np.newaxis], copies, axis=0)
    tables[:, 0, A_AT] = np.arange(copies) * inputs
    return tables, Lengths(work, weights, largest, transposed, biases, copies)


class Plan(NamedTuple):
    """How arrays lie in one piece of memory of `total` bytes, as planned before it is allocated."""

    table: np.ndarray
    records: Records
    pieces: dict[str, Piece]
    total: int


@functools.lru_cache(maxsize=64)
def _plan(shape: Shape) -> Plan:
    tables, (work, weights, panel, transposed, biases, copies) = _tables(shape)
    sizes, lanes, threads, dtype = shape.sizes, shape.lanes, shape.threads, shape.dtype
    out, width = tables[0, -1], int(tables[0, :, PITCH].max())
    columns, words = max(sizes) + 2 * lanes + CACHE_LINE, -(-sizes[0] // 64)
    blocks, sorts = -(-shape.batch_size // shape.listed), shape.parts > 0
    span_words, ends = words, shape.parts or words + 1
    if blocks > 1 and shape.lists and not sorts:
        span_words = _span_words(words, int(tables[0, 1, PANEL]) * lanes * dtype.itemsize)
    listed, more = blocks if shape.lists else 0, max(lanes, shape.listed)
    rows = shape.batch_size * int(out[PITCH])
    memories, panel_row = shape.memories or 0, max(shape.panels) * lanes
    pieces, total = _pieces(
        dtype,
        weights=(1, weights),
        transposed=(1, transposed),
        biases=(1, biases),
        state=(1, weights if shape.stateful else 1),
        bias_state=(1, biases if shape.stateful else 1),
        memory=(1, memories * weights or 1),
        bias_memory=(1, memories * biases or 1),
        step_sizes=(1, weights if shape.shortens else 1),
        members=(threads, 2 * max(sizes) if shape.shortens else 1),
        work=(1, work + more * width),  # V rows, or a block, are read at a time
        targets=(1, rows),
        real=(1, rows),
        zeros=(1, width),
        room=(threads, int(out[VECTORS]) * lanes * lanes),
        sums=(threads, panel_row),
        missed=(threads, lanes),
        one_step=(1, lanes),
        left_out=(1, columns),
        every=(1, columns),
        in_batch=(1, columns),
        block_used=(copies, listed * columns),
        block_ends=(copies, listed * ends),
        block_bits=(copies, listed * words),
        block_keys=(copies, listed * words * 64 if sorts else 0),
        listed=(threads, columns),
        tallies=(threads, STREAMS * shape.parts),
        items=(threads, 4 * (words * 64 + ROOM_MORE) if sorts else 0),
        values=(1, 256),
        entering=(1, columns),
        in_use=(1, words),
        left_at=(1, words * 64),
        steps=(1, 1),
        counts=(1, 3),
        orders=(threads, 2 * (shape.batch_size + sizes[-1] + 1)),
        costs=(1, blocks),
        arrived=(1, 1),
        met=(threads, 1),
        ticks=(threads, PHASE_COUNT + 1),
        gradient=(threads, 1 if shape.memories is None else panel),
        bias_gradient=(threads, 1 if shape.memories is None else panel_row),
    )
    numbers = {
        "layers": len(sizes) - 1, "owns_inputs": int(copies == threads), "list_room": columns,
        "end_room": ends, "span_words": span_words, "weight_count": weights, "bias_count": biases,
        "member_room": max(sizes),
    }  # fmt: skip
    records = records_of(tables, pieces, numbers, threads, dtype)
    return Plan(tables[0], records, pieces, total)


def _span_words(words: int, row_bytes: int) -> int:
    """Return how many of `words` groups of 64 columns a span has, if a column is `row_bytes`."""
    return -(-words // -(-words // max(1, SPAN_BYTES // (64 * row_bytes))))


def _pieces(floats: DTypeLike, **lengths: tuple[int, int]) -> tuple[dict[str, Piece], int]:
    """Return where arrays lie in memory, given their parts and a part's length; and the total.

    Every part starts on a cache line of its own: vectors that cross two lines load slowly, and no
    two threads should write to the same line. A part may be longer than its length.
    """
    pieces, total = {}, 0
    for name, (parts, length) in lengths.items():
        dtype = np.dtype(ARRAYS[name] or floats)
        room = -(-length * dtype.itemsize // CACHE_LINE) * CACHE_LINE
        size = parts * room if parts > 1 else length * dtype.itemsize
        pieces[name] = Piece(total, total + size, parts, dtype)
        total += parts * room
    return pieces, total


def _pitch(width: int, lanes: int, itemsize: int) -> int:
    """Return a row's pitch: one vector more than its width where that is a multiple of 1 KiB."""
    return width + lanes if width * itemsize % 1024 == 0 else width
