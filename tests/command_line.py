"""The command line, run in the tests' own process."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from fastnn.cli import app

QUICK = ["--epochs", "2", "--batch-size", "50"]


def run(*arguments: object) -> Result:
    """Run ``fastnn`` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_json(*arguments: object) -> dict[str, Any]:
    """Return the object that a command prints with ``--json``."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def failure(result: Result) -> str:
    """Return the only line that a failed command has written to standard error."""
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("fastnn: ")
    return line
