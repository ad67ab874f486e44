"""How a network's arrays lie in memory while a kernel runs.

V is the elements of a vector. A layer's weights are kept as panels, each (inputs, some vectors)
with the units as columns, as evenly divided as it can be, so that a row of a panel is whole vectors
and lies beside the next. Values that belong to a sample (z, a, delta) are
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
    Piece,
    Records,
    records_of,
)
from fastnn.engine.spec import panel_vectors

__all__ = [
    "ENTERING",
    "IDLE",
    "IN_BATCH",
    "ROOM_MORE",
    "SEEN",
    "STREAMS",
    "Arrays",
    "Choice",
    "Shape",
    "allocate",
]

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

# Where columns are not sorted, all rows of a batch go through a span of them, and then through the
# next. Of so many bytes of a panel what these rows use stays in a first-level cache of 32 KiB.
SPAN_BYTES = 56 * 1024

# A list is sorted in so many places at once.
STREAMS = 4


class Choice(NamedTuple):
    """What is chosen for a layer, as numbers: the last columns of `Arrays.table`, in this order.

    activation: its number. shrunk, scaled: the number of the penalty that shrinks its weights, and
    of that which scales groups of them, 0 where there is none. after_gradient: whether the first
    comes after it. on_biases: whether it is of the biases too. numbers: where in a row of
    coefficients the penalty's begin. rests: how many of them there are, if a step does nothing
    whose last is above 0; else 0. norm_at: where the norms of groups are shortened by steps that
    differ from weight to weight, the place of their strength in a row of coefficients, which has
    the optimizer's first; else 0. by_inputs: whether a group is an input's weights.
    """

    activation: int
    shrunk: int = 0
    scaled: int = 0
    after_gradient: int = 0
    on_biases: int = 0
    numbers: int = 0
    rests: int = 0
    norm_at: int = 0
    by_inputs: int = 0


class Arrays(NamedTuple):
    """What a kernel works on.

    records : int64 (threads, ...)
        What a kernel knows of all this: rows of `records.py`.
    table : int64 (layers + 1, FIELDS)
        For the inputs, which have `a` alone, and each layer: units; vectors they fill; vectors of a
        panel, and of one of its transposed weights; elements from a row to the next; where z, a,
        delta, weights, transposed weights and biases start; the `Choice`. Where each thread has the
        inputs for itself, the first one's.
    weights, transposed, biases, work : 1-D, the network's dtype
        Panels of all layers; of all layers but the first, transposed; biases; each copy of
        the inputs, and each layer's z, a, delta.
    state, bias_state : 1-D, the network's dtype
        What a penalty keeps beside each weight and bias; without one that does, of length 1.
    memory, bias_memory : 1-D, the network's dtype
        The gradient as the weights and biases lie, and after it likewise each number that an
        optimizer keeps beside them; without an optimizer, of length 1.
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
        The input columns whose step of the penalty is a pass of its own; 0, 1, 2, ...
    in_batch : int32
        The input columns that a batch uses.
    block_used : int32
        For each copy, the input columns that each block of a batch's rows uses: in parts of 64
        columns, or if they are sorted by the rows that use them, in a part for each set of rows.
    block_ends : int32
        For each copy, where the parts of each block's list end; before them a 0, the end of none.
    block_bits : uint64
        For each copy, a bit for each column: whether the block uses it.
    block_keys : uint8
        For each copy, where columns are sorted, which rows of each block use a column, as bits.
    listed, tallies : int32
        For each thread, room for a list of columns, and some numbers for each of its parts.
    items : uint16
        For each thread, four times room for a list, each with ROOM_MORE places more.
    values : 1-D, the network's dtype
        What each byte of a row stands for, where rows are stored so.
    entering : int32
        The columns in use that were not in the batch before; of sparse rows, that miss a step.
    in_use : uint64
        A bit for each input column: whether the last batch used it.
    left_at : int32
        For a column that is not in use, how many steps of the penalty it has had; of sparse rows
        for all, and raised by SEEN while a column is in use.
    steps : int64, length 1
        How many batches have been trained on; where columns wait, since all were up to date.
    counts : int64
        How many columns are in `entering`, `in_batch` and `idle`.
    orders : int64
        For each thread, the numbers of two batches' rows, and after each a count for each class.
    costs : float64
        The sum of the costs of each block of rows.
    arrived : int64, length 1
        How often a thread has come to a meeting point.
    met : int64
        For each thread, how often it has.
    ticks : int64
        For each thread, the cycles of each of `phases.PHASES`, in a kernel that is timed, and the
        counter at the end of the last of them.
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
    """What decides how a network's arrays lie.

    sizes: units of each layer, the inputs' first. choices: of each layer after these. batch_size:
    the most rows of a batch. listed: how many of these are a block at most. panels: how many
    vectors wide a layer's panels are at most. stateful: whether a penalty keeps numbers beside the
    weights. memories: how many numbers an optimizer keeps for each, its gradient among them.
    shortens: whether groups are shortened by the sizes of its steps. sparse: whether rows list
    their nonzeros, and no values of inputs are kept. lists: whether the columns are listed that a
    block of rows uses. parts: by how many sets of rows these are sorted, 0 if they are not.
    """

    sizes: tuple[int, ...]
    choices: tuple[Choice, ...]
    batch_size: int
    listed: int
    lanes: int
    panels: tuple[int, ...]
    threads: int
    stateful: bool
    memories: int
    shortens: bool
    sparse: bool
    lists: bool
    parts: int
    dtype: np.dtype[Any]


def allocate(shape: Shape) -> Arrays:
    """Return arrays for a network, zeroed where nothing else is said."""
    plan = _plan(shape)
    raw = np.zeros(plan.total + CACHE_LINE, np.uint8)
    address = int(raw.ctypes.data)
    first = -address % CACHE_LINE
    arrays = {
        name: raw[first + piece.start : first + piece.end].view(piece.dtype)
        for name, piece in plan.pieces.items()
    }
    arrays["real"].reshape(shape.batch_size, -1)[:, : shape.sizes[-1]] = 1
    for ones in ("ones", "missed", "one_step"):
        arrays[ones][:] = 1
    counting = np.arange(len(arrays["every"]))
    for name in ("idle", "every", "in_batch", "entering"):
        arrays[name][:] = counting
    return Arrays(plan.records.at(address + first), plan.table.copy(), **arrays)


class Lengths(NamedTuple):
    """How many elements the arrays have that layers share, and how many copies of the inputs."""

    work: int
    weights: int
    transposed: int
    biases: int
    copies: int


def _tables(shape: Shape) -> tuple[np.ndarray, Lengths]:
    """Return the tables of the layers, one for each copy of the inputs."""
    table = np.zeros((len(shape.sizes), FIELDS), np.int64)
    work = weights = transposed = biases = 0
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
            alone = shape.threads <= OWN_THREADS and size * itemsize <= OWN_BYTES
            inputs, copies = size, shape.threads if alone else 1
        for column in (Z_AT, A_AT, DELTA_AT) if layer else (A_AT,):
            row[column] = work
            work += size if layer else copies * size
        if layer:
            padded, below = int(row[VECTORS]) * lanes, int(table[layer - 1, VECTORS]) * lanes
            row[W_AT], row[WT_AT], row[B_AT] = weights, transposed, biases
            row[ACTIVATION:] = shape.choices[layer - 1]
            weights, biases = weights + below * padded, biases + padded
            if layer > 1:
                transposed += below * padded
                row[BACK_PANEL] = panel_vectors(below // lanes, shape.panels[layer - 1])
    tables = np.repeat(table[np.newaxis], copies, axis=0)
    tables[:, 0, A_AT] = np.arange(copies) * inputs
    return tables, Lengths(work, weights, transposed, biases, copies)


class Plan(NamedTuple):
    """How arrays lie in one piece of memory of so many bytes, with what is known before it is."""

    table: np.ndarray
    records: Records
    pieces: dict[str, Piece]
    total: int


@functools.lru_cache(maxsize=64)
def _plan(shape: Shape) -> Plan:
    tables, (work, weights, transposed, biases, copies) = _tables(shape)
    sizes, lanes, threads, dtype = shape.sizes, shape.lanes, shape.threads, shape.dtype
    out, width = tables[0, -1], int(tables[0, :, PITCH].max())
    columns, words = max(sizes) + 2 * lanes + CACHE_LINE, -(-sizes[0] // 64)
    blocks, sorts = -(-shape.batch_size // shape.listed), shape.parts > 0
    span_words, ends = words, shape.parts or words + 1
    if blocks > 1 and shape.lists and not sorts:
        span_words = _span_words(words, int(tables[0, 1, PANEL]) * lanes * dtype.itemsize)
    listed, more = blocks if shape.lists else 0, max(lanes, shape.listed)
    rows = shape.batch_size * int(out[PITCH])
    pieces, total = _pieces(
        dtype,
        weights=(1, weights),
        transposed=(1, transposed),
        biases=(1, biases),
        state=(1, weights if shape.stateful else 1),
        bias_state=(1, biases if shape.stateful else 1),
        memory=(1, shape.memories * weights or 1),
        bias_memory=(1, shape.memories * biases or 1),
        paces=(1, weights if shape.shortens else 1),
        members=(threads, 2 * max(sizes) if shape.shortens else 1),
        work=(1, work + more * width),  # V rows, or a block, are read at a time
        targets=(1, rows),
        real=(1, rows),
        ones=(1, width),
        zeros=(1, width),
        room=(threads, int(out[VECTORS]) * lanes * lanes),
        sums=(threads, max(shape.panels) * lanes),
        missed=(threads, lanes),
        one_step=(1, lanes),
        idle=(1, columns),
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
    )
    numbers = {
        "layers": len(sizes) - 1, "alone": int(copies == threads), "list_room": columns,
        "end_room": ends, "span_words": span_words, "weight_count": weights, "bias_count": biases,
        "member_room": max(sizes),
    }  # fmt: skip
    records = records_of(tables, pieces, numbers, threads, dtype)
    return Plan(tables[0], records, pieces, total)


def _span_words(words: int, row_bytes: int) -> int:
    """Return how many times 64 columns a span has; a panel's row, one column, is so many bytes."""
    return -(-words // -(-words // max(1, SPAN_BYTES // (64 * row_bytes))))


def _pieces(floats: DTypeLike, **lengths: tuple[int, int]) -> tuple[dict[str, Piece], int]:
    """Return where in memory arrays lie, of so many parts and their length; and the end of all.

    Each, and each part, starts on a cache line of its own: vectors that cross two load slowly, and
    a line that one thread writes is not another's. A part may be longer than its length.
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
    """Return the row length, one vector more where rows 1 KiB apart would share cache sets."""
    return width + lanes if width * itemsize % 1024 == 0 else width
