"""The package as a whole: what an import loads, what imports what, and the README's commands."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
README = Path(__file__).parent.parent / "README.md"

FLOORS = {
    "fastnn": 0,
    "fastnn.reference": 0,
    "fastnn.checks": 0,
    "fastnn.csr": 0,
    "fastnn.array_files": 1,
    "fastnn.download": 0,
    "fastnn.files": 0,
    "fastnn.interrupts": 0,
    "fastnn.bandwidth": 0,
    "fastnn.machine": 0,
    "fastnn.synthetic": 0,
    "fastnn.activations": 1,
    "fastnn.costs": 1,
    "fastnn.penalties": 1,
    "fastnn.initializers": 1,
    "fastnn.schedules": 1,
    "fastnn.history": 1,
    "fastnn.optimizer_state": 1,
    "fastnn.arrays": 1,
    "fastnn.data": 2,
    "fastnn.model_files": 2,
    "fastnn.svmlight": 1,
    "fastnn.pairs": 2,
    "fastnn.row_files": 2,
    "fastnn.block_sources": 2,
    "fastnn.sweep_records": 1,
    "fastnn.plugin_digests": 1,
    "fastnn.sweep_space": 2,
    "fastnn.blocks": 3,
    "fastnn.optimizers": 2,
    "fastnn.registering": 2,
    "fastnn.strength": 2,
    "fastnn.sparsity": 2,
    "fastnn.network_checks": 2,
    "fastnn.tasks": 2,
    "fastnn.progress": 2,
    "fastnn.callbacks": 2,
    "fastnn.engine": 3,
    "fastnn.weighting": 3,
    "fastnn.network": 4,
    "fastnn.exchange": 5,
    "fastnn.trainer": 5,
    "fastnn.nielsen": 6,
    "fastnn.estimators": 6,
    "fastnn.regularization_path": 6,
    "fastnn.profiling": 6,
    "fastnn.sweeps": 6,
    "fastnn.plots": 6,
    "fastnn.local_sgd": 6,
    "fastnn.block_training": 7,
    "fastnn.bench": 7,
    "fastnn.dask": 7,
    "fastnn.cli": 8,
    "fastnn.__main__": 9,
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


# `fastnn.cli.bench` belongs to the command line, but loads the benchmark only when called.
BENCHMARK = {name for name in MODULES if name.startswith("fastnn.bench")} | {"fastnn.cli.bench"}


def room(module: str) -> str:
    """Return the entry of FLOORS for `module`: ``fastnn.engine`` for ``fastnn.engine.x``."""
    return ".".join(module.split(".")[:2])


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, however deeply nested."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from statements(statement.orelse)
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from statements(handler.body)


def imported(module: str, source: str, *, is_package: bool) -> set[str]:
    """Return the absolute names of the modules that an import of `module` imports itself."""
    found = set()
    for statement in statements(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                parents = module.split(".")[: None if is_package else -1]
                parents = parents[: len(parents) - statement.level + 1]
                base = ".".join([*parents, base]) if base else ".".join(parents)
            # The imported name may be a module: `from fastnn import data`.
            names = {f"{base}.{alias.name}" for alias in statement.names}
            found |= (names & MODULES.keys()) or {base}
    return found


def rooms_imported_by(module: str) -> set[str]:
    path = MODULES[module]
    names = imported(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    return {room(name) for name in names if name.split(".")[0] == "fastnn"}


def test_every_file_is_on_a_floor() -> None:
    assert {room(module) for module in MODULES} == FLOORS.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_lower_floors(module: str) -> None:
    here = room(module)
    for other in rooms_imported_by(module) - {here}:
        assert FLOORS[other] < FLOORS[here], f"{module} imports {other}"


# Imports inside functions from the same or a higher floor; docs/design.md lists them.
UPWARDS = {
    ("fastnn.history", "fastnn.plots"),
    ("fastnn.sweep_records", "fastnn.plots"),
    ("fastnn.network", "fastnn.trainer"),
    ("fastnn.network", "fastnn.block_training"),
    ("fastnn.network", "fastnn.exchange"),
}


def late_rooms(module: str) -> set[str]:
    """Return the entries of FLOORS that functions of `module` import from when they run."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = set()
    for node in itertools.chain.from_iterable(map(ast.walk, functions)):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {room(name) for name in names & MODULES.keys() or {str(node.module)}}
        elif isinstance(node, ast.Import):
            found |= {room(alias.name) for alias in node.names}
    return {name for name in found if name in FLOORS} - {room(module)}


def test_functions_import_from_higher_floors_only_where_it_is_said() -> None:
    found = set()
    for module in MODULES:
        here = room(module)
        found |= {(here, o) for o in late_rooms(module) if FLOORS[o] >= FLOORS[here]}
    assert found == UPWARDS


@pytest.mark.parametrize("module", [name for name in MODULES if name not in BENCHMARK])
def test_only_the_benchmark_imports_the_oracle(module: str) -> None:
    """Imports inside functions count too: all of the source is searched."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        else:
            continue
        assert not any(
            name.startswith(("fastnn.reference", "fastnn.bench", "benchmarks")) for name in names
        )


def test_imports_are_found_where_they_run() -> None:
    source = """
from __future__ import annotations
import fastnn.data
from fastnn import checks
from . import costs
from .engine import outputs
try:
    import fastnn.trainer
except ImportError:
    import fastnn.plots
if TYPE_CHECKING:
    import fastnn.cli
def late():
    import fastnn.nielsen
class C:
    import fastnn.network
"""
    expected = {"checks", "costs", "data", "engine", "network", "plots", "trainer"}
    names = imported("fastnn.x", source, is_package=False) - {"__future__"}
    assert names == {f"fastnn.{name}" for name in expected}


def test_import_loads_nothing_heavy() -> None:
    program = (
        "import sys, fastnn; "
        "heavy = {'numpy', 'numba', 'llvmlite', 'scipy', 'threadpoolctl', 'joblib', 'safetensors', "
        "'typer', 'rich', 'pooch', 'matplotlib', 'sklearn', 'dask', 'torch', 'onnx'}; "
        "print(*heavy & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def test_public_names() -> None:
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
        assert name in dir(fastnn)
    with pytest.raises(AttributeError, match="no_such_name"):
        fastnn.no_such_name  # noqa: B018


def test_modules_load_when_they_are_first_used() -> None:
    program = (
        "import sys, fastnn\n"
        "for name in set(fastnn._MODULES) - {'dask', 'estimators'}:\n"
        "    assert name in dir(fastnn)\n"
        "    assert getattr(fastnn, name) is sys.modules['fastnn.' + name]\n"
        "fastnn.plots.learning_curves, fastnn.schedules.ALL, fastnn.data\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    subprocess.run([sys.executable, "-c", "import fastnn; fastnn.plots.weight_images"], check=True)


def test_version_is_the_distributions() -> None:
    assert importlib.metadata.version("fastnn") == fastnn.__version__


def test_typed_marker_is_installed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_readme_has_its_two_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines.count("pip install . && fastnn train") == 1
    assert lines.count('pip install ".[test]" && pytest') == 1
