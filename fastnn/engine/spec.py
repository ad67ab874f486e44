"""What a kernel is compiled for, as one string.

The cache on disk hits in a later process only if a kernel closes over strings and numbers. So
everything that shapes a kernel, the CPU's tiles and the formulas' keys, is one `Spec`, handed
through the kernels as its JSON text and read by the intrinsics while they compile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.activations import Activation
from fastnn.arrays import Inputs
from fastnn.engine import jit, trace
from fastnn.engine.coefficients import numbers_of, width_of
from fastnn.engine.problem import Problem
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty

__all__ = [
    "TILES",
    "Layout",
    "Rule",
    "Rules",
    "Spec",
    "Stepper",
    "Tiles",
    "decode",
    "for_outputs",
    "for_training",
    "lanes",
    "number_of",
    "panel_vectors",
    "unique",
]

# Penalties of one kind share their formulas.
Kind = tuple[type[Penalty], str]


class Tiles(NamedTuple):
    """The tiles that a CPU's registers hold: the sums, or deltas, and a row of weights.

    rows: the most rows of a tile that is 1, 2, ... vectors wide; those that have fewer than others
    are for listed columns only. listed: how many rows share a list
    of the columns they use. sorted_from: the fewest vectors of a first layer for which these lists
    are sorted, 0 where none are. paired_to: the most vectors of a panel for which twice as many
    rows share a sorted list, two of them as one.
    """

    rows: tuple[int, ...]
    listed: int
    sorted_from: int
    paired_to: int


# By the number of registers. Rows that share a list multiply by zeros of their own; fewer of them
# do so less, but then weights pass more often between the caches.
TILES = {32: Tiles((5, 5, 5, 5), 5, 2, 2), 16: Tiles((4, 4, 4, 2, 2), 2, 0, 0)}


class Rule(NamedTuple):
    """A penalty, to a kernel.

    shrink, caught_up, scale: keys of its formulas, empty where there is none. grouping: what scale
    takes as a group. after_gradient: whether shrink comes after it. stateful: whether it has a
    number beside each weight. one_by_one: how many of its steps are not taken at once. numbers: how
    many coefficients its formulas take. slope: the key of its gradient's formula, where an
    optimizer takes that. by_norm: whether it takes from the norms of groups.
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
    """An optimizer that makes its own step from the gradient, to a kernel.

    step, pace: keys of its formulas; the second is empty where there is none. memories: how many
    numbers it has beside each weight. numbers: how many its formulas take.
    """

    step: str
    pace: str
    memories: int
    numbers: int


@dataclass(frozen=True)
class Layout:
    """What a kernel is compiled for without its formulas: how it goes through arrays.

    lanes: elements of a vector. rows: as in `Tiles`. listed: how many rows share a list, pairs
    counted as two. compresses, packs: whether the CPU packs chosen lanes of 32, and of 16, bits in
    one instruction. listed_widths: those, in vectors, that the first layer's panels may have, where
    the columns are listed that rows of a matrix use; else none. sorts: whether these are sorted by
    which rows of a block use them. together: how many rows share a bit of a column's key, all
    multiplied if one of them uses it. sparse: whether rows list their nonzeros.
    """

    lanes: int
    rows: tuple[int, ...]
    listed: int
    compresses: bool = False
    packs: bool = False
    listed_widths: tuple[int, ...] = ()
    sorts: bool = False
    together: int = 1
    sparse: bool = False

    def encode(self) -> str:
        """Return the text that kernels close over."""
        return json.dumps(vars(self))

    def part(self, kind: type[Layout]) -> Layout:
        """Return as much of this as `kind` holds, this class or one that it extends."""
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    @property
    def panel(self) -> int:
        """The most vectors of a panel of the first layer, where rows list the columns they use."""
        return len(self.rows)

    @property
    def dense_panel(self) -> int:
        """The most vectors of another panel: as many as go with the most rows."""
        return sum(rows == max(self.rows) for rows in self.rows)

    @property
    def lists(self) -> bool:
        """Whether the columns are listed that rows of a matrix use."""
        return bool(self.listed_widths)

    @property
    def list_parts(self) -> int:
        """The parts of the sorted list of the columns that a block of rows uses.

        There is one for each set of the rows; where nothing is sorted there is none.
        """
        return 1 << self.key_bits if self.sorts else 0

    @property
    def key_bits(self) -> int:
        """The bits that say which rows of a block use a column."""
        return self.listed // self.together


@dataclass(frozen=True)
class Rules(Layout):
    """What a kernel is compiled for but the formulas of activations and costs.

    rules: the distinct penalties, which layers know by their number from 1 on. first: the number of
    the first layer's. lazy: whether the penalty of input columns that a batch does not use waits
    until they are used. decays: whether the first layer's penalty is a factor that is kept beside
    its weights. stepper: what makes the step; without one, the gradient goes straight into the
    weights.
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
        """Whether groups lose of their norms by steps that differ from weight to weight."""
        by_norm = any(rule.by_norm for rule in self.rules)
        return by_norm and self.stepper is not None and bool(self.stepper.pace)

    @property
    def groups_inputs(self) -> bool:
        """Whether the groups of the first layer's penalty are inputs' weights."""
        return self.first_rule is not None and self.first_rule.grouping == "inputs"

    @property
    def shrinks(self) -> bool:
        """Whether the first layer's weights are shrunk as its gradient is added."""
        rule = self.first_rule
        return rule is not None and bool(rule.shrink) and not (self.stepper or self.decays)

    @property
    def first_rule(self) -> Rule | None:
        """The first layer's penalty."""
        return self.rules[self.first - 1] if self.first else None


@dataclass(frozen=True)
class Spec(Rules):
    """What a kernel is compiled for.

    values, slopes: keys of the activations' formulas, one each for the distinct ones. delta, cost:
    keys of the output's and the cost's formulas, empty where there is none. normalises: whether the
    output is a softmax. timed: whether it counts the cycles of `phases`.
    """

    values: tuple[str, ...] = ()
    slopes: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()
    cost: str = ""
    normalises: bool = False
    timed: bool = False


def decode(text: str) -> Any:
    """Return the `Spec`, or the `Rules` or `Layout` of one, whose `encode` wrote a text."""
    found: dict[str, Any] = json.loads(text)
    found |= {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    if "rules" not in found:
        return Layout(**found)
    stepper = found["stepper"]
    found["stepper"] = None if stepper is None else Stepper._make(stepper)
    found["rules"] = tuple(map(Rule._make, found["rules"]))
    return (Spec if "values" in found else Rules)(**found)


def lanes(dtype: np.dtype[Any]) -> int:
    """Return the elements of a vector register."""
    return jit.vector_bytes() // dtype.itemsize


def panel_vectors(vectors: int, most: int) -> int:
    """Return how wide panels are that divide a layer most evenly, with at most so many vectors."""
    panels = -(-vectors // most)
    return -(-vectors // panels)


def for_outputs(
    weights: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
    skip_zeros: bool,
) -> Spec:
    """Return the specification of the kernel that only goes forward.

    Where rows list their nonzeros, weights of many columns are used here and there, and should take
    few bytes each: if one vector holds them, it is no longer than it needs to be. `skip_zeros`
    says whether the columns are listed that the rows of a matrix use.
    """
    distinct, lanes_ = unique(activations), lanes(weights[0].dtype)
    tiles = TILES[jit.register_count()]
    widest = max(map(len, weights))
    if inputs.is_sparse and widest <= lanes_:
        lanes_ = 1 << (widest - 1).bit_length()
        tiles = tiles._replace(rows=tiles.rows[:1])
    vectors = -(-len(weights[0]) // lanes_)
    widths: tuple[int, ...] = ()
    sorts = skip_zeros and 0 < tiles.sorted_from <= vectors
    if skip_zeros:
        widths = _sorted_widths(vectors, tiles) if sorts else _all_widths(len(tiles.rows))
    together = 2 if sorts and max(widths) <= tiles.paired_to else 1
    return Spec(
        lanes_,
        rows=tiles.rows,
        listed=tiles.listed * together,
        values=tuple(trace.register(a.value) for a in distinct),
        compresses=jit.vector_bytes() == 64,
        normalises=activations[-1].normalises,
        packs=jit.packs_words(),
        listed_widths=widths,
        sorts=sorts,
        together=together,
        sparse=inputs.is_sparse,
    )


def _all_widths(most: int) -> tuple[int, ...]:
    """Return every width that a panel may have, so that one kernel serves all layers."""
    return tuple(range(1, most + 1))


def _sorted_widths(vectors: int, tiles: Tiles) -> tuple[int, ...]:
    """Return the widths of a layer's panels: there is too much code for each to have others."""
    panel = panel_vectors(vectors, len(tiles.rows))
    return tuple(sorted({min(panel, vectors - first) for first in range(0, vectors, panel)}))


def for_training(problem: Problem, lazy: bool, skip_zeros: bool) -> Spec:
    """Return the specification of the kernel that trains.

    `lazy` says whether the penalty of the columns that a batch does not use waits; `skip_zeros`
    as for `for_outputs`.
    """
    activations, penalties = problem.activations, problem.penalties
    decays = lazy and penalties[0] is not None and penalties[0].decays
    outputs = for_outputs(problem.weights, activations, problem.inputs, skip_zeros)
    if skip_zeros and problem.batch_size <= outputs.key_bits:  # no need for pairs
        outputs = replace(outputs, listed=problem.batch_size, together=1)
    if outputs.sorts and problem.batch_size == 1:  # whose columns are in order
        outputs = replace(outputs, sorts=False, listed_widths=_all_widths(outputs.panel))
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
    """Return one penalty for each set of formulas, in the order of their first layer."""
    found: dict[Kind, Penalty] = {}
    for penalty in penalties:
        if penalty is not None:
            found.setdefault(_kind(penalty), penalty)
    return found


def number_of(penalty: Penalty | None, penalties: Sequence[Penalty | None]) -> int:
    """Return the number, from 1 on, by which a kernel knows a layer's penalty; 0 is none."""
    return 0 if penalty is None else list(kinds(penalties)).index(_kind(penalty)) + 1


def _kind(penalty: Penalty) -> Kind:
    return type(penalty), penalty.grouping


def unique(activations: Sequence[Activation]) -> list[Activation]:
    """Return the distinct activations, in the order of their first layer."""
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
        by_norm=penalty.norm_number is not None,
    )


def _stepper(optimizer: Optimizer) -> Stepper:
    step, pace = _key(optimizer.step), _key(optimizer.pace)
    return Stepper(step, pace, optimizer.memories, len(numbers_of(optimizer)))


def _key(formula: Callable[..., Any] | None) -> str:
    return "" if formula is None else trace.register(formula)


def _slope(activation: Activation) -> str:
    derivative = activation.derivative

    def slope(xp: Any, delta: Any, z: Any, a: Any) -> Any:
        return delta * derivative(xp, z, a)

    return trace.register(slope)


# `real` is 1, or the row's weight, at an output unit and 0 in the padding beside it. What it is 0
# for is 0, though it be infinite.
def _output_delta(cost: Any, activation: Activation) -> str:
    delta, derivative = cost.delta, activation.derivative

    def output_delta(xp: Any, z: Any, a: Any, y: Any, real: Any) -> Any:
        return xp.where(real > 0, delta(xp, z, a, y, derivative(xp, z, a)) * real, 0)

    return trace.register(output_delta)


def _real_cost(cost: Any) -> str:
    value = cost.value

    def real_cost(xp: Any, z: Any, a: Any, y: Any, real: Any) -> Any:
        return xp.where(real > 0, value(xp, z, a, y) * real, 0)

    return trace.register(real_cost)
