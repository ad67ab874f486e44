"""One JIT decorator, one flag policy, and what the kernels need to know of the CPU."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic

from fastnn.engine.cache import KernelCache

__all__ = ["is_on", "jit", "jit_apart", "kernel", "packs_words", "register_count", "vector_bytes"]

# Named, since NaN and infinity keep their meaning: a diverged run can be seen.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc] # Numba has no types
    """LLVM's code of a function, not yet optimised: that is done where it is taken in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):  # type: ignore[misc] # Numba has no types
    """Lowering to LLVM's code alone.

    Nothing but kernels calls these functions, which take their code in; machine code for each of
    them took a third of the time to compile.
    """

    _name = "fastnn_part_lowering"

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        lowered = state["cr"]
        stands_for: Any = [].append  # such an object, one for each, is a function to Numba
        state.targetctx.insert_user_function(stands_for, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=stands_for)
        return True


class _PartCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler with this lowering."""

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (_PartLowering if chosen is NativeLowering else chosen, why)
            for chosen, why in manager.passes
        ]
        manager.finalize()
        return [manager]


# Without numpy's error model a hidden check of every division stops vectorisation. Nothing but
# compiled code calls these functions, so that they need no wrapper for C.
_OPTIONS = {
    "nogil": True, "error_model": "numpy", "fastmath": FASTMATH, "no_cfunc_wrapper": True
}  # fmt: skip
_OF_PARTS = {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}

# A function of its own in the machine code, for what is long and called from several places.
jit_apart: Any = numba.njit(**_OPTIONS, **_OF_PARTS)

# A part of each function that calls it: to hand on some 25 pointers takes longer than most of them.
jit: Any = numba.njit(**_OPTIONS, **_OF_PARTS, forceinline=True)


@intrinsic
def stay_apart(typing: Any) -> Any:
    """Keep the function that calls this from being inlined, also where it is called once only.

    Where registers are few, what the caller holds in them would be loaded in its loops.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        builder.function.attributes.discard("alwaysinline")  # passed on by a caller's flags
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; only these go to disk, with all they call in them."""
    compiled = numba.njit(function, **_OPTIONS)
    if is_on():
        compiled._cache = KernelCache(function)
        compiled.compile = _uncollected(compiled.compile)
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
    return {name for name, on in binding.get_host_cpu_features().items() if on}
