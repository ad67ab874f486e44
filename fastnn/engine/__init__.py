"""The engine: one network's arrays and one data set in, whole epochs out.

`Training`, its `State` and `outputs` are all that the rooms above use. Behind them stand two paths
with the same results: the compiled kernels (`kernels`), and plain numpy (`batched`) where the JIT
is off or where a cost is the user's own Python code.
"""

from __future__ import annotations

from fastnn.engine.state import State
from fastnn.engine.training import Training, outputs

__all__ = ["State", "Training", "outputs"]
