"""The formulas that kernels contain, and the keys under which kernels find them.

A kernel refers to a formula by its key, a string, since the cache on disk hits in a later process
only for closures over strings and numbers. The key contains a digest of the formula's code, of its
helpers' code and of the numbers they name, so a changed formula is compiled anew.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from fastnn.plugin_digests import code_of, given_to, names_in, package_of

__all__ = ["formula", "register"]

_FORMULAS: dict[str, Callable[..., Any]] = {}

# The types that a formula may use from its surroundings, in addition to classes and modules.
_PLAIN = (FunctionType, int, float, str, tuple, np.generic)

# Types that it may not use from classes and modules either. Objects of other types found there only
# share a name with something that the formula uses.
_UNSEEN = (list, dict, set, np.ndarray, MethodType, functools.partial)


def register(function: Callable[..., Any]) -> str:
    """Return the key under which kernels find `function`.

    Raises
    ------
    TypeError
        If it is not a plain function, or computes with an object that a key cannot represent.
    """
    digest = _digest(_content(function, ()))
    key = f"{function.__module__}.{function.__qualname__}-{digest[:16]}"
    _FORMULAS[key] = function
    return key


def formula(key: str) -> Callable[..., Any]:
    """Return the formula registered under `key`."""
    return _FORMULAS[key]


def _content(function: Any, callers: tuple[Any, ...]) -> tuple[Any, ...] | str:
    """Return what a formula computes with: its code, and the values and helpers that it names.

    These are its defaults, the variables it closes over, the globals it names, and what it takes
    from classes and modules among those globals.
    """
    if not isinstance(function, FunctionType):
        raise TypeError(
            f"a formula must be a function or a staticmethod, not {function!r}: its numbers are "
            "given to it, such as those that a penalty's `coefficients` returns"
        )
    if function in callers:
        return ()
    if package_of(function) == "fastnn":
        return _content_of_own(function)
    return _found(function, (*callers, function))


@functools.cache
def _content_of_own(function: FunctionType) -> str:
    """Return a digest of what one of fastnn's own formulas computes with, which never changes."""
    return _digest(_found(function, (function,)))


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _found(function: FunctionType, callers: tuple[Any, ...]) -> tuple[Any, ...]:
    code = function.__code__
    names = names_in(code)
    of_module = [function.__globals__[name] for name in names if name in function.__globals__]
    named = [*given_to(function), *of_module]
    values = [_value(one, callers, function) for one in named]
    # A name may also match an unrelated attribute of a class or module, which is not used.
    held = _held(named, names)
    values += [_value(one, callers, function) for one in held if isinstance(one, _PLAIN + _UNSEEN)]
    return code_of(code, function.__doc__), values


def _held(values: Iterable[Any], names: Iterable[str]) -> list[Any]:
    """Return the attributes with these names of classes and modules in `values`, recursively."""
    found, holders = [], [one for one in values if isinstance(one, type | ModuleType)]
    for holder in holders:
        held = [getattr(holder, name) for name in names if hasattr(holder, name)]
        found += held
        holders += [v for v in held if isinstance(v, type | ModuleType) and v not in holders]
    return found


def _value(value: Any, callers: tuple[Any, ...], function: Callable[..., Any]) -> Any:
    """Return what represents a value that a formula names in its key."""
    if isinstance(value, FunctionType):
        return _content(value, callers)
    if isinstance(value, type | ModuleType):
        return value.__name__
    if value is None or isinstance(value, _PLAIN):
        return repr(value)
    raise TypeError(
        f"the formula {function.__qualname__} computes with {value!r}, of which kernels do not "
        "see changes: take numbers, and functions, from its module or its class"
    )
