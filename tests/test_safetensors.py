"""Model files: what they keep, what other readers see, and which errors damage raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as tensors_as_bytes

import fastnn
from fastnn import FileFormatError, Network, penalties
from fastnn.penalties import L1, L2, GroupLasso, TruncatedGradient

PENALTIES: dict[str, penalties.PenaltyLike] = {
    **{kind.name: penalties.named("", kind.name, 2.5) for kind in penalties.ALL},
    "parameters": TruncatedGradient(3.0, every=4, theta=0.5, biases=True),
    "a list": [L1(0.5, method="proximal"), None, GroupLasso(1.0, groups="neurons")],
    "nothing": None,
}


def network(**keywords: Any) -> Network:
    return Network([6, 5, 4, 3], seed=1, **keywords)


def content(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the record of a file, read without fastnn."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return load_tensors(raw), json.loads(header["__metadata__"]["fastnn"])


def assert_same(came: Network, wanted: Network) -> None:
    assert repr(came) == repr(wanted)
    assert came.penalty == wanted.penalty
    assert came.n_inputs == wanted.n_inputs
    np.testing.assert_array_equal(came.kept_inputs, wanted.kept_inputs)
    arrays = zip(came.weights + came.biases, wanted.weights + wanted.biases, strict=True)
    for a, b in arrays:
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        assert a.flags.writeable


@pytest.mark.parametrize("suffix", ["safetensors", "model", "json"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"activation": ["relu", "gelu", "softmax"], "cost": "log_likelihood", "input_scale": 0.1},
        {"activation": ["elu", "tanh", "identity"], "cost": "huber"},
        {"multilabel": True},
    ],
    ids=lambda keywords: ", ".join(keywords) or "defaults",
)
def test_round_trip(suffix: str, dtype: str, keywords: dict[str, Any], tmp_path: Path) -> None:
    saved, path = network(dtype=dtype, **keywords), tmp_path / f"model.{suffix}"
    saved.penalty = L1(2.0)
    saved.save(path)
    assert (path.read_bytes()[:1] == b"{") == (suffix == "json")
    assert_same(fastnn.load(path), saved)


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_the_penalty_is_kept(suffix: str, penalty: penalties.PenaltyLike, tmp_path: Path) -> None:
    saved = network()
    saved.penalty = penalty
    saved.save(tmp_path / f"model.{suffix}")
    assert fastnn.load(tmp_path / f"model.{suffix}").penalty == penalty


def test_a_fit_says_which_penalty_it_took() -> None:
    trained, rows = network(), (np.zeros((4, 6)), [0, 1, 2, 0])
    for penalty in (L1(1e-4), [None, L2(1e-4), None], None):
        trained.fit(*rows, epochs=0, penalty=penalty)
        assert trained.penalty == penalty


class Mine(L2):
    name = "mine"


def test_a_penalty_that_no_file_can_bring_back_is_left_out(tmp_path: Path) -> None:
    saved = network()
    for penalty in (Mine(1.0), [Mine(1.0), L2(1.0), None]):
        saved.penalty = penalty
        saved.save(tmp_path / "model")
        assert fastnn.load(tmp_path / "model").penalty is None


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_a_compacted_network_is_the_same_to_every_reader(suffix: str, tmp_path: Path) -> None:
    saved = network(dtype="float64")
    saved.weights[0][:, [1, 4]] = 0
    X = np.random.default_rng(2).random((5, 6))
    before = saved.predict_proba(X)
    saved.compact()
    saved.save(tmp_path / f"model.{suffix}")
    loaded = fastnn.load(tmp_path / f"model.{suffix}")
    assert_same(loaded, saved)
    np.testing.assert_allclose(loaded.predict_proba(X), before, rtol=1e-12)
    if suffix == "safetensors":
        tensors, _ = content(tmp_path / "model.safetensors")
        assert tensors["layers.0.weight"].shape == (5, 6)
        assert not tensors["layers.0.weight"][:, [1, 4]].any()


def test_what_other_readers_see(tmp_path: Path) -> None:
    saved = network(activation=["relu", "tanh", "sigmoid"])
    saved.save(tmp_path / "model.safetensors")
    tensors, record = content(tmp_path / "model.safetensors")
    assert sorted(tensors) == sorted(
        f"layers.{i}.{p}" for i in range(3) for p in ("weight", "bias")
    )
    np.testing.assert_array_equal(tensors["layers.1.weight"], saved.weights[1])
    np.testing.assert_array_equal(tensors["layers.2.bias"], saved.biases[2])
    assert record == {
        "format": 1,
        "version": fastnn.__version__,
        "activations": ["relu", "tanh", "sigmoid"],
        "cost": "cross_entropy",
        "dtype": "float32",
        "input_scale": None,
    }


def test_the_content_says_which_form_it_is(tmp_path: Path) -> None:
    saved = network()
    for suffix, other in (("json", "safetensors"), ("safetensors", "json")):
        saved.save(tmp_path / f"model.{suffix}")
        (tmp_path / f"model.{suffix}").rename(tmp_path / f"renamed.{other}")
        assert_same(fastnn.load(tmp_path / f"renamed.{other}"), saved)


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_max_bytes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    network().save(path)
    size = path.stat().st_size
    fastnn.load(path, max_bytes=size)
    with pytest.raises(FileFormatError, match=f"larger than max_bytes={size - 1:,}"):
        fastnn.load(path, max_bytes=size - 1)


def put(key: str, value: Any) -> Any:
    """Return a change that sets one entry of the record."""
    return lambda tensors, record: record.update({key: value})


def tensor(name: str, value: np.ndarray) -> Any:
    return lambda tensors, record: tensors.update({name: value})


ZERO = np.zeros((4, 5), "f4")
DAMAGE = {
    "another format": (put("format", 2), "its format is 2 and this version reads format 1"),
    "another dtype": (put("dtype", "float64"), r"'layers\.0\.weight' must be float64"),
    "no such dtype": (put("dtype", "float16"), "'dtype' must be one of"),
    "an unknown activation": (put("activations", ["relu", "relu", "relux"]), "must be one of"),
    "activations of numbers": (put("activations", [1, 2, 3]), "must be a list of names"),
    "an activation missing": (put("activations", ["relu"] * 2), "not 2 names"),
    "no cost": (lambda tensors, record: record.pop("cost"), "cost must be one of"),
    "a cost that is a list": (put("cost", []), "cost must be one of"),
    "labels of text": (put("multilabel", "no"), "'multilabel' must be true or false"),
    "labels of softmax": (
        lambda t, r: r.update(
            multilabel=True, cost="log_likelihood", activations=["relu", "relu", "softmax"]
        ),
        "multilabel=True needs sigmoid",
    ),
    "a scale that no float holds": (put("input_scale", 10**400), "'input_scale' must be finite"),
    "kept inputs beyond": (put("kept_inputs", [0, 6]), "'kept_inputs' must be"),
    "kept inputs that drop weights": (put("kept_inputs", [0, 1]), "has a weight that is not 0"),
    "an unknown penalty": (put("penalty", {"name": "l3", "lmbda": 1}), "'penalty' name must be"),
    "a penalty of text": (put("penalty", "l1"), "'penalty' must be a JSON object"),
    "a penalty's unknown part": (put("penalty", {"name": "l1", "x": 1}), "unexpected keyword"),
    "a penalty of -1": (put("penalty", {"name": "l1", "lmbda": -1}), "lmbda must be"),
    "penalties of two layers": (put("penalty", [None, None]), "one .* for each of the 3 layers"),
    "no weights": (lambda t, r: [t.pop(f"layers.{i}.weight") for i in range(3)], "no tensor"),
    "a layer missing": (lambda t, r: t.pop("layers.1.weight"), r"a tensor \['layers\.1\.bias'\]"),
    "biases missing": (lambda t, r: t.pop("layers.1.bias"), r"no tensor 'layers\.1\.bias' in it"),
    "an unknown tensor": (tensor("layers.01.weight", ZERO), r"'layers\.01\.weight'\] that is none"),
    "whole numbers": (tensor("layers.1.weight", ZERO.astype("i4")), "must be float32"),
    "half": (tensor("layers.1.weight", ZERO.astype("f2")), "must be float32 of 2 dimensions"),
    "flat weights": (tensor("layers.1.weight", ZERO.ravel()), "must be float32 of 2 dimensions"),
    "no units": (tensor("layers.1.weight", ZERO[:0]), "and not empty"),
    "another shape": (tensor("layers.1.weight", ZERO.T.copy()), "do not fit"),
    "another size": (tensor("layers.1.weight", ZERO[:, :3].copy()), "follow a layer of 5 units"),
    "NaN": (tensor("layers.1.weight", ZERO * np.nan), r"'layers\.1\.weight' holds NaN or infinity"),
    "infinity": (tensor("layers.1.bias", np.full(4, np.inf, "f4")), "holds NaN or infinity"),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_content(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    network().save(path)
    tensors, record = content(path)
    change(tensors, record)
    path.write_bytes(tensors_as_bytes(tensors, {"fastnn": json.dumps(record)}))
    with pytest.raises(FileFormatError, match=rf"model\.safetensors: not a .*{message}"):
        fastnn.load(path)


def raw_file(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


RECORD = b'{"__metadata__":{"fastnn":"{\\"format\\":1,\\"dtype\\":\\"float32\\"}"}'
TENSOR = b',"layers.0.weight":{"dtype":"%s","shape":[%s],"data_offsets":[0,%s]}}'
FOREIGN = {
    "of others": tensors_as_bytes({"layers.0.weight": ZERO}),
    "of others, with metadata": tensors_as_bytes({"w": ZERO}, {"format": "pt"}),
    "a record that is no JSON": tensors_as_bytes({"w": ZERO}, {"fastnn": "{"}),
    "a record that is no object": tensors_as_bytes({"w": ZERO}, {"fastnn": "[]"}),
    "no header": raw_file(b""),
    "a header of text": raw_file(b"header"),
    "a list": raw_file(b"[]"),
    "a deep header": raw_file(b"[" * 100_000),
    "a deep record": raw_file(b'{"__metadata__":{"fastnn":"' + b"[" * 100_000 + b'"}}'),
    "a claim of a header": (1 << 62).to_bytes(8, "little") + b"{}",
    "a claim of 2**63": b"\xff" * 7 + b"\0{}",
    "a claim of data": raw_file(RECORD + TENSOR % (b"F32", b"1000000,1000000", b"4000000000000")),
    "a claim that overflows": raw_file(RECORD + TENSOR % (b"F32", b"4294967296,4294967296", b"0")),
    "a dtype of others": raw_file(RECORD + TENSOR % (b"BF16", b"1,1", b"2"), b"\0\0"),
    "no dtype": raw_file(RECORD + TENSOR % (b"F3", b"1,1", b"4"), b"\0" * 4),
    "data that nobody names": raw_file(RECORD + b"}", b"data"),
}


@pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(FileFormatError, match=r"model\.safetensors: not a model file: ."):
        fastnn.load(tmp_path / "model.safetensors")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    Network([1, 1], seed=1).save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            fastnn.load(path)
