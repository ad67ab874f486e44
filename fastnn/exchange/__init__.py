"""Networks from other libraries, and for them: scikit-learn, PyTorch, ONNX.

What stands in the package that a network comes from or goes to is imported when it is needed.
"""

from __future__ import annotations

from fastnn.exchange.onnx_files import to_onnx
from fastnn.exchange.sklearn_models import from_sklearn
from fastnn.exchange.torch_modules import from_torch, to_torch

__all__ = ["from_sklearn", "from_torch", "to_onnx", "to_torch"]
