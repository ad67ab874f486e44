"""What a kernel is compiled for, as one string.

The cache on disk hits in a later process only if a kernel closes over nothing but strings and
numbers. So everything that shapes a kernel, such as the CPU's tiles and the formulas' keys, is in
one `Spec`. Kernels pass it on as JSON text, and the intrinsics read it while they compile.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.activations import Activation
from fastnn.arrays import Inputs
from fastnn.engine import formulas, jit, tiles
from fastnn.engine.coefficients import numbers_of, width_of
from fastnn.engine.problem import Problem
from fastnn.engine.tiles import Listing
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty

__all__ = [
    "Layout",
    "Rule",
    "Rules",
    "Spec",
    "Stepper",
    "decode",
    "for_outputs",
    "for_training",
    "lanes",
    "number_of",
    "unique",
]

# Penalties of one kind share their formulas.
Kind = tuple[type[Penalty], str]


class Rule(NamedTuple):
    """A penalty as a kernel sees it.

    shrink, caught_up, scale: keys of its formulas, empty if there is none. grouping: what `scale`
    treats as a group. after_gradient: whether `shrink` follows the gradient. stateful: whether it
    keeps a number for each weight. one_by_one: up to how many missed steps are taken one by one.
    numbers: how many coefficients its formulas take. slope: the key of its gradient's formula, if
    an optimizer uses that. by_norm: whether it subtracts from the norms of groups.
    """

    shrink: str = ""
    caught_up: str = ""
    scale: str = ""
    grouping: str = ""
    after_gradient: bool = False
    stateful: bool = False
    one_by_one: int = 0
    numbers: int = 0
    slope: str = ""
    by_norm: bool = False


class Stepper(NamedTuple):
    """An optimizer that makes its own step from the gradient, as a kernel sees it.

    step, step_size: keys of its formulas; `step_size` is empty if there is none. memories: how many
    numbers it keeps for each weight. numbers: how many coefficients its formulas take.
    """

    step: str
    step_size: str
    memories: int
    numbers: int


@dataclass(frozen=True)
class Layout:
    """What a kernel is compiled for except its formulas: how it traverses arrays.

    lanes: elements of a vector. rows: as in `Tiles`. listed: how many rows share a list.
    compresses, packs: whether the CPU packs chosen lanes of 32 bits, and of 8 or 16, in one
    instruction. listed_widths: the widths, in vectors, that the first layer's panels may have, if
    the columns that rows of a matrix use are listed; else empty. groups: if these lists are sorted
    by which rows of a block use a column, the sizes of the groups of rows that count as one; all
    rows of a group are multiplied if one uses the column. sparse: whether rows list their nonzeros.
    """

    lanes: int
    rows: tuple[int, ...]
    listed: int
    compresses: bool = False
    packs: bool = False
    listed_widths: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    sparse: bool = False

    def encode(self) -> str:
        """Return the text that kernels close over."""
        return json.dumps(vars(self))

    def part(self, kind: type[Layout]) -> Layout:
        """Return this as a `kind`, its own class or a base class, without the other fields."""
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    @property
    def panel(self) -> int:
        """The most vectors of a panel of a first layer whose used columns are listed."""
        return len(self.rows)

    @property
    def dense_panel(self) -> int:
        """The most vectors of any other panel: those for which tiles still have the most rows."""
        return sum(rows == max(self.rows) for rows in self.rows)

    @property
    def lists(self) -> bool:
        """Whether the columns that rows of a matrix use are listed."""
        return bool(self.listed_widths)

    @property
    def list_parts(self) -> int:
        """The number of parts of a block's sorted list of columns.

        There is one part for each set of groups of rows, and none if lists are not sorted.
        """
        return 1 << len(self.groups) if self.sorts else 0

    @property
    def sorts(self) -> bool:
        """Whether listed columns are sorted by which rows of a block use them."""
        return bool(self.groups)

    @property
    def bit_of_row(self) -> list[int]:
        """For each row of a block, the bit of a column's key that it shares."""
        return [bit for bit, rows in enumerate(self.groups) for _ in range(rows)]


@dataclass(frozen=True)
class Rules(Layout):
    """What a kernel is compiled for except the formulas of activations and costs.

    rules: the distinct penalties, which layers refer to by number, from 1 on. first: the number of
    the first layer's. lazy: whether the penalty of input columns that a batch does not use is
    deferred until they are used. decays: whether the first layer's penalty is a factor that is kept
    apart from its weights. stepper: the optimizer that makes the step; without one, the gradient is
    added directly to the weights.
    """

    rules: tuple[Rule, ...] = ()
    first: int = 0
    lazy: bool = False
    decays: bool = False
    stepper: Stepper | None = None

    @property
    def has_groups(self) -> bool:
        """Whether a layer's penalty scales groups of weights."""
        return any(rule.scale for rule in self.rules)

    @property
    def shortens(self) -> bool:
        """Whether group norms are shortened by step sizes that differ from weight to weight."""
        by_norm = any(rule.by_norm for rule in self.rules)
        return by_norm and self.stepper is not None and bool(self.stepper.step_size)

    @property
    def groups_inputs(self) -> bool:
        """Whether the first layer's penalty takes each input's weights as a group."""
        return self.first_rule is not None and self.first_rule.grouping == "inputs"

    @property
    def shrinks(self) -> bool:
        """Whether the first layer's weights are shrunk in the pass that adds its gradient."""
        rule = self.first_rule
        return rule is not None and bool(rule.shrink) and not (self.stepper or self.decays)

    @property
    def first_rule(self) -> Rule | None:
        """The first layer's penalty, if it has one."""
        return self.rules[self.first - 1] if self.first else None


@dataclass(frozen=True)
class Spec(Rules):
    """What a kernel is compiled for.

    values, slopes: keys of the formulas of the distinct activations and their derivatives. delta,
    cost: keys of the formulas of the output's delta and of the cost, empty if there is none.
    normalises: whether the output is a softmax. timed: whether the kernel counts the cycles of
    `phases`.
    """

    values: tuple[str, ...] = ()
    slopes: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()
    cost: str = ""
    normalises: bool = False
    timed: bool = False


@functools.cache
def decode(text: str) -> Any:
    """Return the `Spec`, `Rules` or `Layout` whose `encode` wrote a text."""
    found: dict[str, Any] = json.loads(text)
    found |= {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    if "rules" not in found:
        return Layout(**found)
    stepper = found["stepper"]
    found["stepper"] = None if stepper is None else Stepper._make(stepper)
    found["rules"] = tuple(map(Rule._make, found["rules"]))
    return (Spec if "values" in found else Rules)(**found)


def lanes(dtype: np.dtype[Any]) -> int:
    """Return how many elements a vector register holds."""
    return jit.vector_bytes() // dtype.itemsize


def for_outputs(
    weights: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
    skip_zeros: bool,
    batch_size: int | None = None,
) -> Spec:
    """Return the specification of the forward-only kernel.

    Sparse rows use scattered columns, whose weights should take few bytes each: if one vector holds
    the widest layer, it is only as long as it needs to be. `skip_zeros` says whether the columns
    that rows of a matrix use are listed. A kernel for any number of rows has no `batch_size`.
    """
    distinct, lanes_ = unique(activations), lanes(weights[0].dtype)
    shapes = tiles.of_cpu()
    widest = max(map(len, weights))
    if inputs.is_sparse and widest <= lanes_:
        lanes_ = 1 << (widest - 1).bit_length()
        shapes = shapes._replace(rows=shapes.rows[:1])
    vectors = -(-len(weights[0]) // lanes_)
    listing = shapes.listing(vectors, batch_size) if skip_zeros else Listing(shapes.listed)
    return Spec(
        lanes_,
        rows=shapes.rows,
        listed=listing.rows,
        values=tuple(formulas.register(a.value) for a in distinct),
        compresses=jit.vector_bytes() == 64,
        normalises=activations[-1].normalises,
        packs=jit.packs_short_lanes(),
        listed_widths=listing.widths,
        groups=listing.groups,
        sparse=inputs.is_sparse,
    )


def for_training(problem: Problem, lazy: bool, skip_zeros: bool) -> Spec:
    """Return the specification of the training kernel.

    `lazy` says whether the penalty of columns that a batch does not use is deferred; `skip_zeros`
    is as for `for_outputs`.
    """
    activations, penalties = problem.activations, problem.penalties
    decays = lazy and penalties[0] is not None and penalties[0].decays
    outputs = for_outputs(
        problem.weights, activations, problem.inputs, skip_zeros, problem.batch_size
    )
    return replace(
        outputs,
        slopes=tuple(_slope(a) for a in unique(activations)),
        delta=(_output_delta(problem.cost, activations[-1]),),
        cost=_real_cost(problem.cost) if problem.track_cost else "",
        rules=tuple(_rule(p, problem.stepper) for p in kinds(penalties).values()),
        first=number_of(penalties[0], penalties),
        lazy=lazy and not decays,
        decays=decays,
        stepper=None if problem.stepper is None else _stepper(problem.stepper),
    )


def kinds(penalties: Sequence[Penalty | None]) -> dict[Kind, Penalty]:
    """Return one penalty for each set of formulas, in order of first use."""
    found: dict[Kind, Penalty] = {}
    for penalty in penalties:
        if penalty is not None:
            found.setdefault(_kind(penalty), penalty)
    return found


def number_of(penalty: Penalty | None, penalties: Sequence[Penalty | None]) -> int:
    """Return the number, from 1 on, by which a kernel knows a layer's penalty; 0 for none."""
    return 0 if penalty is None else list(kinds(penalties)).index(_kind(penalty)) + 1


def _kind(penalty: Penalty) -> Kind:
    return type(penalty), penalty.grouping


def unique(activations: Sequence[Activation]) -> list[Activation]:
    """Return the distinct activations, in order of first use."""
    return list({a.name: a for a in activations}.values())


def _rule(penalty: Penalty, stepper: Optimizer | None) -> Rule:
    return Rule(
        shrink=_key(penalty.shrink),
        caught_up=_key(penalty.caught_up),
        scale=_key(penalty.scale),
        grouping=penalty.grouping,
        after_gradient=penalty.after_gradient,
        stateful=penalty.stateful,
        one_by_one=penalty.one_by_one,
        numbers=width_of(penalty),
        slope="" if stepper is None else _key(penalty.slope),
        by_norm=penalty.norm_index is not None,
    )


def _stepper(optimizer: Optimizer) -> Stepper:
    step, step_size = _key(optimizer.step), _key(optimizer.step_size)
    return Stepper(step, step_size, optimizer.memories, len(numbers_of(optimizer)))


def _key(formula: Callable[..., Any] | None) -> str:
    return "" if formula is None else formulas.register(formula)


def _slope(activation: Activation) -> str:
    derivative = activation.derivative

    def slope(xp: Any, delta: Any, z: Any, a: Any) -> Any:
        return delta * derivative(xp, z, a)

    return formulas.register(slope)


# `real` is 1, or the row's weight, at an output unit and 0 in the padding after it. Where it is 0
# the result is 0, even if the formula gives infinity or NaN there.
def _output_delta(cost: Any, activation: Activation) -> str:
    delta, derivative = cost.delta, activation.derivative

    def output_delta(xp: Any, z: Any, a: Any, y: Any, real: Any) -> Any:
        return xp.where(real > 0, delta(xp, z, a, y, derivative(xp, z, a)) * real, 0)

    return formulas.register(output_delta)


def _real_cost(cost: Any) -> str:
    value = cost.value

    def real_cost(xp: Any, z: Any, a: Any, y: Any, real: Any) -> Any:
        return xp.where(real > 0, value(xp, z, a, y) * real, 0)

    return formulas.register(real_cost)
