"""The lists of the columns that a batch uses, made in each way that a CPU may need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.engine import jit
from fastnn.engine.columns import append_bits
from fastnn.engine.pointers import at, get
from fastnn.engine.spec import Spec

pytestmark = [
    pytest.mark.skipif(not jit.is_on(), reason="they are compiled code"),
    pytest.mark.usefixtures("no_cache"),
]

ROOM = 16


def appender(compresses: bool) -> Any:
    text = Spec(4, rows=(1,), listed=1, compresses=compresses).encode()

    @jit.kernel
    def append(words, out, count):
        for i in range(len(words)):
            count = append_bits(text, at(out, 0), count, 64 * i, get(at(words, 0), i))
        return count

    return append


@pytest.mark.parametrize("compresses", [False, True], ids=["by a table", "compressed"])
def test_numbers_of_bits_are_appended_in_order(compresses: bool) -> None:
    """On a CPU without a compress instruction LLVM emulates it, only slowly."""
    random, append = np.random.default_rng(5), appender(compresses)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        used = random.random(64 * 9) < share
        words = np.packbits(used, bitorder="little").view(np.uint64)
        before, found = random.integers(0, 99, 3, np.int32), np.flatnonzero(used)
        out = np.full(len(before) + len(found) + ROOM, -1, np.int32)
        out[:3] = before
        count = append(words, out, 3)
        assert out[:count].tolist() == [*before, *found]
