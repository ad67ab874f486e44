"""The native network, `Network`, and how it is saved and loaded.

`stack.py` holds the parts of a network, `network.py` adds training and prediction, and `saving.py`
adds loading. `fastnn.model_files` writes and reads the files themselves.
"""

from __future__ import annotations

from fastnn.network.network import Network
from fastnn.network.saving import load

__all__ = ["Network", "load"]
