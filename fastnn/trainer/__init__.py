"""`fit`: the epoch loop, and checkpoints of it."""

from __future__ import annotations

from fastnn.trainer.fitting import fit

__all__ = ["fit"]
