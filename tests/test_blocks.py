"""Training on blocks that are read when needed is the same as on rows in memory."""

from __future__ import annotations

import itertools
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import fastnn
from comparisons import same
from fastnn import L1, Adam, BlockError, Blocks, Network, local_sgd
from fastnn.trainer.rows import rows_of
from local_runs import PLAIN

SIZES = [64, 20, 10]


def new() -> Network:
    return Network(SIZES, seed=3, input_scale=1 / 16)


def as_it_is(buffer: Any) -> Any:
    return buffer


class Stream:
    """The minimal protocol: each iteration starts again from the first block."""

    def __init__(self, *blocks: Any) -> None:
        self.blocks, self.begun = blocks, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        for block in self.blocks:
            if isinstance(block, Exception):
                raise block
            yield block


@pytest.fixture(scope="module")
def parts(digits) -> list[tuple[Any, Any]]:
    cuts = [0, 300, 310, 900, 1437]
    return [
        (digits.train_images[a:b], digits.train_labels[a:b]) for a, b in itertools.pairwise(cuts)
    ]


@pytest.mark.parametrize("optimizer", [None, Adam(0.01)], ids=["sgd", "adam"])
def test_one_buffer_of_all_rows_is_fit(optimizer: Any, digits, parts) -> None:
    options: dict[str, Any] = {
        "epochs": 3, "optimizer": optimizer, "penalty": L1(1.0), "validation_data": digits[2:4],
    }  # fmt: skip
    expected = new()
    history = expected.fit(*digits[:2], **options)
    network = new()
    found = network.fit(Blocks(Stream(*parts)), **options)
    assert same(network, expected)
    assert found.train_cost == pytest.approx(history.train_cost)
    assert (found.val_cost, found.val_accuracy) == (history.val_cost, history.val_accuracy)


def test_buffers_go_on_with_what_is_remembered(digits, parts) -> None:
    """Without shuffling, buffers of whole batches give the batches of an epoch in memory."""
    options: dict[str, Any] = {
        "epochs": 2, "optimizer": Adam(0.01), "penalty": L1(1.0), "batch_size": 20,
        "shuffle": False,
    }  # fmt: skip
    expected, network = new(), new()
    expected.fit(*digits[:2], **options)
    network.fit(Blocks(Stream(*parts), buffer=100), **options)
    assert same(network, expected)


@pytest.mark.usefixtures("numpy_path")
def test_sparse_blocks(digits, parts) -> None:
    expected, network = new(), new()
    expected.fit(sparse.csr_array(digits[0]), digits[1], epochs=1, penalty=L1(1.0))
    blocks = [(sparse.coo_array(X), y) for X, y in parts]
    network.fit(Blocks(Stream(*blocks)), epochs=1, penalty=L1(1.0))
    assert same(network, expected)


def test_files_are_shuffled_by_blocks_and_within(digits, tmp_path: Path) -> None:
    paths = tmp_path / "X.npy", tmp_path / "y.npy"
    for path, array in zip(paths, digits[:2], strict=True):
        np.save(path, array)
    blocks = Blocks.of_files(*paths, block=100, buffer=250)
    assert blocks.rows == 1437
    seen = [
        [buffer.last for buffer in blocks.buffers(np.random.default_rng(s), as_it_is)]
        for s in (1, 1, 2)
    ]
    assert seen[0] == seen[1] != seen[2]
    total = sum(
        int(b.X.astype(int).sum()) for b in blocks.buffers(np.random.default_rng(1), as_it_is)
    )
    assert total == digits.train_images.astype(int).sum()
    network, mapped = new(), new()
    network.fit(blocks, epochs=8, penalty=L1(1.0))
    arrays = [np.load(path, mmap_mode="r") for path in paths]
    mapped.fit(Blocks.of_files(*arrays, block=100, buffer=250), epochs=8, penalty=L1(1.0))
    assert same(network, mapped)
    assert network.accuracy(*digits[2:4]) > 0.9


def test_the_next_buffer_is_read_while_this_one_trains(parts) -> None:
    read, trained = threading.Event(), []

    class Watched(Stream):
        def __iter__(self) -> Iterator[Any]:
            yield parts[0]
            read.set()
            yield parts[2]

    for buffer in Blocks(Watched(), rows=890, buffer=300).buffers(None, as_it_is):
        trained.append(len(buffer.X))
        assert read.wait(30)  # while the caller still has this buffer
    assert trained == [300, 300, 290]


def test_blocks_are_let_go_once_they_are_in_a_buffer(parts) -> None:
    made: list[Any] = []

    class Made:
        def __iter__(self) -> Iterator[Any]:
            for X, y in parts:
                rows = X.copy()
                made.append(weakref.ref(rows))
                yield rows, y
                del rows

    sizes = [len(y) for _, y in parts]
    filled = Blocks(Made(), buffer=sum(sizes[:2]), rows=sum(sizes))._filled(None)
    next(filled)
    assert [one() is None for one in made] == [True, False]  # the last block may have more rows
    next(filled)
    assert [one() is None for one in made][:2] == [True, True]


def test_a_block_that_fails_is_named_and_weights_are_kept(parts) -> None:
    disk = OSError("disk on fire")
    stream = Stream(parts[0], parts[2], disk)
    network, expected = new(), new()
    options: dict[str, Any] = {"epochs": 1, "shuffle": False, "penalty": L1(1.0)}
    with pytest.raises(BlockError, match=r"block 2, after block 1, could not .* disk on fire"):
        network.fit(Blocks(stream, rows=890, buffer=300), **options)
    X, y = (np.concatenate([parts[0][i], parts[2][i][:300]]) for i in (0, 1))
    expected.fit(X, y, epochs=1, shuffle=False, penalty=L1(600 / 890))
    np.testing.assert_allclose(network.weights[0], expected.weights[0], rtol=1e-5, atol=1e-6)
    assert network.history is not None
    assert network.history.train_cost == []
    before = [w.copy() for w in network.weights]
    with pytest.raises(BlockError, match=r"block 0, the first one, .*X has 300 rows and y has 299"):
        network.fit(Blocks(Stream((parts[0][0], parts[0][1][1:])), rows=890), **options)
    assert all(map(np.array_equal, network.weights, before))


def test_n_is_that_of_all_rows(parts) -> None:
    stream = Stream(*parts)
    blocks = Blocks(stream)
    assert blocks.rows == blocks.rows == 1437
    assert stream.begun == 1
    network = new()
    with pytest.raises(ValueError, match="1437 rows in this pass, not 1400"):
        network.fit(Blocks(stream, rows=1400), epochs=1, penalty=L1(1.0))


def test_blocks_must_be_of_one_form(parts) -> None:
    """In one buffer with floats, uint8 would lose its scale."""
    (X, y), (X2, y2) = parts[0], parts[2]
    others = [(X2 / 16, y2), (sparse.csr_array(X2), y2), (X2[:, 1:], y2), (X2, np.eye(10)[y2])]
    for other in others:
        network = new()
        with pytest.raises(BlockError, match=r"block 1, after block 0, .*before it uint8"):
            network.fit(Blocks(Stream((X, y), other), rows=890), epochs=1)
        assert same(network, new())

    class Fails:
        def __iter__(self) -> Iterator[Any]:
            raise OSError("disk on fire")

    with pytest.raises(BlockError, match=r"block 0, the first one, .* disk on fire"):
        new().fit(Blocks(Fails(), rows=3), epochs=1)


@pytest.mark.usefixtures("numpy_path")
def test_sparse_blocks_keep_their_dtype(parts) -> None:
    """Duplicate entries are added, and the sums must fit uint8, which has its own scale."""
    X, y = parts[1]
    expected, network = Network(SIZES, seed=3), Network(SIZES, seed=3)
    expected.fit(Blocks([(sparse.csr_array(X), y)]), epochs=1)
    network.fit(Blocks([(sparse.coo_array(X), y)]), epochs=1)
    assert same(network, expected)
    twice = sparse.coo_array((np.full(2, 200, np.uint8), ([0, 0], [1, 1])), shape=X.shape)
    with pytest.raises(BlockError, match="more than uint8 holds"):
        network.fit(Blocks([(twice, y)]), epochs=1)


@pytest.mark.usefixtures("numpy_path")
def test_the_penalty_is_noted_as_fit_does(parts) -> None:
    network = new()
    network.fit(Blocks(parts), epochs=1, penalty=L1(1.0))
    assert network.penalty == L1(1.0)
    network.fit(Blocks(parts), epochs=1)
    assert network.penalty is None


def test_ctrl_c_does_not_wait_for_a_block(parts) -> None:
    """An exception in the caller closes the pass, which must not wait for a block being read."""
    started, goes_on = threading.Event(), threading.Event()

    class Slow:
        def __iter__(self) -> Iterator[Any]:
            yield parts[0]
            started.set()
            goes_on.wait(60)

    buffers = Blocks(Slow(), rows=1437, buffer=300).buffers(None, as_it_is)
    assert next(buffers).last == 0
    assert started.wait(60)
    closing = threading.Thread(target=buffers.close)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    goes_on.set()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: Blocks(iter(p)), TypeError, "begin anew"),
        (lambda p: Blocks(3), TypeError, "begin anew"),
        (lambda p: Blocks(p, buffer=0), ValueError, "buffer must be"),
        (lambda p: Blocks([]).rows, ValueError, "at least one row"),
        (lambda p: Blocks.of_files(p[0][0], p[1][1]), ValueError, "as many rows"),
        (lambda p: Blocks.of_files("none.npy", "none.npy"), OSError, "none.npy"),
        (lambda p: new().fit(Blocks(p), p[0][1], epochs=1), ValueError, "y is for rows in one"),
        (lambda p: new().fit(Blocks(p), epochs=1, compact_every=1), ValueError, "compact_every"),
        (lambda p: new().fit(Blocks(p), epochs=1, threads=0), ValueError, "threads must be"),
        (lambda p: new().fit(Blocks(p), epochs=-1), ValueError, "epochs must be"),
        (lambda p: new().fit(Blocks([(sparse.csr_array(p[0][0]), p[0][1])]), epochs=1,
                             input_noise=0.1), ValueError, "fills the zeros"),
        (lambda p: new().fit(Blocks(p), epochs=1, resume=True), ValueError, "checkpoints"),
        (lambda p: new().fit(Blocks(p), epochs=1, early_stopping=2), ValueError,
         "rows: give validation_data$"),
        (lambda p: new().fit(Blocks(p), epochs=1, shuffle="no"), TypeError, "shuffle must be"),
        (lambda p: new().fit(Blocks(p), epochs=1, callbacks=5, progress=True), TypeError,
         "callbacks must be"),
        (lambda p: new().fit(Blocks([(p[0][0][:, 1:], p[0][1])]), epochs=1), ValueError,
         "ends with block 0: X must have 64 columns"),
    ],
)  # fmt: skip
def test_bad_arguments(make: Any, error: type[Exception], message: str, parts) -> None:
    with pytest.raises(error, match=message):
        make(parts)


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"early_stopping": 2}, {"callbacks": 5}, {"validation_data": 3}],
)
@pytest.mark.parametrize("progress", [False, True])
def test_arguments_are_checked_before_rows_are_read(
    wrong: dict[str, Any], progress: bool, parts
) -> None:
    stream = Stream(*parts)
    with pytest.raises((TypeError, ValueError), match=r"must be|give validation_data"):
        new().fit(Blocks(stream), epochs=1, progress=progress, **wrong)
    assert stream.begun == 0


@pytest.mark.usefixtures("numpy_path")
def test_rows_that_are_refused_leave_the_weights_of_the_epoch_before(parts) -> None:
    (X, y), (X2, y2) = parts[:2]
    network, expected, options = new(), new(), {"epochs": 2, "shuffle": False}
    for blocks in (Blocks([(X, y), (X2, y2 + 5)], buffer=len(X)), Blocks([(X, y)], rows=1000)):
        with pytest.raises(ValueError, match=r"must|rows in this pass"):
            network.fit(blocks, **options)
        assert same(network, expected)


@pytest.mark.usefixtures("numpy_path")
def test_weights_that_diverge_are_put_back(parts) -> None:
    """They are restored at once, even if a later block of the pass cannot be read."""
    network, stream = new(), Stream(*parts, OSError("disk on fire"))
    with pytest.raises(
        fastnn.DivergenceError, match=r"no longer finite in round 1.*no weight is finite"
    ):
        network.fit(Blocks(stream, rows=2000, buffer=300), epochs=1, learning_rate=1e38)
    assert same(network, new())


@pytest.mark.usefixtures("numpy_path")
def test_ctrl_c_never_leaves_half_an_average(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    network, expected = new(), new()
    rows = [rows_of(network, *part, predicted=False) for part in parts[:2]]

    def fit(network: Network, rounds: int) -> None:
        def run(task, model, places):
            pairs = zip(places, rows, strict=True)
            return [local_sgd.train_part(task, model, place, [own]) for place, own in pairs]

        counts = [part.total for part in rows]
        local_sgd.fit(network, run, lambda: counts, rounds=rounds, **PLAIN | {"local_epochs": 1})

    def value_of(*arguments) -> float:
        signal.raise_signal(signal.SIGINT)  # while the round is recorded
        return 0.0

    fit(expected, 1)
    monkeypatch.setattr(local_sgd, "value_of", value_of)
    with pytest.raises(KeyboardInterrupt):
        fit(network, 2)
    assert same(network, expected)
    assert network.history.train_cost == expected.history.train_cost


@pytest.mark.usefixtures("numpy_path")
def test_a_source_of_items_without_a_length_comes_in_its_own_order(parts) -> None:
    """PyTorch's iterable data sets are such sources."""

    class Items(Stream):
        def __getitem__(self, number: int) -> Any:
            raise NotImplementedError

    nets = new(), new()
    for net, source in zip(nets, (Items(*parts), Stream(*parts)), strict=True):
        net.fit(Blocks(source, rows=1437), epochs=1)
    assert same(*nets)
