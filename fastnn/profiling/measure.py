"""The measurements: epochs in alternation, round after round, and the engine's counters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from fastnn import machine
from fastnn.bandwidth import MEMORY_BYTES, seconds_of, update_bandwidth
from fastnn.checks import optional, whole
from fastnn.engine import jit, phases
from fastnn.engine.batched import Path as NumpyPath
from fastnn.network import Network
from fastnn.penalties import Penalty
from fastnn.profiling.result import Floor, PenaltyProfile, Profile, Way
from fastnn.profiling.setting import Setting, chosen, rows_for

__all__ = ["profile"]

WRITE_BACK = "write back"


class Path(Protocol):
    """The parts of either path of the engine that are timed."""

    def run(self, order: np.ndarray) -> float:
        """Train over the rows in `order`."""

    def write_back(self) -> None:
        """Bring the network's arrays up to date."""


def profile(
    sizes: Sequence[int] = (784, 30, 10),
    *,
    batch_size: int = 10,
    penalty: str | Penalty | Sequence[str | Penalty] = "all",
    lmbda: float = 5.0,
    dtype: str = "float32",
    threads: int = 1,
    rounds: int = 21,
    rows: int | None = None,
    data: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    on_penalty: Callable[[str], None] | None = None,
) -> Profile:
    """Measure what penalties cost in an epoch on this machine, and where an epoch's time goes.

    A round runs an epoch in each of five ways: the engine without and with the penalty, as many
    numpy passes over the weights as there are batches, and the numpy path without and with the
    penalty. They take turns after every tenth of the epoch, alternately in forward and in reverse
    order, so that compared times are from the same moments. The first round, which compiles, is not
    counted. If the system supports it, the process is pinned to `threads` of its CPUs and released
    afterwards.

    Parameters
    ----------
    sizes : sequence of int, default (784, 30, 10)
        Units of each layer, inputs first. All are sigmoid, with the cross-entropy cost.
    batch_size : int, default 10
    penalty : str, Penalty or sequence of these, default "all"
        "all"; or names in `fastnn.penalties.ALL`, which one string may list with commas; or penalty
        objects, which have their own strengths and may be user-defined.
    lmbda : float, default 5.0
        The strength of the penalties given by name; above 0. All strengths are divided by 50,000
        rows, whatever `rows` is.
    dtype : {"float32", "float64"}, default "float32"
    threads : int, default 1
    rounds : int, default 21
        The number of counted rounds.
    rows : int, optional
        Rows per epoch; by default 10,000, or all if there are fewer.
    data : {"mnist", "fashion", "digits", "synthetic"}, optional
        By default MNIST if it is available and fits the network, else synthetic rows with as many
        zeros. A data set that is named is downloaded if necessary.
    folder : path, optional
        The folder of the data set, as in `fastnn.data.load`.
    on_penalty : callable, optional
        Called with the name of each penalty before it is measured.

    Returns
    -------
    Profile

    Notes
    -----
    "separate" is a sum: the engine's epoch without a penalty plus numpy's passes, which are timed
    alone. It includes no time for handing the weights over between the two.

    The phases come from the CPU's cycle counter, read in a separate kernel that is 2 to 3 % slower
    because of it with the default arguments. Cycles are converted to seconds by timing that kernel.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, the data do not fit the network, there are fewer CPUs than
        `threads`, or ``NUMBA_DISABLE_JIT`` is set.
    OSError
        If the data cannot be read.
    """
    if not jit.is_on():
        raise ValueError("there is no engine to profile while NUMBA_DISABLE_JIT is set")
    batch_size = whole("batch_size", batch_size, minimum=1)
    threads, rounds = whole("threads", threads, minimum=1), whole("rounds", rounds, minimum=1)
    rows = optional(whole, "rows", rows, minimum=1)
    network, wanted = Network(sizes, dtype=dtype, seed=1), chosen(penalty, lmbda)
    found = rows_for(network.sizes, rows, data, folder)
    setting = Setting(network, found, batch_size, threads)
    with machine.pinned(threads):
        measured = []
        for name, one in _labelled(wanted).items():
            if on_penalty is not None:
                on_penalty(name)
            measured.append(_measure(setting, name, one, rounds))
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
            penalties=tuple(measured),
        )


def _labelled(wanted: Sequence[Penalty]) -> dict[str, Penalty]:
    """Return penalties by name; a repeated name gets a number."""
    found: dict[str, Penalty] = {}
    for penalty in wanted:
        same = sum(one.name == penalty.name for one in found.values())
        found[f"{penalty.name} {same + 1}" if same else penalty.name] = penalty
    return found


def _measure(setting: Setting, name: str, penalty: Penalty, rounds: int) -> PenaltyProfile:
    """Time the five ways in alternation."""
    from fastnn.engine.compiled import Path as Engine

    alone = NumpyPath(setting.problem(penalty))
    times = _in_alternation(
        {
            "without": Engine(setting.problem(None)),
            "fused": Engine(setting.problem(penalty)),
            "passes": _Passes(alone, setting.batch_size),
            "numpy": NumpyPath(setting.problem(None)),
            "batched": NumpyPath(setting.problem(penalty)),
        },
        setting,
        rounds,
    )
    without, fused = times["without"], times["fused"]
    extra = float(np.median(fused - without))
    return PenaltyProfile(
        name=name,
        seconds_without=float(np.median(without)),
        fused=Way.of(fused, without),
        separate=Way.of(without + times["passes"], without),
        batched=Way.of(times["batched"], times["numpy"]),
        ns_per_weight=1e9 * extra / (setting.batches * setting.weights),
        phases=_phases(setting, penalty, rounds),
    )


class _Passes:
    """A path that applies a penalty once per batch in a pass over the weights, without training."""

    def __init__(self, path: NumpyPath, batch_size: int) -> None:
        self._path, self._batch_size = path, batch_size

    def run(self, order: np.ndarray) -> float:
        self._path.penalise(-(-len(order) // self._batch_size))
        return 0.0

    def write_back(self) -> None:
        pass


def _in_alternation(
    paths: Mapping[str, Path], setting: Setting, rounds: int
) -> dict[str, np.ndarray]:
    """Return, for each of `paths`, the seconds per epoch measured in every part of every round.

    One round more is run first and not counted, because it compiles.
    """
    times: dict[str, list[float]] = {name: [] for name in paths}
    ends: dict[str, list[float]] = {name: [] for name in paths}
    names = list(paths)
    for number, parts in enumerate(setting.rounds(rounds + 1)):
        for part in parts:
            names.reverse()
            for name in names:
                seconds = seconds_of(partial(paths[name].run, part))
                if number:
                    times[name].append(seconds * setting.n / len(part))
        for name, path in paths.items():
            ends[name].append(seconds_of(path.write_back))
    return {name: np.array(times[name]) + np.median(ends[name][1:]) for name in paths}


def _phases(setting: Setting, penalty: Penalty | None, rounds: int) -> dict[str, float] | None:
    """Return the seconds of an epoch's phases: the medians over every part of every round.

    With several threads, this is their mean: cycles and rates are both sums over the threads.
    """
    from fastnn.engine.compiled import Path as Engine

    if not phases.can_count():
        return None
    engine = Engine(setting.problem(penalty), timed=True)
    counted, rates, ends = [], [], []
    for number, parts in enumerate(setting.rounds(rounds + 1)):
        for part in parts:
            seconds = seconds_of(partial(engine.run, part))
            ticks = engine.ticks()
            if number:
                counted.append(ticks / len(part))
                rates.append(ticks.sum() / seconds)
        ends.append(seconds_of(engine.write_back))
    found = np.median(counted, axis=0) * setting.n / np.median(rates)
    parts_of_run = dict(zip(phases.PHASES, found.tolist(), strict=True))
    return parts_of_run | {WRITE_BACK: float(np.median(ends[1:]))}


def _floor(setting: Setting) -> Floor:
    dtype = setting.network.dtype
    size = setting.weights * dtype.itemsize
    memory = update_bandwidth(MEMORY_BYTES, dtype)
    cache = update_bandwidth(size, dtype)
    memory_ns, cache_ns = (2e9 * dtype.itemsize / rate for rate in (memory, cache))
    return Floor(size, memory, cache, memory_ns, cache_ns)
