"""The measuring: epochs in alternation, round after round, and the engine's counters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Protocol

import numpy as np

from fastnn import machine
from fastnn.checks import whole
from fastnn.engine import jit, phases
from fastnn.engine.batched import Path as NumpyPath
from fastnn.network import Network
from fastnn.penalties import Penalty
from fastnn.profiling.result import Floor, Profile, RuleProfile, Way
from fastnn.profiling.setting import Setting, chosen, rows_for

__all__ = ["profile"]

WRITE_BACK = "write back"

# An epoch is run in so many parts while its phases are counted.
PARTS = 32


class Path(Protocol):
    """What is timed of either path of the engine."""

    def run(self, order: np.ndarray) -> float:
        """Train over the rows in `order`."""

    def write_back(self) -> None:
        """Bring the network's arrays up to date."""


def profile(
    sizes: Sequence[int] = (784, 30, 10),
    *,
    batch_size: int = 10,
    penalty: str | Sequence[str] = "all",
    lmbda: float = 5.0,
    dtype: str = "float32",
    threads: int = 1,
    rounds: int = 21,
    rows: int | None = None,
    data: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    on_rule: Callable[[str], None] | None = None,
) -> Profile:
    """Measure what penalties cost in an epoch on this machine, and where an epoch's time goes.

    A round trains an epoch in each of five ways, one after the other, and the next round in the
    opposite order: the engine without and with the penalty, as many numpy passes over the weights
    as there are batches, and the numpy path without and with the penalty. What is compared ran
    side by side. The first round, which compiles, is not counted. The process is pinned to
    `threads` of its CPUs where the system can do that, and released afterwards.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first. All are sigmoid, with the cross-entropy cost.
    batch_size : int
    penalty : str or sequence of str
        "all", or names in `fastnn.penalties.ALL`, also with commas between them.
    lmbda : float
        The strength, over 50,000 rows whatever `rows` is; above 0.
    dtype : {"float32", "float64"}
    threads : int
    rounds : int
        Those that are counted.
    rows : int, optional
        Rows of an epoch; by default 10,000, or as many as there are.
    data : {"mnist", "fashion", "digits", "synthetic"}, optional
        By default MNIST if it is at hand and fits the network, else synthetic rows with as many
        zeros. A data set that is named is downloaded if it has to be.
    folder : path, optional
        The folder of the data set, as in `fastnn.data.load`.
    on_rule : callable, optional
        Called with the name of each penalty before it is measured.

    Returns
    -------
    Profile

    Notes
    -----
    "separate" is a sum: the engine's epoch without a penalty, and numpy's passes, which are timed
    alone. So it holds no time for handing the weights over between the two.

    The phases come from the CPU's cycle counter, in a kernel of its own that is 2 to 3 % slower for
    it with the default arguments. The cycles of a second are found by the clock around it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of these, the data do not fit the network, there are not as many
        CPUs as `threads`, or ``NUMBA_DISABLE_JIT`` is set.
    OSError
        If the data cannot be read.
    """
    if not jit.is_on():
        raise ValueError("there is no engine to profile while NUMBA_DISABLE_JIT is set")
    batch_size = whole("batch_size", batch_size, minimum=1)
    threads, rounds = whole("threads", threads, minimum=1), whole("rounds", rounds, minimum=1)
    rows = None if rows is None else whole("rows", rows, minimum=1)
    network, rules = Network(sizes, dtype=dtype, seed=1), chosen(penalty, lmbda)
    found = rows_for(network.sizes, rows, data, folder)
    setting = Setting(network, found, batch_size, threads)
    with machine.pinned(threads):
        measured = []
        for rule in rules:
            if on_rule is not None:
                on_rule(rule.name)
            measured.append(_measure(setting, rule, rounds))
        return Profile(
            sizes=tuple(network.sizes),
            batch_size=batch_size,
            rows=setting.n,
            threads=threads,
            rounds=rounds,
            dtype=network.dtype.name,
            data=found.origin,
            cpu=machine.cpu_name(),
            lmbda=float(lmbda),
            floor=_floor(setting),
            phases=_phases(setting, None, rounds),
            rules=tuple(measured),
        )


def _measure(setting: Setting, penalty: Penalty, rounds: int) -> RuleProfile:
    """Time the five ways in alternation."""
    from fastnn.engine.compiled import Path as Engine

    without, fused = (Engine(setting.problem(p)) for p in (None, penalty))
    numpy_without, batched = (NumpyPath(setting.problem(p)) for p in (None, penalty))
    alone = NumpyPath(setting.problem(penalty))

    times = _in_alternation(
        {
            "without": lambda order: _epoch(without, order),
            "fused": lambda order: _epoch(fused, order),
            "passes": lambda order: alone.penalise(setting.batches),
            "numpy without": lambda order: _epoch(numpy_without, order),
            "batched": lambda order: _epoch(batched, order),
        },
        setting,
        rounds,
    )
    plain, with_it = times["without"], times["fused"]
    extra = float(np.median(with_it - plain))
    return RuleProfile(
        name=penalty.name,
        seconds_without=float(np.median(plain)),
        fused=Way.of(with_it, plain),
        separate=Way.of(plain + times["passes"], plain),
        batched=Way.of(times["batched"], times["numpy without"]),
        ns_per_weight=1e9 * extra / (setting.batches * setting.weights),
        phases=_phases(setting, penalty, rounds),
    )


def _epoch(path: Path, order: np.ndarray) -> None:
    path.run(order)
    path.write_back()


def _in_alternation(
    runs: Mapping[str, Callable[[np.ndarray], None]], setting: Setting, rounds: int
) -> dict[str, np.ndarray]:
    """Return the seconds of each of `runs` in each round, after a round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number, order in zip(range(rounds + 1), setting.orders(), strict=False):
        for name in names if number % 2 else reversed(names):
            start = perf_counter()
            runs[name](order)
            times[name].append(perf_counter() - start)
    return {name: np.array(seconds[1:]) for name, seconds in times.items()}


def _phases(setting: Setting, penalty: Penalty | None, rounds: int) -> dict[str, float] | None:
    """Return the seconds of each part of an epoch: the median part of an epoch, times their number.

    The parts are short, so that few of them are hit where another process takes the CPU.
    """
    from fastnn.engine.compiled import Path as Engine

    if not phases.can_count():
        return None
    engine = Engine(setting.problem(penalty), timed=True)
    starts = range(0, setting.n, setting.batch_size * -(-setting.batches // PARTS))
    counted, rates, written = [], [], []
    for number, order in zip(range(rounds + 1), setting.orders(), strict=False):
        for part in np.split(order, starts[1:]):
            start = perf_counter()
            engine.run(part)
            seconds, ticks = perf_counter() - start, engine.ticks()
            if number:
                counted.append(ticks / len(part))
                rates.append(ticks.sum() / seconds)
        start = perf_counter()
        engine.write_back()
        written.append(perf_counter() - start)
    found = np.median(counted, axis=0) * setting.n / np.median(rates) / setting.threads
    return dict(zip(phases.PHASES, found.tolist(), strict=True)) | {
        WRITE_BACK: float(np.median(written[1:]))
    }


def _floor(setting: Setting) -> Floor:
    dtype = setting.network.dtype
    size = setting.weights * dtype.itemsize
    memory = machine.update_bandwidth(machine.MEMORY_BYTES, dtype)
    cache = machine.update_bandwidth(size, dtype)
    memory_ns, cache_ns = (2e9 * dtype.itemsize / rate for rate in (memory, cache))
    return Floor(size, memory, cache, memory_ns, cache_ns)
