"""Digests of user-defined plug-ins, so that a file is not resumed with another version of one.

For a class that is not fastnn's, such as a penalty, the digest covers the code of its functions and
the numbers and functions that they use from their module, a closure or their defaults.
Anything else that they use, such as a list, is not covered. For an object it also covers numbers,
arrays, containers, functions and other objects in its attributes; those of Python's library and of
numpy by their repr. Equal values have the same digest, whether or not they are one object. Other
Python versions compile to other code, and so give other digests.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from types import CodeType, FunctionType, MemberDescriptorType, MethodType
from typing import Any

import numpy as np

from fastnn.checks import plain_repr

__all__ = ["code_of", "name_with_code", "names_in", "package_of", "repr_with_code"]

_PLAIN = (bool, int, float, complex, str, bytes, tuple, np.generic, type(None))

# Types of attributes of fastnn's own objects, which need no digest next to the repr.
_SHOWN = (bool, int, float, str, type(None))


def repr_with_code(value: object) -> str:
    """Return the repr of an object, with a digest of what user-defined objects in it compute with.

    That is their code and their attributes, also those that the repr omits.
    """
    attributes = getattr(value, "__dict__", {}).values()
    if package_of(type(value)) == "fastnn" and all(type(part) in _SHOWN for part in attributes):
        return plain_repr(value)  # at once, as every call of partial_fit asks
    return " ".join(filter(None, [plain_repr(value), _digest(_held(value, (), is_shown=True))]))


def name_with_code(value: Any) -> str:
    """Return the name of a class or function, with a digest if it is user-defined."""
    return " ".join(filter(None, [str(value.__qualname__), _digest(_content(value, []))]))


def _digest(content: Iterator[str]) -> str:
    """Return a digest of lines; empty if there are none."""
    text = "\n".join(content)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest() if text else ""


def _held(value: Any, holders: tuple[Any, ...], *, is_shown: bool) -> Iterator[str]:
    """Yield what the user-defined objects in `value` compute with: code, and values of attributes.

    `holders` are the objects around `value`. `is_shown` says that a repr shows the value already,
    because no user-defined object holds it.
    """
    if any(value is one for one in holders):
        return  # a cycle
    is_code = isinstance(value, (type, FunctionType))
    kind = value if is_code else type(value)
    yield from _content(kind, [])
    parts = None if is_code else _parts(value)
    is_ours = package_of(kind) == "fastnn"  # then its repr shows all that matters
    if not is_shown and is_code:
        yield str(value.__qualname__)
    elif not is_shown:
        is_told = is_ours or parts is None
        yield plain_repr(value) if is_told else f"{kind.__qualname__} of {len(parts or ())}"
    within, is_shown = (*holders, value), is_ours or (is_shown and _is_known(kind))
    texts = ["\n".join(_held(part, within, is_shown=is_shown)) for part in parts or ()]
    yield from filter(None, sorted(texts) if isinstance(value, (set, frozenset)) else texts)


def _parts(value: Any) -> Sequence[Any] | None:
    """Return what a container, a callable or an object consists of; None if only its repr tells."""
    if isinstance(value, np.ndarray):  # the repr omits numbers, and the bytes of objects are ids
        numbers = value.tolist() if value.dtype.hasobject else value.tobytes()
        return value.dtype.str, value.shape, numbers
    if isinstance(value, dict):
        return list(itertools.chain(*value.items()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    kind = type(value)
    if isinstance(value, _PLAIN) or (_is_known(kind) and package_of(kind) != "fastnn"):
        return None
    return list(itertools.chain(*sorted(_attributes(value).items()))) or None


def _attributes(value: Any) -> dict[str, Any]:
    """Return an object's attributes, also those in slots, without what is computed just once."""
    kind = type(value)
    found = dict(getattr(value, "__dict__", {}))
    for name, member in itertools.chain(*(vars(base).items() for base in kind.__mro__)):
        if isinstance(member, MemberDescriptorType) and hasattr(value, name):
            found[name] = getattr(value, name)
        elif isinstance(member, cached_property):
            found.pop(name, None)  # it has been computed already, or has not
    return found


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
    return package_of(value) in ("fastnn", "builtins", "numpy")


def _is_known(kind: type) -> bool:
    """Return whether a class is part of fastnn, numpy or Python's library."""
    return package_of(kind) in ("fastnn", "numpy") or package_of(kind) in sys.stdlib_module_names


def package_of(value: Any) -> str:
    """Return the name of the package that a class or function is part of."""
    return str(getattr(value, "__module__", "")).partition(".")[0]


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
