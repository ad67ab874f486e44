"""Rows in files: passed to `fit` as paths, and in blocks."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

from fastnn import Blocks, FileFormatError, Network
from fastnn.array_files import map_idx, read_idx
from fastnn.arrays import as_inputs
from fastnn.row_files import opened
from idx_files import write_idx


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Return, for each format, a file of the same rows and, except for svmlight, one of labels."""
    folder = tmp_path_factory.mktemp("rows")
    X, y = digits.train_images[:300], digits.train_labels[:300]
    images, labels = (
        write_idx(folder / "X-idx", X.reshape(-1, 8, 8)),
        write_idx(folder / "y-idx", y),
    )
    zipped = folder / "X-idx.gz"
    zipped.write_bytes(gzip.compress(images.read_bytes()))
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    dump_svmlight_file(X / 16, y, str(folder / "rows.svm"), zero_based=False)
    return {
        "idx": (images, labels),
        "idx.gz": (zipped, labels),
        "npy": (str(folder / "X.npy"), folder / "y.npy"),
        "svm": (folder / "rows.svm",),
    }


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("kind", ["idx", "idx.gz", "npy", "svm"])
def test_fit_on_paths_is_fit_on_arrays(kind: str, files, digits) -> None:
    X, y = digits.train_images[:300], digits.train_labels[:300]
    scale = None if kind == "svm" else 1 / 16
    given: Any = sparse.csr_matrix(X / 16.0) if kind == "svm" else X
    nets = [Network([64, 8, 10], seed=1, input_scale=scale, dtype="float64") for _ in range(2)]
    nets[0].fit(*files[kind], epochs=2, validation_data=(*files[kind], None)[:2])
    nets[1].fit(given, y, epochs=2, validation_data=(given, y))
    for ours, theirs in zip(nets[0].weights, nets[1].weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert nets[0].history.val_accuracy == nets[1].history.val_accuracy
    path = files[kind][0]
    np.testing.assert_array_equal(nets[0].predict(path), nets[1].predict(given))
    assert nets[0].accuracy(path, y) == nets[1].accuracy(given, y)
    assert nets[0].total_cost(path, y) == nets[1].total_cost(given, y)
    assert nets[0].score(*files[kind]) == nets[1].score(given, y)  # an svmlight file has labels
    with pytest.raises(TypeError, match="y is missing"):
        nets[0].score(given)


def test_mapped_files_are_not_copied(tmp_path: Path) -> None:
    """The engine's rows share memory with the mapped file, even if bytes could store them."""
    rows = 20  # as many as floats are looked at for bytes
    images = write_idx(tmp_path / "X-idx", np.arange(12 * rows).reshape(rows, 3, 4))
    X, _ = opened(images, None, 12)
    assert isinstance(X.base, np.memmap) or isinstance(X, np.memmap)
    assert np.shares_memory(as_inputs(X, "float32", 1.0).matrix, X)
    np.save(tmp_path / "X.npy", np.ones((rows, 3), np.float32))
    X, _ = opened(tmp_path / "X.npy", None, 3)
    assert np.shares_memory(as_inputs(X, "float32", 1.0).matrix, X)


@pytest.mark.parametrize("cut", [-1, 1])
def test_idx_of_another_length(cut: int, tmp_path: Path) -> None:
    path = write_idx(tmp_path / "X-idx", np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(map_idx(path), read_idx(path))
    content = path.read_bytes()
    path.write_bytes(content[:cut] if cut < 0 else content + b"x")
    with pytest.raises(FileFormatError, match="must hold 12 bytes after its header"):
        map_idx(path)


@pytest.mark.usefixtures("numpy_path")
@pytest.mark.parametrize("kind", ["idx", "npy", "svm"])
def test_blocks_of_files(kind: str, files, digits) -> None:
    """Blocks hold the rows and labels of the file in its order, and `fit` trains on them."""
    blocks = Blocks.of_files(*files[kind], block=70)
    assert blocks.rows == 300
    assert len(list(blocks.source)) == 5
    X = np.concatenate([as_array(X) for X, _ in blocks.source])
    scale = 16 if kind == "svm" else 1
    np.testing.assert_array_equal(X.reshape(300, 64) * scale, digits.train_images[:300])
    y = np.concatenate([y for _, y in blocks.source])
    np.testing.assert_array_equal(y, digits.train_labels[:300])
    net = Network([64, 8, 10], seed=1, input_scale=None if kind == "svm" else 1 / 16)
    net.fit(blocks, epochs=6)
    assert net.accuracy(files[kind][0], digits.train_labels[:300]) > 0.5


def as_array(X: Any) -> np.ndarray:
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def test_labels_of_svmlight_blocks_are_those_of_the_whole_file(tmp_path: Path) -> None:
    """-1 and +1 become 0 and 1, unless another block has other numbers."""
    path = tmp_path / "rows.svm"
    path.write_text("# a comment\n-1 1:1\n+1 2:1\n\n+1 7:0.5\n")
    blocks = Blocks.of_files(path, block=1)
    assert [y.tolist() for _, y in blocks.source if len(y)] == [[0], [1], [1]]
    assert {X.shape[1] for X, _ in blocks.source} == {7}
    path.write_text("-1 1:1\n+1 2:1\n0.5 3:1\n")
    wide = Blocks.of_files(path, block=2, n_features=9)
    assert [(X.shape, y.tolist()) for X, y in wide.source] == [((2, 9), [-1, 1]), ((1, 9), [0.5])]


def test_a_damaged_line_of_a_block_has_its_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.svm"
    path.write_text("# a comment\n-1 1:1\n+1 2:1\n\n+1 7:x\n")
    with pytest.raises(FileFormatError, match=r"line 5 of .*rows\.svm"):
        Blocks.of_files(path, block=2)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda f: Blocks.of_files(f["idx.gz"][0], f["idx"][1]), ValueError, "unpack it"),
        (lambda f: Blocks.of_files(f["svm"][0], f["npy"][1]), ValueError, "has its labels"),
        (lambda f: Blocks.of_files(f["npy"][0]), ValueError, "where y is left out"),
        (lambda f: Blocks.of_files(*f["npy"], n_features=3), ValueError, "must be an svmlight"),
        (lambda f: Blocks.of_files(f["npy"][1], f["idx"][1], block=0), ValueError, "block must"),
        (lambda f: Network([64, 10]).fit(f["npy"][0], epochs=1), TypeError, "y is missing"),
        (lambda f: Network([7, 10]).fit(*f["idx"], epochs=1), ValueError, "must have 7 columns"),
        (lambda f: Network([7, 10]).fit(*f["svm"], epochs=1), FileFormatError, "svmlight"),
        (lambda f: Network([7, 10]).fit(__file__, [1], epochs=1), FileFormatError, r"in \.npy"),
        (lambda f: Network([64, 10]).fit("none", "none", epochs=1), OSError, "none"),
    ],
)
def test_what_cannot_be_read(make: Any, error: type[Exception], words: str, files) -> None:
    with pytest.raises(error, match=words):
        make(files)


def test_an_svmlight_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.svm"
    path.write_text("# nothing\n")
    with pytest.raises(FileFormatError, match="must hold rows"):
        Blocks.of_files(path)
