"""Compiled kernels on disk, one file each, so that a later process need not compile them.

Numba's own disk cache checks a single source file only. It numbers a function's files and writes an
index of the numbers before the file, so that processes which compile different kernels at the same
time can end up with each other's machine code. Here a file's name is a digest of everything its
kernel was made from, so that processes which write the same file write the same content.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import pickle
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

import llvmlite
import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

import fastnn
from fastnn.checks import warn
from fastnn.plugin_digests import code_of

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where several processes may compile one kernel
    fcntl = None  # type: ignore[assignment]

__all__ = ["KernelCache", "folders"]

# Seconds between two looks at a lock that another process has.
LOOK_AGAIN = 0.05

DIGEST_BYTES = 32  # at the start of a file: the SHA-256 of the rest

# A kernel that no process has used for so long is deleted when the next one is saved: those of
# other versions, and of formulas that have changed since, would stay for ever.
UNUSED_SECONDS = 90 * 24 * 3600

# The time of a kernel's last use is not written more often than this.
NOTED_SECONDS = 24 * 3600


# A process loses all its locks on a file when any of its threads closes it.
_one_thread = threading.RLock()


def _free_after_fork() -> None:
    """Forget which thread of the parent compiles: the child has no such thread."""
    global _one_thread
    _one_thread = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_after_fork)


class KernelCache:
    """The cache of one function, with the methods that a Numba dispatcher calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str:
        """The folder that is tried first."""
        return str(folders()[0])

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled function for these argument types, or None."""
        context.refresh()
        name = self._file_name(signature, context.codegen())
        for folder in folders():
            try:
                content = (folder / name).read_bytes()
            except OSError:
                continue  # missing or not readable: try the next folder
            digest, parts = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
            if hashlib.sha256(parts).digest() == digest:  # else the disk was full, or is damaged
                _note_use(folder / name)
                return CompileResult._rebuild(context, *pickle.loads(parts))
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write a compiled function; if no folder is writable, warn once."""
        name, parts = self._file_name(signature, result.codegen), dumps(result._reduce())
        content = hashlib.sha256(parts).digest() + parts
        for folder in folders():
            try:
                _write(folder / name, content)
            except OSError:
                continue
            _delete_unused(folder)
            return
        _warn(" or ".join(map(str, folders())))

    @contextmanager
    def alone(
        self, signature: Any, codegen: Any, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Keep other processes from compiling the same kernel meanwhile, where files can be locked.

        They wait, and then find the kernel on disk. All kernels share one lock file, and each locks
        one byte of it; the lock of a process that is killed is released. Other threads wait too.
        `waiting` is called again and again while another process has the lock.
        """
        with _one_thread, _lock_file() or nullcontext() as file:
            if file is None:
                yield
                return
            byte = int(self._file_name(signature, codegen)[-20:-4], 16) % 2**62
            while _is_locked(file, byte):
                waiting()
                time.sleep(LOOK_AGAIN)
            yield

    def _file_name(self, signature: Any, codegen: Any) -> str:
        closure = [cell.cell_contents for cell in self._function.__closure__ or ()]
        made_from = (
            numba.__version__,
            llvmlite.__version__,
            numba.config.OPT,
            sys.implementation.cache_tag,
            codegen.magic_tuple(),  # the target CPU and its features
            sources(),
            code_of(self._function.__code__, self._function.__doc__),
            closure,
            signature,
        )
        digest = hashlib.sha256(repr(made_from).encode()).hexdigest()
        return f"{self._function.__name__}-{digest[:32]}.nbc"


def _is_locked(file: IO[bytes], byte: int) -> bool:
    """Return whether another process has locked a byte of a file; if none has, lock it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:  # any other error: a file system without locks
        return error.errno in (errno.EACCES, errno.EAGAIN)
    return False


def folders() -> list[Path]:
    """Return the folders where kernels are looked for; the first writable one takes new ones."""
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR) / "fastnn"]
    of_user = AppDirs(appname="fastnn", appauthor=False).user_cache_dir
    return [Path(__file__).parent / "__pycache__", Path(of_user)]


@functools.cache
def sources() -> str:
    """Return a digest of the engine's sources; those of formulas are in the formulas' keys."""
    digest = hashlib.sha256(fastnn.__version__.encode())  # there may be no source files
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _lock_file() -> IO[bytes] | None:
    """Return the lock file, open, or None if there can be none."""
    if fcntl is None:
        return None
    for folder in folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return open(folder / "lock", "ab")
    return None


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, even while other processes write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _note_use(path: Path) -> None:
    """Make the time of a file's last change that of its last use."""
    with suppress(OSError):  # another user's file
        if time.time() - path.stat().st_mtime > NOTED_SECONDS:
            os.utime(path)


def _delete_unused(folder: Path) -> None:
    """Delete one's own kernels, complete or not, that have not been used for `UNUSED_SECONDS`."""
    for path in folder.glob("*.nbc*"):
        with suppress(OSError):  # another process has deleted it
            found = path.stat()
            is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if is_own and time.time() - found.st_mtime > UNUSED_SECONDS:
                path.unlink()


@functools.cache
def _warn(tried: str) -> None:
    warn(
        f"compiled kernels cannot be saved in {tried}, and are compiled again in every process; "
        "set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
    )
