"""The documentation site: no public name is missing from its reference, and it builds strictly.

The public names are those of `fastnn`, those of modules with a tuple ``ALL``, and all that
README.md and docs/ import from the package. The build needs the extra `docs` and is skipped
without it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import pytest

import fastnn

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

CODE = re.compile(r"^```python.*\n((?:.*\n)*?)```$", re.M)
DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.M)
FOREIGN = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"https?:|<link[^>]*\shref=\"https?:")

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs"
)


def members(module: ModuleType) -> dict[str, object]:
    """Return a module's public objects by full name, without dunder names such as the version."""
    names = [name for name in module.__all__ if not name.startswith("__")]
    return {f"{module.__name__}.{name}": getattr(module, name) for name in names}


def imported_from_fastnn(code: str) -> dict[str, object]:
    """Return what `code` imports from the package, by full name; of a module, all its members."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastnn":
            for alias in node.names:
                module = importlib.import_module(node.module or "")
                value = getattr(module, alias.name, None)
                if value is None or isinstance(value, ModuleType):
                    found |= members(importlib.import_module(f"{node.module}.{alias.name}"))
                else:
                    found[f"{node.module}.{alias.name}"] = value
    return found


def public() -> dict[str, object]:
    found = members(fastnn)
    for path in sorted((ROOT / "fastnn").glob("[a-z]*")):
        name = f"fastnn.{path.stem}"
        if importlib.util.find_spec(name) and hasattr(importlib.import_module(name), "ALL"):
            found |= members(importlib.import_module(name))
    for document in DOCUMENTS:
        for code in CODE.findall(document.read_text("utf-8")):
            found |= imported_from_fastnn(code)
    return found


def described() -> list[object]:
    """Return the objects that the reference describes."""
    found: list[object] = []
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for name in DIRECTIVE.findall(page.read_text("utf-8")):
            home, _, last = name.rpartition(".")
            value = getattr(importlib.import_module(home), last, None)
            if value is None or isinstance(value, ModuleType):
                found += members(importlib.import_module(name)).values()
            else:
                found.append(value)
    return found


def test_every_public_name_is_in_the_reference() -> None:
    there = {id(value) for value in described()}
    assert [name for name, value in public().items() if id(value) not in there] == []


def test_what_code_imports_is_seen() -> None:
    code = "from fastnn import data\nfrom fastnn.nielsen.network2 import sigmoid\nimport numpy\n"
    names = imported_from_fastnn(code)
    assert {"fastnn.data.load", "fastnn.nielsen.network2.sigmoid"} <= names.keys()
    assert "fastnn.nielsen.network2.Network" not in names


@needs_mkdocs
def test_the_site_builds_with_every_name_and_nothing_foreign(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    inventory = (tmp_path / "objects.inv").read_bytes().split(b"zlib.\n", 1)[1]
    names = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    assert sorted(public().keys() - names) == []
    for page in tmp_path.rglob("*.html"):
        assert not FOREIGN.search(page.read_text("utf-8")), page.name
