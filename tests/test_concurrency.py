"""Results are bit-identical for any number of threads, in worker threads, forks and event loops.

Most tests of child processes start them from a separate process: this file, run as a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastnn
from fastnn.activations import Sigmoid
from fastnn.arrays import Inputs
from fastnn.costs import CrossEntropy
from fastnn.engine import Training, blas, cache, compiled, jit, training
from fastnn.engine.team import call_together
from fastnn.interrupts import signals_deferred
from fastnn.trainer import exclusive

pytestmark = pytest.mark.cpu_tiles  # the tiles that other processes use

SECONDS = 120  # anything that takes longer hangs


def fit(threads: int, seed: int = 1) -> bytes:
    """Train a network whose batches are several blocks of rows; return its parameters' bytes."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (300, 64), dtype=np.uint8) * (rng.random((300, 64)) < 0.4)
    network = fastnn.Network([64, 40, 10], seed=seed)
    network.fit(
        X, rng.integers(0, 10, 300), epochs=3, batch_size=60, penalty=fastnn.L1(0.1),
        threads=threads,
    )  # fmt: skip
    return b"".join(array.tobytes() for array in (*network.weights, *network.biases))


@pytest.fixture(scope="module")
def expected() -> bytes:
    """Return the parameters that one thread trains from seed 1."""
    return fit(1)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit(threads: int, expected: bytes) -> None:
    assert fit(threads) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_two_fits_at_once(threads: int) -> None:
    seeds = [1, 2] * 4
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(lambda seed: fit(threads, seed), seeds))
    assert at_once == [fit(threads, seed) for seed in (1, 2)] * 4


class Nested(fastnn.Callback):
    """A callback that fits the network whose fit calls it."""

    def epoch_end(self, epoch, network, history) -> None:
        for given in ((np.ones((3, 64)), [0, 1, 2]), (np.ones((3, 5)), [9])):  # refused unchecked
            with pytest.raises(RuntimeError, match="being trained already"):
                network.fit(*given, epochs=1)


def test_a_network_is_trained_by_one_fit_at_a_time() -> None:
    network = fastnn.Network([64, 3], seed=1)
    inside, resume = threading.Event(), threading.Event()

    class Wait(fastnn.Callback):
        def epoch_begin(self, epoch, network) -> None:
            inside.set()
            assert resume.wait(SECONDS)

    X, y = np.ones((3, 64)), [0, 1, 2]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(network.fit, X, y, epochs=1, callbacks=[Wait()])
        assert inside.wait(SECONDS)
        with pytest.raises(RuntimeError, match="being trained already"):
            network.fit(X, y, epochs=1)
        resume.set()
        first.result()
    network.fit(X, y, epochs=1, callbacks=[Nested()])


def test_a_thread_that_is_not_the_main_one(expected: bytes) -> None:
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(fit(2)), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert results == [expected]


def test_in_an_event_loop(expected: bytes) -> None:
    """Fit inside a running loop, as a notebook's cell does, and in a worker thread meanwhile."""

    async def cell() -> list[bytes]:
        beside = asyncio.create_task(asyncio.to_thread(fit, 2))
        await asyncio.sleep(0)
        return [fit(2), await asyncio.wait_for(beside, SECONDS)]

    assert asyncio.run(cell()) == [expected] * 2


# -------------------------------------------------------------------------------------- processes


def child(pipe: multiprocessing.connection.Connection) -> None:
    pipe.send_bytes(fit(2))


def fit_in_parent_and_child(method: str) -> bool:
    """Return whether a child process trains as its parent does, which has used threads before."""
    mine = fit(2)
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sender,), daemon=True)
    process.start()
    theirs = receiver.recv_bytes() if receiver.poll(SECONDS) else b""
    process.join(SECONDS)
    return process.exitcode == 0 and theirs == mine and fit(2) == mine


def start_child_while_a_thread_fits(method: str) -> bool:
    """Return whether a child process that starts during a thread's fit trains correctly."""
    with ThreadPoolExecutor(1) as pool:
        others = [pool.submit(fit, 2) for _ in range(100)]
        same = fit_in_parent_and_child(method)
        return same and len({other.result(SECONDS) for other in others}) == 1


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("when", [fit_in_parent_and_child, start_child_while_a_thread_fits])
def test_a_child_process(when: Callable[[str], bool], method: str) -> None:
    arguments = [sys.executable, __file__, when.__name__, method]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=3 * SECONDS)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="of forked processes")
@pytest.mark.filterwarnings("ignore:os.fork")  # a library that another test has loaded warns
def test_a_forked_child_trains_what_a_thread_of_its_parent_trains() -> None:
    network = fastnn.Network([64, 3], seed=1)
    with exclusive.exclusive_fit(network), blas.limited(1):
        child = os.fork()
        if not child:
            try:
                with exclusive.exclusive_fit(network), blas.limited(1):
                    os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(RuntimeError, match="trained already"), exclusive.exclusive_fit(network):
            pass


@pytest.mark.skipif(not hasattr(os, "fork") or not jit.is_on(), reason="of forks, and compiling")
@pytest.mark.filterwarnings("ignore:os.fork")
def test_a_fork_waits_while_another_thread_compiles(expected: bytes) -> None:
    """Otherwise the child would wait forever for the lock, which every fit on two threads takes."""
    from numba.core.compiler_lock import global_compiler_lock

    assert fit(2) == expected  # now all its kernels are compiled
    compiles, ends = threading.Event(), threading.Event()

    def compile_for_long() -> None:
        with global_compiler_lock:
            compiles.set()
            ends.wait(SECONDS)

    other = threading.Thread(target=compile_for_long)
    other.start()
    assert compiles.wait(SECONDS)
    threading.Timer(0.2, ends.set).start()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        os._exit(fit(2) != expected)
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ----------------------------------------------------------------------------- numpy's own threads


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Watching:
    """A user-defined cost, so that the numpy path runs; it records the number of BLAS threads."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        self.seen |= blas_threads()
        return a - y


@pytest.fixture
def three_threads():
    """Give BLAS three threads, so that a lower limit shows on any machine."""
    with threadpool_limits(3, user_api="blas"):
        if blas_threads() != {3}:
            pytest.skip("threadpoolctl does not know this BLAS")
        yield


def train_on_numpy(cost: Watching, threads: int) -> None:
    training = Training(
        [np.ones((2, 3))], [np.zeros(2)], activations=[Sigmoid()], cost=cost, penalties=[None],
        inputs=Inputs(np.ones((8, 3)), 1.0), targets=np.zeros(8, np.int64), batch_size=2,
        learning_rate=0.1, threads=threads,
    )  # fmt: skip
    assert np.isnan(training.epoch(np.arange(8)))  # such a cost has no value


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_numpy_path_limits_blas(threads: int) -> None:
    cost = Watching()
    train_on_numpy(cost, threads)
    assert cost.seen == {threads}
    assert blas_threads() == {3}


@pytest.mark.usefixtures("three_threads")
def test_blas_is_restored_after_an_error() -> None:
    class Broken(Watching):
        def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_on_numpy(Broken(), 1)
    assert blas_threads() == {3}


@pytest.mark.usefixtures("three_threads")
def test_blas_is_restored_by_the_last_of_several() -> None:
    first, second = blas.limited(1), blas.limited(2)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == {3}


def test_threads_that_could_start_end_where_another_could_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, started, called = threading.Thread.start, [], []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="new thread"):
        call_together(called.append, 3, lambda: None)
    started[0].join(SECONDS)
    assert not started[0].is_alive()
    assert not called


@pytest.mark.parametrize("fails", [0, 2])
def test_threads_do_not_wait_for_one_that_raises(fails: int) -> None:
    met = threading.Event()

    def meets(thread: int) -> None:
        if thread == fails:
            raise MemoryError("of one thread")
        assert met.wait(SECONDS)

    with pytest.raises(MemoryError, match="of one thread"):
        call_together(meets, 3, met.set)


@pytest.mark.skipif(not jit.is_on(), reason="numpy's path has no threads")
def test_an_epoch_that_one_thread_does_not_begin_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal handler may raise an exception just before the caller's thread begins."""
    X, y = np.random.default_rng(0).random((60, 20)), np.arange(60) % 3
    network, expected = (fastnn.Network([20, 40, 3], seed=1) for _ in range(2))
    network.fit(X, y, epochs=1, batch_size=20, threads=2)
    expected.fit(X, y, epochs=1, batch_size=20, threads=2)
    together = compiled.team.call_together

    def without_the_first(function: Any, threads: int, release: Any) -> Any:
        def call(thread: int) -> Any:
            if thread == 0:
                raise TimeoutError("took too long")
            return function(thread)

        return together(call, threads, release)

    with monkeypatch.context() as patch:
        patch.setattr(compiled.team, "call_together", without_the_first)
        with pytest.raises(TimeoutError, match="too long"):
            network.fit(X, y, epochs=1, batch_size=20, threads=2)
    for one, other in zip(network.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_signal_waits_for_a_kernel_to_be_compiled() -> None:
    """LLVM calls back into Python, where an exception from a signal handler would be lost."""

    @contextlib.contextmanager
    def nobody_else(*_: object) -> Iterator[None]:
        yield

    done, codegen = [], types.SimpleNamespace(codegen=lambda: None)
    kernel = types.SimpleNamespace(
        _cache=types.SimpleNamespace(alone=nobody_else), targetctx=codegen, overloads={}
    )

    def compile_so(signature: str) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(signature)

    with pytest.raises(KeyboardInterrupt):
        jit._alone(kernel, compile_so)("of floats")
    assert done == ["of floats"]


def test_a_kernel_that_is_compiled_asks_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit on several threads calls `compile` first; taking the lock would cost time."""
    rows, classes = np.eye(20, dtype=np.float32), np.arange(20) % 3
    network = fastnn.Network([20, 40, 3], seed=1)
    network.fit(rows, classes, epochs=1, batch_size=20, threads=2)

    def refused(*_: object) -> None:
        raise AssertionError("the lock was asked for")

    monkeypatch.setattr(cache, "_lock_file", refused)
    network.fit(rows, classes, epochs=1, batch_size=20, threads=2)


@pytest.mark.parametrize("released", [True, False])
def test_a_signal_that_comes_at_the_end_is_not_lost(released: bool) -> None:
    """It comes after the last call of `release`, or without any such call."""
    reached = []

    def interrupted() -> None:
        with signals_deferred() as release:
            if released:
                release()
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached


@pytest.mark.parametrize(
    ("units", "rows", "batch_size", "expected"),
    [(100, 1000, 10, 1), (100, 100, 100, 1), (100, 1000, 100, 4), (30, 10_000, 10, 1)],
    ids=["small batches", "a short epoch", "large batches", "small layers"],
)
def test_how_many_threads_are_chosen(
    units: int, rows: int, batch_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "threads_allowed", lambda: 4)
    sizes = [784, units, 10]
    chosen = Training(
        [np.zeros((b, a)) for a, b in itertools.pairwise(sizes)],
        [np.zeros(b) for b in sizes[1:]],
        activations=[Sigmoid(), Sigmoid()],
        cost=CrossEntropy(),
        penalties=[None, None],
        inputs=Inputs(np.zeros((rows, 784)), 1.0),
        targets=np.zeros(rows, np.int64),
        batch_size=batch_size,
        learning_rate=0.1,
    )
    assert chosen._problem.threads == expected


if __name__ == "__main__":
    print(globals()[sys.argv[1]](sys.argv[2]))
