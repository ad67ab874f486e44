"""What `local_sgd.fit` is given where a test does not say otherwise: the defaults of `dask.fit`."""

from __future__ import annotations

from typing import Any

PLAIN: dict[str, Any] = {
    "local_epochs": None,
    "local_batches": None,
    "batch_size": 10,
    "learning_rate": None,
    "optimizer": None,
    "penalty": None,
    "dropout": None,
    "input_noise": 0.0,
    "validation_data": None,
    "early_stopping": None,
    "callbacks": (),
    "shuffle": True,
    "warm_start": False,
}
