"""Transposition of V by V blocks in registers; V is the lanes of a vector."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I32, I64, int64, load, read_spec, store, vector_of

__all__ = ["emit_transpose", "transpose", "transpose_numbered"]


@intrinsic(prefer_literal=True)
def transpose(typing: Any, spec: Any, source: Any, source_row: Any, out: Any, out_row: Any) -> Any:
    """Set out[j, i] = source[i, j] for a block of V by V."""
    signature = types.void(spec, source, source_row, out, out_row)
    vector = vector_of(out, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, source, source_row, out, out_row = arguments
        emit_transpose(builder, source, source_row, out, out_row, vector)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def transpose_numbered(
    typing: Any, spec: Any, source: Any, source_row: Any, numbers: Any, out: Any, out_row: Any,
    count: Any,
) -> Any:  # fmt: skip
    """Set out[j, i] = source[numbers[i], j] for V rows i and the first `count` of V columns j."""
    signature = types.void(spec, source, source_row, numbers, out, out_row, types.int64)
    vector = vector_of(out, read_spec(spec).lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, source, source_row, numbers, out, out_row, count = arguments
        rows = []
        for i in range(vector.count):
            number = builder.sext(builder.load(builder.gep(numbers, [int64(i)])), I64)
            rows.append(load(builder, source, builder.mul(source_row, number), vector))
        for j, row in enumerate(_transposed(builder, rows)):
            with builder.if_then(builder.icmp_signed("<", int64(j), count)):
                store(builder, row, out, builder.mul(out_row, int64(j)))
        return context.get_dummy_value()

    return signature, generate


def emit_transpose(
    builder: Any, source: Any, source_row: Any, out: Any, out_row: Any, vector: Any
) -> None:
    """Emit the code of `transpose` inside another intrinsic."""
    places = [builder.mul(source_row, int64(i)) for i in range(vector.count)]
    rows = _transposed(builder, [load(builder, source, place, vector) for place in places])
    for j, row in enumerate(rows):
        store(builder, row, out, builder.mul(out_row, int64(j)))


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return V vectors of V lanes transposed, by exchanging ever larger blocks of lanes."""
    count, span = len(rows), 1
    while span < count:
        mixed = list(rows)
        for i in range(count):
            if i & span:
                continue
            low = [j if not j & span else count + j - span for j in range(count)]
            high = [j + span if not j & span else count + j for j in range(count)]
            for place, lanes_taken in ((i, low), (i + span, high)):
                mask = ir.Constant(ir.VectorType(I32, count), lanes_taken)
                mixed[place] = builder.shuffle_vector(rows[i], rows[i + span], mask)
        rows, span = mixed, 2 * span
    return rows
