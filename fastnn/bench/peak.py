"""The peak rate of multiplications and additions of this machine's vector units.

It is measured with a loop of independent fused multiply-adds that access no memory. A matrix
product would reach it if its data were free; numpy's BLAS may come near it or stay far below.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine import jit

__all__ = ["multiply_add_rate"]

INDEPENDENT = 12  # more than latency times units, but few enough for 16 registers
STEPS = 2_000_000
REPEATS = 10


def multiply_add_rate(dtype: np.dtype[np.floating], threads: int) -> float:
    """Return additions and multiplications per second in `dtype`, of all `threads` together."""
    run, x = _compiled(), dtype.type(0.5)
    run(x, 1)
    flops = 2 * INDEPENDENT * (jit.vector_bytes() // dtype.itemsize) * STEPS * threads
    with ThreadPoolExecutor(threads) as pool:
        return flops / min(_seconds(pool, threads, lambda: run(x, STEPS)) for _ in range(REPEATS))


def _seconds(pool: ThreadPoolExecutor, threads: int, run: Callable[[], object]) -> float:
    start = perf_counter()
    for future in [pool.submit(run) for _ in range(threads)]:
        future.result()
    return perf_counter() - start


def _compiled() -> Callable[[np.floating, int], float]:
    multiply_adds = intrinsic(_multiply_adds)

    def run(x: Any, steps: int) -> Any:
        return multiply_adds(x, steps)

    compiled: Callable[[np.floating, int], float] = numba.njit(nogil=True)(run)
    return compiled


def _multiply_adds(typing: Any, x: Any, steps: Any) -> Any:
    """Return the sum of the first lanes of independent s = s*x + x, `steps` times each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scalar, steps = arguments
        vector = ir.VectorType(scalar.type, jit.vector_bytes() // (x.bitwidth // 8))
        spread = cgutils.get_null_value(vector)
        for lane in range(vector.count):
            spread = builder.insert_element(spread, scalar, ir.IntType(32)(lane))
        fused = builder.module.declare_intrinsic(
            f"llvm.fmuladd.v{vector.count}f{x.bitwidth}", (), ir.FunctionType(vector, [vector] * 3)
        )
        sums = [cgutils.alloca_once_value(builder, spread) for _ in range(INDEPENDENT)]
        with cgutils.for_range(builder, steps):
            for place in sums:
                value = builder.load(place)
                builder.store(builder.call(fused, [value, spread, spread]), place)
        total = builder.load(sums[0])
        for place in sums[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.IntType(32)(0))

    return x(x, steps), generate
