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
    from fastnn.penalties import (
        L1,
        L2,
        ElasticNet,
        GroupLasso,
        MaxNorm,
        SparseGroupLasso,
        TruncatedGradient,
    )
    from fastnn.profiling import profile
    from fastnn.regularization_path import lambda_path
    from fastnn.strength import RegularizationWarning
    from fastnn.trainer import History

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L2",
    "ElasticNet",
    "FileFormatError",
    "GroupLasso",
    "History",
    "MaxNorm",
    "Network",
    "RegularizationWarning",
    "SparseGroupLasso",
    "TruncatedGradient",
    "__version__",
    "lambda_path",
    "load",
    "profile",
]

_HOMES = {
    "ElasticNet": "fastnn.penalties",
    "FileFormatError": "fastnn.checks",
    "GroupLasso": "fastnn.penalties",
    "History": "fastnn.trainer",
    "L1": "fastnn.penalties",
    "L2": "fastnn.penalties",
    "MaxNorm": "fastnn.penalties",
    "Network": "fastnn.network",
    "RegularizationWarning": "fastnn.strength",
    "SparseGroupLasso": "fastnn.penalties",
    "TruncatedGradient": "fastnn.penalties",
    "lambda_path": "fastnn.regularization_path",
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
