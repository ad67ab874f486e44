"""The documents: their code runs, their links resolve, and their lists match the code.

In README.md and docs/, the blocks marked ``python`` run in order, in one namespace per document. In
the blocks marked ``sh``, the lines that call ``fastnn`` run. Blocks marked ``python mnist`` or ``sh
mnist`` run only if MNIST is available, after the plain ones above them. Those marked ``python mnist
long`` train on a few images here, and in full in benchmarks/book_chapters.py. Those marked ``python
torch`` run only if PyTorch is installed, after the plain ones.

``python tests/test_docs.py`` regenerates the tables of docs/plugins.md, and the source code that
docs/regularization.md shows.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from fastnn import activations, costs, initializers, optimizers, penalties, schedules
from fastnn.cli import app
from fastnn.engine import jit

ROOT = Path(__file__).parent.parent
PLUGINS, REGULARIZATION = ROOT / "docs" / "plugins.md", ROOT / "docs" / "regularization.md"
BOOK = ROOT / "docs" / "book.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCED = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.M)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:fastnn|tests|docs|benchmarks)/[\w./-]*)`")
FLOOR = re.compile(r"^\| (\d) \| `([\w./]+)` \|", re.M)
SOURCE = re.compile(r"<!-- source (\w+) -->\n(?:\n```python\n(?:.*\n)*?```\n)?")
TABLE = re.compile(r"<!-- (\w+) -->\n\n(?:\|.*\n)*")

KINDS = (
    "text", "python", "sh", "python mnist", "sh mnist", "python mnist long", "python torch",
)  # fmt: skip
FEW_IMAGES = 200

pytestmark = pytest.mark.usefixtures("registered_for_one_test")
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


# ---------------------------------------------------------------------------------- code that runs


class Block(NamedTuple):
    """A fenced block: the words after the fence, its text, and the line at which it begins."""

    marks: list[str]
    text: str
    line: int


def blocks_of(document: Path) -> list[Block]:
    """Return the blocks of a document; an unknown mark raises an `AssertionError`."""
    text = document.read_text("utf-8")
    blocks = []
    for match in FENCED.finditer(text):
        line = text[: match.start(2)].count("\n")
        assert match[1] in KINDS, f"{document.name}:{line}: unknown kind of block {match[1]!r}"
        blocks.append(Block(match[1].split(), match[2], line))
    return blocks


def commands_of(block: Block) -> list[str]:
    """Return the calls of ``fastnn`` in a block marked ``sh``, each in one line."""
    if block.marks[0] != "sh":
        return []
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("fastnn ")]


def with_few_images(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a namespace with every list cut to its first few items."""
    return {name: v[:FEW_IMAGES] if isinstance(v, list) else v for name, v in namespace.items()}


def run(document: Path, blocks: Sequence[Block]) -> int:
    """Run the blocks of one document; return how many of them had something to run."""
    namespace: dict[str, Any] = {"__name__": document.stem}
    ran = 0
    for block in blocks:
        if block.marks[0] == "python":
            # Empty lines first, so that a traceback has the document's line numbers.
            text = "\n" * block.line + block.text
            code = compile(text, document, "exec", dont_inherit=True)
            exec(code, with_few_images(namespace) if "long" in block.marks else namespace)
            ran += 1
        else:
            commands = commands_of(block)
            for command in commands:
                result = CliRunner().invoke(app, shlex.split(command, comments=True)[1:])
                assert result.exit_code == 0, f"{document.name}: {command}\n{result.output}"
            ran += bool(commands)
    return ran


def plain(document: Path) -> list[Block]:
    """Return the blocks of a document that run everywhere."""
    return [block for block in blocks_of(document) if not {"mnist", "torch"} & {*block.marks}]


COMPILED = [ROOT / "docs" / "index.md", ROOT / "docs" / "performance.md"]
WITH_CODE = [
    path
    for path in DOCUMENTS
    if any(block.marks == ["python"] or commands_of(block) for block in plain(path))
]
WITH_TORCH = [path for path in DOCUMENTS if any("torch" in b.marks for b in blocks_of(path))]
WITH_MNIST = [path for path in DOCUMENTS if any("mnist" in b.marks for b in blocks_of(path))]


@pytest.mark.parametrize("document", WITH_CODE, ids=lambda path: path.name)
def test_code(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small examples run on the numpy path: compiling would take longer than all of them."""
    if document in WITH_MNIST and os.environ.get("FASTNN_DATA"):
        pytest.skip("the next test runs it, with the rest of its document")
    monkeypatch.chdir(tmp_path)
    if document not in COMPILED:
        monkeypatch.setattr(jit, "is_on", lambda: False)
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # for the processes that the code starts
    assert run(document, plain(document)) > 0


@pytest.mark.parametrize("document", WITH_MNIST, ids=lambda path: path.name)
def test_code_with_mnist(
    document: Path, mnist: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in blocks_of(document) if "torch" not in block.marks]
    assert run(document, blocks) > 0


@pytest.mark.parametrize("document", WITH_TORCH, ids=lambda path: path.name)
def test_code_with_torch(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jit, "is_on", lambda: False)
    blocks = [block for block in blocks_of(document) if "torch" in block.marks]
    assert run(document, [*plain(document), *blocks]) > len(blocks)


def test_pages_with_code_are_found() -> None:
    assert {"README.md", "l1.md", "cli.md"} <= {path.name for path in WITH_CODE}
    assert {"README.md", "l1.md"} <= {path.name for path in WITH_MNIST}


def test_the_pages_on_other_formats_run_what_they_show() -> None:
    assert "files.md" in {path.name for path in WITH_TORCH}
    assert any(
        "read_svmlight(" in block.text
        for block in plain(ROOT / "docs" / "sparse.md")
        if block.marks == ["python"]
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", AssertionError),
        ("```sh\nfastnn train \\\n  --epochs 0\n```\n", AssertionError),
        ("```pyhton\nx = 1\n```\n", AssertionError),
    ],
)
def test_a_block_that_fails_is_seen(text: str, error: type[Exception], tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(text, "utf-8")
    with pytest.raises(error):
        run(document, blocks_of(document))


@every_document
def test_every_fence_belongs_to_a_block(document: Path) -> None:
    assert document.read_text("utf-8").count("```") == 2 * len(blocks_of(document))


# ---------------------------------------------------------------------------- links and file names


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text("utf-8"))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in LINK.findall(prose(document)):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@every_document
def test_relative_links_resolve(document: Path) -> None:
    assert broken_links(document) == []


@every_document
def test_files_that_are_named_exist(document: Path) -> None:
    names = FILE.findall(prose(document))
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n[x](page.md#a-page) [y](page.md#b) [z](no.md) [w](https://x.org)")
    assert broken_links(page) == ["page.md#b", "no.md"]


# ---------------------------------------------------------------------------------- what is listed


def floors() -> dict[str, int]:
    """Return the floors that tests/test_package.py pins."""
    tree = ast.parse((ROOT / "tests" / "test_package.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            pinned: dict[str, int] = ast.literal_eval(node.value)
            return pinned
    raise AssertionError("tests/test_package.py has no FLOORS")


def test_the_floors_in_the_design_are_the_pinned_ones() -> None:
    rows = FLOOR.findall((ROOT / "docs" / "design.md").read_text("utf-8"))
    rooms = {"fastnn." + place.rstrip("/").removesuffix(".py"): int(floor) for floor, place in rows}
    rooms["fastnn"] = rooms.pop("fastnn.__init__")
    assert rooms == floors()


def first_line(plugin: type) -> str:
    """Return the first line of a docstring, with the characters of Markdown's markup escaped."""
    line = (plugin.__doc__ or "").strip().splitlines()[0]
    return re.sub(r"([*_|<])", r"\\\1", line)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tables() -> dict[str, str]:
    """Return the tables of docs/plugins.md by name, made from the tuples ``ALL``."""
    return {
        "activations": table(
            ["name", "class", "what it is"],
            [[f"`{a.name}`", f"`{a.__name__}`", first_line(a)] for a in activations.ALL],
        ),
        "costs": table(
            ["name", "class", "output", "what it is"],
            [
                [
                    f"`{cost.name}`",
                    f"`{cost.__name__}`",
                    ", ".join(f"`{output}`" for output in cost.outputs),
                    first_line(cost),
                ]
                for cost in costs.ALL
            ],
        ),
        "initializers": table(
            ["name", "class", "what it is"],
            [[f"`{i.name}`", f"`{i.__name__}`", first_line(i)] for i in initializers.ALL],
        ),
        "schedules": table(
            ["name", "class", "what it is"],
            [[f"`{s.name}`", f"`{s.__name__}`", first_line(s)] for s in schedules.ALL],
        ),
        "optimizers": table(
            ["name", "class", "what it is"],
            [[f"`{o.name}`", f"`{o.__name__}`", first_line(o)] for o in optimizers.ALL],
        ),
        "penalties": table(
            ["name", "class", "what it is"],
            [[f"`{p.name}`", f"`{p.__name__}`", first_line(p)] for p in penalties.ALL],
        ),
    }


def with_tables(text: str) -> str:
    """Return the text of docs/plugins.md with its tables regenerated."""
    made = tables()
    return TABLE.sub(lambda match: f"<!-- {match[1]} -->\n\n{made[match[1]]}", text)


def test_plugins_are_listed() -> None:
    text = PLUGINS.read_text("utf-8")
    assert {match[1] for match in TABLE.finditer(text)} == tables().keys()
    assert with_tables(text) == text, "write the tables anew: python tests/test_docs.py"


def with_sources(text: str) -> str:
    """Return a document with the current source of each class of `penalties` that it shows."""

    def shown(match: re.Match[str]) -> str:
        source = inspect.getsource(getattr(penalties, match[1]))
        return f"<!-- source {match[1]} -->\n\n```python\n{source}```\n"

    return SOURCE.sub(shown, text)


def test_code_that_is_shown_is_the_source() -> None:
    text = REGULARIZATION.read_text("utf-8")
    assert SOURCE.search(text)
    assert with_sources(text) == text, "write it anew: python tests/test_docs.py"


def test_the_programs_of_the_book_reach_what_it_reports() -> None:
    """The table has every program. The tolerance of 0.4 points allows for other seeds."""
    text = BOOK.read_text("utf-8")
    told = re.findall(r"^```python mnist long\n# (\d)\. (.*): (.*)$", text, re.M)
    measured = re.findall(r"^\| (\d) \| (.*?) \| (.*?) \| (.*?) % \| [\d.]+ \|$", text, re.M)
    assert told
    assert told == [tuple(row[:3]) for row in measured]
    for _, title, published, accuracies in measured:
        if share := re.fullmatch(r"([\d.]+) %", published):
            assert max(map(float, accuracies.split(", "))) >= float(share[1]) - 0.4, title


if __name__ == "__main__":
    REGULARIZATION.write_text(with_sources(REGULARIZATION.read_text("utf-8")), "utf-8")
    PLUGINS.write_text(with_tables(PLUGINS.read_text("utf-8")), "utf-8")
