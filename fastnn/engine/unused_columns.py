"""Columns of a first layer that no row uses: their weights stay out of the panels.

Only the layer's penalty changes them, by the same steps for all. These steps are deferred until the
weights or the penalty's value are needed; then all steps of a run (one compiled call) are applied
at once, in closed form. The penalty's values after several epochs take one pass over the weights.
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

from fastnn.engine.coefficients import width_of
from fastnn.engine.emit import int64, load, read_spec, store, vector_of
from fastnn.engine.formulas import formula, register
from fastnn.engine.jit import kernel
from fastnn.engine.pointers import after, at, get, put
from fastnn.engine.problem import Problem
from fastnn.engine.rows import sum_sizes
from fastnn.engine.shrink import spread
from fastnn.engine.spec import Rule, Spec, lanes
from fastnn.engine.trace import Vec, VecSpace
from fastnn.penalties import Penalty

__all__ = ["UnusedColumns", "columns_of"]

# If rows use more than this share of the columns, setting the others aside gains nothing.
MOSTLY_USED = 0.75

# If more runs than this are deferred when an epoch begins, they are applied: catching up takes one
# run after the other, so its cost grows with their number.
MOST_MISSED = 16

# How many weights are aged (given their deferred steps) at a time: they fit the first-level cache.
PIECE = 2048


def columns_of(problem: Problem, numbers_at: int) -> tuple[np.ndarray | None, UnusedColumns | None]:
    """Return the columns in the first layer's panels, in order, and those kept aside.

    The first is None if the panels have all columns in their own order, the second if no column is
    kept aside. `numbers_at` is where in a row of coefficients the layer's penalty begins.
    """
    if not problem.inputs.is_sparse:
        return None, None
    matrix = problem.inputs.matrix
    used = np.zeros(matrix.shape[1], bool)
    used[matrix.indices] = True
    used[0] |= not used.any()  # a layer needs an input
    if np.count_nonzero(used) > MOSTLY_USED * len(used):
        return None, None
    columns = np.flatnonzero(used)
    if _can_wait(problem):
        return columns, UnusedColumns(problem.weights[0], columns, problem.penalties[0], numbers_at)
    # Used columns come first, so that the cache holds only these.
    return np.concatenate([columns, np.flatnonzero(~used)]), None


def _can_wait(problem: Problem) -> bool:
    """Return whether columns kept aside have a closed form for any number of equal steps."""
    first = problem.penalties[0]
    if problem.stepper is not None or any(p is not None and p.stateful for p in problem.penalties):
        return False
    if first is None:
        return True
    return problem.lazy and first.scale is None and not first.skips and _is_of_sums(first)


def _is_of_sums(penalty: Penalty) -> bool:
    """Return whether a penalty's value follows from the sums of abs(w) and of w**2."""
    l1, l2 = penalty.strengths(1.0)
    some = np.array([-2.0, -0.25, 0.0, 0.125, 7.0])
    of_sums = l1 * np.abs(some).sum() + 0.5 * l2 * np.square(some).sum()
    return math.isclose(penalty.value(some), of_sums, rel_tol=1e-9)


class UnusedColumns:
    """The weights of the columns that no row uses, and their deferred steps of the penalty.

    The steps are recorded run by run and applied in that order, so that the results do not depend
    on when they are applied.

    Parameters
    ----------
    w : ndarray, shape (units, inputs)
        The first layer's weights: the caller's array.
    used : ndarray of int, shape (used columns,)
        The columns that rows use, ascending.
    penalty : Penalty, optional
        The first layer's penalty.
    numbers_at : int
        Where in a row of coefficients the penalty's begin.

    Attributes
    ----------
    trained : ndarray, shape (units, used columns)
        Room for the weights of the used columns.
    is_finite : bool
        Whether all weights kept aside are finite; if so, they stay finite.
    """

    def __init__(
        self, w: np.ndarray, used: np.ndarray, penalty: Penalty | None, numbers_at: int
    ) -> None:
        self.trained = np.empty((len(w), len(used)), w.dtype)
        self._w, self._used, self._penalty, self._numbers_at = w, used, penalty, numbers_at
        # For each deferred run its steps and their coefficients, or with weight decay its factor.
        self._missed: list[list[float]] = []
        self._marked, self._is_written = 0, True
        # Requests for the sums of abs(w) and of w**2: after how many of these runs, and where to.
        self._wanted: list[tuple[int, list[float]]] = []
        # The sums over the held weights: the kernel's, only those a value needs; numpy's, both.
        self._sums: list[float] = []
        self._of_held: tuple[float, float] | None = None
        others = w.copy()
        others[:, used] = 0  # every penalty leaves zeros as they are
        self.is_finite = bool(np.isfinite(others).all())
        self._held = others.reshape(-1)
        if penalty is None:
            return
        self._age, vector = build_age(*_kernel_of(penalty, w.dtype)), lanes(w.dtype)
        self._held = np.append(self._held, np.zeros(-w.size % vector, w.dtype))
        self._room = np.empty(PIECE, w.dtype)

    def take(self, table: np.ndarray, batches: int, noted: np.ndarray | None) -> None:
        """Record a run of `batches` steps with the coefficients that `Coefficients.rows` returned.

        Without a penalty, or with weight decay, the share of these weights is added to the sums in
        `noted`, which is the argument `batches` of `Training.epoch`.
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
        """Bring the caller's array up to date; the used columns are copied from `trained`."""
        if w is not self._w:  # a callback has replaced the array
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
        """Return a function that returns the penalty of these weights as they are now, times n.

        One pass, at the first call, computes the values for all functions returned until then.
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
        """Mark the start of an epoch for `go_back`."""
        if len(self._missed) > MOST_MISSED:
            self._catch_up(len(self._missed))
        self._marked = len(self._missed)

    def go_back(self) -> None:
        """Return to the last `mark`, from an epoch that ended early.

        Raises
        ------
        RuntimeError
            If a `value` requested after the mark has been computed.
        """
        if self._marked < 0:
            raise RuntimeError("weights have been looked at as they were after the mark")
        del self._missed[self._marked :]
        self._is_written = self._penalty is None

    def _catch_up(self, runs: int) -> None:
        """Apply the first `runs` deferred runs to the held weights; fill in the requested sums."""
        before = self._sums_held() if any(wanted[0] == 0 for wanted in self._wanted) else []
        sums = [before, *(self._aged(self._held, runs) if runs else [])]
        for after_runs, wanted in self._wanted:
            wanted[:] = sums[after_runs]
        self._wanted, self._sums, self._of_held = [], sums[-1], None
        del self._missed[:runs]
        self._marked -= runs

    def _sums_held(self) -> list[float]:
        """Return the sums of abs(w) and of w**2 over the held weights."""
        if not self._sums:
            [self._sums] = self._aged(self._held, 0)
        return self._sums

    def _aged(self, out: np.ndarray, runs: int) -> list[list[float]]:
        """Write the held weights after `runs` deferred runs to `out`; return the sums after each.

        Without runs, return the sums over the held weights.
        """
        missed, sums = np.array(self._missed[:runs], self._w.dtype), np.zeros((max(1, runs), 2))
        self._age(self._held, missed if runs else missed.reshape(0, 1), self._room, out, sums)
        return sums.tolist()

    @staticmethod
    def _kept(missed: list[list[float]]) -> float:
        """Return the product of the factors of some runs."""
        return math.prod(factor for (factor,) in missed)


def _kernel_of(penalty: Penalty, dtype: np.dtype[Any]) -> tuple[str, bool, bool]:
    """Return the specification of the aging kernel, and whether it adds up abs(w) and w**2.

    The specification's only rule has the formula for the weight that a run leaves.
    """
    ages: Any = _times if penalty.decays else penalty.caught_up
    count = 1 if penalty.decays else 1 + width_of(penalty)
    rule = Rule(shrink=register(ages), numbers=count)
    spec = Spec(lanes(dtype), rows=(1,), listed=1, rules=(rule,)).encode()
    l1, l2 = penalty.strengths(1.0)
    return spec, l1 > 0, l2 > 0


def _times(xp: Any, w: Any, kept: Any) -> Any:
    return w * kept


@intrinsic(prefer_literal=True)
def age(typing: Any, spec: Any, w: Any, numbers: Any, n: Any, out: Any) -> Any:
    """Set out[:n] to what one run leaves of w[:n]; n is a multiple of V."""
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
    """Return the compiled function that ages weights in whole vectors, piece by piece.

    ``missed`` has a row for each run, and ``sums`` receives the sums of abs(w) and of w**2 after
    it, or over the unchanged weights if there are no runs; `of_sizes` and `of_squares` say which of
    the two are needed. Each piece is aged in ``room`` and copied to ``out``, up to its end.
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
                some = sum_sizes(spec, w, count)  # LLVM drops what is not used
                if of_sizes:
                    sums[run, 0] += some[0]
                if of_squares:
                    sums[run, 1] += some[1]
            to = after(at(out, 0), start)
            for i in range(min(count, len(out) - start)):
                put(to, i, get(w, i))

    return age_all
