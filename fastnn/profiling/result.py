"""What a profile holds, and its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Floor", "PenaltyProfile", "Profile", "Way"]


@dataclass(frozen=True)
class Way:
    """An epoch with a penalty that is applied in one way.

    Attributes
    ----------
    seconds : float
        Of an epoch: the median over the tenths of an epoch of all rounds.
    ratio : float
        To the same tenth without the penalty, which ran beside it: the median.
    low, high : float
        The quartiles of these ratios.
    """

    seconds: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: np.ndarray, plain: np.ndarray) -> Way:
        """Return what the parts come to; `plain` are the same parts without the penalty."""
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
        Of the penalty, as in `fastnn.penalties.ALL`.
    seconds_without : float
        Of the engine's epoch without a penalty, beside this one; a median.
    fused : Way
        In the engine, in its pass over the weights.
    separate : Way
        The engine without a penalty, and after every batch a pass of numpy's over the weights.
    batched : Way
        The numpy path with the penalty, beside the numpy path without it.
    ns_per_weight : float
        The nanoseconds that the fused penalty adds for each weight and batch; by noise it may be
        below 0.
    phases : dict of str to float, or None
        The seconds of each phase of the fused epoch; None where the CPU has no counter to read.
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
    """The time that it takes to read and write every weight once, in nanoseconds a weight.

    Attributes
    ----------
    weight_bytes : int
        Of all weights.
    memory, cache : float
        Bytes a second, read and written, of an array in memory, and of one as large as the weights.
    memory_ns, cache_ns : float
        Nanoseconds a weight at these rates.
    """

    weight_bytes: int
    memory: float
    cache: float
    memory_ns: float
    cache_ns: float


@dataclass(frozen=True)
class Profile:
    """What `fastnn.profile` has measured; ``print`` shows it as tables.

    Attributes
    ----------
    sizes : tuple of int
    batch_size, rows, threads, rounds : int
    dtype, data, cpu : str
        The network's dtype, where the rows come from, what the CPU is called.
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
        """The seconds of each phase without a penalty, called "none", and with each of them."""
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
