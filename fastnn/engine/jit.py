"""The JIT decorators, with a single set of flags, and the CPU features that kernels rely on."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from fastnn.engine.cache import KernelCache
from fastnn.engine.lowering import ApartCompiler, KernelCompiler, PartCompiler
from fastnn.interrupts import signals_deferred

__all__ = [
    "halves_vectors",
    "is_on",
    "jit",
    "jit_outlined",
    "kernel",
    "never_inline",
    "packs_short_lanes",
    "register_count",
    "vector_bytes",
]

# A fork waits until no other thread compiles; its child would wait for that thread's lock forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

# All flags but nnan and ninf: NaN and infinity keep their meaning, so a diverged run is visible.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


# Without numpy's error model, a hidden check of every division prevents vectorisation. No C code
# calls these functions, so that they need no C wrapper.
_OPTIONS = {
    "nogil": True, "error_model": "numpy", "fastmath": FASTMATH, "no_cfunc_wrapper": True
}  # fmt: skip
_OF_PARTS = {"no_cpython_wrapper": True}

# For a function that stays separate in the machine code if it is called from several places.
jit_outlined: Any = numba.njit(**_OPTIONS, **_OF_PARTS, pipeline_class=ApartCompiler)

# For a function that is inlined into every caller: most are short, and see known arguments there.
jit: Any = numba.njit(**_OPTIONS, **_OF_PARTS, pipeline_class=PartCompiler)


@intrinsic
def never_inline(typing: Any) -> Any:
    """Keep the function that calls this from being inlined, even if it is called only once.

    With few registers, inlined loops would have to reload the values that the caller keeps in
    registers. Two functions with many loops also compile faster than one with all of them.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; only these are cached on disk, callees included."""
    compiled = numba.njit(function, **_OPTIONS, pipeline_class=KernelCompiler)
    if is_on():
        compiled._cache = KernelCache(function)
        compiled.compile = _alone(compiled, _uncollected(compiled.compile))
    return compiled


def _uncollected(compile_: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Suspend garbage collection while Numba compiles and creates objects by the million.

    Collection took a tenth of the time, and more in a process that holds many objects.
    """

    @functools.wraps(compile_)
    def compile_so(signature: Any) -> Any:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return compile_(signature)
        finally:
            if enabled:
                gc.enable()

    return compile_so


def _alone(compiled: Any, compile_: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let only one process at a time compile a kernel, so that the others find it on disk.

    Signals are deferred while it compiles: LLVM calls back into Python, where an exception raised
    by a signal handler would be lost.
    """

    @functools.wraps(compile_)
    def compile_so(signature: Any) -> Any:
        if signature in compiled.overloads:
            return compile_(signature)
        with (
            signals_deferred() as release,
            compiled._cache.alone(signature, compiled.targetctx.codegen(), release),
        ):
            return compile_(signature)

    return compile_so


def is_on() -> bool:
    """Return whether kernels may be compiled (``NUMBA_DISABLE_JIT`` is not set)."""
    return not numba.config.DISABLE_JIT


@functools.cache
def vector_bytes() -> int:
    """Return the size in bytes of the target's widest vector register."""
    features = _features()
    if "avx512f" in features:
        return 64
    return 32 if "avx" in features else 16


@functools.cache
def register_count() -> int:
    """Return how many vector registers the target has."""
    wide = vector_bytes() == 64 or binding.get_process_triple().startswith(("aarch64", "arm64"))
    return 32 if wide else 16


@functools.cache
def packs_short_lanes() -> bool:
    """Return whether the target packs selected lanes of 8 or 16 bits in one instruction."""
    return "avx512vbmi2" in _features()


@functools.cache
def halves_vectors() -> bool:
    """Return whether the target computes with the two halves of a 512-bit vector in turn."""
    name: str = numba.config.CPU_NAME or binding.get_host_cpu_name()
    return name == "znver4"


def _features() -> set[str]:
    """Return the CPU features that Numba compiles for."""
    if numba.config.CPU_FEATURES is not None:
        named = numba.config.CPU_FEATURES.split(",")
        return {name[1:] for name in named if name.startswith("+")}
    found = {name for name, on in binding.get_host_cpu_features().items() if on}
    return found if numba.config.ENABLE_AVX else {n for n in found if not n.startswith("avx")}
