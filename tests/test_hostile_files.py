"""Damaged or hostile files: reading one raises FileFormatError or returns something sound.

Sound files are mutated: their bytes, numbers, slices and lengths. Whatever the result, reading one
raises nothing else, opens no other file, starts no process, and takes no more memory than the size
of the content justifies. `pytest -m long tests/test_hostile_files.py -s` tries 200,000 inputs of
every format and prints how many were refused.
"""

from __future__ import annotations

import gzip
import io
import pickle
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy  # noqa: F401 - so that no watched read imports it
from hypothesis import HealthCheck, given, settings

import fastnn
from fastnn import FileFormatError, Network
from fastnn.array_files import map_npy, read_idx
from fastnn.nielsen import network2
from fastnn.nielsen._pickle import load_arrays
from fastnn.penalties import L1, L2
from fastnn.svmlight import read_svmlight
from fastnn.trainer import fit_checkpoints, fitting
from fastnn.trainer.run import Run
from mutations import EACH, PROGRAMS, mutated, programs_of

MANY, FEW = 200_000, 2_000
BYTES_PER_BYTE = 100  # an empty list takes 3 characters in JSON, and 64 bytes in memory
BYTES_AT_LEAST = 4 << 20  # buffers

STANDARD_LIBRARY = str(Path(tracemalloc.__file__).parent)

# Every mutated activation would need another kernel.
pytestmark = pytest.mark.usefixtures("numpy_path")


# ---------------------------------------------------------------------------------- what is mutated


def saved(suffix: str, tmp_path: Path) -> list[bytes]:
    """Return small model files that together contain everything a model file may have."""
    plain = Network([2, 2, 1], seed=1)
    rich = Network(
        [4, 2, 3], activation=["relu", "softmax"], cost="log_likelihood", dtype="float64", seed=1
    )
    rich.weights[0][:, 1] = 0
    rich.compact()
    with np.errstate(all="ignore"):
        rich.fit(
            np.ones((3, 4)), [0, 1, 2], epochs=1, optimizer=fastnn.Momentum(0.1),
            penalty=[L1(0.1, method="cumulative"), L2(0.2)],
        )  # fmt: skip
    assert rich.optimizer_state is not None
    assert rich.optimizer_state.kept
    labels = Network([2, 2], multilabel=True, input_scale=0.5, seed=1)
    contents = []
    for number, network in enumerate((plain, rich, labels)):
        network.save(tmp_path / f"{number}.{suffix}")
        contents.append((tmp_path / f"{number}.{suffix}").read_bytes())
    return contents


def book_files(tmp_path: Path) -> list[bytes]:
    np.random.seed(1)
    contents, path = [], tmp_path / "book"
    for cost in (network2.CrossEntropyCost, network2.QuadraticCost):
        network2.Network([3, 2, 1], cost).save(path)
        contents.append(path.read_bytes())
    return contents


def idx_files(tmp_path: Path) -> list[bytes]:
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 2, 3)
    return [header + bytes(range(12)), struct.pack(">BBBBI", 0, 0, 8, 1, 3) + b"abc"]


def npy_files(tmp_path: Path) -> list[bytes]:
    contents = []
    for array in (np.arange(6, dtype="f4").reshape(2, 3), np.asfortranarray(np.eye(2)), np.ones(3)):
        file = io.BytesIO()
        np.save(file, array)
        contents.append(file.getvalue())
    return contents


def pickles(tmp_path: Path) -> list[bytes]:
    part = np.arange(6, dtype="f4").reshape(2, 3), np.arange(2)
    python2 = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02u1\x85R\x89U\x03abctb."
    )
    return [python2, *(pickle.dumps((part, part), protocol) for protocol in (3, 4))]


def svmlight_files(tmp_path: Path) -> list[bytes]:
    return [b"-1 1:0.5 4:2 # of a row\n+1 2:-3e1\n", b"3 qid:1 1:1\n0\n2.5 3:1e-3 9:7\n"]


class LastRun(Run):
    """A run that is kept in `last`, because reading its checkpoints needs it."""

    last: Run

    def train(self) -> Any:
        LastRun.last = self
        return super().train()


def checkpoints(tmp_path: Path) -> list[bytes]:
    rng, path = np.random.default_rng(1), tmp_path / "run"
    X, y = rng.random((12, 3)), rng.integers(0, 2, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "Run", LastRun)
        fastnn.Network([3, 2, 2], seed=1).fit(
            X, y, epochs=2, optimizer=fastnn.Adam(), penalty=[L1(1.0), None], dropout=0.5,
            validation_fraction=0.2, early_stopping=3, checkpoint=path,
        )  # fmt: skip
    return [path.read_bytes()]


def read_checkpoint(path: Path) -> Any:
    """Read a checkpoint for the last run; one of another fit counts as refused."""
    try:
        return fit_checkpoints.load(path, LastRun.last)
    except ValueError as error:
        if "of another fit" not in str(error):
            raise
        raise FileFormatError(str(error)) from error


# ------------------------------------------------------------------------------------ what is sound


def sound_layers(network: Any, *columns: int) -> None:
    """Check the arrays; `columns` is the end of the biases' shape."""
    for layer, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        assert w.shape == (network.sizes[layer + 1], network.sizes[layer])
        assert b.shape == (len(w), *columns)
        assert w.dtype == b.dtype == network.dtype
        assert np.isfinite(w).all()
        assert np.isfinite(b).all()


def sound_network(network: Network) -> None:
    sound_layers(network)
    if (left := network.optimizer_state) is not None:
        own = [(a.shape, a.dtype) for a in network.weights + network.biases]
        for arrays in [*left.memories, *([left.kept] if left.kept else [])]:
            assert [(a.shape, a.dtype) for a in arrays] == own
            assert all(np.isfinite(a).all() for a in arrays)
        assert left.steps >= 0
        assert left.total >= 0
    with np.errstate(all="ignore"):
        outputs = network.predict_proba(np.zeros((2, network.n_inputs), "u1"))
    assert outputs.shape == (2, network.sizes[-1])


def sound_book_network(network: network2.Network) -> None:
    sound_layers(network, 1)
    with np.errstate(all="ignore"):
        outputs = network.feedforward(np.zeros((network.sizes[0], 1)))
    assert outputs.shape == (network.sizes[-1], 1)


def sound_array(array: np.ndarray) -> None:
    assert array.ndim >= 1
    assert array.dtype.kind in "biuf"
    with np.errstate(all="ignore"):
        array.sum(dtype=np.float64)  # every byte can be read


def sound_pickle(value: Any, depth: int = 0) -> None:
    if isinstance(value, tuple) and depth < 5:
        for part in value[:5]:
            sound_pickle(part, depth + 1)
    assert isinstance(value, (tuple, np.ndarray, int, float, str, bytes, type(None)))


def sound_rows(rows: Any) -> None:
    X, y = rows
    assert X.shape[0] == len(y) > 0
    assert X.indptr[0] == 0
    assert X.indptr[-1] == X.nnz == len(X.data)
    if X.nnz:
        assert 0 <= X.indices.min() <= X.indices.max() < X.shape[1]
    assert y.dtype in (np.int64, np.float64)


def sound_position(found: Any) -> None:
    network = LastRun.last.network
    for array, own in zip(found.arrays[0], network.weights, strict=True):
        assert (array.shape, array.dtype) == (own.shape, own.dtype)
    assert 0 <= found.position.done <= LastRun.last.n
    assert sorted([*found.training_rows, *found.validation_rows]) == sorted(
        {*found.training_rows, *found.validation_rows}
    )


class Format(NamedTuple):
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    sound: Callable[[Any], None]
    zipped: tuple[bool, ...]  # for each form that is tried, whether the content is compressed
    name: str = "hostile"


FORMATS = {
    "json": Format(lambda p: saved("json", p), fastnn.load, sound_network, (False,)),
    "network2": Format(book_files, network2.load, sound_book_network, (False,)),
    "safetensors": Format(lambda p: saved("safetensors", p), fastnn.load, sound_network, (False,)),
    "idx": Format(idx_files, read_idx, sound_array, (False, True)),
    "npy": Format(npy_files, map_npy, sound_array, (False,)),
    "pickle": Format(pickles, load_arrays, sound_pickle, (True,)),
    "svmlight": Format(svmlight_files, read_svmlight, sound_rows, (False,)),
    "svmlight.gz": Format(svmlight_files, read_svmlight, sound_rows, (True,), "hostile.svm.gz"),
    "checkpoint": Format(checkpoints, read_checkpoint, sound_position, (False,)),
}


# ------------------------------------------------------------------------------- what is watched


class Watch:
    """Collects what is opened or started during a read; an audit hook cannot be removed."""

    events: list[tuple[str, Any]] | None = None

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.events is None or event not in ("open", "os.system", "subprocess.Popen", "os.exec"):
            return
        if not str(arguments[0]).startswith(STANDARD_LIBRARY):  # ignore a codec at its first use
            cls.events.append((event, arguments[0]))


sys.addaudithook(Watch.hook)


def outcome(form: Format, path: Path) -> bool:
    """Return whether the file could be loaded, after the checks that hold either way."""
    value = None
    tracemalloc.start()
    Watch.events = []
    try:
        value = form.read(path)
    except FileFormatError:
        pass
    finally:
        events, Watch.events = Watch.events, None
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert taken < BYTES_PER_BYTE * path.stat().st_size + BYTES_AT_LEAST
    assert all(event == ("open", str(path)) or event == ("open", path) for event in events), events
    if value is not None:
        form.sound(value)
    return value is not None


def try_many(name: str, count: int, tmp_path: Path, *, derandomize: bool) -> tuple[int, int]:
    """Try `count` mutated inputs; return how many were loaded and how many were refused."""
    form = FORMATS[name]
    path = tmp_path / form.name
    seeds = form.seeds(tmp_path)
    counts = [0, 0]

    file = open(path, "wb", buffering=0)  # noqa: SIM115 - opening it each time is the slowest part

    def put(content: bytes, zipped: bool) -> None:
        content = gzip.compress(content, 1) if zipped else content
        file.seek(0)
        file.truncate(file.write(content))

    for zipped in form.zipped:
        for seed in seeds:
            put(seed, zipped)
            form.sound(form.read(path))

    @settings(
        max_examples=count // EACH,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @given(PROGRAMS)
    def holds(drawn: bytes) -> None:
        for number, program in enumerate(programs_of(drawn)):
            put(mutated(program, seeds), form.zipped[number % len(form.zipped)])
            counts[outcome(form, path)] += 1

    with file:
        holds()
    return counts[True], counts[False]


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(name: str, tmp_path: Path) -> None:
    loaded, refused = try_many(name, FEW, tmp_path, derandomize=True)
    assert loaded + refused >= FEW
    assert loaded > 0  # some mutations change nothing that matters
    assert refused > FEW / 10


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files(name: str, tmp_path: Path) -> None:
    loaded, refused = try_many(name, MANY, tmp_path, derandomize=False)
    print(f"\n{name}: {loaded + refused:,} inputs, {refused:,} refused, {loaded:,} loaded")
    assert loaded + refused >= MANY


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if True in form.zipped])
def test_mutated_gzip_files(name: str, tmp_path: Path) -> None:
    """The compressed bytes themselves are mutated, with a file name in their header."""
    form, rng = FORMATS[name], random.Random(1)
    path = tmp_path / form.name
    zipped = io.BytesIO()
    with gzip.GzipFile(filename="/etc/passwd", fileobj=zipped, mode="wb") as file:
        file.write(form.seeds(tmp_path)[0])
    path.write_bytes(zipped.getvalue())
    form.sound(form.read(path))  # imports what it needs before memory is counted
    assert outcome(form, path)
    for _ in range(500):
        path.write_bytes(mutated(rng.randbytes(9), [zipped.getvalue()]))
        outcome(form, path)


def test_a_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    """The file holds 64 MB of zeros in 64 KB."""
    header = struct.pack(">BBBBI", 0, 0, 8, 1, 1 << 26)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(header + bytes(1 << 26)))
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="more than max_bytes=1,048,576"):
            read_idx(path, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < BYTES_AT_LEAST
    finally:
        tracemalloc.stop()
    assert len(read_idx(path, max_bytes=1 << 26)) == 1 << 26
