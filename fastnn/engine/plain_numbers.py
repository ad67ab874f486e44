"""Functions of plain numbers in formulas: what needs no instruction is computed by numpy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

__all__ = ["numpys_of_numbers"]

Space = TypeVar("Space")


def numpys_of_numbers(*traced: type) -> Callable[[type[Space]], type[Space]]:
    """Return a decorator of a class with numpy's functions for values of the classes `traced`.

    A function that is called with none of these is numpy's of the same name.
    """

    def decorate(space: type[Space]) -> type[Space]:
        for name, function in list(vars(space).items()):
            if hasattr(np, name) and not name.startswith("_"):
                setattr(space, name, _either(function, getattr(np, name), traced))
        return space

    return decorate


def _either(of_traced: Any, of_numbers: Any, traced: tuple[type, ...]) -> Any:
    @functools.wraps(of_traced)
    def either(space: Any, *arguments: Any) -> Any:
        if any(isinstance(one, traced) for one in arguments):
            return of_traced(space, *arguments)
        return float(of_numbers(*arguments))

    return either
