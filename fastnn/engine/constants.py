"""What a specification says, as constants in a kernel."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import I1, int64, read_spec

__all__ = ["follows", "is_lazy", "lanes", "tile_rows"]


@intrinsic(prefer_literal=True)
def follows(typing: Any, spec: Any) -> Any:
    """Return whether the penalty comes after the gradient."""
    value = read_spec(spec).follows

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(value))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def is_lazy(typing: Any, spec: Any) -> Any:
    """Return whether the penalty of columns that a batch does not use waits until they are."""
    lazy = bool(read_spec(spec).caught_up)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(I1, int(lazy))

    return types.boolean(spec), generate


@intrinsic(prefer_literal=True)
def lanes(typing: Any, spec: Any) -> Any:
    """Return V."""
    value = read_spec(spec).lanes

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(value)

    return types.int64(spec), generate


@intrinsic(prefer_literal=True)
def tile_rows(typing: Any, spec: Any) -> Any:
    """Return the most rows of a tile."""
    value = read_spec(spec).rows

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return int64(value)

    return types.int64(spec), generate
