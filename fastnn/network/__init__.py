"""The native network, `Network`, and how it becomes a file and is read again.

`stack.py` has what a network consists of, `network.py` adds training and prediction, `saving.py`
loading; the files themselves are written and read by `fastnn.model_files`.
"""

from __future__ import annotations

from fastnn.network.network import Network
from fastnn.network.saving import load

__all__ = ["Network", "load"]
