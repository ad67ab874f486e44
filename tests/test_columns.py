"""The lists of the columns that a batch uses, made in each way that a CPU may need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.engine import jit
from fastnn.engine.by_key import append_of_key
from fastnn.engine.columns import append_bits
from fastnn.engine.pointers import at, get
from fastnn.engine.spec import Spec

pytestmark = [
    pytest.mark.skipif(not jit.is_on(), reason="they are compiled code"),
    pytest.mark.usefixtures("no_cache"),
]

ROOM = 64


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


@jit.kernel
def append_of_keys(keys, wanted, out, count):
    for first in range(0, len(keys), 64):
        count = append_of_key(at(out, 0), count, first, at(keys, 0), wanted)
    return count


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.6, 0.8, 1.0])
def test_columns_of_a_key_are_appended_in_order(share: float) -> None:
    """Of 64 columns, up to 32 are expected; up to 64 must be right."""
    random = np.random.default_rng(5)
    keys = np.where(random.random(64 * 9) < share, 3, random.integers(4, 8, 64 * 9)).astype(
        np.uint8
    )
    out = np.full(len(keys) + ROOM, -1, np.int32)
    count = append_of_keys(keys, 3, out, 0)
    assert out[:count].tolist() == np.flatnonzero(keys == 3).tolist()
