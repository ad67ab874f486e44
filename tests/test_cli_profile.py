"""``fastnn profile``: what it prints, writes and refuses."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import get_args

import pytest

import command_line
from fastnn.cli.profile import ProfileData
from fastnn.engine import jit
from fastnn.profiling import setting

compiles = pytest.mark.skipif(not jit.is_on(), reason="profiles compiled kernels")

run = functools.partial(command_line.run, "profile")
QUICK = ["--sizes", "70,9,4", "--batch-size", "7", "--rows", "60", "--rounds", "1"]


@compiles
def test_the_command(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    told, picture = tmp_path / "profile.json", tmp_path / "profile.png"
    result = run("synthetic", *QUICK, "--penalty", "l1", "--json", told, "--plot", picture)
    assert result.exit_code == 0, result.output
    assert "[70, 9, 4], batches of 7" in result.stdout
    assert result.stderr == ""
    saved = json.loads(told.read_text("utf-8"))
    assert [penalty["name"] for penalty in saved["penalties"]] == ["l1"]
    assert (saved["rows"], saved["rounds"], saved["dtype"]) == (60, 1, "float32")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_knows_every_data_set() -> None:
    assert set(get_args(ProfileData)) == set(setting.DATA_NAMES)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--sizes", "784"], "--sizes"),
        (["--sizes", "784,0,10"], "--sizes"),
        (["--sizes", "784,thirty"], "--sizes"),
        (["--batch-size", "0"], "--batch-size"),
        (["--lmbda", "nan"], "--lmbda"),
        (["--dtype", "int8"], "--dtype"),
        (["--threads", "0"], "--threads"),
        (["--rounds", "0"], "--rounds"),
        (["--rows", "0"], "--rows"),
        (["--json", "no/such/folder/x.json"], "--json"),
        (["--plot", "."], "--plot"),
        (["--plot", "x.xyz"], "one of the endings"),
        (["mnits"], "mnits"),
        pytest.param(["--penalty", "l3"], "did you mean 'l", marks=compiles),
        pytest.param(["digits"], "sizes must begin with 64", marks=compiles),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("fastnn.profiling.profile", lambda *_, **__: pytest.fail("was measured"))
    result = run("--plot", tmp_path / "x.png")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "matplotlib" in result.stderr
