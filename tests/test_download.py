"""Downloads from a local server: either the file with the expected content arrives, or none."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from fastnn import data, download

NAME = "train-images-idx3-ubyte"
CONTENT = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
SOUND = gzip.compress(CONTENT)
OTHER = gzip.compress(bytes(len(CONTENT)))


class Answer:
    """The server's response to requests for one path."""

    def __init__(
        self, body: bytes = b"", status: int = 200, length: int | None = None, location: str = ""
    ) -> None:
        self.body, self.status, self.location = body, status, location
        self.length = len(body) if length is None else length


class Server:
    """A web server on a loopback address: set `answers` by path; `asked` lists requested paths."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                answer = server.answers.get(self.path, Answer(status=404))
                self.send_response(answer.status)
                self.send_header("Content-Length", str(answer.length))
                if answer.location:
                    self.send_header("Location", answer.location)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def mirrors(self, **answers: Answer) -> list[str]:
        """Offer the file in one folder for each answer; return the URLs."""
        for name, answer in answers.items():
            self.answers[f"/{name}/{NAME}.gz"] = answer
        return [f"{self.url}{name}/{NAME}.gz" for name in answers]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def bring(tmp_path: Path) -> Callable[[list[str]], Path]:
    """Return a function that downloads the file with `CONTENT` from one of several URLs."""

    def bring(urls: list[str]) -> Path:
        path = tmp_path / "cache" / NAME
        digest = hashlib.sha256(CONTENT).hexdigest()
        download.bring(urls, path, len(CONTENT), digest, Progress(disable=True))
        return path

    return bring


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


Bring = Callable[[list[str]], Path]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_good_file_however_compressed(server: Server, bring: Bring, level: int) -> None:
    path = bring(server.mirrors(a=Answer(gzip.compress(CONTENT, level))))
    assert path.read_bytes() == CONTENT
    assert server.asked == [f"/a/{NAME}.gz"]


def test_what_is_there_is_not_asked_for_again(server: Server, bring: Bring) -> None:
    urls = server.mirrors(a=Answer(SOUND))
    bring(urls)
    assert bring(urls).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_what_is_there_but_damaged_is_replaced(server: Server, bring: Bring) -> None:
    urls = server.mirrors(a=Answer(SOUND))
    bring(urls).write_bytes(CONTENT[:-1])
    assert bring(urls).read_bytes() == CONTENT
    assert len(server.asked) == 2


BAD_ANSWERS = {
    "wrong hash": (Answer(OTHER), "does not match the known hash"),
    "truncated, as the length says": (Answer(SOUND[:-1000]), "ends after|IncompleteRead"),
    "truncated, against the length": (
        Answer(SOUND[:-1000], length=len(SOUND)),
        "ends after|IncompleteRead",
    ),
    "truncated within the check sum": (Answer(SOUND[:-1]), "ends after 200,000 of 200,000"),
    "wrong check sum": (Answer(SOUND[:-8] + bytes(4) + SOUND[-4:]), "not a sound gzip file"),
    "empty": (Answer(b""), "ends after 0 of 200,000"),
    "too short": (Answer(gzip.compress(CONTENT[:-1])), "ends after 199,999"),
    "too long": (Answer(gzip.compress(CONTENT + b"x")), "more than the expected 200,000"),
    "bomb": (Answer(gzip.compress(bytes(50_000_000))), "more than the expected 200,000"),
    "endless, without content": (
        Answer(gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 100_000),  # empty stored blocks
        "more than the expected 200,000",
    ),
    "trailing bytes without end": (Answer(SOUND + bytes(300_000)), "more than the expected"),
    "not compressed": (Answer(CONTENT), "not a sound gzip file"),
    "a page": (Answer(b"<html>not here</html>"), "not a sound gzip file"),
    "server error": (Answer(status=503), "503"),
    "not found": (Answer(status=404), "404"),
    "redirect": (Answer(status=302, location="http://127.0.0.1:1/"), "ends after 0"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_leaves_nothing(
    server: Server, bring: Bring, tmp_path: Path, name: str
) -> None:
    answer, message = BAD_ANSWERS[name]
    with pytest.raises(OSError, match=message) as caught:
        bring(server.mirrors(a=answer))
    assert f"/a/{NAME}.gz" in str(caught.value)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_sends_to_the_next_mirror(
    server: Server, bring: Bring, tmp_path: Path, name: str
) -> None:
    path = bring(server.mirrors(a=BAD_ANSWERS[name][0], b=Answer(SOUND)))
    assert path.read_bytes() == CONTENT
    assert server.asked == [f"/a/{NAME}.gz", f"/b/{NAME}.gz"]
    assert left_behind(tmp_path) == [NAME]


def test_all_mirrors_fail(server: Server, bring: Bring) -> None:
    urls = server.mirrors(a=Answer(status=500), b=Answer(OTHER), c=Answer(SOUND[:100]))
    with pytest.raises(OSError, match=r"/a/.*500.*/b/.*known hash.*/c/.*ends after") as caught:
        bring(urls)
    assert NAME in str(caught.value)


def test_no_server_there(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    closed.server_close()
    with pytest.raises(OSError, match="could not be downloaded"):
        bring([f"http://127.0.0.1:{closed.server_port}/{NAME}.gz"])


def test_a_server_that_falls_silent(
    server: Server, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.2))
    silent = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # it never accepts
    try:
        first = f"http://127.0.0.1:{silent.server_port}/{NAME}.gz"
        path = bring([first, *server.mirrors(b=Answer(SOUND))])
    finally:
        silent.server_close()
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/file.gz",
        "http://localhost/file.gz",  # a name, which may resolve to any address
        "http://127.0.0.1.example.org/file.gz",
        "http://127.0.0.1@example.org/file.gz",
        "http://10.0.0.1/file.gz",
        "http://0.0.0.0/file.gz",
        "ftp://127.0.0.1/file.gz",
        "file:///etc/hostname",
    ],
)
def test_only_https_or_loopback(
    url: str, bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_request(*_: object, **__: object) -> None:
        pytest.fail("a request was made")

    monkeypatch.setattr("requests.get", no_request)
    with pytest.raises(OSError, match="only https is read"):
        bring([url])
    assert left_behind(tmp_path) == []


def test_a_redirect_is_not_followed(server: Server, bring: Bring) -> None:
    (target,) = server.mirrors(target=Answer(SOUND))
    with pytest.raises(OSError, match="ends after 0"):
        bring(server.mirrors(a=Answer(status=301, location=target)))
    assert server.asked == [f"/a/{NAME}.gz"]


def test_progress_is_counted_in_decompressed_bytes(server: Server, tmp_path: Path) -> None:
    bar = Progress(console=Console(file=io.StringIO()))
    digest = hashlib.sha256(CONTENT).hexdigest()
    urls = server.mirrors(a=Answer(SOUND[:-1000]), b=Answer(SOUND))
    download.bring(urls, tmp_path / NAME, len(CONTENT), digest, bar)
    (task,) = bar.tasks
    assert task.total == task.completed == len(CONTENT)


def test_memory_stays_within_the_expected_size() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    sink = download._Gunzip(io.BytesIO(), 1000, lambda _: None)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than the expected 1,000"):
            sink.write(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


# End to end, through load


@pytest.fixture
def tiny_fashion(monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> list[bytes]:
    """Replace Fashion-MNIST by 3 training and 1 test images, offered by the second mirror only."""
    images = np.arange(16, dtype=np.uint8).reshape(4, 2, 2)
    labels = np.array([3, 1, 2, 0], np.uint8)
    header = b"\0\0\x08\x03\0\0\0%c\0\0\0\2\0\0\0\2"
    contents = [
        header % 3 + images[:3].tobytes(),
        b"\0\0\x08\x01\0\0\0\3" + labels[:3].tobytes(),
        header % 1 + images[3:].tobytes(),
        b"\0\0\x08\x01\0\0\0\1" + labels[3:].tobytes(),
    ]
    source = data._SOURCES["fashion"]
    files = tuple(
        file._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for file, content in zip(source.files, contents, strict=True)
    )
    for file, content in zip(files, contents, strict=True):
        server.answers[f"/b/{file.name}.gz"] = Answer(gzip.compress(content))
    mirrors = (f"{server.url}a/", f"{server.url}b/")
    monkeypatch.setitem(data._SOURCES, "fashion", source._replace(files=files, mirrors=mirrors))
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return contents


def test_load_downloads_once(tiny_fashion: list[bytes], server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        loaded = data.load("fashion")
        np.testing.assert_array_equal(loaded.train_images, np.arange(12).reshape(3, 4))
        np.testing.assert_array_equal(loaded.test_images, np.arange(12, 16).reshape(1, 4))
        assert loaded.train_labels.tolist() == [3, 1, 2]
        assert loaded.test_labels.tolist() == [0]
        assert len(server.asked) == 8  # four files, each asked of both mirrors once
    paths = data.fetch("fashion")
    assert [path.read_bytes() for path in paths] == tiny_fashion
    assert paths == data.available("fashion") == data.verify("fashion")
    assert {path.parent for path in paths} == {tmp_path / "cache" / "fashion-mnist"}


@pytest.mark.usefixtures("tiny_fashion")
def test_load_repairs_the_cache(server: Server) -> None:
    path = data.fetch("fashion")[1]
    path.write_bytes(b"damaged")
    assert data.load("fashion").train_labels.tolist() == [3, 1, 2]
    assert len(server.asked) == 10


@pytest.mark.parametrize("inner", ["", "fashion-mnist"])
def test_load_repairs_a_cache_of_other_spellings(
    tiny_fashion: list[bytes], server: Server, tmp_path: Path, inner: str
) -> None:
    folder = tmp_path / "cache" / inner
    folder.mkdir(parents=True)
    for file, content in zip(data._SOURCES["fashion"].files, tiny_fashion, strict=True):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(content[:-1]))
    for _ in range(2):
        assert data.load("fashion").train_labels.tolist() == [3, 1, 2]
        assert len(server.asked) == 8
    assert len(data.verify("fashion")) == 4


@pytest.mark.usefixtures("tiny_fashion")
def test_nothing_is_downloaded_unasked(server: Server, tmp_path: Path) -> None:
    for call in (
        lambda: data.load("fashion", download=False),
        lambda: data.load("fashion", tmp_path),
        lambda: data.verify("fashion"),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert data.available("fashion") is None
    assert server.asked == []


@pytest.mark.usefixtures("tiny_fashion")
@pytest.mark.parametrize("progress", [True, False])
def test_the_progress_bar(progress: bool, capsys: pytest.CaptureFixture[str]) -> None:
    data.fetch("fashion", progress=progress)
    shown = capsys.readouterr()
    assert ("t10k-labels-idx1-ubyte" in shown.err) == progress
    assert shown.out == ""
