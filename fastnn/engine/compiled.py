"""The compiled path: a network and a data set, laid out for the kernels and handed to them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numba import typeof

from fastnn.activations import Activation
from fastnn.arrays import Inputs
from fastnn.engine import kernels, layout, phases, spec, team, unpacking
from fastnn.engine.coefficients import Coefficients, in_dtype, width_of
from fastnn.engine.dropout import Dropout
from fastnn.engine.panels import Place, begin_memories, memory, pack, places_of, unpack
from fastnn.engine.problem import Outputs, Problem
from fastnn.engine.records import PITCH, Choice
from fastnn.engine.state import State, fresh
from fastnn.engine.stored_rows import (
    as_stored,
    has_many_zeros,
    places_in,
    read_only,
    values_of_bytes,
)
from fastnn.engine.unused_columns import columns_of
from fastnn.penalties import Penalty, value_of

__all__ = ["Path", "outputs"]

# More than the number of arrivals at meeting points can reach: it releases all waiting threads.
BEYOND_ALL_MEETINGS = 1 << 62

# Rows that are evaluated together: few enough for the first-level cache.
EVALUATED_ROWS = 50


class Path:
    """Trains in compiled calls; if `timed`, `ticks` says where the time went."""

    def __init__(
        self, problem: Problem, state: State | None = None, *, timed: bool = False
    ) -> None:
        dtype, sparse = problem.dtype, problem.inputs.is_sparse
        skip_zeros = problem.noise is None and has_many_zeros(problem.inputs)
        first = problem.penalties[0]
        # For dense rows, an occasional step on all columns is less work than tracking their use.
        acts_often = first is None or not first.skips
        lazy = problem.lazy and (sparse or (skip_zeros and acts_often))
        wanted = spec.for_training(problem, lazy, skip_zeros)
        self._train = _kernel(kernels.build_train, replace(wanted, timed=timed).encode())
        self._settle = _kernel(kernels.build_settle, wanted.encode()) if wanted.lazy else None
        by_lanes = spec.Layout(wanted.lanes, rows=(1,), listed=1)
        self._copy = _kernel(unpacking.build_unpack, by_lanes.encode())
        self._problem, self._lanes = problem, wanted.lanes
        self._compiled: set[bool] = set()
        self._stateful = any(rule.stateful for rule in wanted.rules)
        self._coefficients = Coefficients(problem.penalties, problem.stepper)
        self._state = state or fresh(problem)
        self._coefficients.count, self._coefficients.total = self._state.steps, self._state.total
        order, self._unused = columns_of(problem, self._coefficients.places[0])
        inputs = problem.weights[0].shape[1] if order is None else len(order)
        self._arrays = _arrays(
            [inputs, *map(len, problem.weights)], _choices(problem, self._coefficients.places),
            problem.batch_size, wanted, problem.threads, dtype,
        )  # fmt: skip
        if problem.stepper is not None:
            begin_memories(self._arrays, problem.stepper)
        of_network = self._places_of([*problem.weights, *problem.biases])
        for places in (of_network, *self._places_of_state()):
            pack(places, order)
        self._columns = None if order is None else places_in(order, problem.inputs)
        self._marked = tuple(map(np.empty_like, self._of_network()))
        self._arrays.values[:] = values_of_bytes(problem.inputs, dtype)
        self._rows = as_stored(problem.inputs, dtype, self._columns)
        # One of the two is empty, so that one compiled function serves both.
        by_class = problem.targets.ndim == 1
        self._labels = read_only(problem.targets if by_class else np.empty(0, np.int64))
        self._targets = read_only(np.empty((0, 0), dtype) if by_class else problem.targets)
        if problem.masks is not None:
            self._keeps = read_only(np.array(problem.masks.keeps, dtype))
            pitch = int(self._arrays.table[1:-1, PITCH].max())
            self._unmasked = np.zeros(problem.batch_size * pitch, dtype)

    def __reduce__(self) -> Any:
        raise TypeError("it cannot be copied: kernels know its arrays by their addresses")

    def run(self, order: np.ndarray, batches: np.ndarray | None = None) -> float:
        """Train over the rows in `order`; return the sum of their costs."""
        problem = self._problem
        self._arrays.arrived[0] = self._arrays.met[:] = 0
        if self._settle is not None and not self._settle.overloads:  # its types never change
            row = np.empty((1, self._coefficients.width), problem.dtype)
            self._settle.compile((typeof(self._arrays.records), typeof(row)))
        with self._nothing_taken_on_error():
            return self._run(order, batches)

    def _run(self, order: np.ndarray, batches: np.ndarray | None) -> float:
        problem = self._problem
        count = -(-len(order) // problem.batch_size)
        numbers = self._coefficients.rows(problem.steps(order), count, problem.learning_rate)
        numbers = in_dtype(numbers, problem.dtype)
        noise = None if problem.noise is None else problem.noise.draw(len(order))
        dropout = None
        if problem.masks is not None:
            masks = problem.masks.draw(len(order))
            dropout = Dropout(read_only(masks), self._keeps, self._unmasked)

        arguments = (
            self._arrays.records,
            *self._rows,
            problem.dtype.type(problem.inputs.scale),
            problem.dtype.type(problem.inputs.divisor),
            self._labels,
            self._targets,
            read_only(problem.row_weights),
            read_only(order),
            problem.batch_size,
            -problem.learning_rate if problem.stepper is None else 1.0,
            read_only(numbers),
            dropout,
            read_only(noise),
            batches,
        )
        total = self._call(arguments)
        if self._settle is not None:  # so that resumed training has the same results
            self._settle(self._arrays.records, numbers[-1:])
        if self._unused is not None:
            self._unused.take(numbers, count, batches)
        return total

    @contextmanager
    def _nothing_taken_on_error(self) -> Iterator[None]:
        """Restore coefficients and draws if no batch is trained, as on Ctrl-C while it compiles."""
        taken = copy.copy(self._coefficients)
        drawn = [d for d in (self._problem.noise, self._problem.masks) if d is not None]
        states = [d.state for d in drawn]
        try:
            yield
        except BaseException:
            self._coefficients = taken
            for d, state in zip(drawn, states, strict=True):
                d.state = state
            raise

    def _call(self, arguments: tuple[Any, ...]) -> float:
        """Call the kernel on all threads; if one of several raises, go back to the mark."""
        threads = self._problem.threads
        if threads == 1:
            return float(self._train(*arguments, 0))
        notes = arguments[-1] is not None  # `batches`; the other types never change
        if notes not in self._compiled:  # before any thread can wait for another
            self._train.compile(tuple(map(typeof, (*arguments, 0))))
            self._compiled.add(notes)

        def release() -> None:
            self._arrays.arrived[0] = BEYOND_ALL_MEETINGS

        try:
            return float(team.call_together(lambda i: self._train(*arguments, i), threads, release))
        except BaseException:
            self.go_back()
            raise

    def change(self, problem: Problem) -> None:
        """Continue with the learning rate of `problem`, which is otherwise the same."""
        self._problem = problem

    def write_back(self) -> None:
        """Copy the panels into the caller's arrays."""
        arrays = [*self._problem.weights, *self._problem.biases]
        if self._unused is not None:
            arrays[0] = self._unused.trained
        self._unpack(self._places_of(arrays))
        if self._unused is not None:
            self._unused.write(self._problem.weights[0])

    def penalty_value(self, penalties: Sequence[Penalty | None]) -> Callable[[], float]:
        """Return a function that returns the penalties' value as it is now, times n.

        Columns kept aside catch up only when it is called.
        """
        unused, own = self._unused, self._problem.penalties[0]
        does_nothing = own is None and penalties[0] is not None  # learning rate or strength 0
        if unused is None or does_nothing:
            self.write_back()
            value = value_of(penalties, self._problem.weights, self._problem.biases)
            return lambda: value
        weights = [unused.trained, *map(np.empty_like, self._problem.weights[1:])]
        biases = list(map(np.empty_like, self._problem.biases))
        self._unpack(self._places_of([*weights, *biases]))
        in_panels, of_others = value_of(penalties, weights, biases), unused.value()
        return lambda: in_panels + of_others()

    def mark(self) -> None:
        """Copy the weights and biases for `go_back`, and mark the state of columns kept aside."""
        for noted, now in zip(self._marked, self._of_network(), strict=True):
            noted[:] = now
        if self._unused is not None:
            self._unused.mark()

    def go_back(self) -> None:
        """Return to the last `mark`, and bring the caller's arrays up to date."""
        for noted, now in zip(self._marked, self._of_network(), strict=True):
            now[:] = noted
        if self._unused is not None:
            self._unused.go_back()
        self.write_back()

    def _of_network(self) -> tuple[np.ndarray, np.ndarray]:
        return self._arrays.weights, self._arrays.biases

    def is_finite(self) -> bool:
        """Return whether all weights, biases and optimizer memories are finite."""
        held = *self._of_network(), self._arrays.memory, self._arrays.bias_memory
        in_panels = all(bool(np.isfinite(array).all()) for array in held)
        return in_panels and (self._unused is None or self._unused.is_finite)

    def state(self) -> State:
        """Return a copy of what the optimizer and the penalties remember."""
        state = self._state
        self._state = State(
            self._coefficients.count,
            self._coefficients.total,
            [[a.copy() for a in arrays] for arrays in state.memories],
            [a.copy() for a in state.kept],
            {},
        )
        for places in self._places_of_state():
            self._unpack(places)
        return self._state

    def _unpack(self, places: Sequence[Place]) -> None:
        columns = self._columns if self._unused is None else None
        unpack(places, self._copy, self._arrays.every, columns)

    def _places_of(self, arrays: Sequence[np.ndarray]) -> list[Place]:
        """Return where weights and biases of these shapes lie in the network's panels."""
        return places_of(self._arrays.table, self._of_network(), arrays, self._lanes)

    def _places_of_state(self) -> list[list[Place]]:
        """Return where each number that is kept for every weight and bias lies in panels."""
        table, lanes, state, found = self._arrays.table, self._lanes, self._state, []
        if self._stateful:
            panels = self._arrays.state, self._arrays.bias_state
            found.append(places_of(table, panels, state.kept, lanes))
        for number, kept in enumerate(state.memories):
            found.append(places_of(table, memory(self._arrays, number), kept, lanes))
        return found

    def ticks(self) -> np.ndarray:
        """Return the cycles of each of `phases.PHASES` since the last call, over all threads."""
        of_threads = self._arrays.ticks.reshape(self._problem.threads, -1)
        ticks: np.ndarray = of_threads[:, : phases.PHASE_COUNT].sum(axis=0)
        self._arrays.ticks[:] = 0
        return ticks


def outputs(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[Activation],
    inputs: Inputs,
) -> Outputs:
    """Return the network's outputs for every row."""
    dtype = weights[0].dtype
    rows, skip_zeros = min(EVALUATED_ROWS, inputs.n), has_many_zeros(inputs)
    wanted = spec.for_outputs(weights, activations, inputs, skip_zeros)
    names = _numbered(activations)
    sizes = [weights[0].shape[1], *map(len, weights)]
    arrays = _arrays(
        sizes, [Choice(name) for name in names], rows, wanted, threads=1, dtype=dtype,
    )  # fmt: skip
    panels = arrays.weights, arrays.biases
    pack(places_of(arrays.table, panels, [*weights, *biases], wanted.lanes))
    arrays.values[:] = values_of_bytes(inputs, dtype)
    z, a = (np.empty((inputs.n, len(biases[-1])), dtype) for _ in range(2))
    found, order = Outputs(z, a, np.empty(inputs.n, np.int64)), np.arange(inputs.n)
    run = _kernel(kernels.build_outputs, wanted.encode())
    factors = dtype.type(inputs.scale), dtype.type(inputs.divisor)
    run(arrays.records, *as_stored(inputs, dtype), *factors, read_only(order), rows, *found)
    return found


@functools.cache
def _kernel(build: Callable[[str], Any], text: str) -> Any:
    return build(text)


def _arrays(
    sizes: Sequence[int],
    choices: Sequence[Choice],
    rows: int,
    wanted: spec.Spec,
    threads: int,
    dtype: np.dtype[Any],
) -> layout.Arrays:
    panels = [wanted.dense_panel] * len(choices)
    if wanted.lists or wanted.sparse:
        panels[0] = wanted.panel
    stateful = any(rule.stateful for rule in wanted.rules)
    shape = layout.Shape(
        sizes=tuple(sizes),
        choices=tuple(choices),
        batch_size=rows,
        listed=wanted.listed,
        lanes=wanted.lanes,
        panels=tuple(panels),
        threads=threads,
        stateful=stateful,
        memories=None if wanted.stepper is None else wanted.stepper.memories,
        shortens=wanted.shortens,
        sparse=wanted.sparse,
        lists=wanted.lists,
        parts=wanted.list_parts,
        dtype=dtype,
    )
    return layout.allocate(shape)


def _numbered(activations: Sequence[Activation]) -> list[int]:
    """Return the number of each layer's activation."""
    distinct = [a.name for a in spec.unique(activations)]
    return [distinct.index(a.name) for a in activations]


def _choices(problem: Problem, places: Sequence[int]) -> list[Choice]:
    """Return the choices for each layer, numbered as in the kernels."""
    numbered, choices = _numbered(problem.activations), []
    for activation, penalty, numbers in zip(numbered, problem.penalties, places, strict=True):
        rule = spec.number_of(penalty, problem.penalties)
        paced = problem.stepper is not None and problem.stepper.step_size is not None
        norm_at = 0
        if paced and penalty is not None and penalty.norm_index is not None:
            norm_at = numbers + penalty.norm_index
        choices.append(
            Choice(
                activation=activation,
                shrunk=rule if penalty is not None and penalty.shrink else 0,
                scaled=rule if penalty is not None and penalty.scale and not norm_at else 0,
                after_gradient=penalty is not None and penalty.after_gradient,
                on_biases=penalty is not None and penalty.on_biases,
                numbers=numbers,
                skips=width_of(penalty) if penalty is not None and penalty.skips else 0,
                norm_at=norm_at,
                by_inputs=penalty is not None and penalty.grouping == "inputs",
            )
        )
    return choices
