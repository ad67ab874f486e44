"""Sweeps over the digits, and their records."""

from __future__ import annotations

from typing import Any

from fastnn import L1, L2, data, sweep
from fastnn.sweep_records import Records

SPACE = {"penalty": [L1, L2], "lmbda": [0.1, 5.0], "seed": [0, 3]}
COMMON: dict[str, Any] = {"sizes": [64, 20, 10], "epochs": 2, "input_scale": 1 / 16}


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records without the time that their trials took."""
    return [{name: v for name, v in record.items() if name != "seconds"} for record in records]


def run(trials: Any = SPACE, **options: Any) -> Records:
    """Train `trials` on the digits."""
    digits = data.load("digits")
    return sweep(*digits[:2], trials, **{"validation_data": digits[2:4], **COMMON, **options})
