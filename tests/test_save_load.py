"""Model files: what is written reads back exactly; for a damaged file the error says why."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import FileFormatError, Network, costs, model_files
from fastnn.files import refuse_unwritable, replace_file

FLOATS = ["float32", "float64"]


def trained(**keywords) -> Network:
    rng = np.random.default_rng(3)
    network = Network([6, 5, 3], seed=1, **keywords)
    network.fit(rng.random((40, 6)), rng.integers(0, 3, 40), epochs=2)
    return network


@pytest.fixture
def content(tmp_path: Path) -> dict:
    """Return the content of a sound model file."""
    trained().save(tmp_path / "sound.json")
    return json.loads((tmp_path / "sound.json").read_text("utf-8"))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("cost", "output"),
    [(c.name, output) for c in costs.ALL for output in c.outputs],
)
@pytest.mark.parametrize("input_scale", [None, 0.1])
def test_round_trip(dtype: str, cost: str, output: str, input_scale, tmp_path: Path) -> None:
    network = Network(
        [6, 5, 3],
        activation=["tanh", output],
        cost=cost,
        dtype=dtype,
        input_scale=input_scale,
        seed=1,
    )
    path = tmp_path / "model.json"
    network.save(path)
    loaded = fastnn.load(str(path))
    assert repr(loaded) == repr(network)
    for a, b in zip(network.weights + network.biases, loaded.weights + loaded.biases, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_loaded_network_goes_on_as_the_one_saved(dtype: str, tmp_path: Path) -> None:
    network = trained(dtype=dtype, input_scale=0.1)
    network.save(tmp_path / "model.json")
    loaded = fastnn.load(tmp_path / "model.json")
    X, y = np.random.default_rng(4).random((7, 6)), [0, 1, 2, 0, 1, 2, 0]
    for both in (network, loaded):
        both.fit(X, y, epochs=1, shuffle=False)
    np.testing.assert_array_equal(loaded.predict_proba(X), network.predict_proba(X))
    assert loaded.total_cost(X, y) == network.total_cost(X, y)


@pytest.mark.usefixtures("numpy_path")
def test_a_loaded_network_draws_from_its_seed(tmp_path: Path) -> None:
    X, y = np.random.default_rng(4).random((40, 6)), np.arange(40) % 3
    Network([6, 3], seed=1).save(tmp_path / "model")
    one, same, other = (fastnn.load(tmp_path / "model", seed=seed) for seed in (5, 5, 6))
    for network in (one, same, other):
        network.fit(X, y, epochs=1, batch_size=7)
    np.testing.assert_array_equal(one.weights[0], same.weights[0])
    assert (one.weights[0] != other.weights[0]).any()
    with pytest.raises(TypeError, match="seed must be a whole number"):
        fastnn.load(tmp_path / "model", seed="five")


@pytest.mark.parametrize("dtype", FLOATS)
def test_extreme_numbers_survive(dtype: str, tmp_path: Path) -> None:
    info = np.finfo(dtype)
    network = Network([6, 1], dtype=dtype)
    network.weights[0][0] = [info.max, info.min, info.tiny, info.smallest_subnormal, -0.0, 1 / 3]
    network.save(tmp_path / "model.json")
    assert fastnn.load(tmp_path / "model.json").weights[0].tobytes() == network.weights[0].tobytes()


@pytest.mark.parametrize(
    ("cost", "name"), [("quadratic", "QuadraticCost"), ("cross_entropy", "CrossEntropyCost")]
)
def test_the_books_keys(cost: str, name: str, tmp_path: Path) -> None:
    Network([6, 5, 3], cost=cost).save(tmp_path / "model.json")
    book = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert list(book)[:4] == ["sizes", "weights", "biases", "cost"]
    assert book["sizes"] == [6, 5, 3]
    assert book["cost"] == name
    assert [np.array(w).shape for w in book["weights"]] == [(5, 6), (3, 5)]
    assert [np.array(b).shape for b in book["biases"]] == [(5, 1), (3, 1)]


@pytest.mark.parametrize(
    ("cost", "name"), [("quadratic", "QuadraticCost"), ("cross_entropy", "CrossEntropyCost")]
)
def test_a_file_of_the_books(cost: str, name: str, content: dict, tmp_path: Path) -> None:
    del content["fastnn"]
    content["cost"] = name
    path = tmp_path / "book.json"
    path.write_text(json.dumps(content), "utf-8")
    network = fastnn.load(path)
    assert network.cost == cost
    assert network.activations == ["sigmoid", "sigmoid"]
    assert network.dtype == np.float64
    assert network.input_scale is None
    np.testing.assert_array_equal(network.weights[1], content["weights"][1])
    np.testing.assert_array_equal(network.biases[0], np.ravel(content["biases"][0]))


def test_a_network_that_is_not_the_books_keeps_its_own_cost_name(tmp_path: Path) -> None:
    model = model_files.Model(
        [np.zeros((1, 2))], [np.zeros(1)], ["other"], "quadratic", "float64", None
    )
    model_files.write_model(tmp_path / "model.json", model)
    assert json.loads((tmp_path / "model.json").read_text("utf-8"))["cost"] == "quadratic"
    with pytest.raises(FileFormatError, match=r"activation\[0\] must be one of"):
        fastnn.load(tmp_path / "model.json")


def put(*keys):
    """Return a function that sets the item at the path `keys[:-1]` to `keys[-1]`."""
    *way, last, value = keys

    def change(content: dict) -> None:
        for key in way:
            content = content[key]
        content[last] = value

    return change


DAMAGE = {
    "no sizes": (lambda c: c.pop("sizes"), "no 'sizes' in it"),
    "no weights, no cost": (
        lambda c: (c.pop("weights"), c.pop("cost")),
        "no 'weights' and no 'cost' in it",
    ),
    "one size": (put("sizes", [6]), "'sizes' must be a list of two or more"),
    "a size of 0": (put("sizes", 1, 0), "'sizes' must be"),
    "a size that is true": (put("sizes", 1, True), "'sizes' must be"),
    "a size of text": (put("sizes", 1, "5"), "'sizes' must be"),
    "huge sizes": (put("sizes", [10**15, 10**15, 3]), "layer 0 of 'weights' must be a list of"),
    "a layer missing": (lambda c: c["weights"].pop(), "'weights' must be a list of 2 layers"),
    "biases of text": (put("biases", "zero"), "'biases' must be a list of 2 layers"),
    "a row missing": (lambda c: c["weights"][0].pop(), "layer 0 of 'weights' .* 5 rows of 6"),
    "a short row": (lambda c: c["weights"][1][2].pop(), "layer 1 of 'weights' .* 3 rows of 5"),
    "flat biases": (put("biases", 1, [0.0] * 3), "layer 1 of 'biases' .* 3 rows of 1 numbers"),
    "text for a number": (put("weights", 0, 1, 1, "0"), "layer 0 of 'weights' .* not a number"),
    "true for a number": (put("weights", 0, 1, 1, True), "not a number"),
    "null for a number": (put("biases", 0, 1, 0, None), "layer 0 of 'biases' .* not a number"),
    "a list for a number": (put("weights", 0, 1, 1, [0.0]), "not a number"),
    "NaN": (put("weights", 0, 1, 1, float("nan")), "it holds NaN; every number must be finite"),
    "infinity": (put("biases", 0, 1, 0, -float("inf")), "it holds -Infinity"),
    "above float32": (put("weights", 0, 1, 1, 1e39), "a number too large for float32"),
    "a huge whole number": (put("weights", 0, 1, 1, 10**400), "too large for float32"),
    "unknown activation": (put("fastnn", "activations", ["sigmoid", "sigmoyd"]), "'sigmoid'"),
    "an activation missing": (put("fastnn", "activations", ["sigmoid"]), "not 1 names"),
    "activations of text": (put("fastnn", "activations", "sigmoid"), "must be a list of names"),
    "unknown cost": (put("fastnn", "cost", "crossentropy"), "did you mean 'cross_entropy'"),
    "unknown dtype": (put("fastnn", "dtype", "float16"), "'dtype' must be one of"),
    "a scale of text": (put("fastnn", "input_scale", "1/256"), "'input_scale' must be a number"),
    "a scale of 0": (put("fastnn", "input_scale", 0), "input_scale must be finite and above 0"),
    "another format": (put("fastnn", "format", 2), "its format is 2 and this version reads"),
    "no native keys": (put("fastnn", {}), "its format is None"),
    "native keys of text": (put("fastnn", "1"), "'fastnn' must be a JSON object"),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_content(change, message: str, content: dict, tmp_path: Path) -> None:
    change(content)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(FileFormatError, match=message) as caught:
        fastnn.load(path)
    assert str(path) in str(caught.value)


def test_a_users_cost_class_is_not_guessed(content: dict, tmp_path: Path) -> None:
    del content["fastnn"]
    content["cost"] = "MyCost"
    (tmp_path / "book.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(FileFormatError, match="'QuadraticCost', 'CrossEntropyCost', not 'MyCost'"):
        fastnn.load(tmp_path / "book.json")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\x93NUMPY\x01\x00",
        b"\x1f\x8b\x08\x00",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"sizes": ' + b"1" * 5000 + b"}",
        b"{}",
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_foreign_files(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "foreign.json"
    path.write_bytes(raw)
    with pytest.raises(FileFormatError, match=r"foreign\.json: not a model file: ."):
        fastnn.load(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    Network([1, 1], seed=1).save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            fastnn.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*no folder'"):
        trained().save(tmp_path / "no folder" / "model.json")


@pytest.mark.parametrize("where", ["weights", "biases"])
def test_numbers_that_are_not_finite_are_not_saved(where: str, tmp_path: Path) -> None:
    network = trained()
    network.save(tmp_path / "model.json")
    before = (tmp_path / "model.json").read_bytes()
    getattr(network, where)[1][0] = np.nan
    with pytest.raises(ValueError, match=rf"{where}\[1\] holds NaN or infinity"):
        network.save(tmp_path / "model.json")
    assert (tmp_path / "model.json").read_bytes() == before


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    network = trained()
    path = tmp_path / "model.json"
    network.save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    network.weights[0][:] = 0
    with pytest.raises(OSError, match="No space left"):
        network.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.json"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links and modes are POSIX's")
def test_a_link_stays_a_link_and_the_file_is_readable_by_others(tmp_path: Path) -> None:
    link = tmp_path / "latest.json"
    link.symlink_to(tmp_path / "model.json")
    network = trained()
    previous = os.umask(0o022)
    try:
        network.save(link)
    finally:
        os.umask(previous)
    assert link.is_symlink()
    assert (tmp_path / "model.json").stat().st_mode & 0o777 == 0o644
    assert repr(fastnn.load(link)) == repr(network)


@pytest.mark.skipif(os.name == "nt", reason="modes and pipes are POSIX's")
def test_a_file_keeps_its_mode_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    file, pipe = tmp_path / "model", tmp_path / "pipe"
    file.write_bytes(b"")
    file.chmod(0o600)
    trained().save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    os.mkfifo(pipe)
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    trained().save(pipe)
    reader.join(60)
    assert came == [file.read_bytes()]
    assert pipe.is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="has no names of open files")
def test_a_pipe_may_be_named_by_its_descriptor() -> None:
    """As a shell's ``>(gzip > model.gz)`` is, and ``/dev/stdout`` in a pipeline."""
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        with open(writing, "wb"):
            refuse_unwritable(f"/dev/fd/{writing}")
            replace_file(f"/dev/fd/{writing}", b"model")  # less than a pipe's buffer holds
        assert pipe.read() == b"model"


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="has no names of open files")
def test_an_open_file_named_by_its_descriptor_keeps_what_it_has(tmp_path: Path) -> None:
    """As ``/dev/stdout`` does after a shell's ``>> lines``."""
    lines = tmp_path / "lines"
    lines.write_bytes(b"first\n")
    with open(lines, "ab") as file:
        refuse_unwritable(f"/dev/fd/{file.fileno()}")
        replace_file(f"/dev/fd/{file.fileno()}", b"second\n")
    assert lines.read_bytes() == b"first\nsecond\n"
    assert os.listdir(tmp_path) == ["lines"]
