"""The book's loader: its shapes and types, and pickles that are read without being run."""

from __future__ import annotations

import gzip
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import data
from fastnn.checks import FileFormatError
from fastnn.nielsen import mnist_loader
from fastnn.nielsen._pickle import load_arrays


def parts(dtype: str = "float32") -> tuple[Any, ...]:
    """Return three small pairs like those in the book's file."""
    rng = np.random.default_rng(0)
    return tuple(
        (
            (rng.integers(0, 256, (n, 784)) / 256).astype(dtype),
            rng.integers(0, 10, n).astype(np.int64),
        )
        for n in (5, 3, 2)
    )


def python2_array(array: np.ndarray) -> bytes:
    """Return the opcodes that Python 2 wrote for `array` with pickle protocol 2."""
    code = array.dtype.str[1:].encode()
    shape = b"(" + b"".join(b"M" + struct.pack("<H", size) for size in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
    dtype += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"T" + struct.pack("<i", array.nbytes) + array.tobytes()
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def python2_pickle(arrays: tuple[Any, ...]) -> bytes:
    pairs = [python2_array(images) + python2_array(labels) + b"\x86" for images, labels in arrays]
    return b"\x80\x02" + b"".join(pairs) + b"\x87."


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Return a function that writes a pickle to the book's path, relative to the current folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")

    def write(content: bytes) -> Path:
        path = tmp_path / "data" / "mnist.pkl.gz"
        path.write_bytes(gzip.compress(content))
        return path

    return write


def assert_same(came: Any, wanted: Any) -> None:
    assert len(came) == len(wanted) == 3
    for came_part, wanted_part in zip(came, wanted, strict=True):
        for got, expected in zip(came_part, wanted_part, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "dumped",
    [python2_pickle, lambda p: pickle.dumps(p, protocol=3), lambda p: pickle.dumps(p, protocol=4)],
    ids=["python 2", "protocol 3", "protocol 4"],
)
def test_the_books_file_is_read(write: Callable[[bytes], Path], dumped: Any) -> None:
    write(dumped(parts()))
    assert_same(mnist_loader.load_data(), parts())


def test_arrays_in_fortran_order_and_of_the_other_byte_order(tmp_path: Path) -> None:
    arrays = (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(4, dtype=">i4"))
    path = tmp_path / "arrays.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(arrays, protocol=4)))
    for came, wanted in zip(load_arrays(path), arrays, strict=True):
        assert came.dtype == wanted.dtype.newbyteorder("=")
        np.testing.assert_array_equal(came, wanted)


def test_the_wrapper_gives_columns_vectors_and_numbers(write: Callable[[bytes], Path]) -> None:
    write(pickle.dumps(parts(), protocol=4))
    training, validation, test = mnist_loader.load_data_wrapper()
    assert [type(pairs) for pairs in (training, validation, test)] == [list] * 3
    assert [len(pairs) for pairs in (training, validation, test)] == [5, 3, 2]
    (images, labels), _, (test_images, test_labels) = parts()
    for i, (x, y) in enumerate(training):
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((784, 1), "float32", (10, 1), "float64")
        np.testing.assert_array_equal(x[:, 0], images[i])
        assert y[labels[i]] == y.sum() == 1.0
    x, y = test[1]
    np.testing.assert_array_equal(x[:, 0], test_images[1])
    assert isinstance(y, np.integer)
    assert y == test_labels[1]


class RunsOnLoad:
    """An object whose pickle runs code when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_the_pickle_runs(write: Callable[[bytes], Path], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    write(pickle.dumps((parts(), RunsOnLoad(trace)), protocol=4))
    with pytest.raises(FileFormatError, match="arrays alone"):
        mnist_loader.load_data()
    assert not trace.exists()


def array_of(code: bytes, shape: bytes = b"K\x01\x85", data: bytes = b"U\x04abcd") -> bytes:
    """Return the pickle of an array with the given opcodes for its dtype code, shape and data."""
    dtype = b"cnumpy\ndtype\n" + code + b"\x85R"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return b"\x80\x02" + empty + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


def shared(times: int) -> bytes:
    """Return a pickle of tuples, each of which holds the one before it twice, from the memo."""
    steps = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(times))
    return b"\x80\x04K\x01\x85\x94" + steps + b"."


def one_array_many_times(times: int) -> bytes:
    """Return a pickle of many arrays that share one byte string of 1 MB."""
    state = b"K\x01J\x00\x00\x10\x00\x85h\x02\x89h\x01t"
    empty = b"h\x00cnumpy\nndarray\nK\x00\x85U\x01b\x87R("
    parts = b"cnumpy.core.multiarray\n_reconstruct\n\x94B\x00\x00\x10\x00" + bytes(1 << 20)
    parts += b"\x94cnumpy\ndtype\nU\x02u1\x85R\x94"
    return b"\x80\x04" + parts + b"(" + (empty + state + b"b") * times + b"t."


HOSTILE = {
    "another callable": b"\x80\x02cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.",
    "a command": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "a command in the oldest protocol": b"cos\nsystem\n(S'true'\ntR.",
    "an instance of a class": b"(S'true'\nios\nsystem\n.",
    "an object of a class": b"(cos\nsystem\nS'true'\no.",
    "a new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "a registered name": b"\x80\x02\x82\x01.",
    "a name of the caller's": b"\x80\x02K\x01Q.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0ddtype.__new__\x93.",
    "numpy's reader of files": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.",
    "numpy's scalar": pickle.dumps(np.float32(1), protocol=4),
    "an array of objects": pickle.dumps(np.array([None, 1], dtype=object), protocol=4),
    "a structured array": pickle.dumps(np.zeros(2, [("a", "f4")]), protocol=4),
    "a dtype of a number": array_of(b"K\x04"),
    "a dtype of objects": array_of(b"U\x02O8"),
    "a dtype of a huge text": array_of(b"U\x0aS999999999"),
    "a dtype of a huge subarray": array_of(b"U\x0c(1000000,)f4"),
    "a dtype of many fields": array_of(b"U\x05f4,f4"),
    "a shape of text": array_of(b"U\x02f4", shape=b"U\x01a\x85"),
    "a shape of -1": array_of(b"U\x02f4", shape=b"J\xff\xff\xff\xff\x85"),
    "a shape of floats": array_of(b"U\x02f4", shape=b"NN\x86"),
    "no shape": array_of(b"U\x02f4", shape=b"N"),
    "data of nothing": array_of(b"U\x02f4", data=b"N"),
    "data of a number": array_of(b"U\x02f4", data=b"K\x04"),
    "data of three bytes": array_of(b"U\x02f4", data=b"U\x03abc"),
    "an array without a state": b"\x80\x02cnumpy\nndarray\n)R.",
    "a state of nothing": b"\x80\x02cnumpy\nndarray\n)RNb.",
    "a dtype alone": b"\x80\x02cnumpy\ndtype\nU\x02f4\x85R.",
    "a name alone": b"\x80\x02cnumpy\ndtype\n.",
    "a list within itself": b"\x80\x04]\x94h\x00a.",
    "a claim of bytes": b"\x80\x04\x8e\x00\x00\x00\x00\x10\x00\x00\x00abc.",
    "a claim of a frame": b"\x80\x04\x95\x00\x00\x00\x00\x10\x00\x00\x00K\x01.",
    "a claim of a memo": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "one array a thousand times": one_array_many_times(1000),
    "text": b"not a pickle",
    "nothing": b"",
    "a shape that is not there": python2_array(np.zeros((2, 2), "f4")).replace(
        b"M\x02\x00M\x02\x00", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f"
    )
    + b".",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_anything_else_is_refused(write: Callable[[bytes], Path], content: bytes) -> None:
    path = write(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"mnist\.pkl\.gz"):
            load_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(content) + 4_000_000
    finally:
        tracemalloc.stop()


def test_what_is_named_twice_is_made_once(write: Callable[[bytes], Path]) -> None:
    value = load_arrays(write(shared(50)))
    for _ in range(50):
        first, second = value
        assert first is second
        value = first
    assert value == (1,)
    for array in load_arrays(write(one_array_many_times(1))):
        np.testing.assert_array_equal(array, np.zeros(1 << 20, "u1"))


def test_max_bytes(write: Callable[[bytes], Path]) -> None:
    content = pickle.dumps(parts(), protocol=4)
    path = write(content)
    load_arrays(path, max_bytes=len(content))
    with pytest.raises(FileFormatError, match=f"larger than max_bytes={len(content) - 1:,}"):
        load_arrays(path, max_bytes=len(content) - 1)
    path = write(bytes(1 << 26))  # 64 KB on disk
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="larger than max_bytes"):
            load_arrays(path, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_is_cut_short_or_not_gzip(write: Callable[[bytes], Path]) -> None:
    path = write(pickle.dumps(parts(), protocol=4))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"plain", whole[:-20] + bytes(12) + whole[-8:]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="arrays alone"):
            mnist_loader.load_data()


@pytest.mark.parametrize(
    "content",
    [parts()[:2], 7, (1, 2, 3), ((np.zeros((2, 3), "f4"), np.zeros(2)),) * 3],
    ids=["two parts", "a number", "numbers", "narrow images"],
)
def test_arrays_that_are_not_mnist(write: Callable[[bytes], Path], content: Any) -> None:
    write(pickle.dumps(content, protocol=4))
    with pytest.raises(FileFormatError, match="three pairs"):
        mnist_loader.load_data()


def spoiled(images: Any = None, labels: Any = None) -> tuple[Any, ...]:
    """Return MNIST's parts, with other images or labels in the second."""
    training, (own_images, own_labels), test = parts()
    images = own_images if images is None else images
    return training, (images, own_labels if labels is None else labels), test


@pytest.mark.parametrize(
    "content",
    [
        spoiled(labels=np.array([1, 12, 3])),
        spoiled(labels=np.array([1, -1, 3])),
        spoiled(labels=np.array([1, 3.7, 3])),
        spoiled(labels=np.array([1.0, 2.0, 3.0])),
        spoiled(images=np.full((3, 784), 255, "u1")),
        spoiled(images=np.full((3, 784), np.nan, "f4")),
        spoiled(images=np.full((3, 784), np.inf, "f4")),
        spoiled(images=np.full((3, 784), 1e39)),
        spoiled(images=np.zeros((0, 784), "f4"), labels=np.zeros(0, "i8")),
    ],
    ids=["12", "-1", "3.7", "floats", "bytes", "nan", "infinity", "too large", "no rows"],
)
def test_rows_that_are_not_mnists(write: Callable[[bytes], Path], content: Any) -> None:
    write(pickle.dumps(content, protocol=4))
    with pytest.raises(FileFormatError, match=r"mnist\.pkl\.gz must hold three pairs"):
        mnist_loader.load_data_wrapper()


@pytest.mark.parametrize("labels", ["u1", "i4", "i8"])
def test_labels_of_any_integer_type(write: Callable[[bytes], Path], labels: str) -> None:
    write(pickle.dumps(spoiled(labels=np.array([1, 9, 0], labels)), protocol=4))
    found = mnist_loader.load_data()[1][1]
    assert found.dtype == np.int64
    assert found.tolist() == [1, 9, 0]


def test_without_the_books_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digits: data.Dataset
) -> None:
    """The split and the scale are right for the embedded digits, used instead of MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda name: {"mnist": digits}[name])
    monkeypatch.setattr(mnist_loader, "TRAINING_IMAGES", 1000)
    training, validation, test = mnist_loader.load_data()
    assert [len(part[1]) for part in (training, validation, test)] == [1000, 437, 360]
    assert validation[0].dtype == np.float32
    np.testing.assert_array_equal(validation[0], digits.train_images[1000:] / 256)
    np.testing.assert_array_equal(validation[1], digits.train_labels[1000:])


def test_mnist(mnist: data.Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    training, validation, test = mnist_loader.load_data_wrapper()
    assert [len(pairs) for pairs in (training, validation, test)] == [50_000, 10_000, 10_000]
    x, y = training[0]
    assert (x.shape, x.dtype, y.shape) == ((784, 1), "float32", (10, 1))
    np.testing.assert_array_equal(x[:, 0] * 256, mnist.train_images[0])
    assert [int(y.argmax()) for _, y in training[:5]] == [5, 0, 4, 1, 9]
    assert [int(y) for _, y in test[:5]] == [7, 2, 1, 0, 4]
    assert validation[0][1] == mnist.train_labels[50_000]
