"""Helpers shared by the engine's intrinsics: constants, loads, stores, loops, the specification."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import ForceLiteralArg

from fastnn.engine.spec import Spec, decode

__all__ = [
    "I1",
    "I8",
    "I32",
    "I64",
    "PREFETCH_STRIDE",
    "carried_loop",
    "int64",
    "item_bytes",
    "load",
    "pack",
    "prefetch_line",
    "read_spec",
    "short_loop",
    "store",
    "switch",
    "vector_of",
]

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))

# The elements from one prefetch of a row to the next: a cache line of bytes. With wider elements
# the CPU's own prefetcher brings the lines between.
PREFETCH_STRIDE = 64


def read_spec(spec: Any) -> Spec:
    """Return the specification in a literal string; make Numba retry with one if it is not.

    A `by_layout` function gets one without formulas, a `by_rules` function one without those of
    activations and costs; reading a missing one is an error.
    """
    if not isinstance(spec, types.StringLiteral):
        raise ForceLiteralArg({0})
    found: Spec = decode(spec.literal_value)
    return found


def int64(value: int) -> Any:
    """Return an LLVM constant of 64 bits."""
    return ir.Constant(I64, value)


def vector_of(pointer: Any, lanes: int) -> Any:
    """Return the type of a vector of the elements, float32 or float64, of a Numba pointer type."""
    element = ir.FloatType() if pointer.dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(element, lanes)


def item_bytes(vector: Any) -> int:
    """Return the bytes of a lane of a vector type."""
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def load(builder: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    """Load a vector from `offset` elements after `pointer`."""
    address = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
    return builder.load(address, align=item_bytes(vector))


def store(builder: Any, value: Any, pointer: Any, offset: Any) -> None:
    """Store a vector to `offset` elements after `pointer`."""
    address = builder.bitcast(builder.gep(pointer, [offset]), value.type.as_pointer())
    builder.store(value, address, align=item_bytes(value.type))


def pack(builder: Any, items: Any, bits: Any) -> Any:
    """Return the integer lanes of `items` whose bit in the integer `bits` is set, at the front."""
    vector, masks = items.type, ir.VectorType(I1, items.type.count)
    compress = builder.module.declare_intrinsic(
        f"llvm.experimental.vector.compress.v{vector.count}i{vector.element.width}",
        (),
        ir.FunctionType(vector, [vector, masks, vector]),
    )
    mask = builder.bitcast(bits, masks)
    return builder.call(compress, [items, mask, ir.Constant(vector, ir.Undefined)])


def prefetch_line(builder: Any, pointer: Any) -> None:
    """Prefetch a cache line into the second-level cache."""
    address = builder.bitcast(pointer, I8.as_pointer())
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [address.type, I32, I32, I32]),
        "llvm.prefetch.p0",
    )
    read, second_level, data_cache = (ir.Constant(I32, value) for value in (0, 2, 1))
    builder.call(function, [address, read, second_level, data_cache])


def _disable_unrolling(branch: Any) -> None:
    """Keep LLVM from unrolling the short loop that this branch closes."""
    module = branch.parent.function.module
    rolled = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([rolled])
    loop.operands = (loop, rolled)  # a loop's metadata begins with itself
    branch.set_metadata("llvm.loop", loop)


def carried_loop(
    builder: Any,
    begin: Any,
    end: Any,
    step: int,
    carried: list[Any],
    emit: Callable[[Any, list[Any]], list[Any]],
    *,
    short: bool = False,
) -> list[Any]:
    """Emit ``for i in range(begin, end, step): carried = emit(i, carried)``; return `carried`.

    If it is `short`, LLVM does not unroll it.
    """
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i, now = builder.phi(I64), [builder.phi(value.type) for value in carried]
    for phi, value in zip([i, *now], [begin, *carried], strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, end), body, after)
    builder.position_at_end(body)
    new = emit(i, list(now))
    following = builder.add(i, int64(step))
    for phi, value in zip([i, *now], [following, *new], strict=True):
        phi.add_incoming(value, builder.block)
    back = builder.branch(head)
    if short:
        _disable_unrolling(back)
    builder.position_at_end(after)
    return now


def short_loop(builder: Any, begin: Any, end: Any, emit: Callable[[Any], None]) -> None:
    """Emit ``for i in range(begin, end): emit(i)``, which LLVM does not unroll."""

    def once(i: Any, _: list[Any]) -> list[Any]:
        emit(i)
        return []

    carried_loop(builder, begin, end, 1, [], once, short=True)


def switch(
    builder: Any,
    keys: Sequence[Any],
    cases: Sequence[tuple[int, ...]],
    emit: Callable[..., None],
) -> None:
    """Emit ``emit(*case)`` for each case, and a jump to the case that equals `keys`.

    The keys are int64 values from 0 to 255, known only when the kernel runs. One of the cases must
    equal them.
    """
    code = keys[0]
    for key in keys[1:]:
        code = builder.add(builder.mul(code, int64(256)), key)
    done = builder.append_basic_block("done")
    nowhere = builder.append_basic_block("nowhere")
    jump = builder.switch(code, nowhere)
    for case in cases:
        block = builder.append_basic_block("case")
        jump.add_case(int64(functools.reduce(lambda code, key: 256 * code + key, case)), block)
        builder.position_at_end(block)
        emit(*case)
        builder.branch(done)
    builder.position_at_end(nowhere)
    builder.unreachable()
    builder.position_at_end(done)
