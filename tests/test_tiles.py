"""Which tiles a CPU gets, and how many rows of a batch share a list of columns."""

from __future__ import annotations

import itertools

import pytest

from fastnn.engine import jit, tiles

pytestmark = pytest.mark.cpu_tiles


@pytest.mark.parametrize(
    ("registers", "vector_bytes", "halves", "rows", "groups"),
    [
        (32, 64, False, 10, (4, 3, 3)),
        (32, 64, True, 10, (2, 2, 2, 2, 2)),
        (32, 16, False, 10, (2, 2, 2, 2, 2)),
        (16, 32, False, 2, ()),
    ],
    ids=["AVX-512", "in halves", "NEON", "AVX2"],
)
def test_rows_share_lists_as_the_cpu_allows(
    registers: int,
    vector_bytes: int,
    halves: bool,
    rows: int,
    groups: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jit, "register_count", lambda: registers)
    monkeypatch.setattr(jit, "vector_bytes", lambda: vector_bytes)
    monkeypatch.setattr(jit, "halves_vectors", lambda: halves)
    listing = tiles.of_cpu().listing(2, 100)
    assert (listing.rows, listing.groups) == (rows, groups)


@pytest.mark.parametrize("name", ["znver4", "znver5"])
def test_one_cpu_computes_wide_vectors_in_halves(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jit.halves_vectors.cache_clear()
    monkeypatch.setattr(jit.numba.config, "CPU_NAME", name)
    try:
        assert jit.halves_vectors() == (name == "znver4")
    finally:
        jit.halves_vectors.cache_clear()


@pytest.mark.parametrize("cpu", tiles.TILES)
def test_groups_and_widths(cpu: str) -> None:
    for vectors, batch_size in itertools.product(range(1, 12), [None, *range(1, 14), 100]):
        check_listing(tiles.TILES[cpu], vectors, batch_size)


def check_listing(shape: tiles.Tiles, vectors: int, batch_size: int | None) -> None:
    """Check that sums stay in registers, and that groups are even and widths are all there."""
    listing = shape.listing(vectors, batch_size)
    assert listing.rows <= (batch_size or 10)
    panel = tiles.panel_vectors(vectors, len(shape.rows))
    assert {panel, vectors % panel} - {0} <= set(listing.widths)
    if not listing.groups:
        assert batch_size == 1 or vectors < (shape.sorted_from or 99)
        return
    assert sum(listing.groups) == listing.rows
    assert len(listing.groups) <= shape.most_groups
    assert max(listing.groups) - min(listing.groups) <= 1
    assert listing.rows * max(listing.widths) <= 20


def test_a_row_of_its_own_is_not_sorted() -> None:
    for shape in tiles.TILES.values():
        assert shape.listing(2, 1).groups == ()
