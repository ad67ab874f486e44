"""Data sets from IDX files: the embedded digits, MNIST and Fashion-MNIST.

Every file is identified by the SHA-256 of its decompressed content, as mirrors compress
differently. `load` accepts only that content, wherever it finds the file.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.array_files import read_idx
from fastnn.checks import FileFormatError, one_of
from fastnn.download import bring

__all__ = ["NAMES", "Dataset", "available", "fetch", "load", "verify"]

_FolderPath = str | os.PathLike[str]

# The book trains on this many of MNIST's 60,000 training images and validates on the others.
TRAINING_IMAGES = 50_000

# Every fifth of the 1,797 digits is held out. The rows are ordered by writer, so the writers of the
# held-out digits also occur in the training part. Holding out the last fifth instead, with writers
# that the rest lacks, would cost a few points of accuracy.
HOLD_OUT_EVERY = 5


class Dataset(NamedTuple):
    """Images and their classes, in a training and a test part.

    Attributes
    ----------
    train_images, test_images : ndarray of uint8, shape (n, D)
        One image per row; its pixels are in row-major order.
    train_labels, test_labels : ndarray of int64, shape (n,)
        The class of each image, 0 to 9.
    input_scale : float
        The factor that scales pixels to 0..1: 1/256 as in the book, or 1/16 for the digits.
    name : str
        The name that was passed to `load`.
    shape : tuple of int
        Height and width of an image.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    input_scale: float
    name: str
    shape: tuple[int, int]


class _File(NamedTuple):
    name: str
    size: int  # bytes, decompressed
    sha256: str  # of the decompressed content


class _Source(NamedTuple):
    folder: str
    input_scale: float
    files: tuple[_File, ...]  # images and labels: of all rows, or training then test
    mirrors: tuple[str, ...]


# fmt: off
_SOURCES = {
    "digits": _Source("digits", 1 / 16, (
        _File("digits-images-idx3-ubyte", 115_024,
              "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96"),
        _File("digits-labels-idx1-ubyte", 1_805,
              "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad"),
    ), mirrors=()),
    "mnist": _Source("mnist", 1 / 256, (
        _File("train-images-idx3-ubyte", 47_040_016,
              "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        _File("train-labels-idx1-ubyte", 60_008,
              "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        _File("t10k-images-idx3-ubyte", 7_840_016,
              "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        _File("t10k-labels-idx1-ubyte", 10_008,
              "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ), mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )),
    "fashion": _Source("fashion-mnist", 1 / 256, (
        _File("train-images-idx3-ubyte", 47_040_016,
              "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        _File("train-labels-idx1-ubyte", 60_008,
              "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        _File("t10k-images-idx3-ubyte", 7_840_016,
              "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        _File("t10k-labels-idx1-ubyte", 10_008,
              "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ), mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    )),
}
# fmt: on

NAMES = tuple(_SOURCES)
"""The data sets `load` knows."""


def load(
    name: str, folder: _FolderPath | None = None, *, download: bool = True, progress: bool = False
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion"}
        The digits are embedded: 1,797 images of 8 x 8, of which every fifth, 360 in all, is in the
        test part. MNIST and Fashion-MNIST have 60,000 training and 10,000 test images of 28 x 28;
        the book trains on the first 50,000, ``train_images[:50_000]``.
    folder : path, optional
        The folder that holds the four IDX files, plain or gzipped, either directly or in a
        subfolder ``mnist`` or ``fashion-mnist``. By default ``$FASTNN_DATA``, and if they are not
        there, the cache.
    download : bool, default True
        Whether to download missing files into the cache. Nothing is downloaded if `folder` is
        given.
    progress : bool, default False
        Whether to show a progress bar while downloading.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    FileNotFoundError
        If the files are not in `folder`, or are nowhere and `download` is False.
    FileFormatError
        If a file's content is not that of this data set.
    OSError
        If no mirror could be read.
    """
    source = _source(name)
    images, labels, *held_out = (
        _read(path, file) for path, file in _files(name, folder, download, progress)
    )
    if held_out:
        test_images, test_labels = held_out
    else:
        held = np.arange(len(images)) % HOLD_OUT_EVERY == 0
        images, test_images = images[~held], images[held]
        labels, test_labels = labels[~held], labels[held]
    return Dataset(
        images.reshape(len(images), -1),
        labels.astype(np.int64),
        test_images.reshape(len(test_images), -1),
        test_labels.astype(np.int64),
        source.input_scale,
        name,
        (images.shape[1], images.shape[2]),
    )


def available(name: str, folder: _FolderPath | None = None) -> list[Path] | None:
    """Find the files of a data set without reading or downloading them.

    Parameters
    ----------
    name, folder
        As in `load`.

    Returns
    -------
    list of Path, or None
        The files, or None if one of them is missing.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    """
    source = _source(name)
    paths = _in_folder(source, folder)
    return _find(source, cache_folder()) if paths is None and folder is None else paths


def verify(name: str, folder: _FolderPath | None = None) -> list[Path]:
    """Check the content of a data set's files where `load` finds them, without a download.

    Returns
    -------
    list of Path
        The files, all with the right content.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    FileNotFoundError
        If the files are not found.
    FileFormatError
        If a file's content is not that of this data set; the message names the first such file.
    """
    files = _files(name, folder, download=False, progress=False)
    for path, file in files:
        _read(path, file)
    return [path for path, _ in files]


def fetch(name: str, *, progress: bool = False) -> list[Path]:
    """Download the files of a data set that the cache lacks or holds with the wrong content.

    Nothing is downloaded if the cache has all of them with the right content, under any of the
    names that `load` accepts. Otherwise each file that it lacks, decompressed and under its own
    name, is taken from the first mirror that delivers all of it with the right content; only then
    does it appear in the cache. Mirrors are read over https without following redirects (plain http
    is allowed for loopback addresses). A download that exceeds the file's size is aborted.

    Parameters
    ----------
    name : {"mnist", "fashion"}
        The data set; for the embedded "digits" there is nothing to do.
    progress : bool, default False
        Whether to show a progress bar on standard error.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    OSError
        If no mirror delivered a file; the message gives the reason for each mirror.
    """
    source = _source(name)
    if not source.mirrors:
        return verify(name)
    cached = _find(source, cache_folder())
    if cached is not None and all(map(_is_sound, cached, source.files)):
        return cached
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    folder = cache_folder() / source.folder
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        for file in source.files:
            urls = [f"{mirror}{file.name}.gz" for mirror in source.mirrors]
            bring(urls, folder / file.name, file.size, file.sha256, bar)
    return [folder / file.name for file in source.files]


def cache_folder() -> Path:
    """Return the download folder: ``fastnn`` in the user's cache folder."""
    import pooch

    return Path(pooch.os_cache("fastnn"))


def _source(name: str) -> _Source:
    return _SOURCES[one_of("data set", name, _SOURCES)]


def _in_folder(source: _Source, folder: _FolderPath | None) -> list[Path] | None:
    """Find files in `folder`, by default ``$FASTNN_DATA``, and embedded ones in the package."""
    if not source.mirrors:
        return _find(source, Path(__file__).parent)
    place = os.environ.get("FASTNN_DATA") if folder is None else folder
    return _find(source, Path(place)) if place else None


def _find(source: _Source, folder: Path) -> list[Path] | None:
    """Find all files of a data set in its subfolder of `folder`, or in `folder` itself."""
    for place in (folder / source.folder, folder):
        paths = [_spelled(place, file.name) for file in source.files]
        found = [path for path in paths if path is not None]
        if len(found) == len(paths):
            return found
    return None


def _spelled(folder: Path, name: str) -> Path | None:
    """Find a file under one of its usual names: plain or gzipped, ``-idx3`` or ``.idx3``."""
    dotted = name.replace("-idx", ".idx")
    paths = [folder / spelling for spelling in (name, f"{name}.gz", dotted, f"{dotted}.gz")]
    return next((path for path in paths if path.is_file()), None)


def _files(
    name: str, folder: _FolderPath | None, download: bool, progress: bool
) -> list[tuple[Path, _File]]:
    """Find a data set's files, downloading if allowed, each with its expected content."""
    source = _source(name)
    paths = _in_folder(source, folder)
    if paths is None and folder is None:
        # fetch also checks the files that are in the cache, and replaces damaged ones.
        paths = _fetched(name, progress) if download else _find(source, cache_folder())
    if paths is None:
        where = folder or os.environ.get("FASTNN_DATA") or cache_folder()
        names = ", ".join(file.name for file in source.files)
        raise FileNotFoundError(
            f"{name} is not in {where}: expected the files {names}, plain or .gz, there or in its "
            f"subfolder {source.folder}; name the folder that holds them, or download them with "
            f"`fastnn data fetch {name}` and name none"
        )
    return list(zip(paths, source.files, strict=True))


def _fetched(name: str, progress: bool) -> list[Path]:
    """Return the files of `fetch`; an error also names the $FASTNN_DATA that lacks them."""
    try:
        return fetch(name, progress=progress)
    except OSError as error:
        if place := os.environ.get("FASTNN_DATA"):
            raise OSError(f"{name} is not in {place}, which FASTNN_DATA names. {error}") from error
        raise


def _is_sound(path: Path, file: _File) -> bool:
    try:
        _read(path, file)
    except (FileFormatError, OSError):  # a file that cannot be read is downloaded again
        return False
    return True


def _read(path: Path, file: _File) -> NDArray[np.uint8]:
    array = read_idx(path, max_bytes=file.size)
    digest = hashlib.sha256(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape))
    digest.update(array.data)
    if digest.hexdigest() != file.sha256:
        raise FileFormatError(
            f"{path} does not hold what this data set's {file.name} should: the SHA-256 of its "
            f"content is {digest.hexdigest()}, not {file.sha256}; replace the file"
        )
    return array
