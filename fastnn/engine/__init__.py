"""The engine: one network's arrays and one data set in, whole epochs out.

Rooms above train with `Training` and its `State`, and evaluate with `outputs`. Behind these stand
two paths with the same results: the compiled kernels (`kernels`), and plain numpy (`batched`) where
the JIT is off or where a cost is the user's own Python code.
"""

from __future__ import annotations

from fastnn.engine.problem import Outputs
from fastnn.engine.state import State
from fastnn.engine.training import Training, outputs

__all__ = ["Outputs", "State", "Training", "outputs"]
