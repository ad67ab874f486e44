"""Argument checks at the edge of the API: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable

__all__ = ["DivergenceError", "FileFormatError", "one_of", "real", "whole"]


class DivergenceError(ArithmeticError):
    """Training left the finite numbers; the message says where, and what to try."""


class FileFormatError(ValueError):
    """A file is not what its name or header says: truncated, of another type, or damaged."""


def one_of(parameter: str, value: object, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of the names in `allowed`.

    Raises
    ------
    ValueError
        Otherwise; the message names the nearest known one.
    """
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    by_letters = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(value).lower(), by_letters, n=1, cutoff=0.4)
    hint = f"; did you mean {by_letters[near[0]]!r}?" if near else ""
    raise ValueError(
        f"{parameter} must be one of {', '.join(map(repr, names))}, not {value!r}{hint}"
    )


def real(parameter: str, value: object, *, minimum: float = 0.0) -> float:
    """Return `value` as a finite float that is at least `minimum`.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is NaN, infinite or below `minimum`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{parameter} must be a number, not {value!r} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond every float
        number = math.inf
    if not math.isfinite(number) or number < minimum:
        raise ValueError(f"{parameter} must be finite and at least {minimum:g}, not {value!r}")
    return number


def whole(parameter: str, value: object, *, minimum: int) -> int:
    """Return `value` as an int that is at least `minimum`; a float is taken if it is whole.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is not whole or below `minimum`.
    """
    number = real(parameter, value, minimum=-math.inf)
    if number != int(number) or number < minimum:
        raise ValueError(f"{parameter} must be a whole number of at least {minimum}, not {value!r}")
    return int(value) if isinstance(value, numbers.Integral) else int(number)
