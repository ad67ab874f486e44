"""The time that the programs in docs/book.md take, from one seed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fastnn import data


def script() -> ModuleType:
    """Import benchmarks/book_chapters.py, which is not on the path, and return the module."""
    spec = importlib.util.spec_from_file_location(
        "book_chapters", Path(__file__).with_name("book_chapters.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


book_chapters = script()
PROGRAMS = book_chapters.programs()


@pytest.fixture(scope="module")
def given(runs_once: bool) -> dict[str, Any]:
    try:
        data.load("mnist", download=False)
    except OSError:
        pytest.skip("needs MNIST")
    names = book_chapters.namespace()
    return book_chapters.few(names) if runs_once else names


@pytest.mark.benchmark(group="programs of the book")
@pytest.mark.parametrize("program", PROGRAMS, ids=[program.title for program in PROGRAMS])
def test_program(timed: Callable[..., Any], given: dict[str, Any], program: Any) -> None:
    result = timed(lambda _: book_chapters.run(program, 1, given), lambda: None)
    assert 0 <= result.best <= 100
