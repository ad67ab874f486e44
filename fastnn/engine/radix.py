"""A radix sort of 32 items at a time, for CPUs that pack chosen 16-bit lanes (AVX-512 VBMI2).

An item holds a column's number in its low bits and the column's key above it. Splitting the items
by one bit of the key after another, from the lowest up, brings the items of each key together. A
counting sort needs two scattered stores per item and takes twice as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I8, I64, carried_loop, int64, pack
from fastnn.engine.trace import splat

__all__ = ["ITEM_BITS", "append_items", "find_runs", "split_items"]

ITEM_BITS = 16

_LANES = 32
_I16 = ir.IntType(ITEM_BITS)
_ITEMS = ir.VectorType(_I16, _LANES)
_BITS = ir.IntType(_LANES)


@intrinsic
def append_items(
    typing: Any, out: Any, count: Any, first: Any, bits: Any, keys: Any, key_at: Any
) -> Any:
    """Append an item for each set bit, for the columns from `first` on; return the new count.

    The key of a column is the byte keys[column]; an item holds it `key_at` bits up. ``out`` needs
    room for 64 items more than it receives.
    """
    signature = types.int64(out, types.int64, types.int64, types.uint64, keys, types.int64)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        out, count, first, bits, keys, key_at = arguments
        up = splat(builder, builder.trunc(key_at, _I16), _ITEMS)
        for part in range(0, 64, _LANES):
            at = builder.add(first, int64(part))
            here = builder.bitcast(builder.gep(keys, [at]), ir.VectorType(I8, _LANES).as_pointer())
            key = builder.shl(builder.zext(builder.load(here, align=1), _ITEMS), up)
            numbers = builder.add(splat(builder, builder.trunc(at, _I16), _ITEMS), _counting())
            some = builder.trunc(builder.lshr(bits, int64(part)), _BITS)
            packed = pack(builder, builder.or_(key, numbers), some)
            _store(builder, packed, out, count)
            count = builder.add(count, _ones(builder, some))
        return count

    return signature, generate


@intrinsic
def split_items(typing: Any, items: Any, count: Any, bit: Any, zeros: Any, ones: Any) -> Any:
    """Split items by a bit: those without it go to ``zeros``, the others to ``ones``, in order.

    Returns how many go to ``zeros``. Both need room for 64 items more than they receive.
    """
    signature = types.int64(items, types.int64, types.int64, zeros, ones)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        items, count, bit, zeros, ones = arguments
        mark = builder.shl(ir.Constant(_I16, 1), builder.trunc(bit, _I16))
        marks, none = splat(builder, mark, _ITEMS), ir.Constant(_ITEMS, [0] * _LANES)

        def group(at: Any, written: Any) -> Any:
            here, all_ = _load(builder, items, at), _first(builder, builder.sub(count, at))
            has = builder.icmp_unsigned("!=", builder.and_(here, marks), none)
            with_bit = builder.and_(builder.bitcast(has, _BITS), all_)
            without = builder.and_(builder.not_(with_bit), all_)
            _store(builder, pack(builder, here, without), zeros, written)
            _store(builder, pack(builder, here, with_bit), ones, builder.sub(at, written))
            return builder.add(written, _ones(builder, without))

        return _groups(builder, count, group)

    return signature, generate


@intrinsic
def find_runs(typing: Any, items: Any, count: Any, key_at: Any, runs: Any) -> Any:
    """Write to ``runs`` the position of the last item of each key; the items are sorted by key.

    Returns how many positions are written; that of the very last item is not among them.
    """
    signature = types.int64(items, types.int64, types.int64, runs)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        items, count, key_at, runs = arguments
        down = splat(builder, builder.trunc(key_at, _I16), _ITEMS)
        last = builder.sub(count, int64(1))

        def group(at: Any, written: Any) -> Any:
            here, following = (
                builder.lshr(_load(builder, items, builder.add(at, int64(k))), down)
                for k in range(2)
            )
            differs = builder.icmp_unsigned("!=", here, following)
            found = builder.and_(
                builder.bitcast(differs, _BITS), _first(builder, builder.sub(last, at))
            )
            places = builder.add(splat(builder, builder.trunc(at, _I16), _ITEMS), _counting())
            _store(builder, pack(builder, places, found), runs, written)
            return builder.add(written, _ones(builder, found))

        return _groups(builder, last, group)

    return signature, generate


def _groups(builder: Any, count: Any, emit: Callable[[Any, Any], Any]) -> Any:
    """Emit ``written = emit(i, written)`` for each group of items up to `count`; return it."""

    def one(i: Any, written: list[Any]) -> list[Any]:
        return [emit(i, written[0])]

    [written] = carried_loop(builder, int64(0), count, _LANES, [int64(0)], one, short=True)
    return written


def _counting() -> Any:
    return ir.Constant(_ITEMS, list(range(_LANES)))


def _first(builder: Any, count: Any) -> Any:
    """Return a mask of the first `count` lanes, or of all lanes if `count` is larger."""
    few = builder.icmp_signed("<", count, int64(_LANES))
    some = builder.sub(builder.shl(int64(1), count), int64(1))
    return builder.trunc(builder.select(few, some, int64(-1)), _BITS)


def _ones(builder: Any, some: Any) -> Any:
    """Return how many bits are set."""
    return builder.zext(builder.ctpop(some), I64)


def _load(builder: Any, items: Any, place: Any) -> Any:
    here = builder.bitcast(builder.gep(items, [place]), _ITEMS.as_pointer())
    return builder.load(here, align=2)


def _store(builder: Any, value: Any, items: Any, place: Any) -> None:
    here = builder.bitcast(builder.gep(items, [place]), _ITEMS.as_pointer())
    builder.store(value, here, align=2)
