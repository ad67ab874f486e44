"""Which input columns a batch uses, as bits and as lists of numbers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I1, I32, I64, int64, read_spec
from fastnn.engine.trace import splat

__all__ = ["append_bits", "mark_bits", "nonzero_bits"]


@intrinsic
def nonzero_bits(typing: Any, matrix: Any, rows: Any, m: Any, columns: Any, first: Any) -> Any:
    """Return 64 bits: which of the columns `first` to first+63 of matrix[rows[:m]] have a nonzero.

    ``matrix`` points to rows of `columns` numbers.
    """
    signature = types.uint64(matrix, rows, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, rows, m, columns, first = arguments
        bits = signature.args[0].dtype.bitwidth
        block = ir.VectorType(ir.IntType(bits), 64)
        zero = ir.Constant(block, [0] * 64)
        before = builder.block
        head, body, after_ = (builder.append_basic_block(n) for n in ("head", "body", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        i, seen = builder.phi(I64), builder.phi(block)
        i.add_incoming(int64(0), before)
        seen.add_incoming(zero, before)
        builder.cbranch(builder.icmp_signed("<", i, m), body, after_)
        builder.position_at_end(body)
        row = builder.mul(builder.load(builder.gep(rows, [i])), columns)
        here = builder.gep(matrix, [builder.add(row, first)])
        values = builder.load(builder.bitcast(here, block.as_pointer()), align=1)
        i.add_incoming(builder.add(i, int64(1)), body)
        seen.add_incoming(builder.or_(seen, values), body)
        builder.branch(head)
        builder.position_at_end(after_)
        return builder.bitcast(builder.icmp_unsigned("!=", seen, zero), I64)

    return signature, generate


@intrinsic(prefer_literal=True)
def append_bits(typing: Any, spec: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Write first + the number of each bit that is set to out[count:]; return the new count.

    ``out`` has room for 16 numbers more than it gets.
    """
    signature = types.int64(spec, out, types.int64, types.int64, types.uint64)
    append = _append_compressed if read_spec(spec).compresses else _append_one_by_one

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return append(builder, *arguments[1:])

    return signature, generate


@intrinsic
def mark_bits(typing: Any, out: Any, first: Any, bits: Any, value: Any) -> Any:
    """out[first + i] = value for each bit i that is set; ``out`` holds int32 numbers."""
    signature = types.void(out, types.int64, types.uint64, types.int64)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        out, first, bits, value = arguments
        numbers = ir.VectorType(I32, 16)
        pointer = ir.IntType(8).as_pointer()
        store = builder.module.declare_intrinsic(
            "llvm.masked.store.v16i32.p0",
            (),
            ir.FunctionType(ir.VoidType(), [numbers, pointer, I32, ir.VectorType(I1, 16)]),
        )
        marks = splat(builder, builder.trunc(value, I32), numbers)
        for part in range(4):
            some = builder.trunc(builder.lshr(bits, int64(16 * part)), ir.IntType(16))
            to = builder.gep(out, [builder.add(first, int64(16 * part))])
            mask = builder.bitcast(some, ir.VectorType(I1, 16))
            align = ir.Constant(I32, 4)
            builder.call(store, [marks, builder.bitcast(to, pointer), align, mask])
        return context.get_dummy_value()

    return signature, generate


def _append_compressed(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append 16 numbers at a time, packed in a register with AVX-512."""
    numbers, sixteen = ir.VectorType(I32, 16), ir.IntType(16)
    compress = builder.module.declare_intrinsic(
        "llvm.experimental.vector.compress.v16i32",
        (),
        ir.FunctionType(numbers, [numbers, ir.VectorType(I1, 16), numbers]),
    )
    ones = builder.module.declare_intrinsic("llvm.ctpop", [sixteen])
    base = splat(builder, builder.trunc(first, I32), numbers)
    for part in range(4):
        some = builder.trunc(builder.lshr(bits, int64(16 * part)), sixteen)
        where = builder.add(base, ir.Constant(numbers, [16 * part + i for i in range(16)]))
        mask = builder.bitcast(some, ir.VectorType(I1, 16))
        packed = builder.call(compress, [where, mask, ir.Constant(numbers, ir.Undefined)])
        to = builder.bitcast(builder.gep(out, [count]), numbers.as_pointer())
        builder.store(packed, to, align=4)
        count = builder.add(count, builder.zext(builder.call(ones, [some]), I64))
    return count


def _append_one_by_one(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append one number after another, each found by counting trailing zeros."""
    trailing = builder.module.declare_intrinsic("llvm.cttz", [I64], ir.FunctionType(I64, [I64, I1]))
    before = builder.block
    head, body, after_ = (builder.append_basic_block(n) for n in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    rest, place = builder.phi(I64), builder.phi(I64)
    rest.add_incoming(bits, before)
    place.add_incoming(count, before)
    builder.cbranch(builder.icmp_unsigned("!=", rest, int64(0)), body, after_)
    builder.position_at_end(body)
    number = builder.add(first, builder.call(trailing, [rest, ir.Constant(I1, 1)]))
    builder.store(builder.trunc(number, I32), builder.gep(out, [place]))
    rest.add_incoming(builder.and_(rest, builder.sub(rest, int64(1))), body)
    place.add_incoming(builder.add(place, int64(1)), body)
    builder.branch(head)
    builder.position_at_end(after_)
    return place
