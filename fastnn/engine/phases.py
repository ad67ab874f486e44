"""The parts of an epoch, and the counters of a kernel that is compiled to time them.

In a kernel without counters, `start_laps` and `lap` emit no instructions.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I64, int64, read_spec

__all__ = ["PHASES", "PHASE_COUNT", "can_count", "lap", "start_laps"]

GATHER, LIST, CATCH_UP, FORWARD, DELTA, UPDATE = range(6)

PHASES = ("gather", "listing", "catch-up", "forward", "delta", "update")
"""What they are called, in the order of their numbers.

gather: rows and targets of a batch. listing: the columns that each block of rows uses, and the next
batch's rows by class. catch-up: the penalty that columns have missed. forward: products and
activations. delta: the output's delta and cost, transposed weights, backward. update: gradient,
penalty and weights, and asking for the next batch's rows.
"""

PHASE_COUNT = len(PHASES)


def can_count() -> bool:
    """Return whether this CPU has a cycle counter that any program may read."""
    return platform.machine().lower() in ("x86_64", "amd64")


@intrinsic(prefer_literal=True)
def start_laps(typing: Any, spec: Any, ticks: Any) -> Any:
    """Store the value of the CPU's cycle counter after the phases' counts."""
    timed = read_spec(spec).timed

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if timed:
            builder.store(_cycles(builder), builder.gep(arguments[1], [int64(PHASE_COUNT)]))
        return context.get_dummy_value()

    return types.void(spec, ticks), generate


@intrinsic(prefer_literal=True)
def lap(typing: Any, spec: Any, ticks: Any, phase: Any) -> Any:
    """Add the cycles since the last `lap`, or `start_laps`, to ``ticks[phase]``."""
    timed = read_spec(spec).timed

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, ticks, phase = arguments
        if timed:
            now, place = _cycles(builder), builder.gep(ticks, [phase])
            last = builder.gep(ticks, [int64(PHASE_COUNT)])
            since = builder.sub(now, builder.load(last))
            builder.store(builder.add(builder.load(place), since), place)
            builder.store(now, last)
        return context.get_dummy_value()

    return types.void(spec, ticks, types.int64), generate


def _cycles(builder: Any) -> Any:
    counter = builder.module.declare_intrinsic(
        "llvm.readcyclecounter", (), ir.FunctionType(I64, [])
    )
    return builder.call(counter, [])
