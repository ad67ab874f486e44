"""Fully connected networks, trained fast on a CPU.

Three faces, one compiled engine: `fastnn.Network`, the modules of Michael Nielsen's book in
`fastnn.nielsen`, and the command line ``fastnn``. Nothing is compiled, and Numba is not
loaded, before the first training call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.callbacks import Callback, EarlyStopping
    from fastnn.checks import FileFormatError
    from fastnn.history import History
    from fastnn.network import Network, load
    from fastnn.penalties import L1, L2, ElasticNet
    from fastnn.schedules import (
        ConstantRate,
        CosineDecay,
        ExponentialDecay,
        HalveOnPlateau,
        InverseScaling,
        LinearWarmup,
        Schedule,
        StepDecay,
    )
    from fastnn.strength import RegularizationWarning

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L2",
    "Callback",
    "ConstantRate",
    "CosineDecay",
    "EarlyStopping",
    "ElasticNet",
    "ExponentialDecay",
    "FileFormatError",
    "HalveOnPlateau",
    "History",
    "InverseScaling",
    "LinearWarmup",
    "Network",
    "RegularizationWarning",
    "Schedule",
    "StepDecay",
    "__version__",
    "load",
]

_HOMES = {
    "Callback": "fastnn.callbacks",
    "ConstantRate": "fastnn.schedules",
    "CosineDecay": "fastnn.schedules",
    "EarlyStopping": "fastnn.callbacks",
    "ElasticNet": "fastnn.penalties",
    "ExponentialDecay": "fastnn.schedules",
    "FileFormatError": "fastnn.checks",
    "HalveOnPlateau": "fastnn.schedules",
    "History": "fastnn.history",
    "InverseScaling": "fastnn.schedules",
    "L1": "fastnn.penalties",
    "L2": "fastnn.penalties",
    "LinearWarmup": "fastnn.schedules",
    "Network": "fastnn.network",
    "RegularizationWarning": "fastnn.strength",
    "Schedule": "fastnn.schedules",
    "StepDecay": "fastnn.schedules",
    "load": "fastnn.network",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
