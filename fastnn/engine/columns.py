"""The input columns that a batch uses, as bits and as lists of column numbers."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import I1, I8, I32, I64, carried_loop, int64, pack, read_spec
from fastnn.engine.trace import splat

__all__ = ["append_bits", "mark_users", "nonzero_bits", "raise_bits"]


@intrinsic
def nonzero_bits(typing: Any, matrix: Any, rows: Any, m: Any, columns: Any, first: Any) -> Any:
    """Return 64 bits: which of columns `first` to first+63 of matrix[rows[:m]] have a nonzero.

    ``matrix`` points to rows of `columns` numbers each.
    """
    signature = types.uint64(matrix, rows, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, rows, m, columns, first = arguments
        bits = signature.args[0].dtype.bitwidth
        block = ir.VectorType(ir.IntType(bits), 64)
        zero = ir.Constant(block, [0] * 64)

        def add_row(i: Any, seen: list[Any]) -> list[Any]:
            row = builder.mul(builder.load(builder.gep(rows, [i])), columns)
            here = builder.gep(matrix, [builder.add(row, first)])
            values = builder.load(builder.bitcast(here, block.as_pointer()), align=1)
            return [builder.or_(seen[0], values)]

        [seen] = carried_loop(builder, int64(0), m, 1, [zero], add_row)
        return builder.bitcast(builder.icmp_unsigned("!=", seen, zero), I64)

    return signature, generate


@intrinsic(prefer_literal=True)
def append_bits(typing: Any, spec: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Write first + the number of each set bit to out[count:]; return the new count.

    ``out`` has room for 16 numbers more than are appended.
    """
    signature = types.int64(spec, out, types.int64, types.int64, types.uint64)
    append = _append_compressed if read_spec(spec).compresses else _append_by_table

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return append(builder, *arguments[1:])

    return signature, generate


@intrinsic
def raise_bits(typing: Any, out: Any, first: Any, bits: Any, value: Any) -> Any:
    """Raise out[first + i] to at least `value` for each set bit i; no number there is below 0.

    It computes a maximum, because with AVX2 a selection would be stored with a mask, lane by lane.
    """
    signature = types.void(out, types.int64, types.uint64, types.int64)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        out, first, bits, value = arguments
        numbers = ir.VectorType(I32, 16)
        marks = splat(builder, builder.trunc(value, I32), numbers)
        none = ir.Constant(numbers, [0] * 16)
        for part in range(4):
            some = builder.trunc(builder.lshr(bits, int64(16 * part)), ir.IntType(16))
            place = builder.gep(out, [builder.add(first, int64(16 * part))])
            to = builder.bitcast(place, numbers.as_pointer())
            mask = builder.bitcast(some, ir.VectorType(I1, 16))
            least, old = builder.select(mask, marks, none), builder.load(to, align=4)
            raised = builder.select(builder.icmp_signed(">", least, old), least, old)
            builder.store(raised, to, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def mark_users(
    typing: Any, spec: Any, matrix: Any, order: Any, rows: Any, columns: Any, keys: Any, bits: Any
) -> Any:
    """Set in keys[j] the bit of each group of rows one of which uses column j; clear the others.

    Row r, for r < rows, is matrix[order[r]]. A bit in ``bits``, 64 columns to a word, says whether
    a column's key is not zero. There are at least 64 columns; ``matrix`` points to rows of them.
    """
    signature = types.void(spec, matrix, order, types.int64, types.int64, keys, bits)
    groups = read_spec(spec).groups

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, matrix, order, rows, columns, keys, bits = arguments
        block = ir.VectorType(ir.IntType(signature.args[1].dtype.bitwidth), 64)

        def start_of(r: int, instead: Any) -> Any:
            place = builder.select(builder.icmp_signed("<", int64(r), rows), int64(r), instead)
            number = builder.load(builder.gep(order, [place]))
            return builder.gep(matrix, [builder.mul(number, columns)])

        marks = ir.VectorType(I8, 64)
        none, empty = ir.Constant(marks, [0] * 64), ir.Constant(block, [0] * 64)
        starts, spread = [], []
        for bit, size in enumerate(groups):
            first = sum(groups[:bit])
            some = builder.icmp_signed("<", int64(first), rows)
            mark = builder.select(some, ir.Constant(I8, 1 << bit), ir.Constant(I8, 0))
            spread.append(splat(builder, mark, marks))
            instead = builder.select(some, int64(first), int64(0))  # of a row that is missing
            starts.append([start_of(r, instead) for r in range(first, first + size)])
        words = builder.sdiv(builder.add(columns, int64(63)), int64(64))
        with cgutils.for_range(builder, words) as loop:
            # The last 64 columns end with the row, so some may be marked twice, with the same key.
            whole, last = builder.mul(loop.index, int64(64)), builder.sub(columns, int64(64))
            is_last = builder.icmp_signed(">", whole, last)
            first, found = builder.select(is_last, last, whole), none
            for group, mark in zip(starts, spread, strict=True):
                here = [builder.gep(start, [first]) for start in group]
                places = [builder.bitcast(place, block.as_pointer()) for place in here]
                values = [builder.load(place, align=1) for place in places]
                together = functools.reduce(builder.or_, values)
                nonzero = builder.icmp_unsigned("!=", together, empty)
                found = builder.select(nonzero, builder.or_(found, mark), found)
            to = builder.bitcast(builder.gep(keys, [first]), marks.as_pointer())
            builder.store(found, to, align=1)
            used = builder.bitcast(builder.icmp_unsigned("!=", found, none), I64)
            used = builder.lshr(used, builder.sub(whole, first))
            builder.store(used, builder.gep(bits, [loop.index]))
        return context.get_dummy_value()

    return signature, generate


def _append_compressed(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append the numbers of 16 bits at a time, packed in a register with AVX-512."""
    numbers, sixteen = ir.VectorType(I32, 16), ir.IntType(16)
    base = splat(builder, builder.trunc(first, I32), numbers)
    for part in range(4):
        some = builder.trunc(builder.lshr(bits, int64(16 * part)), sixteen)
        where = builder.add(base, ir.Constant(numbers, [16 * part + i for i in range(16)]))
        to = builder.bitcast(builder.gep(out, [count]), numbers.as_pointer())
        builder.store(pack(builder, where, some), to, align=4)
        count = builder.add(count, builder.zext(builder.ctpop(some), I64))
    return count


def _append_by_table(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append the numbers of 8 bits at a time, looked up in a table of all bytes."""
    places, numbers = ir.VectorType(I8, 8), ir.VectorType(I32, 8)
    table = _table_of_places(builder.module, places)
    ones = builder.module.declare_intrinsic("llvm.ctpop", [I32])
    before = builder.block
    some, after_ = builder.append_basic_block("some"), builder.append_basic_block("after")
    builder.cbranch(builder.icmp_unsigned("!=", bits, int64(0)), some, after_)
    builder.position_at_end(some)
    base, appended = splat(builder, builder.trunc(first, I32), numbers), count
    for part in range(8):
        byte = builder.and_(builder.lshr(bits, int64(8 * part)), int64(255))
        found = builder.load(builder.gep(table, [int64(0), byte]), align=8)
        offsets = ir.Constant(numbers, [8 * part] * 8)
        packed = builder.add(builder.add(base, offsets), builder.zext(found, numbers))
        to = builder.bitcast(builder.gep(out, [appended]), numbers.as_pointer())
        builder.store(packed, to, align=4)
        set_ = builder.zext(builder.call(ones, [builder.trunc(byte, I32)]), I64)
        appended = builder.add(appended, set_)
    builder.branch(after_)
    builder.position_at_end(after_)
    result = builder.phi(I64)
    result.add_incoming(count, before)
    result.add_incoming(appended, some)
    return result


def _table_of_places(module: Any, places: Any) -> Any:
    """Return a module's table: for each byte the numbers of its set bits, padded with 0."""
    name = "fastnn_places_of_bits"
    if name in module.globals:
        return module.globals[name]
    rows = [[i for i in range(8) if byte >> i & 1] for byte in range(256)]
    content = ir.ArrayType(places, 256)
    table = ir.GlobalVariable(module, content, name)
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(content, [row + [0] * (8 - len(row)) for row in rows])
    return table
