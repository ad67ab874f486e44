"""The JIT decorators, with one set of flags, and what the kernels need to know of the CPU."""

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
from fastnn.interrupts import held_back

__all__ = [
    "is_on",
    "jit",
    "jit_apart",
    "kernel",
    "packs_words",
    "register_count",
    "stay_apart",
    "vector_bytes",
]

# A fork waits until no other thread compiles: the child would wait for that one's lock for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

# Named, since NaN and infinity keep their meaning: a diverged run can be seen.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


# Without numpy's error model a hidden check of every division stops vectorisation. Nothing but
# compiled code calls these functions, so that they need no wrapper for C.
_OPTIONS = {
    "nogil": True, "error_model": "numpy", "fastmath": FASTMATH, "no_cfunc_wrapper": True
}  # fmt: skip
_OF_PARTS = {"no_cpython_wrapper": True}

# A function of its own in the machine code where it is called from several places.
jit_apart: Any = numba.njit(**_OPTIONS, **_OF_PARTS, pipeline_class=ApartCompiler)

# A part of each function that calls it: most are short, and what they are given is then known.
jit: Any = numba.njit(**_OPTIONS, **_OF_PARTS, pipeline_class=PartCompiler)


@intrinsic
def stay_apart(typing: Any) -> Any:
    """Keep the function that calls this from being inlined, also where it is called once only.

    Where registers are few, what the caller holds in them would be loaded in its loops; and two
    functions of many loops compile faster than one.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; only these go to disk, with all they call in them."""
    compiled = numba.njit(function, **_OPTIONS, pipeline_class=KernelCompiler)
    if is_on():
        compiled._cache = KernelCache(function)
        compiled.compile = _alone(compiled, _uncollected(compiled.compile))
    return compiled


def _uncollected(compile_: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keep Python from looking for garbage while Numba makes objects by the million.

    It took a tenth of the time, and more in a process that holds much.
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
    """Let one process at a time compile a kernel, so that others find it on the disk.

    Signals wait meanwhile: LLVM calls back into Python, where what a handler raises would be lost.
    """

    @functools.wraps(compile_)
    def compile_so(signature: Any) -> Any:
        if signature in compiled.overloads:
            return compile_(signature)
        with held_back(), compiled._cache.alone(signature, compiled.targetctx.codegen()):
            return compile_(signature)

    return compile_so


def is_on() -> bool:
    """Return whether kernels may be compiled (``NUMBA_DISABLE_JIT`` is not set)."""
    return not numba.config.DISABLE_JIT


@functools.cache
def vector_bytes() -> int:
    """Return the bytes of the target's widest vector register."""
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
def packs_words() -> bool:
    """Return whether the target packs chosen lanes of 16 bits in one instruction."""
    return "avx512vbmi2" in _features()


def _features() -> set[str]:
    """Return the CPU features that Numba compiles for."""
    if numba.config.CPU_FEATURES is not None:
        named = numba.config.CPU_FEATURES.split(",")
        return {name[1:] for name in named if name.startswith("+")}
    found = {name for name, on in binding.get_host_cpu_features().items() if on}
    return found if numba.config.ENABLE_AVX else {n for n in found if not n.startswith("avx")}
