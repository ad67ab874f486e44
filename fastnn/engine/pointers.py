"""A network's arrays as pointers, which kernels hand on for nothing.

An array handed from one compiled function to the next is counted up and down; at some 20 calls a
batch that costs as much as the arithmetic of a small network. The arrays stay alive in the
outermost function, which is given them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import ask_for
from fastnn.engine.jit import jit
from fastnn.engine.layout import (
    A_AT,
    ACTIVATION,
    B_AT,
    BACK_PANEL,
    DELTA_AT,
    FIELDS,
    FOLLOWS,
    NUMBERS,
    ON_BIASES,
    PANEL,
    PITCH,
    RESTS,
    SCALED,
    SHORTENED,
    SHRUNK,
    UNITS,
    VECTORS,
    W_AT,
    WT_AT,
    Z_AT,
)

__all__ = [
    "Layer",
    "Net",
    "after",
    "at",
    "get",
    "layer_of",
    "matrix_of",
    "net_of",
    "place_of",
    "prefetch",
    "put",
]


class Net(NamedTuple):
    """`layout.Arrays` as pointers; the layers after the inputs, and some lengths.

    list_room: the places in a list of columns; sums_room: a thread's part of `sums`; member_room:
    the elements of a row of `members`; weight_count, bias_count: those of weights and of biases.
    """

    layers: Any
    list_room: Any
    weight_count: Any
    bias_count: Any
    table: Any
    weights: Any
    transposed: Any
    biases: Any
    state: Any
    bias_state: Any
    memory: Any
    bias_memory: Any
    paces: Any
    member_room: Any
    members: Any
    work: Any
    targets: Any
    real: Any
    ones: Any
    zeros: Any
    room: Any
    sums_room: Any
    sums: Any
    missed: Any
    one_step: Any
    idle: Any
    every: Any
    in_batch: Any
    block_used: Any
    block_ends: Any
    block_bits: Any
    block_keys: Any
    listed: Any
    tallies: Any
    items: Any
    values: Any
    entering: Any
    in_use: Any
    left_at: Any
    steps: Any
    counts: Any
    orders: Any
    costs: Any
    arrived: Any
    ticks: Any


class Layer(NamedTuple):
    """A row of one of `layout.Arrays.tables`, its places as pointers."""

    units: Any
    vectors: Any
    panel: Any
    back_panel: Any
    pitch: Any
    z: Any
    a: Any
    delta: Any
    w: Any
    wt: Any
    b: Any
    q: Any
    bias_q: Any
    g: Any
    bias_g: Any
    paces: Any
    activation: Any
    shrunk: Any
    scaled: Any
    follows: Any
    on_biases: Any
    numbers: Any
    rests: Any
    shortened: Any


@jit
def net_of(arrays, thread):
    """Return the pointers of `arrays`, which the caller keeps alive, for one of the threads."""
    copies, rows, _ = arrays.tables.shape
    threads = len(arrays.missed) // len(arrays.one_step)
    copy = thread if copies > 1 else 0
    return Net(
        rows - 1,
        len(arrays.every),
        len(arrays.weights),
        len(arrays.biases),
        at(arrays.tables, copy * rows * FIELDS),
        at(arrays.weights, 0),
        at(arrays.transposed, 0),
        at(arrays.biases, 0),
        at(arrays.state, 0),
        at(arrays.bias_state, 0),
        at(arrays.memory, 0),
        at(arrays.bias_memory, 0),
        at(arrays.paces, 0),
        len(arrays.members) // (2 * threads),
        at(arrays.members, 0),
        at(arrays.work, 0),
        at(arrays.targets, 0),
        at(arrays.real, 0),
        at(arrays.ones, 0),
        at(arrays.zeros, 0),
        at(arrays.room, 0),
        len(arrays.sums) // threads,
        at(arrays.sums, 0),
        at(arrays.missed, 0),
        at(arrays.one_step, 0),
        at(arrays.idle, 0),
        at(arrays.every, 0),
        at(arrays.in_batch, 0),
        own(arrays.block_used, copy, copies),
        own(arrays.block_ends, copy, copies),
        own(arrays.block_bits, copy, copies),
        own(arrays.block_keys, copy, copies),
        own(arrays.listed, thread, threads),
        own(arrays.tallies, thread, threads),
        own(arrays.items, thread, threads),
        at(arrays.values, 0),
        at(arrays.entering, 0),
        at(arrays.in_use, 0),
        at(arrays.left_at, 0),
        at(arrays.steps, 0),
        at(arrays.counts, 0),
        own(arrays.orders, thread, threads),
        at(arrays.costs, 0),
        at(arrays.arrived, 0),
        at(arrays.ticks, 0),
    )


@jit
def own(array, number, parts):
    """Return a pointer to a part of an array."""
    return at(array, number * (len(array) // parts))


@jit
def layer_of(net, number):
    """Return the layer; number 0 is the inputs."""
    row = after(net.table, number * FIELDS)
    return Layer(
        get(row, UNITS),
        get(row, VECTORS),
        get(row, PANEL),
        get(row, BACK_PANEL),
        get(row, PITCH),
        after(net.work, get(row, Z_AT)),
        after(net.work, get(row, A_AT)),
        after(net.work, get(row, DELTA_AT)),
        after(net.weights, get(row, W_AT)),
        after(net.transposed, get(row, WT_AT)),
        after(net.biases, get(row, B_AT)),
        after(net.state, get(row, W_AT)),
        after(net.bias_state, get(row, B_AT)),
        after(net.memory, get(row, W_AT)),
        after(net.bias_memory, get(row, B_AT)),
        after(net.paces, get(row, W_AT)),
        get(row, ACTIVATION),
        get(row, SHRUNK),
        get(row, SCALED),
        get(row, FOLLOWS),
        get(row, ON_BIASES),
        get(row, NUMBERS),
        get(row, RESTS),
        get(row, SHORTENED),
    )


@intrinsic
def at(typing: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to element `offset` of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), generate


@intrinsic
def matrix_of(typing: Any, X: Any) -> Any:
    """Return a pointer to a matrix's elements, or None where that is None."""
    if isinstance(X, types.NoneType):
        return X(X), lambda context, builder, signature, arguments: context.get_dummy_value()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(X)(context, builder, arguments[0]).data

    return types.CPointer(X.dtype)(X), generate


@intrinsic
def after(typing: Any, pointer: Any, offset: Any) -> Any:
    """Return a pointer to the element `offset` places after `pointer`'s."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def get(typing: Any, pointer: Any, offset: Any) -> Any:
    """Return the element `offset` places after `pointer`'s."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return pointer.dtype(pointer, types.int64), generate


@intrinsic
def put(typing: Any, pointer: Any, offset: Any, value: Any) -> Any:
    """Set the element `offset` places after `pointer`'s."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, pointer.dtype), generate


@jit
def place_of(numbers, begin, end, least):
    """Return where in an ascending list, between two places, the first of at least `least` is."""
    if begin == end or get(numbers, begin) >= least:
        return begin
    if get(numbers, end - 1) < least:
        return end
    while begin < end:
        middle = (begin + end) // 2
        if get(numbers, middle) < least:
            begin = middle + 1
        else:
            end = middle
    return begin


@intrinsic
def prefetch(typing: Any, pointer: Any, offset: Any) -> Any:
    """Ask for the cache line of an element to be brought into the second-level cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ask_for(builder, builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64), generate
