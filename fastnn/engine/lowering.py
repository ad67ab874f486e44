"""Numba's compiler for kernels: constants are resolved first, and machine code is made once.

A branch that a kernel's specification excludes is removed before its types are inferred. And Numba
would generate machine code for every function, although only kernels call those of the engine.
Each of the two cost a quarter or more of the compile time.
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

# Numba's passes, by name, for what no kernel uses: `with`, closures, generated code, expressions of
# arrays. Most of them make Numba examine all variables of a function again.
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

# For each function that stands for a constant: what reads the constant.
_CONSTANTS: dict[FunctionType, Callable[..., Any]] = {}


def constant_of(read: Callable[..., Any]) -> Any:
    """Return a function whose calls in kernels become constants, the results of `read`.

    Its arguments are a text that the kernel closes over, and parameters of the function that calls
    it. `read` gets the text, and the types of these parameters.
    """

    def constant(text: str, *parameters: Any) -> Any:
        raise NotImplementedError("it is for compiled code")

    _CONSTANTS[constant] = read  # type: ignore[index] # it is a function
    return constant


# For a compiled function: what it gets instead of the text that is its first argument.
_GIVEN: dict[Dispatcher, Callable[[str], str]] = {}


def given(function: Dispatcher, part: Callable[[str], str]) -> Dispatcher:
    """Make calls of `function` pass ``part(text)`` instead of ``text``, which the caller knows."""
    _GIVEN[function] = part
    return function


@register_pass(mutates_CFG=False, analysis_only=False)
class _Constants(FunctionPass):  # type: ignore[misc] # Numba has no types
    """Replaces such calls by constants, so that the next pass removes what these exclude.

    It also replaces the text in calls of functions that are to be `given` another.
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
                    _set(state, other, None)  # a stand-in has no Numba type
        elif isinstance(function, Dispatcher) and function in _GIVEN:
            text = _GIVEN[function](_known(state, call.args[0]))
            variable = ir.Var(block.scope, mk_unique_var("$text"), one.loc)
            known = ir.Const(text, one.loc)
            block.body.insert(place, ir.Assign(known, variable, one.loc))
            state.func_ir._definitions[variable.name].append(known)
            call.args = (variable, *call.args[1:])


def _set(state: Any, statement: Any, value: Any) -> None:
    """Make a statement assign a constant to its variable."""
    before, statement.value = statement.value, ir.Const(value, statement.loc)
    definitions = state.func_ir._definitions[statement.target.name]
    definitions[definitions.index(before)] = statement.value


def _known(state: Any, argument: Any) -> Any:
    """Return the text that an argument stands for, or else the type of the parameter that it is."""
    definition = guard(get_definition, state.func_ir, argument)
    if not isinstance(definition, ir.Arg):
        return definition.value
    kind = state.args[definition.index]
    return kind.literal_value if isinstance(kind, types.StringLiteral) else kind


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """LLVM's code of a function, not yet optimised: that is done in the kernel that takes it in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel and of everything it calls, which nothing else calls.

    LLVM can therefore change how a function is called, and drop code for arguments it never gets.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage == binding.Linkage.linkonce_odr:
                function.linkage = binding.Linkage.internal
        super()._optimize_final_module()


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):  # type: ignore[misc]
    """Numba's lowering, into a `_KernelLibrary`."""

    _name = "fastnn_kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        super().run_pass(state)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):  # type: ignore[misc]
    """Lowering to LLVM's code only, for a function that is inlined into its callers."""

    _name = "fastnn_part_lowering"
    inline = True

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        state.flags.forceinline = self.inline  # otherwise its caller's flag would apply
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        lowered = state["cr"]
        stands_for: Any = [].append  # Numba accepts a fresh bound method as a function
        state.targetctx.insert_user_function(stands_for, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=stands_for)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _ApartLowering(_PartLowering):
    """The same for a function that stays separate if several others call it."""

    _name = "fastnn_apart_lowering"
    inline = False


class _Compiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler with a different lowering."""

    lowering: type[NativeLowering]

    def define_pipelines(self) -> list[Any]:
        """Return the Numba passes that kernels need, with this class's lowering."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_Constants, RewriteSemanticConstants)
        manager.passes = [
            (self.lowering if one is NativeLowering else one, why)
            for one, why in dict.fromkeys(manager.passes)  # one pass occurs three times
            if one.name() not in NEEDLESS
        ]
        manager.finalize()
        return [manager]


class PartCompiler(_Compiler):
    """Numba's compiler for a function that is inlined into its callers."""

    lowering = _PartLowering


class ApartCompiler(_Compiler):
    """Numba's compiler for a function that stays separate in the machine code of a kernel."""

    lowering = _ApartLowering


class KernelCompiler(_Compiler):
    """Numba's compiler for a function that Python calls."""

    lowering = _KernelLowering
