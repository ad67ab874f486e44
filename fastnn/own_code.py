"""What tells two versions of a program's own plug-in apart, where a file goes on with one of them.

Of a penalty, say, whose class is not fastnn's, a digest of its functions: their code, and the
numbers and functions that they name in their module. What it computes otherwise, such as by way of
lists, is not seen; another Python compiles to another code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from fastnn.checks import plain_repr

__all__ = ["name_with_code", "repr_with_code"]

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
        yield repr(_code(value.__code__, value.__doc__))
        names = [n for n in value.__code__.co_names if n in value.__globals__]
        named = [value.__globals__[name] for name in names]
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        for one in (*named, *cells, *(value.__defaults__ or ())):
            if isinstance(one, _PLAIN):
                yield repr(one)
            elif isinstance(one, FunctionType):
                yield from _content(one, seen)
    elif isinstance(value, type):
        for kind in value.__mro__:
            for name, member in vars(kind).items() if not _is_foreign(kind) else ():
                member = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(member, FunctionType):
                    yield name
                    yield from _content(member, seen)
                elif isinstance(member, _PLAIN) and not name.startswith("__"):
                    yield f"{name} {member!r}"


def _is_foreign(value: Any) -> bool:
    """Return whether a class or function is not the program's: fastnn's, Python's or numpy's."""
    module = str(getattr(value, "__module__", "")).partition(".")[0]
    return module in ("fastnn", "builtins", "numpy")


def _code(code: CodeType, documentation: str | None = None) -> tuple[Any, ...]:
    """Return what some code computes, without its documentation."""
    constants = [c for c in code.co_consts if documentation is None or c != documentation]
    told = [_code(c) if isinstance(c, CodeType) else repr(c) for c in constants]
    return code.co_code, told, code.co_names
