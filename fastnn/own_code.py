"""What tells two versions of a program's own plug-in apart, where a file goes on with one of them.

Of a penalty, say, whose class is not fastnn's, a digest of its functions: their code, and the
numbers and functions that they name in their module. What it computes otherwise, such as by way of
lists, is not seen; another Python compiles to another code.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from fastnn.checks import plain_repr

__all__ = ["code_of", "name_with_code", "names_in", "repr_with_code"]

_PLAIN = (bool, int, float, complex, str, bytes, tuple, np.generic, type(None))


def repr_with_code(value: object) -> str:
    """Return the repr of an object, with a digest for each class of a program's own in it.

    These are its class, and those of its attributes.
    """
    held = [value, *getattr(value, "__dict__", {}).values()]
    digests = dict.fromkeys(_digest(type(one)) for one in held)
    return " ".join([plain_repr(value), *filter(None, digests)])


def name_with_code(value: Any) -> str:
    """Return the name of a class or function, with a digest if it is a program's own."""
    return " ".join(filter(None, [str(value.__qualname__), _digest(value)]))


def _digest(value: Any) -> str:
    """Return a digest of a class or function; none where it is not a program's own in Python."""
    content = list(_content(value, []))
    text = "\n".join(content)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest() if content else ""


def _content(value: Any, seen: list[Any]) -> Iterator[str]:
    """Yield what a class or function computes with."""
    if _is_foreign(value) or any(value is one for one in seen):
        return
    seen.append(value)
    if isinstance(value, FunctionType):
        yield repr(code_of(value.__code__, value.__doc__))
        names = [name for name in names_in(value.__code__) if name in value.__globals__]
        named = [value.__globals__[name] for name in names]
        for one in (*named, *given_to(value)):
            if isinstance(one, _PLAIN):
                yield plain_repr(one)
            elif isinstance(one, FunctionType):
                yield from _content(one, seen)
    elif isinstance(value, type):
        for kind in value.__mro__:
            for name, member in vars(kind).items() if not _is_foreign(kind) else ():
                for wrapped in ("__func__", "fget", "func"):  # of a method, property, cached one
                    member = getattr(member, wrapped, member)
                if isinstance(member, FunctionType):
                    yield name
                    yield from _content(member, seen)
                elif isinstance(member, _PLAIN) and not name.startswith("__"):
                    yield f"{name} {plain_repr(member)}"


def _is_foreign(value: Any) -> bool:
    """Return whether a class or function is not the program's: fastnn's, Python's or numpy's."""
    module = str(getattr(value, "__module__", "")).partition(".")[0]
    return module in ("fastnn", "builtins", "numpy")


def given_to(function: FunctionType) -> list[Any]:
    """Return the values in a function's closure and its defaults."""
    values: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty one, whose name has no value yet
            values.append(cell.cell_contents)
    defaults = function.__defaults__ or (), (function.__kwdefaults__ or {}).values()
    return [*values, *itertools.chain(*defaults)]


def names_in(code: CodeType) -> list[str]:
    """Return the names of globals and attributes in some code, and in what is nested in it."""
    nested = [names_in(c) for c in code.co_consts if isinstance(c, CodeType)]
    return list(dict.fromkeys([*code.co_names, *(name for names in nested for name in names)]))


def code_of(code: CodeType, documentation: str | None = None) -> tuple[Any, ...]:
    """Return what some code computes, without its documentation; its repr is that of any process.

    That of a set is not, as the order of strings in it differs.
    """
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(code_of(constant))
        elif isinstance(constant, frozenset):
            constants.append(sorted(map(repr, constant)))
        elif constant is not documentation or documentation is None:
            constants.append(constant)
    return code.co_code, constants, code.co_names
