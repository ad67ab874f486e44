"""The contents of a specification as constants in a kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from fastnn.engine.emit import int64, read_spec
from fastnn.engine.lowering import constant_of, given
from fastnn.engine.spec import Layout, Rules, decode

__all__ = [
    "after_gradient",
    "by_layout",
    "by_rules",
    "decays",
    "has_groups",
    "has_stepper",
    "is_sparse",
    "key_bits",
    "lanes",
    "lazy",
    "lazy_groups",
    "list_parts",
    "listed_rows",
    "lists",
    "packs",
    "reads_rows",
    "shortens",
    "shrinks",
    "sorts",
    "stepper_numbers",
    "tile_rows",
]


def by_layout(function: Any) -> Any:
    """Give a function only the layout of a specification, without the formulas.

    It is compiled once in a process and serves kernels of all formulas.
    """
    return given(function, functools.partial(_part, Layout))


def by_rules(function: Any) -> Any:
    """Give a function the layout and the rules, without formulas of activations and costs."""
    return given(function, functools.partial(_part, Rules))


@functools.cache
def _part(kind: type[Layout], text: str) -> str:
    part: str = decode(text).part(kind).encode()
    return part


def _constant(read: Callable[..., int]) -> Any:
    """Return a function whose calls in a kernel become a constant `read` from the specification.

    `read` gets the types of the further arguments of a call.
    """
    return constant_of(lambda text, *kinds: read(decode(text), *kinds))


# V, the elements of a vector.
lanes = _constant(lambda spec: spec.lanes)

# The most rows that share a list of columns.
listed_rows = _constant(lambda spec: spec.listed)

# Whether the used columns of dense rows are listed.
lists = _constant(lambda spec: spec.lists)

# Whether products read rows of X where they are stored, so that no batch is gathered.
reads_rows = _constant(lambda spec, X: spec.lists and X.dtype.bitwidth == 8)

# Whether listed columns are sorted by which rows of a block use them; the parts of such a list.
sorts = _constant(lambda spec: spec.sorts)
list_parts = _constant(lambda spec: spec.list_parts)

# How many bits say which groups of rows of a block use a column.
key_bits = _constant(lambda spec: len(spec.groups))

# Whether the CPU packs selected lanes of 8 or 16 bits in one instruction.
packs = _constant(lambda spec: spec.packs)

# Whether the first layer's penalty follows the gradient.
after_gradient = _constant(
    lambda spec: spec.first_rule is not None and spec.first_rule.after_gradient
)

# Whether the first layer's weights are shrunk as its gradient is added.
shrinks = _constant(lambda spec: spec.shrinks)

# Whether the penalty of columns that a batch does not use is deferred until they are used.
lazy = _constant(lambda spec: spec.lazy)

# Whether the first layer's weights are its panels times a factor.
decays = _constant(lambda spec: spec.decays)

# Whether the rows list their nonzeros.
is_sparse = _constant(lambda spec: spec.sparse)

# Whether a layer's penalty scales groups of weights.
has_groups = _constant(lambda spec: spec.has_groups)

# Whether the first layer's groups are the weights of an input, and their penalty is deferred.
lazy_groups = _constant(lambda spec: spec.lazy and spec.groups_inputs)

# Whether the norms of groups are shortened by steps that differ from weight to weight.
shortens = _constant(lambda spec: spec.shortens)

# Whether an optimizer makes the step from the whole gradient.
has_stepper = _constant(lambda spec: spec.stepper is not None)


@intrinsic(prefer_literal=True)
def tile_rows(typing: Any, spec: Any, vectors: Any) -> Any:
    """Return the most rows of a tile that is `vectors` wide."""
    rows = read_spec(spec).rows

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        most = int64(rows[0])
        for wider, value in enumerate(rows[1:], 2):
            if value != rows[wider - 2]:
                is_wide = builder.icmp_signed(">=", arguments[1], int64(wider))
                most = builder.select(is_wide, int64(value), most)
        return most

    return types.int64(spec, types.int64), generate


# How many coefficients the optimizer takes for weights, and again for biases.
stepper_numbers = _constant(lambda spec: spec.stepper.numbers if spec.stepper else 0)
