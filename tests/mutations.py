"""Mutations of a file's content, as bytes describe them; for tests of damaged files."""

from __future__ import annotations

import re
import struct

from hypothesis import strategies as st

NUMBERS = [0, 1, 2, 4, 127, 255, 256, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
LARGE = [*NUMBERS, 1 << 32, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
TOKENS = [
    b"", b"0", b"-1", b"1e999", b"1" * 400, b"NaN", b"null", b"true", b"[]", b"{}", b"[[[[", b'"',
    b'"float64"', b'"sigmoid"', b'"cross_entropy"', b"\0", b"\0" * 8, b"\xff\xfe", b"../../etc/x",
    b"F16", b"BF16", b"|O", b">f8", b"(", b")", b",", b"cos\nsystem\n", b"\x8c\x02os", b"R", b".",
]  # fmt: skip


def mutated(program: bytes, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with the changes that `program` describes, in four bytes each."""
    content = bytearray(seeds[program[0] % len(seeds)])
    for start in range(1, len(program), 4):
        kind, high, low, choice = program[start : start + 4]
        at = (high << 8 | low) % (len(content) + 1)
        if kind % 8 == 0:
            content[at : at + 1] = bytes([choice])
        elif kind % 8 == 1 and at < len(content):
            content[at] ^= 1 << choice % 8
        elif kind % 8 == 2:
            del content[at : at + choice]
        elif kind % 8 == 3:
            content[at:at] = content[at : at + choice]
        elif kind % 8 == 4:
            content[at:at] = TOKENS[choice % len(TOKENS)]
        elif kind % 8 == 5:
            order, code = ("<>"[choice >> 7], "IQ"[choice >> 6 & 1])
            numbers = NUMBERS if code == "I" else LARGE
            number = struct.pack(order + code, numbers[choice % len(numbers)])
            content[at : at + len(number)] = number
        elif kind % 8 == 6:
            other = seeds[choice % len(seeds)]
            content[at : at + choice] = other[at : at + choice]
        else:
            found = re.search(rb'-?\d[\d.e+-]*|"\w+"|\w+', content[at:])
            if found:
                span = slice(at + found.start(), at + found.end())
                content[span] = TOKENS[choice % len(TOKENS)]
    return bytes(content)


# Each example makes many inputs; otherwise Hypothesis itself would take most of the time.
LENGTH, EACH = 2 + 4 * 6, 25
PROGRAMS = st.binary(min_size=LENGTH * EACH, max_size=LENGTH * EACH)


def programs_of(drawn: bytes) -> list[bytes]:
    """Return the programs in the drawn bytes, with 1 to 6 changes each."""
    cut = [drawn[at : at + LENGTH] for at in range(0, LENGTH * EACH, LENGTH)]
    return [program[: 1 + 4 * (1 + program[-1] % 6)] for program in cut]
