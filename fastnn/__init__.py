"""Fully connected networks, trained fast on a CPU.

Three faces, one compiled engine: `fastnn.Network`, the modules of Michael Nielsen's book in
`fastnn.nielsen`, and the command line ``fastnn``. Nothing is compiled, and Numba is not
loaded, before the first training call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.checks import FileFormatError
    from fastnn.network import Network, load
    from fastnn.penalties import L1, L2, ElasticNet
    from fastnn.profiling import profile
    from fastnn.strength import RegularizationWarning
    from fastnn.trainer import History

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L2",
    "ElasticNet",
    "FileFormatError",
    "History",
    "Network",
    "RegularizationWarning",
    "__version__",
    "load",
    "profile",
]

_HOMES = {
    "ElasticNet": "fastnn.penalties",
    "FileFormatError": "fastnn.checks",
    "History": "fastnn.trainer",
    "L1": "fastnn.penalties",
    "L2": "fastnn.penalties",
    "Network": "fastnn.network",
    "RegularizationWarning": "fastnn.strength",
    "load": "fastnn.network",
    "profile": "fastnn.profiling",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
