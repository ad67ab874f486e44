"""Columns of a first layer that no row uses: their weights stay out of the panels.

Nothing but the layer's penalty changes them, by as many steps each. So they wait until somebody
asks, and get all steps at once, by the penalty's closed form; an epoch does not touch them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine import trace
from fastnn.engine.emit import int64, load, read_spec, store, vector_of
from fastnn.engine.jit import kernel
from fastnn.engine.pointers import after, at, get, put
from fastnn.engine.problem import Problem
from fastnn.engine.rows import sum_sizes
from fastnn.engine.shrink import spread
from fastnn.engine.spec import Rule, Spec, lanes
from fastnn.engine.trace import Vec, VecSpace, formula
from fastnn.penalties import Penalty

__all__ = ["Aside", "columns_of"]

# Where more of the columns are used by some row, to set the others aside gains nothing.
MOSTLY_USED = 0.75

# Weights that are aged at a time: few enough for the first-level cache.
PIECE = 2048


def columns_of(problem: Problem, numbers_at: int) -> tuple[np.ndarray | None, Aside | None]:
    """Return the columns that panels of the first layer have, in order, and what is beside them.

    The first is None where they have all as they come, the second where they have all.
    `numbers_at` is where in a row of coefficients the layer's penalty has its own.
    """
    if not problem.inputs.is_sparse:
        return None, None
    matrix = problem.inputs.matrix
    used = np.zeros(matrix.shape[1], bool)
    used[matrix.indices] = True
    used[0] |= not used.any()  # a layer has an input
    if np.count_nonzero(used) > MOSTLY_USED * len(used):
        return None, None
    columns = np.flatnonzero(used)
    if _can_wait(problem):
        return columns, Aside(problem.weights[0], columns, problem.penalties[0], numbers_at)
    # Those that are used come first, so that the cache holds nothing else.
    return np.concatenate([columns, np.flatnonzero(~used)]), None


def _can_wait(problem: Problem) -> bool:
    """Return whether columns that no row uses have a closed form for any number of equal steps."""
    first = problem.penalties[0]
    if problem.stepper is not None or any(p is not None and p.stateful for p in problem.penalties):
        return False
    return first is None or (problem.waits and first.scale is None and not first.rests)


class Aside:
    """The weights of the columns that no row uses, as they were some steps ago.

    Parameters
    ----------
    w : ndarray, shape (units, inputs)
        The first layer's weights, the caller's array.
    used : ndarray of int, shape (inputs in use,)
        The columns that rows use, ascending.
    penalty : Penalty, optional
        The layer's.
    numbers_at : int
        Where in a row of coefficients the penalty's begin.

    Attributes
    ----------
    used : ndarray
    trained : ndarray, shape (units, inputs in use)
        Room for the weights of the columns in use.
    """

    def __init__(
        self, w: np.ndarray, used: np.ndarray, penalty: Penalty | None, numbers_at: int
    ) -> None:
        self.used, self.trained = used, np.empty((len(w), len(used)), w.dtype)
        self._w, self._penalty, self._numbers_at = w, penalty, numbers_at
        self._numbers = np.empty(0, w.dtype)
        # The steps that have passed; where the penalty decays, the factor that they make.
        self._passed = self._marked = self._none = float(penalty is not None and penalty.decays)
        self._written: float | None = self._none  # those that the caller's array has
        if penalty is None:
            return
        self._age = _kernel(_spec(penalty, w.dtype))
        vector = lanes(w.dtype)
        self._held = np.zeros(-(-w.size // vector) * vector, w.dtype)
        self._room = np.empty(PIECE, w.dtype)
        matrix = self._held[: w.size].reshape(w.shape)
        matrix[...] = w
        matrix[:, used] = 0  # which every penalty leaves as it is

    def take(self, table: np.ndarray, batches: int, noted: np.ndarray | None) -> None:
        """Let so many steps pass, whose coefficients are those of `Coefficients.rows`.

        What `Training.epoch` notes of each batch gets the share of these weights.
        """
        penalty, kept = self._penalty, np.ones(batches)
        if penalty is not None and penalty.decays:
            kappas = np.broadcast_to(table[-batches:, self._numbers_at], batches)
            factors = self._passed * np.cumprod(1 - kappas.astype(np.float64))
            kept = np.append(self._passed, factors[:-1])
            self._passed = float(factors[-1])
        elif penalty is not None:
            numbers = table[-1, self._numbers_at :][: len(penalty.coefficients(0.0))]
            if not np.array_equal(numbers, self._numbers):
                self._fold()
            self._numbers, self._passed = numbers, self._passed + batches
        if noted is not None:
            sizes, squares = self._sizes
            noted[:batches, 1] += kept * sizes
            noted[:batches, 2] += kept**2 * squares

    def write(self) -> None:
        """Bring the caller's array up to date, the columns in use by what `trained` holds."""
        if self._passed != self._written:
            w = self._w if self._w.flags.c_contiguous else np.empty(self._w.shape, self._w.dtype)
            self._aged(w.reshape(-1))
            if w is not self._w:
                self._w[...] = w
            self._written = self._passed
        self._w[:, self.used] = self.trained

    def value(self) -> float:
        """Return the penalty of these weights, times n."""
        if self._penalty is None:
            return 0.0
        l1, l2 = self._penalty.strengths(1.0)
        if self._penalty.decays:
            return 0.5 * l2 * self._passed**2 * self._sizes[1]
        sizes, squares = self._aged(self._held[:0])
        return l1 * sizes + 0.5 * l2 * squares

    def mark(self) -> None:
        """Note, as an epoch begins, where to go back to."""
        self._marked = self._passed

    def go_back(self) -> None:
        """Return to the last `mark`."""
        self._passed = self._marked

    @functools.cached_property
    def _sizes(self) -> tuple[float, float]:
        """The sums of abs(w) and of w**2 of the weights as they are held."""
        held = np.delete(self._w, self.used, axis=1) if self._penalty is None else self._held
        wide = held.ravel().astype(np.float64)
        return float(np.abs(wide).sum()), float(wide @ wide)

    def _fold(self) -> None:
        """Give the weights that are held the steps that have passed: an epoch has another rate."""
        if self._passed != self._none:
            self._aged(self._held)
            self._passed = self._marked = self._none
            self._written = None

    def _aged(self, out: np.ndarray) -> tuple[float, float]:
        """Write what is left of the weights to `out`; return the sums of abs(w) and of w**2."""
        numbers = np.array([self._passed, *self._numbers], self._w.dtype)
        sums: tuple[float, float] = self._age(self._held, numbers, self._room, out)
        return sums


def _spec(penalty: Penalty, dtype: np.dtype[Any]) -> str:
    """Return the specification of the kernel: what steps leave is the formula of its one rule."""
    ages: Any = _times if penalty.decays else penalty.caught_up
    count = 1 if penalty.decays else 1 + len(penalty.coefficients(0.0))
    rule = Rule(trace.register(ages), "", "", "", False, False, 0, count)
    return Spec(lanes(dtype), rows=(1,), listed=1, values=(), rules=(rule,), first=1).encode()


def _times(xp: Any, w: Any, kept: Any) -> Any:
    return w * kept


@functools.cache
def _kernel(text: str) -> Any:
    return build_age(text)


@intrinsic(prefer_literal=True)
def age(typing: Any, spec: Any, w: Any, numbers: Any, n: Any, out: Any) -> Any:
    """out[:n] = what is left of w[:n]; n is a multiple of V."""
    signature = types.void(spec, w, numbers, n, out)
    known = read_spec(spec)
    vector, rule = vector_of(w, known.lanes), known.rules[0]

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, w, numbers, n, out = arguments
        spread_numbers = spread(builder, rule.numbers, numbers, vector)
        with cgutils.for_range(builder, builder.sdiv(n, int64(vector.count))) as loop:
            place = builder.mul(loop.index, int64(vector.count))
            value = Vec(builder, load(builder, w, place, vector))
            left = formula(rule.shrink)(VecSpace(), value, *spread_numbers)
            store(builder, left.value, out, place)
        return context.get_dummy_value()

    return signature, generate


def build_age(spec: str) -> Any:
    """Return the compiled function that ages weights, whole vectors of them, piece by piece.

    Each piece goes through `room`, and to `out` as far as that goes.
    """

    @kernel
    def age_all(held, numbers, room, out):
        sizes = squares = 0.0
        for start in range(0, len(held), PIECE):
            count = min(PIECE, len(held) - start)
            age(spec, at(held, start), at(numbers, 0), count, at(room, 0))
            some = sum_sizes(spec, at(room, 0), count)
            sizes, squares = sizes + some[0], squares + some[1]
            to = after(at(out, 0), start)
            for i in range(min(count, len(out) - start)):
                put(to, i, get(at(room, 0), i))
        return sizes, squares

    return age_all
