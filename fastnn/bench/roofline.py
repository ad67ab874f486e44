"""The machine's limit for a case: its arithmetic and its traffic at this machine's rates.

The limit is the largest of three times: the arithmetic at the measured peak of the vector units,
the rows read once from memory, and the weights read twice and written once per batch in the cache
that holds them; Adam's two moments of each weight are read and written as well. Multiplications by
inputs that are zero are not counted: a zero adds nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastnn.bandwidth import MEMORY_BYTES, read_bandwidth, seconds_of
from fastnn.bench.cases import Case
from fastnn.bench.peak import multiply_add_rate
from fastnn.bench.problem import Problem, used_share

__all__ = ["Limit", "limit"]

MATRIX = 1024
REPEATS = 15


class Limit(NamedTuple):
    """What an epoch (or an evaluation) of a case needs, and what the machine provides.

    flops : float
        Additions and multiplications, counting only inputs that are not zero.
    dense_flops : float
        Additions and multiplications with all inputs.
    row_bytes, weight_bytes : float
        Bytes of rows read from memory; bytes of weights and moments read and written in cache.
    peak : float
        flops per second of fused multiply-adds.
    blas : float
        flops per second of numpy's product of large matrices.
    memory, cache : float
        Bytes read per second from memory, and from an array as large as the weights.
    """

    flops: float
    dense_flops: float
    row_bytes: float
    weight_bytes: float
    peak: float
    blas: float
    memory: float
    cache: float

    @property
    def seconds(self) -> float:
        """The least time that an epoch can take."""
        return max(self.parts.values())

    @property
    def parts(self) -> dict[str, float]:
        """The three times, in seconds."""
        return {
            "arithmetic": self.flops / self.peak,
            "memory": self.row_bytes / self.memory,
            "cache": self.weight_bytes / self.cache,
        }

    @property
    def bound(self) -> str:
        """The name of the largest of the three."""
        return max(self.parts, key=lambda part: self.parts[part])


def limit(case: Case, problem: Problem) -> Limit:
    """Measure the CPUs that this process is pinned to, and return the limit for `case`."""
    dtype, n = np.dtype(case.dtype), case.n
    layers = [a * b for a, b in zip(case.sizes, case.sizes[1:], strict=False)]
    used = [used_share(problem.rows, 1) * layers[0], *layers[1:]]
    stored = [used_share(problem.rows, case.batch_size) * layers[0], *layers[1:]]
    # Forward and gradient each take a product per layer; delta takes one in all but the first.
    products = (1, 0) if case.work == "evaluate" else (2, 1)
    moments = 0 if case.is_plain else 2 * sum(layers)
    batches = 0 if case.work == "evaluate" else -(-n // case.batch_size)
    return Limit(
        flops=2 * n * (products[0] * sum(used) + products[1] * sum(layers[1:])),
        dense_flops=2 * n * (products[0] * sum(layers) + products[1] * sum(layers[1:])),
        row_bytes=n * case.sizes[0] * problem.rows.itemsize,
        weight_bytes=batches * (3 * sum(stored) + 2 * moments) * dtype.itemsize,
        peak=multiply_add_rate(dtype, case.threads),
        blas=_matrix_rate(dtype),
        memory=read_bandwidth(MEMORY_BYTES, dtype),
        cache=read_bandwidth(sum(layers) * dtype.itemsize, dtype),
    )


def _matrix_rate(dtype: np.dtype[np.floating]) -> float:
    a = np.ones((MATRIX, MATRIX), dtype)
    out = np.empty_like(a)
    return 2 * MATRIX**3 / min(seconds_of(lambda: np.matmul(a, a, out=out)) for _ in range(REPEATS))
