"""A network's record and arrays in a kernel: addresses, which cost nothing to pass on.

An array passed from one compiled function to the next has its references counted up and down; at
some 20 calls a batch, that costs as much as the arithmetic of a small network. Python, which calls
the kernel, keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
)
from numba.np.numpy_support import from_dtype

from fastnn.engine.emit import I64, int64, prefetch_line
from fastnn.engine.jit import jit
from fastnn.engine.records import ARRAYS, LAYER, NET

__all__ = [
    "after",
    "at",
    "get",
    "layer_of",
    "matrix_of",
    "net_of",
    "place_of",
    "prefetch",
    "put",
    "words_to",
]


class _Record(types.Type):  # type: ignore[misc] # Numba has no types
    """The Numba type of a record, a network's or a layer's: each field is an attribute."""

    def __init__(self, of: str, floats: Any) -> None:
        self.fields, self.floats = NET if of == "net" else tuple(LAYER), floats
        super().__init__(f"record({of}, {floats})")

    def type_of(self, name: str) -> Any:
        """Return the type of a field: a number, or a pointer to an array's elements."""
        array = LAYER[name][1] if name in LAYER else name
        if array not in ARRAYS:
            return types.int64
        kind = ARRAYS[array]
        return types.CPointer(self.floats if kind is None else from_dtype(np.dtype(kind)))


@register_model(_Record)
class _RecordModel(models.PrimitiveModel):  # type: ignore[misc]
    """A record, represented by its address."""

    def __init__(self, manager: Any, record: Any) -> None:
        super().__init__(manager, record, I64.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    """The fields of a record, as attributes."""

    key = _Record

    def generic_resolve(self, record: Any, name: str) -> Any:
        """Return the type of a field, or None if there is no field of that name."""
        return record.type_of(name) if name in record.fields else None


@lower_getattr_generic(_Record)
def _load(context: Any, builder: Any, record: Any, address: Any, name: str) -> Any:
    """Load a field; no store in a kernel changes it, so that it need not be loaded again."""
    place = builder.gep(address, [int64(record.fields.index(name))])
    kind = context.get_value_type(record.type_of(name))
    loaded = builder.load(builder.bitcast(place, kind.as_pointer()))
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


@intrinsic
def net_of(typing: Any, records: Any, thread: Any, like: Any) -> Any:
    """Return a thread's record of a network whose floats are of the type of `like`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        width = cgutils.unpack_tuple(builder, array.shape)[1]
        return builder.gep(array.data, [builder.mul(arguments[1], width)])

    return _Record("net", like)(records, types.int64, like), generate


@intrinsic
def layer_of(typing: Any, net: Any, number: Any) -> Any:
    """Return the record of a layer; number 0 is the inputs."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        before = builder.mul(arguments[1], int64(len(LAYER)))
        return builder.gep(arguments[0], [builder.add(before, int64(len(NET)))])

    return _Record("layer", net.floats)(net, types.int64), generate


def _contiguous(array: Any) -> Any:
    """Return the type of an array, after checking that it is contiguous."""
    if array.layout != "C":
        raise TypingError(f"kernels take contiguous arrays, not {array}")
    return array


@intrinsic
def at(typing: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to element `offset` of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(_contiguous(array).dtype)(array, types.int64), generate


@intrinsic
def matrix_of(typing: Any, X: Any) -> Any:
    """Return a pointer to a matrix's elements; None stays None."""
    if isinstance(X, types.NoneType):
        return X(X), lambda context, builder, signature, arguments: context.get_dummy_value()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(X)(context, builder, arguments[0]).data

    return types.CPointer(_contiguous(X).dtype)(X), generate


@intrinsic
def after(typing: Any, pointer: Any, offset: Any) -> Any:
    """Return a pointer to the element `offset` places after the one at `pointer`."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def get(typing: Any, pointer: Any, offset: Any) -> Any:
    """Return the element `offset` places after the one at `pointer`."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return pointer.dtype(pointer, types.int64), generate


@intrinsic
def put(typing: Any, pointer: Any, offset: Any, value: Any) -> Any:
    """Set the element `offset` places after the one at `pointer`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, pointer.dtype), generate


@jit
def words_to(column):
    """Return how many groups of 64 columns, the last maybe incomplete, end before `column`."""
    return (column + 63) // 64


@jit
def place_of(numbers, begin, end, least):
    """Return the first index of an ascending list, in begin:end, of a number >= least, or `end`."""
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
    """Prefetch the cache line of an element into the second-level cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        prefetch_line(builder, builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64), generate
