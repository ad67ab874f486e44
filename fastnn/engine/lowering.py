"""Numba's compiler for kernels: what is known of one is known first, and machine code is made once.

A branch that a kernel's specification excludes is left out before its types are inferred. And Numba
would make machine code of every function, though nothing but kernels calls those of the engine.
Each took a quarter or more of the time to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from llvmlite import binding
from numba import types
from numba.core import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.dispatcher import Dispatcher
from numba.core.ir_utils import get_definition, guard, mk_unique_var
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import RewriteSemanticConstants

__all__ = ["ApartCompiler", "KernelCompiler", "PartCompiler", "constant_of", "given"]

# Numba's passes, by name, for what no kernel has: `with`, closures, generators of code, expressions
# of arrays. After most of them all variables of a function are looked at again.
NEEDLESS = {
    "with_lifting",
    "inline_closure_likes",
    "Rewrite dynamic raises",
    "make_function_op_code_to_jit_function",
    "inline_inlinables",
    "find_literally",
    "literal_unroll",
    "LiteralPropagation",
    "inline_overloads",
    "nopython_rewrites",
}

# What each of these functions stands for.
_CONSTANTS: dict[FunctionType, Callable[..., Any]] = {}


def constant_of(read: Callable[..., Any]) -> Any:
    """Return what stands in kernels for what `read` returns: a constant for the same arguments.

    It is called with a text that the kernel closes over, and with parameters of the function that
    calls it; `read` gets the text, and the types of these.
    """

    def constant(text: str, *parameters: Any) -> Any:
        raise NotImplementedError("it is for compiled code")

    _CONSTANTS[constant] = read  # type: ignore[index] # it is one
    return constant


# What a compiled function is given of the text that is its first argument.
_GIVEN: dict[Dispatcher, Callable[[str], str]] = {}


def given(function: Dispatcher, part: Callable[[str], str]) -> Dispatcher:
    """Let functions that call this one give it ``part(text)`` in place of a text they know."""
    _GIVEN[function] = part
    return function


@register_pass(mutates_CFG=False, analysis_only=False)
class _Constants(FunctionPass):  # type: ignore[misc] # Numba has no types
    """Such calls become constants, so that the pass after this leaves out what they exclude.

    And of a text that is known a function gets what it is to be given.
    """

    _name = "fastnn_constants"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for place, one in reversed(list(enumerate(block.body))):
                if isinstance(one, ir.Assign) and getattr(one.value, "op", "") == "call":
                    self._look_at(state, block, place, one)
        return True

    def _look_at(self, state: Any, block: Any, place: int, one: Any) -> None:
        call = one.value
        function = getattr(guard(get_definition, state.func_ir, call.func), "value", None)
        if isinstance(function, FunctionType) and function in _CONSTANTS:
            _set(state, one, _CONSTANTS[function](*(_known(state, a) for a in call.args)))
            for other in block.body:
                if isinstance(other, ir.Assign) and other.target.name == call.func.name:
                    _set(state, other, None)  # it has no type
        elif isinstance(function, Dispatcher) and function in _GIVEN:
            text = _GIVEN[function](_known(state, call.args[0]))
            variable = ir.Var(block.scope, mk_unique_var("$text"), one.loc)
            known = ir.Const(text, one.loc)
            block.body.insert(place, ir.Assign(known, variable, one.loc))
            state.func_ir._definitions[variable.name].append(known)
            call.args = (variable, *call.args[1:])


def _set(state: Any, statement: Any, value: Any) -> None:
    """Let a statement set its variable to a constant."""
    before, statement.value = statement.value, ir.Const(value, statement.loc)
    definitions = state.func_ir._definitions[statement.target.name]
    definitions[definitions.index(before)] = statement.value


def _known(state: Any, argument: Any) -> Any:
    """Return the text that an argument is, or else the type of the parameter that it is."""
    definition = guard(get_definition, state.func_ir, argument)
    if not isinstance(definition, ir.Arg):
        return definition.value
    kind = state.args[definition.index]
    return kind.literal_value if isinstance(kind, types.StringLiteral) else kind


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """LLVM's code of a function, not yet optimised: that is done where it is taken in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel and of all that it calls, which nothing else does.

    So LLVM can change how a function is called, and leave out what it is never given.
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
        """Return Numba's passes that kernels need, with this lowering in place of their own."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_Constants, RewriteSemanticConstants)
        manager.passes = [
            (self.lowering if one is NativeLowering else one, why)
            for one, why in dict.fromkeys(manager.passes)  # one of them is there three times
            if one.name() not in NEEDLESS
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
