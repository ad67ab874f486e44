"""Several threads in one compiled function: shares of the work, and meeting points.

The threads are ordinary Python threads, each inside its own call of the same `nogil` kernel. No
pool of workers outlives a call, so a fork, a caller's thread pool or a notebook finds nothing to
trip over. The results never depend on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I32, I64, int64
from fastnn.engine.jit import jit
from fastnn.engine.pointers import get, put

__all__ = ["call_together", "meet_all", "nth_part", "share"]

# After this many polls a waiting thread yields its CPU: there may be fewer CPUs than threads.
PATIENCE = 400


def call_together(function: Callable[[int], Any], threads: int, release: Callable[[], None]) -> Any:
    """Call ``function(thread)`` for all thread numbers at once; return what number 0 returns.

    If the system cannot start all the threads, the function is not called at all. If a call raises,
    `release` is called, which frees the threads that wait for it, and the exception is raised.
    """
    decided, complete = threading.Event(), False
    raised: list[BaseException] = []

    def run(number: int) -> None:
        decided.wait()
        if complete:  # else it would wait for threads that never started
            try:
                function(number)
            except BaseException as error:
                raised.append(error)
                release()

    others = [threading.Thread(target=run, args=(i,)) for i in range(1, threads)]
    try:
        for thread in others:
            thread.start()
        complete = True
    finally:
        decided.set()
    try:
        result = function(0)
    except BaseException:
        release()
        raise
    finally:
        for thread in others:
            thread.join()
    if raised:
        raise raised[0]
    return result


@jit
def share(net, count):
    """Return where this thread's share of `count` pieces of work begins and ends."""
    if net.threads == 1:  # skip the divisions, which slow down a small network's batch
        return 0, count
    return nth_part(count, net.thread, net.threads)


@jit
def nth_part(count, number, parts):
    """Return where part `number` begins and ends if `count` pieces are divided evenly."""
    return count * number // parts, count * (number + 1) // parts


@intrinsic
def meet(typing: Any, arrived: Any, expected: Any) -> Any:
    """Add 1 to the counter at ``arrived`` and wait until it has reached `expected`."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        arrived, expected = arguments
        builder.atomic_rmw("add", arrived, int64(1), "seq_cst")
        before = builder.block
        look, wait, rest, on = (
            builder.append_basic_block(name) for name in ("look", "wait", "rest", "on")
        )
        builder.branch(look)
        builder.position_at_end(look)
        looks = builder.phi(I64)
        looks.add_incoming(int64(0), before)
        seen = builder.load_atomic(arrived, "acquire", 8, typ=I64)
        builder.cbranch(builder.icmp_signed(">=", seen, expected), on, wait)
        builder.position_at_end(wait)
        if binding.get_process_triple().startswith(("x86_64", "i686")):
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), nothing), [])
        again = builder.add(looks, int64(1))
        looks.add_incoming(again, wait)
        builder.cbranch(builder.icmp_signed("<", again, int64(PATIENCE)), look, rest)
        builder.position_at_end(rest)
        if os.name == "posix":
            name, kind = "sched_yield", ir.FunctionType(I32, [])
            module = builder.module
            function = module.globals.get(name) or ir.Function(module, kind, name)
            builder.call(function, [])
        looks.add_incoming(int64(0), rest)
        builder.branch(look)
        builder.position_at_end(on)
        return context.get_dummy_value()

    return types.void(arrived, types.int64), generate


@jit
def meet_all(net):
    """Wait until all threads have come to this point."""
    if net.threads > 1:
        met = get(net.met, 0) + 1
        put(net.met, 0, met)
        meet(net.arrived, met * net.threads)
