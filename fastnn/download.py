"""One file of known content, from the first of several mirrors that has it.

pooch does the work: the temporary file, the SHA-256, the move into place. What is pinned is the
decompressed content, since mirrors compress differently, so the answer is decompressed on its
way to pooch, and never beyond the size the content should have.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["bring"]

TIMEOUT = (10, 30)  # seconds to connect, and without a byte


def bring(urls: Sequence[str], path: Path, size: int, sha256: str, bar: Progress) -> None:
    """Put the decompressed content of a gzip file from one of `urls` at `path`.

    Nothing is downloaded where `path` already holds that content; anything else there is replaced.

    Parameters
    ----------
    urls : sequence of str
        Where it may be had, in order of preference. Only https is read, and plain http from
        loopback addresses; redirects are not followed.
    path : Path
        Where it goes, whole and checked, or not at all. Folders are made.
    size : int
        Length of the decompressed content in bytes.
    sha256 : str
        Of the decompressed content, hexadecimal.
    bar : rich.progress.Progress
        Gets a task for this file.

    Raises
    ------
    OSError
        If none of `urls` gave the content; the message says why, for each.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the bar says what is downloaded
    task = bar.add_task(path.name, total=size, visible=False)  # shown once something is read

    def download(url: str, output_file: str, _: Any) -> None:
        if not _trusted(url):
            raise ValueError("only https is read, and plain http from loopback addresses")
        http = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT, allow_redirects=False)
        with open(output_file, "wb") as out:
            content = _Gunzip(
                out, size, lambda done: bar.update(task, completed=done, visible=True)
            )
            http(url, content, None)
            content.finish()

    failures = []
    for url in urls:
        try:
            pooch.retrieve(url, sha256, fname=path.name, path=path.parent, downloader=download)
        except (OSError, ValueError) as error:  # what requests raises is an OSError
            failures.append(f"{url}: {error}")
        else:
            return
    raise OSError(
        f"{path.name} could not be downloaded; put the files into a folder and name that instead. "
        + "; ".join(failures)
    )


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    try:
        loopback = ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a host name
        loopback = False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback)


class _Gunzip:
    """A file to write gzip to: it passes on `size` decompressed bytes and refuses any more."""

    def __init__(self, out: IO[bytes], size: int, on_bytes: Callable[[int], None]) -> None:
        self._out, self._size, self._on_bytes = out, size, on_bytes
        self._inflate = zlib.decompressobj(wbits=31)  # gzip, with its header and check sum
        self._received = self._written = 0

    def write(self, chunk: bytes) -> None:
        self._received += len(chunk)
        try:
            content = self._inflate.decompress(chunk, self._size - self._written + 1)
        except zlib.error as error:
            raise ValueError(f"the answer is not a sound gzip file ({error})") from None
        self._written += len(content)
        # Compressed data are longer than the content by a header and 5 bytes in 16 KiB at most.
        if self._written > self._size or self._received > self._size + self._size // 1024 + 1024:
            raise ValueError(f"the answer holds more than the expected {self._size:,} bytes")
        self._out.write(content)
        self._on_bytes(self._written)

    def flush(self) -> None:
        """Do nothing: pooch flushes after every chunk."""

    def finish(self) -> None:
        if not self._inflate.eof or self._written < self._size:
            raise ValueError(f"the answer ends after {self._written:,} of {self._size:,} bytes")
