"""Columns of a first layer that no row uses: their weights stay out of the panels.

Nothing but the layer's penalty changes them, by as many steps each. So they wait until somebody
asks for them or for the penalty's value, and get a run's steps at once, by its closed form.
Several epochs' values take one pass over them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine import trace
from fastnn.engine.coefficients import width_of
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

# As an epoch begins, steps of more runs than these are taken: they are taken one after the other.
MOST_MISSED = 16

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
    if first is None:
        return True
    return problem.lazy and first.scale is None and not first.rests and _is_of_sums(first)


def _is_of_sums(penalty: Penalty) -> bool:
    """Return whether a penalty's value is made of the sums of abs(w) and of w**2."""
    l1, l2 = penalty.strengths(1.0)
    some = np.array([-2.0, -0.25, 0.0, 0.125, 7.0])
    of_sums = l1 * np.abs(some).sum() + 0.5 * l2 * np.square(some).sum()
    return math.isclose(penalty.value(some), of_sums, rel_tol=1e-9)


class Aside:
    """The weights of the columns that no row uses, and the steps of the penalty that they miss.

    These are kept run by run and taken in their order, so that nobody can tell when they are.

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
    trained : ndarray, shape (units, inputs in use)
        Room for the weights of the columns in use.
    is_finite : bool
        Whether all the other weights are finite, which they stay then.
    """

    def __init__(
        self, w: np.ndarray, used: np.ndarray, penalty: Penalty | None, numbers_at: int
    ) -> None:
        self.trained = np.empty((len(w), len(used)), w.dtype)
        self._w, self._used, self._penalty, self._numbers_at = w, used, penalty, numbers_at
        # What each run misses: its steps and their coefficients, or the factor that it makes.
        self._missed: list[list[float]] = []
        self._marked, self._is_written = 0, True
        # After how many of these runs somebody wants the sums of abs(w) and of w**2, and for whom.
        self._wanted: list[tuple[int, list[float]]] = []
        # Of the weights as they are held: those that a value needs, by the kernel; both, by numpy.
        self._sums: list[float] = []
        self._of_held: tuple[float, float] | None = None
        others = w.copy()
        others[:, used] = 0  # which every penalty leaves as it is
        self.is_finite = bool(np.isfinite(others).all())
        self._held = others.reshape(-1)
        if penalty is None:
            return
        self._age, vector = build_age(*_kernel_of(penalty, w.dtype)), lanes(w.dtype)
        self._held = np.append(self._held, np.zeros(-w.size % vector, w.dtype))
        self._room = np.empty(PIECE, w.dtype)

    def take(self, table: np.ndarray, batches: int, noted: np.ndarray | None) -> None:
        """Note a run of so many steps, whose coefficients are those of `Coefficients.rows`.

        What `Training.epoch` notes of each batch gets the share of these weights, if none waits.
        """
        penalty, kept = self._penalty, np.ones(batches)
        if penalty is not None and penalty.decays:
            kappas = np.broadcast_to(table[-batches:, self._numbers_at], batches)
            kept = np.cumprod(np.append(1.0, 1 - kappas.astype(np.float64)))
            self._missed.append([float(kept[-1])])
        elif penalty is not None:
            numbers = table[-1, self._numbers_at :][: width_of(penalty)]
            self._missed.append([float(batches), *numbers])
        self._is_written = penalty is None
        if noted is not None and (penalty is None or penalty.decays):
            kept = kept[:batches] * self._kept(self._missed[:-1])
            if self._of_held is None:
                w = self._held
                squares = float(np.einsum("i,i->", w, w, dtype=np.float64))
                self._of_held = float(np.abs(w).sum(dtype=np.float64)), squares
            sizes, squares = self._of_held
            noted[:batches, 1] += kept * sizes
            noted[:batches, 2] += kept**2 * squares

    def write(self, w: np.ndarray) -> None:
        """Bring the caller's array up to date, the columns in use by what `trained` holds."""
        if w is not self._w:  # a callback has put it in the place of the other
            self._w, self._is_written = w, False
        if not self._is_written:
            w = self._w if self._w.flags.c_contiguous else np.empty(self._w.shape, self._w.dtype)
            if self._missed:
                self._aged(w.reshape(-1), len(self._missed))
            else:
                w.reshape(-1)[:] = self._held[: w.size]
            if w is not self._w:
                self._w[...] = w
            self._is_written = True
        self._w[:, self._used] = self.trained

    def value(self) -> Callable[[], float]:
        """Return a function of the penalty of these weights as they are now, times n.

        Called once several are wanted, it takes one pass for all of them.
        """
        if self._penalty is None:
            return lambda: 0.0
        l1, l2 = self._penalty.strengths(1.0)
        sums: list[float] = []
        self._wanted.append((len(self._missed), sums))

        def value() -> float:
            if not sums:
                self._catch_up(self._wanted[-1][0])
            return l1 * sums[0] + 0.5 * l2 * sums[1]

        return value

    def mark(self) -> None:
        """Note, as an epoch begins, where to go back to."""
        if len(self._missed) > MOST_MISSED:
            self._catch_up(len(self._missed))
        self._marked = len(self._missed)

    def go_back(self) -> None:
        """Return to the last `mark`, from an epoch that ended early.

        Raises
        ------
        RuntimeError
            If a `value` of a later time has been asked for.
        """
        if self._marked < 0:
            raise RuntimeError("weights have been looked at as they were after the mark")
        del self._missed[self._marked :]
        self._is_written = self._penalty is None

    def _catch_up(self, runs: int) -> None:
        """Give the weights that are held the first runs that they miss, and the sums wanted."""
        before = self._sums_held() if any(wanted[0] == 0 for wanted in self._wanted) else []
        sums = [before, *(self._aged(self._held, runs) if runs else [])]
        for after_runs, wanted in self._wanted:
            wanted[:] = sums[after_runs]
        self._wanted, self._sums, self._of_held = [], sums[-1], None
        del self._missed[:runs]
        self._marked -= runs

    def _sums_held(self) -> list[float]:
        """Return the sums of abs(w) and of w**2 of the weights as they are held."""
        if not self._sums:
            [self._sums] = self._aged(self._held, 0)
        return self._sums

    def _aged(self, out: np.ndarray, runs: int) -> list[list[float]]:
        """Write what so many runs leave of the weights to `out`; return the sums after each.

        Those of the weights as they are, where there are no runs.
        """
        missed, sums = np.array(self._missed[:runs], self._w.dtype), np.zeros((max(1, runs), 2))
        self._age(self._held, missed if runs else missed.reshape(0, 1), self._room, out, sums)
        return sums.tolist()

    @staticmethod
    def _kept(missed: list[list[float]]) -> float:
        """Return the product of the factors of some runs."""
        return math.prod(factor for (factor,) in missed)


def _kernel_of(penalty: Penalty, dtype: np.dtype[Any]) -> tuple[str, bool, bool]:
    """Return the kernel's specification, and whether it adds up abs(w) and w**2.

    What a run leaves is the formula of its one rule.
    """
    ages: Any = _times if penalty.decays else penalty.caught_up
    count = 1 if penalty.decays else 1 + width_of(penalty)
    rule = Rule(shrink=trace.register(ages), numbers=count)
    spec = Spec(lanes(dtype), rows=(1,), listed=1, rules=(rule,)).encode()
    l1, l2 = penalty.strengths(1.0)
    return spec, l1 > 0, l2 > 0


def _times(xp: Any, w: Any, kept: Any) -> Any:
    return w * kept


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


@functools.cache
def build_age(spec: str, of_sizes: bool, of_squares: bool) -> Any:
    """Return the compiled function that ages weights, whole vectors of them, piece by piece.

    ``missed`` has a row for each run, ``sums`` takes those of abs(w) and of w**2 after it; or,
    where there is none, those of the weights as they are; `of_sizes` and `of_squares` say which of
    the two. Each piece goes through `room`, and to `out` as far as that goes.
    """

    @kernel
    def age_all(held, missed, room, out, sums):
        piece = at(room, 0)
        for start in range(0, len(held), PIECE):
            count, w = min(PIECE, len(held) - start), at(held, start)
            for run in range(max(1, len(missed))):
                if len(missed):
                    age(spec, w, after(at(missed, 0), run * missed.shape[1]), count, piece)
                    w = piece
                some = sum_sizes(spec, w, count)  # of which LLVM leaves out what nobody uses
                if of_sizes:
                    sums[run, 0] += some[0]
                if of_squares:
                    sums[run, 1] += some[1]
            to = after(at(out, 0), start)
            for i in range(min(count, len(out) - start)):
                put(to, i, get(w, i))

    return age_all
