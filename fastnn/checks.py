"""Argument checks at the edge of the API; errors say what was expected, and what came."""

from __future__ import annotations

import contextlib
import difflib
import math
import numbers
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "DivergenceError",
    "FileFormatError",
    "as_float",
    "as_format_errors",
    "check_field",
    "checked_name",
    "flag",
    "not_installed",
    "one_named",
    "one_of",
    "optional",
    "pair",
    "plain_repr",
    "real",
    "warn",
    "whole",
]

T = TypeVar("T")

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

PACKAGE = os.path.dirname(__file__) + os.sep


class DivergenceError(ArithmeticError):
    """Training produced non-finite numbers; the message says where, and what to try."""


class FileFormatError(ValueError):
    """A file is not what its name or header says: truncated, damaged or of another type."""


@contextlib.contextmanager
def as_format_errors(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Turn errors in reading a damaged file into a `FileFormatError`: it is not a `what`."""
    name = os.fspath(path)
    try:
        yield
    except FileFormatError:
        raise
    except KeyError as error:
        raise FileFormatError(f"{name}: not a {what}: no {error} in it") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FileFormatError(f"{name}: not a {what}: {error}") from error


def one_of(
    parameter: str, value: object, allowed: Iterable[str], *, registered: bool = False
) -> str:
    """Return `value` if it is one of the names in `allowed`.

    Raises
    ------
    ValueError
        Otherwise; the message suggests the closest name, if one is close, and if the names are
        `registered`, how to add one.
    """
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    by_letters = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(value).lower(), by_letters, n=1, cutoff=0.4)
    hint = f"; did you mean {by_letters[near[0]]!r}?" if near else ""
    if registered:
        hint += "; fastnn.register makes the name of a class of your own known"
    raise ValueError(
        f"{parameter} must be one of {', '.join(map(repr, names))}, not {value!r}{hint}"
    )


def one_named(parameter: str, name: object, known: Iterable[T], *, registered: bool = False) -> T:
    """Return the object or class in `known` whose ``name`` attribute equals `name`.

    Raises
    ------
    ValueError
        If there is none, as in `one_of`.
    """
    every: Iterable[Any] = known
    by_name: dict[str, T] = {one.name: one for one in every}
    return by_name[one_of(parameter, name, by_name, registered=registered)]


def real(
    parameter: str,
    value: object,
    *,
    minimum: float = 0.0,
    maximum: float = math.inf,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return `value` as a finite float from `minimum` to `maximum`.

    `above` replaces `minimum`, and `below` replaces `maximum`, with a bound that is excluded.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is NaN, infinite or out of bounds.
    """
    number = as_float(parameter, value)
    is_high = number >= minimum if above is None else number > above
    is_low = number <= maximum if below is None else number < below
    if not (math.isfinite(number) and is_high and is_low):
        bounds = _bounds(minimum, maximum, above, below)
        raise ValueError(f"{parameter} must be {bounds}, not {value!r}")
    return number


def as_float(parameter: str, value: object) -> float:
    """Return a real number as a float, which may be NaN or infinite.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{parameter} must be a number, not {value!r} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of floats
        return math.inf


def _bounds(minimum: float, maximum: float, above: float | None, below: float | None) -> str:
    """Return the range that `real` accepts, in words."""
    if maximum == math.inf and below is None:
        return "finite and " + (f"at least {minimum:g}" if above is None else f"above {above:g}")
    if above is None and below is None:
        return f"from {minimum:g} to {maximum:g}"
    low = f"from {minimum:g}" if above is None else f"above {above:g}"
    return f"{low} and at most {maximum:g}" if below is None else f"{low} and below {below:g}"


def whole(parameter: str, value: object, *, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`; a float is accepted if it is whole.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is not whole, or is below `minimum`.
    """
    number = as_float(parameter, value)
    if not number.is_integer() or number < minimum:
        raise ValueError(f"{parameter} must be a whole number of at least {minimum}, not {value!r}")
    return int(value) if isinstance(value, numbers.Integral) else int(number)


def optional(check: Callable[..., T], parameter: str, value: object, **bounds: float) -> T | None:
    """Return `value` as checked by `check`, one of the functions above; None stays None."""
    return None if value is None else check(parameter, value, **bounds)


def check_field(one: object, field: str, check: Callable[..., Any], **bounds: float) -> None:
    """Replace a field of a frozen dataclass with its value as checked by `check`."""
    object.__setattr__(one, field, check(field, getattr(one, field), **bounds))


def checked_name(kind: type, example: str) -> str:
    """Return the ``name`` of a plug-in's class.

    Raises
    ------
    TypeError
        If it has none; the message suggests one such as `example`.
    """
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(
            f"{kind.__qualname__} needs a name, such as name = {example!r}, not {name!r}"
        )
    return name


def flag(parameter: str, value: object) -> bool:
    """Return `value` as a bool.

    Raises
    ------
    TypeError
        If it is neither True nor False; a string such as "no" is not accepted.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{parameter} must be True or False, not {value!r}")
    return bool(value)


def pair(parameter: str, value: object) -> tuple[Any, Any]:
    """Return a pair (X, y) as a tuple.

    Raises
    ------
    TypeError
        If `value` is not a tuple or list of two.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(
            f"{parameter} must be a pair (X, y) like the training data, not {type(value).__name__}"
        )
    return value[0], value[1]


def plain_repr(value: object) -> str:
    """Return the repr of `value` without memory addresses, which differ between processes."""
    return ADDRESS.sub("", repr(value))


def not_installed(what: str, module: str, package: str) -> ModuleNotFoundError:
    """Return the error for `what`, which needs the missing `module`; pip installs `package`."""
    return ModuleNotFoundError(f'{what} needs {module}: pip install "{package}"', name=module)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the location of the line outside the package that called into it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
