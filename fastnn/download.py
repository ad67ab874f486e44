"""Download one file of known content from the first of several mirrors that has it.

pooch handles the temporary file, the SHA-256 and the move into place. The hash is of the
decompressed content, as mirrors compress differently. So the response is decompressed before pooch
sees it, and never beyond the expected size.
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

TIMEOUT = (10, 30)  # seconds to connect, and between two bytes


def bring(urls: Sequence[str], path: Path, size: int, sha256: str, bar: Progress) -> None:
    """Put the decompressed content of a gzip file from one of `urls` at `path`.

    Nothing is downloaded if `path` already holds that content; any other content is replaced.

    Parameters
    ----------
    urls : sequence of str
        The mirrors' addresses in order of preference. Only https is accepted, and plain http from
        loopback addresses; redirects are not followed.
    path : Path
        The destination; only complete and checked content appears there. Folders are created.
    size : int
        Length of the decompressed content in bytes.
    sha256 : str
        SHA-256 of the decompressed content, hexadecimal.
    bar : rich.progress.Progress
        The progress bar to which a task for this file is added.

    Raises
    ------
    OSError
        If none of `urls` delivered the content; the message gives the reason for each.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the bar shows the download
    task = bar.add_task(path.name, total=size, visible=False)  # shown at the first bytes

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
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
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
    """A file that decompresses the gzip written to it, and refuses more than `size` bytes."""

    def __init__(self, out: IO[bytes], size: int, on_bytes: Callable[[int], None]) -> None:
        self._out, self._size, self._on_bytes = out, size, on_bytes
        self._inflate = zlib.decompressobj(wbits=31)  # gzip, with its header and checksum
        self._received = self._written = 0

    def write(self, chunk: bytes) -> None:
        self._received += len(chunk)
        try:
            content = self._inflate.decompress(chunk, self._size - self._written + 1)
        except zlib.error as error:
            raise ValueError(f"the answer is not a sound gzip file ({error})") from None
        self._written += len(content)
        # Compression adds at most a header and 5 bytes per 16 KiB, so a longer response is wrong.
        if self._written > self._size or self._received > self._size + self._size // 1024 + 1024:
            raise ValueError(f"the answer holds more than the expected {self._size:,} bytes")
        self._out.write(content)
        self._on_bytes(self._written)

    def flush(self) -> None:
        """Do nothing: pooch flushes after every chunk."""

    def finish(self) -> None:
        if not self._inflate.eof or self._written < self._size:
            raise ValueError(f"the answer ends after {self._written:,} of {self._size:,} bytes")
