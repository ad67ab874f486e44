"""`fit`: the epoch loop and its checkpoints."""

from __future__ import annotations

from fastnn.trainer.fitting import fit

__all__ = ["fit"]
