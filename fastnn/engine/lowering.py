"""From Numba's typed code to LLVM's, and to machine code once for a kernel with all that it calls.

Numba would make machine code of every function, though nothing but kernels calls those of the
engine; that took a third of the time to compile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

__all__ = ["ApartCompiler", "KernelCompiler", "PartCompiler"]


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc] # Numba has no types
    """LLVM's code of a function, not yet optimised: that is done where it is taken in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel and of all that it calls, which nothing else does.

    So LLVM can change how a function is called: of some 60 pointers it takes those that it uses.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage == binding.Linkage.linkonce_odr:
                function.linkage = binding.Linkage.internal
        super()._optimize_final_module()


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):  # type: ignore[misc]
    """Numba's lowering, into such a library."""

    _name = "fastnn_kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        super().run_pass(state)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):  # type: ignore[misc]
    """Lowering to LLVM's code alone, of a function that is a part of each that calls it."""

    _name = "fastnn_part_lowering"
    inline = True

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        state.flags.forceinline = self.inline  # else it is as its caller's
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        lowered = state["cr"]
        stands_for: Any = [].append  # such an object, one for each, is a function to Numba
        state.targetctx.insert_user_function(stands_for, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=stands_for)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _ApartLowering(_PartLowering):
    """The same of a function that stays one where several call it."""

    _name = "fastnn_apart_lowering"
    inline = False


class _Compiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler with another lowering."""

    lowering: type[NativeLowering]

    def define_pipelines(self) -> list[Any]:
        """Return Numba's passes with this lowering in place of their own."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (self.lowering if chosen is NativeLowering else chosen, why)
            for chosen, why in manager.passes
        ]
        manager.finalize()
        return [manager]


class PartCompiler(_Compiler):
    """Numba's compiler for a function that is a part of those that call it."""

    lowering = _PartLowering


class ApartCompiler(_Compiler):
    """Numba's compiler for a function of its own in the machine code of a kernel."""

    lowering = _ApartLowering


class KernelCompiler(_Compiler):
    """Numba's compiler for a function that Python calls."""

    lowering = _KernelLowering
