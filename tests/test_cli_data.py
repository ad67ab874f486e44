"""``fastnn data``: the sets that it lists, verifies and fetches."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import failure, run
from fastnn import data


@pytest.mark.parametrize("arguments", [["data"], ["data", "list"]])
def test_data_lists_every_set(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(data.NAMES)


def test_data_list_looks_into_a_folder(tmp_path: Path) -> None:
    lines = run("data", "list", "--data", tmp_path).stdout.splitlines()
    assert lines[1] == "mnist    not here"


def test_data_verify(tmp_path: Path) -> None:
    result = run("data", "verify", "digits")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(data.verify("digits"))
    assert str(tmp_path) in failure(run("data", "verify", "mnist", "--data", tmp_path))


@pytest.mark.parametrize("command", ["data verify", "profile", "train", "path", "sweep"])
def test_the_digits_are_in_no_folder(command: str, tmp_path: Path) -> None:
    result = run(*command.split(), "digits", "--data", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "it is for mnist and fashion, not digits" in result.stderr


def test_data_fetch_prints_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *, progress: bool) -> list[Path]:
        if name == "fashion":
            raise OSError("no mirror answered:\n  first\n  second")
        return [Path(name)]

    monkeypatch.setattr(data, "fetch", fetch)
    assert run("data", "fetch", "mnist").stdout == "mnist\n"
    assert failure(run("data", "fetch", "fashion")).endswith("no mirror answered: first second")
