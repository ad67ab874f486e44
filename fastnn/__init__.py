"""Fully connected networks, trained fast on a CPU.

Four interfaces share one compiled engine: `fastnn.Network`, the modules of Michael Nielsen's book
in `fastnn.nielsen`, scikit-learn estimators in `fastnn.estimators`, and the command line
``fastnn``. Numba is loaded, and kernels are compiled, by the first call that trains or that
computes the outputs of many rows.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.blocks import BlockError, Blocks
    from fastnn.callbacks import Callback, EarlyStopping
    from fastnn.checks import DivergenceError, FileFormatError
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.exchange import from_sklearn, from_torch
    from fastnn.history import History
    from fastnn.network import Network, load
    from fastnn.optimizer_state import OptimizerState
    from fastnn.optimizers import (
        FTRL,
        SGD,
        Adagrad,
        Adam,
        AdamW,
        Momentum,
        Nesterov,
        Optimizer,
        RMSprop,
    )
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
    from fastnn.registering import register
    from fastnn.regularization_path import lambda_path
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
    from fastnn.sweep_space import LogUniform, grid, sample
    from fastnn.sweeps import sweep

__version__ = "0.1.0"

__all__ = [
    "FTRL",
    "L1",
    "L2",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BlockError",
    "Blocks",
    "Callback",
    "ConstantRate",
    "CosineDecay",
    "DivergenceError",
    "EarlyStopping",
    "ElasticNet",
    "ExponentialDecay",
    "FileFormatError",
    "GroupLasso",
    "HalveOnPlateau",
    "History",
    "InverseScaling",
    "LinearWarmup",
    "LogUniform",
    "MLPClassifier",
    "MLPRegressor",
    "MaxNorm",
    "Momentum",
    "Nesterov",
    "Network",
    "Optimizer",
    "OptimizerState",
    "RMSprop",
    "RegularizationWarning",
    "Schedule",
    "SparseGroupLasso",
    "StepDecay",
    "TruncatedGradient",
    "__version__",
    "from_sklearn",
    "from_torch",
    "grid",
    "lambda_path",
    "load",
    "profile",
    "register",
    "sample",
    "sweep",
]

_HOMES = {
    "BlockError": "fastnn.blocks",
    "Blocks": "fastnn.blocks",
    "Adagrad": "fastnn.optimizers",
    "Adam": "fastnn.optimizers",
    "AdamW": "fastnn.optimizers",
    "Callback": "fastnn.callbacks",
    "ConstantRate": "fastnn.schedules",
    "CosineDecay": "fastnn.schedules",
    "DivergenceError": "fastnn.checks",
    "EarlyStopping": "fastnn.callbacks",
    "ElasticNet": "fastnn.penalties",
    "ExponentialDecay": "fastnn.schedules",
    "FTRL": "fastnn.optimizers",
    "FileFormatError": "fastnn.checks",
    "GroupLasso": "fastnn.penalties",
    "HalveOnPlateau": "fastnn.schedules",
    "History": "fastnn.history",
    "InverseScaling": "fastnn.schedules",
    "L1": "fastnn.penalties",
    "L2": "fastnn.penalties",
    "LinearWarmup": "fastnn.schedules",
    "LogUniform": "fastnn.sweep_space",
    "MLPClassifier": "fastnn.estimators",
    "MLPRegressor": "fastnn.estimators",
    "MaxNorm": "fastnn.penalties",
    "Momentum": "fastnn.optimizers",
    "Nesterov": "fastnn.optimizers",
    "Network": "fastnn.network",
    "Optimizer": "fastnn.optimizers",
    "OptimizerState": "fastnn.optimizer_state",
    "RMSprop": "fastnn.optimizers",
    "RegularizationWarning": "fastnn.strength",
    "SGD": "fastnn.optimizers",
    "Schedule": "fastnn.schedules",
    "SparseGroupLasso": "fastnn.penalties",
    "StepDecay": "fastnn.schedules",
    "TruncatedGradient": "fastnn.penalties",
    "from_sklearn": "fastnn.exchange",
    "from_torch": "fastnn.exchange",
    "grid": "fastnn.sweep_space",
    "lambda_path": "fastnn.regularization_path",
    "load": "fastnn.network",
    "profile": "fastnn.profiling",
    "register": "fastnn.registering",
    "sample": "fastnn.sweep_space",
    "sweep": "fastnn.sweeps",
}

_MODULES = (
    "activations",
    "array_files",
    "costs",
    "dask",
    "data",
    "estimators",
    "exchange",
    "initializers",
    "nielsen",
    "optimizers",
    "penalties",
    "plots",
    "profiling",
    "regularization_path",
    "schedules",
    "svmlight",
    "sweeps",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastnn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
