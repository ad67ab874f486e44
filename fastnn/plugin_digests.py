"""Digests of user-defined plug-ins, so that a file is not resumed with another version of one.

For a class that is not fastnn's, such as a penalty, the digest covers the code of its functions and
the numbers and functions that they use from their module, a closure or their defaults.
Anything else that they use, such as a list, is not covered. Other Python versions compile to other
code, and so give other digests.
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
    """Return the repr of an object, with a digest for each user-defined class in it.

    The classes considered are those of the object and of its attributes.
    """
    held = [value, *getattr(value, "__dict__", {}).values()]
    digests = dict.fromkeys(_digest(type(one)) for one in held)
    return " ".join([plain_repr(value), *filter(None, digests)])


def name_with_code(value: Any) -> str:
    """Return the name of a class or function, with a digest if it is user-defined."""
    return " ".join(filter(None, [str(value.__qualname__), _digest(value)]))


def _digest(value: Any) -> str:
    """Return a digest of a user-defined class or function in Python; empty for any other."""
    content = list(_content(value, []))
    text = "\n".join(content)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest() if content else ""


def _content(value: Any, seen: list[Any]) -> Iterator[str]:
    """Yield the code and the values that a class or function computes with."""
    if _is_builtin(value) or any(value is one for one in seen):
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
            for name, member in vars(kind).items() if not _is_builtin(kind) else ():
                for wrapped in ("__func__", "fget", "func"):  # of a method, property, cached one
                    member = getattr(member, wrapped, member)
                if isinstance(member, FunctionType):
                    yield name
                    yield from _content(member, seen)
                elif isinstance(member, _PLAIN) and not name.startswith("__"):
                    yield f"{name} {plain_repr(member)}"


def _is_builtin(value: Any) -> bool:
    """Return whether a class or function is part of fastnn, numpy or Python's builtins."""
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
    """Return the names of globals and attributes in `code` and in the code nested in it."""
    nested = [names_in(c) for c in code.co_consts if isinstance(c, CodeType)]
    return list(dict.fromkeys([*code.co_names, *(name for names in nested for name in names)]))


def code_of(code: CodeType, documentation: str | None = None) -> tuple[Any, ...]:
    """Return what identifies `code`, without its docstring; its repr is the same in any process.

    Sets are replaced by sorted lists, as the order of strings in a set differs between processes.
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
