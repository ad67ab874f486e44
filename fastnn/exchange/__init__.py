"""Conversions of networks from and to other libraries: scikit-learn, PyTorch, ONNX.

The other library is imported only when it is needed.
"""

from __future__ import annotations

from fastnn.exchange.onnx_files import to_onnx
from fastnn.exchange.sklearn_models import from_sklearn
from fastnn.exchange.torch_modules import from_torch, to_torch

__all__ = ["from_sklearn", "from_torch", "to_onnx", "to_torch"]
