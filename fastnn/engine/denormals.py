"""Denormal numbers count as zero in the kernels that train and evaluate.

The delta of a saturated unit underflows, and on x86 every operation on a denormal number takes
about 150 cycles: a network with many such units would train several times slower for the sake of
numbers below 1e-38 (1e-308 in float64). On other CPUs denormals cost little and are kept.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.emit import I8, I32

__all__ = ["flush_denormals", "restore_denormals"]

# Bits of the control register MXCSR: set denormal results to zero, and read operands as zero.
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x0040

_X86 = platform.machine().lower() in ("x86_64", "amd64")


def _control(builder: Any, name: str, address: Any) -> None:
    function = builder.module.declare_intrinsic(
        f"llvm.x86.sse.{name}", (), ir.FunctionType(ir.VoidType(), [I8.as_pointer()])
    )
    builder.call(function, [builder.bitcast(address, I8.as_pointer())])


@intrinsic
def flush_denormals(typing: Any) -> Any:
    """Treat denormals as zero in this thread; return the old mode for `restore_denormals`."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        place = cgutils.alloca_once_value(builder, ir.Constant(I32, 0))
        if not _X86:
            return builder.load(place)
        _control(builder, "stmxcsr", place)
        before = builder.load(place)
        flushing = ir.Constant(I32, FLUSH_TO_ZERO | DENORMALS_ARE_ZERO)
        builder.store(builder.or_(before, flushing), place)
        _control(builder, "ldmxcsr", place)
        return before

    return types.int32(), generate


@intrinsic
def restore_denormals(typing: Any, before: Any) -> Any:
    """Restore the mode that `flush_denormals` returned."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if _X86:
            place = cgutils.alloca_once_value(builder, arguments[0])
            builder.store(arguments[0], place)
            _control(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), generate
