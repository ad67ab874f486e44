"""What a kernel knows of a network: a row of numbers and addresses for each thread.

A row has the network's fields, followed by those of each layer, the inputs first. It is written
before the kernel is called and does not change, so compiled functions pass on only its address and
load what they use (`pointers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "ACTIVATION",
    "ARRAYS",
    "A_AT",
    "BACK_PANEL",
    "B_AT",
    "DELTA_AT",
    "FIELDS",
    "LAYER",
    "NET",
    "PANEL",
    "PITCH",
    "UNITS",
    "VECTORS",
    "WT_AT",
    "W_AT",
    "Z_AT",
    "Choice",
    "Piece",
    "Records",
    "records_of",
]

# Columns of `layout.Arrays.table`, which has a row for the inputs and one for each later layer.
UNITS, VECTORS, PANEL, BACK_PANEL, PITCH, Z_AT, A_AT, DELTA_AT, W_AT, WT_AT, B_AT = range(11)


class Choice(NamedTuple):
    """What is chosen for a layer, as numbers: the table's last columns, in this order.

    activation: its number. shrunk, scaled: the number of the penalty that shrinks the weights, and
    of the one that scales groups of them; 0 for none. after_gradient: whether shrinking follows the
    gradient. on_biases: whether the biases are shrunk too. numbers: where in a row of coefficients
    the penalty's begin. skips: the number of the penalty's coefficients, if a step does nothing
    when the last of them is above 0; else 0. norm_at: if group norms are shortened by steps that
    differ from weight to weight, the place of the strength in a row of coefficients (never 0, as
    the optimizer's come first); else 0. by_inputs: whether a group is an input's weights.
    """

    activation: int
    shrunk: int = 0
    scaled: int = 0
    after_gradient: int = 0
    on_biases: int = 0
    numbers: int = 0
    skips: int = 0
    norm_at: int = 0
    by_inputs: int = 0


ACTIVATION = 11  # where the fields of a `Choice` begin
FIELDS = ACTIVATION + len(Choice._fields)

# The arrays of `layout.Arrays` that kernels use, with their types; None is the network's dtype.
ARRAYS: dict[str, type[np.generic] | None] = {
    "weights": None,
    "transposed": None,
    "biases": None,
    "state": None,
    "bias_state": None,
    "memory": None,
    "bias_memory": None,
    "gradient": None,
    "bias_gradient": None,
    "step_sizes": None,
    "members": None,
    "work": None,
    "targets": None,
    "real": None,
    "zeros": None,
    "room": None,
    "sums": None,
    "missed": np.int32,
    "one_step": np.int32,
    "left_out": np.int32,
    "every": np.int32,
    "in_batch": np.int32,
    "block_used": np.int32,
    "block_ends": np.int32,
    "block_bits": np.uint64,
    "block_keys": np.uint8,
    "listed": np.int32,
    "tallies": np.int32,
    "items": np.uint16,
    "values": None,
    "entering": np.int32,
    "in_use": np.uint64,
    "left_at": np.int32,
    "steps": np.int64,
    "counts": np.int64,
    "orders": np.int64,
    "costs": np.float64,
    "arrived": np.int64,
    "met": np.int64,
    "ticks": np.int64,
}

# A network's numbers. thread: whose record this is. threads: how many there are. layers: how many
# follow the inputs. owns_inputs: whether each thread has a copy of the inputs and their lists.
# list_room, end_room: the elements of a block's list of columns, and of the list of where its parts
# end. span_words: the length of a span, in units of 64 columns. weight_count, bias_count: the
# elements of `weights` and `biases`. member_room: the elements of a row of `members`.
NUMBERS_OF_NET = (
    "thread", "threads", "layers", "owns_inputs", "list_room", "end_room", "span_words",
    "weight_count", "bias_count", "member_room",
)  # fmt: skip

# A layer's fields: a column of the table and, if it holds an offset, the array it points into.
LAYER: dict[str, tuple[int, str]] = {
    "units": (UNITS, ""),
    "vectors": (VECTORS, ""),
    "panel": (PANEL, ""),
    "back_panel": (BACK_PANEL, ""),
    "pitch": (PITCH, ""),
    "z": (Z_AT, "work"),
    "a": (A_AT, "work"),
    "delta": (DELTA_AT, "work"),
    "w": (W_AT, "weights"),
    "wt": (WT_AT, "transposed"),
    "b": (B_AT, "biases"),
    "q": (W_AT, "state"),
    "bias_q": (B_AT, "bias_state"),
    "memory": (W_AT, "memory"),
    "bias_memory": (B_AT, "bias_memory"),
    "step_sizes": (W_AT, "step_sizes"),
}

LAYER |= {name: (column, "") for column, name in enumerate(Choice._fields, ACTIVATION)}

# The fields of a network's record, in order. Arrays that are divided among layers are not in it.
ARRAYS_OF_NET = tuple(name for name in ARRAYS if name not in {array for _, array in LAYER.values()})
NET = (*NUMBERS_OF_NET, *ARRAYS_OF_NET)


class Piece(NamedTuple):
    """Where an array lies in a piece of memory, in bytes, and how many equal parts it has."""

    start: int
    end: int
    parts: int
    dtype: np.dtype[np.generic]

    def part(self, number: int) -> int:
        """Return where a part starts; an array with one part is shared by all threads."""
        return self.start + number % self.parts * ((self.end - self.start) // self.parts)


class Records(NamedTuple):
    """Records for a piece of memory at any address, with offsets instead of addresses.

    rows : int64 (threads, fields)
    are_offsets : int64 (fields,), 1 where a field is such an offset
    """

    rows: np.ndarray
    are_offsets: np.ndarray

    def at(self, address: int) -> np.ndarray:
        """Return the records for a piece of memory at this address."""
        records: np.ndarray = self.rows + self.are_offsets * address
        return records


def records_of(
    tables: np.ndarray,
    pieces: Mapping[str, Piece],
    numbers: Mapping[str, int],
    threads: int,
    dtype: DTypeLike,
) -> Records:
    """Return a record for each thread; `tables` has a table of layers for each, or one for all."""
    itemsize, rows = np.dtype(dtype).itemsize, []
    of_layer = [bool(array) for _, array in LAYER.values()]
    are_offsets = [name in ARRAYS for name in NET] + of_layer * tables.shape[1]
    for thread in range(threads):
        own = {"thread": thread, "threads": threads, **numbers}
        row = [own[name] for name in NUMBERS_OF_NET]
        row += [pieces[name].part(thread) for name in ARRAYS_OF_NET]
        for layer in tables[thread % len(tables)].tolist():
            for column, array in LAYER.values():
                place = pieces[array].start + layer[column] * itemsize if array else layer[column]
                row.append(place)
        rows.append(row)
    return Records(np.array(rows, np.int64), np.array(are_offsets, np.int64))
