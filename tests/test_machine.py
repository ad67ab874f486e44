"""The machine: the threads that may be used, pinning to some CPUs, and memory bandwidth."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastnn import machine
from fastnn.bandwidth import read_bandwidth, update_bandwidth


@pytest.mark.parametrize(
    ("value", "most"),
    [("1", 1), ("1,4", 1), ("1000", None), ("0", None), ("many", None), ("\u00b2", None)],
)
def test_threads_that_the_environment_allows(value: str, most: int | None, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert machine.threads_allowed() == (most or machine.cpus())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing is pinned here")
def test_the_affinity_is_restored() -> None:
    before = os.sched_getaffinity(0)
    with machine.pinned(1) as pinned:
        assert os.sched_getaffinity(0) == set(pinned)
        assert len(pinned) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="CPUs"), machine.pinned(4096):
        pass
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("rate", [read_bandwidth, update_bandwidth])
def test_bandwidth_is_of_any_size(rate) -> None:
    for size in (4, 1 << 16, 1 << 20):
        assert rate(size, np.dtype("float32")) > 0
