"""IDX files, and data sets from folders: the right content, or an error that says what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fastnn import data
from fastnn.array_files import read_idx
from fastnn.checks import FileFormatError
from idx_files import idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture(params=["plain", "gzip"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that writes content to a file, plain or gzipped, and returns its path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)
        return path

    return write


# IDX files


@pytest.mark.parametrize("shape", [(24,), (6, 4), (2, 3, 4), (2, 3, 2, 2), (1, 1, 24)])
def test_read_idx(write: Any, shape: tuple[int, ...]) -> None:
    array = read_idx(write(idx(IMAGES.reshape(shape))))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, IMAGES.reshape(shape))
    array[:] = 0  # the caller may write to it


def test_read_idx_of_several_chunks(write: Any) -> None:
    large = np.random.default_rng(0).integers(0, 256, (1500, 1000), np.uint8)
    np.testing.assert_array_equal(read_idx(write(idx(large))), large)


def test_read_idx_takes_a_str(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(idx(IMAGES))
    np.testing.assert_array_equal(read_idx(str(tmp_path / "a")), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: it begins with"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "type 0x08.*not type 0x0d"),
        (b"\0\0\x08\0", "1 to 4 dimensions, not 0"),
        (b"\0\0\x08\xff" + b"\0" * 2000, "1 to 4 dimensions, not 255"),
        (b"\0\0\x08\x03\0\0\0\x01\0\0", "ends within its header"),
        (b"\0\0\x08\x02\0\0\0\x05\0\0\0\0", r"at least one value, not shape \(5, 0\)"),
        (idx(IMAGES)[:-1], r"must hold 24 bytes.*\(2, 3, 4\), not 23"),
        (idx(IMAGES)[:16], "must hold 24 bytes.*not 0"),
        (idx(IMAGES) + b"x", "must hold 24 bytes.*not more"),
    ],
)
def test_read_idx_refuses(write: Any, content: bytes, message: str) -> None:
    path = write(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("end", [1, 5, 15, -1, -8, -12])
def test_read_idx_of_a_truncated_gzip(tmp_path: Path, end: int) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:end])
    with pytest.raises(FileFormatError):
        read_idx(path)


def test_read_idx_of_a_damaged_gzip(tmp_path: Path) -> None:
    sound = gzip.compress(idx(IMAGES))
    path = tmp_path / "file.gz"
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 0x5A
        path.write_bytes(damaged)
        try:
            array = read_idx(path)
        except FileFormatError:
            continue
        np.testing.assert_array_equal(array, IMAGES)  # the damaged field has no effect


def test_read_idx_of_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        read_idx(tmp_path)


def test_max_bytes(write: Any) -> None:
    path = write(idx(IMAGES))
    with pytest.raises(FileFormatError, match="claims 24 bytes, more than max_bytes=23"):
        read_idx(path, max_bytes=23)
    assert read_idx(path, max_bytes=24).shape == (2, 3, 4)


def peak_of_refusal(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError):
            read_idx(path, max_bytes=1 << 62)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_memory_for_what_a_header_only_claims(write: Any) -> None:
    claim = b"\0\0\x08\x03" + struct.pack(">III", 1 << 20, 1 << 20, 1 << 20)
    assert peak_of_refusal(write(claim + bytes(100))) < 4e6


def test_no_more_is_decompressed_than_the_header_claims(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(100_000_000), 1))
    assert peak_of_refusal(path) < 4e6


# The embedded digits


def test_digits_are_scikit_learns(digits: data.Dataset) -> None:
    expected = load_digits()
    held_out = np.arange(1797) % 5 == 0
    np.testing.assert_array_equal(digits.train_images, expected.data[~held_out])
    np.testing.assert_array_equal(digits.train_labels, expected.target[~held_out])
    np.testing.assert_array_equal(digits.test_images, expected.data[held_out])
    np.testing.assert_array_equal(digits.test_labels, expected.target[held_out])


def test_digits(digits: data.Dataset) -> None:
    assert digits.train_images.shape == (1437, 64)
    assert digits.test_images.shape == (360, 64)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64
    assert digits.train_images.flags.c_contiguous
    assert digits.test_images.flags.c_contiguous
    assert digits.shape == (8, 8)
    assert digits.name == "digits"
    assert digits.train_images.max() * digits.input_scale == 1


def test_digits_need_no_pooch() -> None:
    program = (
        "import sys; from fastnn import data; data.load('digits'); data.fetch('digits'); "
        "print(*{'pooch', 'requests', 'rich'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def test_the_embedded_files_are_small_and_name_their_source() -> None:
    files = list((Path(data.__file__).parent / "digits").iterdir())
    assert sum(path.stat().st_size for path in files) < 100_000
    text = next(path for path in files if path.suffix == ".txt").read_text("utf-8")
    assert "CC BY 4.0" in text
    assert "https://doi.org/10.24432/C50P49" in text


# Data sets in folders


CONTENTS = [
    idx(np.arange(60, dtype=np.uint8).reshape(5, 3, 4)),
    idx(np.array([1, 2, 0, 1, 2], np.uint8)),
    idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
    idx(np.array([0, 2], np.uint8)),
]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace MNIST by 5 training and 2 test images, with no files yet; return the file names."""
    mnist = data._SOURCES["mnist"]
    files = tuple(
        file._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for file, content in zip(mnist.files, CONTENTS, strict=True)
    )
    monkeypatch.setitem(data._SOURCES, "mnist", mnist._replace(files=files))
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return [file.name for file in files]


def put(folder: Path, names: list[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path, content in zip(paths, CONTENTS, strict=True):
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return paths


def check_tiny(loaded: data.Dataset) -> None:
    np.testing.assert_array_equal(loaded.train_images, np.arange(60).reshape(5, 12))
    np.testing.assert_array_equal(loaded.test_images, np.arange(24).reshape(2, 12))
    assert loaded.train_labels.tolist() == [1, 2, 0, 1, 2]
    assert loaded.test_labels.tolist() == [0, 2]
    assert loaded.train_labels.dtype == np.int64
    assert loaded.shape == (3, 4)
    assert loaded.input_scale == 1 / 256
    assert loaded.name == "mnist"


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("inner", ["", "mnist"])
def test_folder_spellings(tiny: list[str], tmp_path: Path, end: str, mark: str, inner: str) -> None:
    paths = put(tmp_path / inner, [name.replace("-idx", f"{mark}idx") + end for name in tiny])
    assert data.available("mnist", tmp_path) == paths
    assert data.verify("mnist", str(tmp_path)) == paths
    check_tiny(data.load("mnist", tmp_path))
    check_tiny(data.load("mnist", str(tmp_path)))


def test_folder_from_the_environment(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = put(tmp_path / "mnist", tiny)
    assert data.available("mnist") is None
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    assert data.available("mnist") == data.verify("mnist") == paths
    check_tiny(data.load("mnist"))


def test_cache_is_used_without_a_download(tiny: list[str], tmp_path: Path) -> None:
    paths = put(tmp_path / "cache" / "mnist", tiny)
    assert data.available("mnist") == data.verify("mnist") == paths
    check_tiny(data.load("mnist", download=False))
    check_tiny(data.load("mnist"))  # checks the cache and has nothing to download


@pytest.mark.parametrize("inner", ["", "mnist"])
def test_other_spellings_in_the_cache_are_used_without_a_download(
    tiny: list[str], tmp_path: Path, inner: str
) -> None:
    paths = put(tmp_path / "cache" / inner, [tiny[0], *(f"{name}.gz" for name in tiny[1:])])
    assert data.fetch("mnist") == data.available("mnist") == paths
    check_tiny(data.load("mnist"))
    assert sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file()) == sorted(
        paths
    )


def test_a_failed_download_names_the_folder_that_was_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str, *, progress: bool) -> list[Path]:
        raise OSError("no mirror")

    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    monkeypatch.setattr(data, "fetch", fails)
    with pytest.raises(OSError, match=f"mnist is not in {tmp_path}, which FASTNN_DATA names. no m"):
        data.load("mnist")
    monkeypatch.delenv("FASTNN_DATA")
    with pytest.raises(OSError, match=r"^no mirror$"):
        data.load("mnist")


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_file(tiny: list[str], tmp_path: Path, missing: int) -> None:
    put(tmp_path / "mnist", tiny)[missing].unlink()
    assert data.available("mnist", tmp_path) is None
    for call in (data.load, data.verify):
        with pytest.raises(FileNotFoundError, match=r"mnist is not in .*train-images-idx3-ubyte"):
            call("mnist", tmp_path)


@pytest.mark.usefixtures("tiny")
def test_nowhere() -> None:
    assert data.available("mnist") is None
    with pytest.raises(FileNotFoundError, match="mnist is not in"):
        data.load("mnist", download=False)
    with pytest.raises(FileNotFoundError):
        data.verify("mnist")


@pytest.mark.parametrize("wrong", range(4))
def test_another_content(tiny: list[str], tmp_path: Path, wrong: int) -> None:
    path = put(tmp_path, tiny)[wrong]
    content = bytearray(CONTENTS[wrong])
    content[-1] ^= 1
    path.write_bytes(content)
    for call in (data.load, data.verify):
        with pytest.raises(FileFormatError, match=f"{tiny[wrong]}.*SHA-256"):
            call("mnist", tmp_path)


def test_same_values_in_another_shape_are_another_content(tiny: list[str], tmp_path: Path) -> None:
    path = put(tmp_path, tiny)[0]
    path.write_bytes(idx(np.arange(60, dtype=np.uint8).reshape(5, 4, 3)))
    with pytest.raises(FileFormatError, match="SHA-256"):
        data.load("mnist", tmp_path)


def test_digits_ignore_the_folder(tmp_path: Path) -> None:
    assert data.load("digits", tmp_path).shape == (8, 8)
    assert [path.parent.name for path in data.verify("digits")] == ["digits", "digits"]


def test_unknown_name() -> None:
    for call in (data.load, data.available, data.verify, data.fetch):
        with pytest.raises(ValueError, match="'minst'; did you mean 'mnist'"):
            call("minst")
    assert data.NAMES == ("digits", "mnist", "fashion")


@pytest.mark.parametrize("name", [name for name in data.NAMES if name != "digits"])
def test_at_least_two_mirrors_over_https(name: str) -> None:
    mirrors = data._SOURCES[name].mirrors
    assert len({mirror.split("/")[2] for mirror in mirrors}) >= 2
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in mirrors)


def test_mnist(mnist: data.Dataset) -> None:
    assert mnist.train_images.shape == (60_000, 784)
    assert mnist.test_images.shape == (10_000, 784)
    assert mnist.shape == (28, 28)
    assert np.bincount(mnist.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
