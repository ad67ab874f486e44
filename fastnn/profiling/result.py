"""The result of a profile, and its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Floor", "PenaltyProfile", "Profile", "Way"]


@dataclass(frozen=True)
class Way:
    """The times of an epoch whose penalty is applied in one particular way.

    Attributes
    ----------
    seconds : float
        Seconds per epoch: the median over the tenths of an epoch in all rounds.
    ratio : float
        The median ratio of these times to those of the same tenths without the penalty.
    low, high : float
        The quartiles of these ratios.
    """

    seconds: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: np.ndarray, plain: np.ndarray) -> Way:
        """Return the summary of the parts; `plain` are the same parts without the penalty."""
        low, ratio, high = np.percentile(seconds / plain, [25, 50, 75])
        return cls(float(np.median(seconds)), float(ratio), float(low), float(high))

    @property
    def overhead(self) -> float:
        """What the penalty adds, in percent of the epoch without it."""
        return 100 * (self.ratio - 1)


@dataclass(frozen=True)
class PenaltyProfile:
    """What one penalty costs.

    Attributes
    ----------
    name : str
        The penalty's name, as in `fastnn.penalties.ALL`; a repeated name has a number.
    seconds_without : float
        The median seconds of the engine's epoch without a penalty, run alternately with this one.
    fused : Way
        In the engine, in its pass over the weights.
    separate : Way
        The engine without a penalty, and a numpy pass over the weights after every batch.
    batched : Way
        The numpy path with the penalty, compared with the numpy path without it.
    ns_per_weight : float
        The nanoseconds that the fused penalty adds for each weight and batch; noise may make it
        negative.
    phases : dict of str to float, or None
        The seconds of each phase of the fused epoch; None if the CPU has no readable counter.
    """

    name: str
    seconds_without: float
    fused: Way
    separate: Way
    batched: Way
    ns_per_weight: float
    phases: dict[str, float] | None


@dataclass(frozen=True)
class Floor:
    """The least time in which every weight can be read and written once.

    Attributes
    ----------
    weight_bytes : int
        The size of all weights.
    memory, cache : float
        Bytes read and written per second in an array in memory, and in one as large as the weights.
    memory_ns, cache_ns : float
        Nanoseconds per weight at these rates.
    """

    weight_bytes: int
    memory: float
    cache: float
    memory_ns: float
    cache_ns: float


@dataclass(frozen=True)
class Profile:
    """The measurements of `fastnn.profile`; ``print`` shows them as tables.

    Attributes
    ----------
    sizes : tuple of int
    batch_size, rows, threads, rounds : int
    dtype, data, cpu : str
        The network's dtype, the origin of the rows, and the name of the CPU.
    lmbda : float
    floor : Floor
    phases : dict of str to float, or None
        The seconds of each phase of an epoch without a penalty.
    penalties : tuple of PenaltyProfile
    """

    sizes: tuple[int, ...]
    batch_size: int
    rows: int
    threads: int
    rounds: int
    dtype: str
    data: str
    cpu: str
    lmbda: float
    floor: Floor
    phases: dict[str, float] | None
    penalties: tuple[PenaltyProfile, ...]

    @property
    def phases_by_penalty(self) -> dict[str, dict[str, float]]:
        """The seconds of each phase, without a penalty (as "none") and with each penalty."""
        if self.phases is None:
            return {}
        with_each = {penalty.name: penalty.phases or {} for penalty in self.penalties}
        return {"none": self.phases} | with_each

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers, strings, lists and dicts, for JSON."""
        found = asdict(self)
        return found | {"sizes": list(self.sizes), "penalties": list(found["penalties"])}

    def __str__(self) -> str:
        from fastnn.profiling.report import as_text

        return as_text(self)
