"""What an optimizer remembers: two warm-started fits equal one, also with a file in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as as_bytes

import fastnn
from fastnn import Adam, FileFormatError, Momentum, Network, optimizers
from fastnn.engine import State
from fastnn.penalties import L1, L2, CumulativeL1, TruncatedGradient

RNG = np.random.default_rng(4)
X, Y = RNG.random((40, 6)), RNG.integers(3, size=40)


def network(**keywords: Any) -> Network:
    return Network([6, 5, 3], seed=1, dtype="float64", **keywords)


def trained(*epochs: int, net: Network | None = None, warm: bool = True, **options: Any) -> Network:
    net = net or network()
    for count in epochs:
        net.fit(X, Y, epochs=count, batch_size=8, warm_start=warm, **options)
    return net


def assert_same(ours: Network, theirs: Network) -> None:
    arrays = zip(ours.weights + ours.biases, theirs.weights + theirs.biases, strict=True)
    assert all((a == b).all() for a, b in arrays)


@pytest.mark.parametrize("kind", optimizers.ALL, ids=lambda kind: kind.name)
def test_two_fits_are_one(kind: type[optimizers.Optimizer], numpy_path: None) -> None:
    one = kind(0.05)
    assert_same(trained(2, 3, optimizer=one), trained(5, optimizer=one))
    apart = trained(2, 3, optimizer=one, warm=False)
    if one.memories:
        assert (apart.weights[0] != trained(5, optimizer=one).weights[0]).any()
    else:
        assert apart.optimizer_state is None


def test_two_fits_are_one_compiled() -> None:
    assert_same(trained(2, 3, optimizer=Adam(0.05)), trained(5, optimizer=Adam(0.05)))


@pytest.mark.parametrize(
    "penalty",
    [CumulativeL1(1.0), L1(1.0, method="cumulative"), TruncatedGradient(1.0, every=4)],
)
@pytest.mark.parametrize("optimizer", [None, Momentum(0.1)])
def test_what_a_penalty_remembers_goes_on_where_it_is_the_same(
    penalty: fastnn.penalties.Penalty,
    optimizer: Any,
    numpy_path: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"optimizer": optimizer, "penalty": penalty}
    whole = trained(5, **options)
    if optimizer or not isinstance(penalty, TruncatedGradient):
        assert_same(trained(2, 3, **options), whole)
    else:  # it remembers only the number of steps
        assert trained(2, **options).optimizer_state is None
        return

    def with_another() -> Network:
        return trained(3, net=trained(2, **options), optimizer=optimizer, penalty=[penalty, None])

    begun_anew, carried = with_another(), State.carried
    monkeypatch.setattr(
        State,
        "carried",
        lambda state, dtype, same_penalties: carried(state, dtype, same_penalties=True),
    )
    if not isinstance(penalty, TruncatedGradient):  # of which nothing is kept for a weight
        assert (with_another().weights[0] != begun_anew.weights[0]).any()


def test_one_penalty_by_two_names_goes_on(numpy_path: None) -> None:
    by_method, by_class = L1(1.0, method="cumulative"), CumulativeL1(1.0)
    net = trained(2, penalty=by_method)
    assert_same(trained(3, net=net, penalty=by_class), trained(5, penalty=by_class))


def test_a_file_between_two_fits(tmp_path: Path, numpy_path: None) -> None:
    options: dict[str, Any] = {"optimizer": Adam(0.05), "penalty": L1(0.1), "shuffle": False}
    net = trained(2, **options)
    net.save(tmp_path / "model")
    loaded = fastnn.load(tmp_path / "model")
    assert loaded.optimizer_state is not None
    assert loaded.optimizer_state[:4] == net.optimizer_state[:4]
    assert_same(trained(3, net=loaded, **options), trained(5, **options))
    net.save(tmp_path / "model", optimizer_state=False)
    assert fastnn.load(tmp_path / "model").optimizer_state is None
    net.save(tmp_path / "model.json")
    assert fastnn.load(tmp_path / "model.json").optimizer_state is None


def test_what_a_penalty_keeps_is_in_the_file(tmp_path: Path, numpy_path: None) -> None:
    options: dict[str, Any] = {"penalty": CumulativeL1(1.0, biases=True), "shuffle": False}
    trained(2, **options).save(tmp_path / "model")
    loaded = fastnn.load(tmp_path / "model")
    assert_same(trained(3, net=loaded, **options), trained(5, **options))


def test_of_a_compacted_network(tmp_path: Path, numpy_path: None) -> None:
    net = network()
    net.weights[0][:, [1, 4]] = 0
    net.compact()
    trained(2, net=net, optimizer=Adam(0.05))
    net.save(tmp_path / "model")
    loaded = fastnn.load(tmp_path / "model")
    options: dict[str, Any] = {"optimizer": Adam(0.05), "shuffle": False}
    assert_same(trained(2, net=loaded, **options), trained(2, net=net, **options))
    net.weights[0][:, 0] = 0
    net.compact()
    assert net.optimizer_state is None


def test_blocks_go_on_likewise(numpy_path: None) -> None:
    whole, net, optimizer = network(), network(), Adam(0.05)
    blocks = fastnn.Blocks([(X[:20], Y[:20]), (X[20:], Y[20:])], buffer=20)
    whole.fit(blocks, epochs=4, optimizer=optimizer)
    for _ in range(2):
        net.fit(blocks, epochs=2, optimizer=optimizer, warm_start=True)
    assert_same(net, whole)


def test_dropout_is_drawn_anew(numpy_path: None) -> None:
    options: dict[str, Any] = {"optimizer": Adam(0.05), "dropout": 0.5}
    net = trained(2, 3, **options)
    assert_same(net, trained(2, 3, **options))
    assert (net.weights[0] != trained(5, **options).weights[0]).any()


def test_where_nothing_is_left(numpy_path: None) -> None:
    net = trained(3, optimizer=Adam(0.05))
    assert net.optimizer_state is not None
    assert net.optimizer_state.steps == 15
    trained(1, net=net, warm=False)  # plain descent
    assert net.optimizer_state is None
    trained(
        8, optimizer=Adam(0.5), net=net, early_stopping=1, validation_data=(X[:4], (Y[:4] + 1) % 3)
    )
    assert net.optimizer_state is None
    net = trained(1, net=network(activation="relu", cost="quadratic"), optimizer=Adam(0.05))
    with pytest.raises(fastnn.DivergenceError):
        trained(9, net=net, optimizer=Momentum(1e90), warm=False)
    assert net.optimizer_state is None


def test_the_last_epoch_may_be_the_best(numpy_path: None) -> None:
    held_out = {"early_stopping": 9, "validation_data": (X, Y)}
    for epochs, is_last in ((1, True), (2, False)):
        net = trained(epochs, optimizer=Adam(0.01), **held_out)
        assert (net.history.best_epoch == epochs - 1) == is_last
        assert (net.optimizer_state is not None) == is_last
    net = trained(4, optimizer=Adam(0.01))
    kept = net.optimizer_state
    trained(2, net=net, penalty=CumulativeL1(1.0), warm=False)
    trained(1, net=net, optimizer=Adam(0.01))  # despite what plain descent's penalty has left
    other = Network([6, 4, 3], dtype="float64")
    other.optimizer_state = kept
    with pytest.raises(ValueError, match="layers of other sizes; set it to None"):
        other.save("never written")


def test_what_cannot_go_on_is_refused(numpy_path: None) -> None:
    net = trained(1, optimizer=Adam(0.05))
    left, before = net.optimizer_state, net.weights[0].copy()
    with pytest.raises(ValueError, match="the last fit, 'adam', and not with Momentum"):
        trained(1, net=net, optimizer=Momentum(0.1))
    assert left is not None
    net.optimizer_state = left._replace(memories=left.memories[:1])
    with pytest.raises(ValueError, match="leave warm_start out"):
        trained(1, net=net, optimizer=Adam(0.05))
    net.optimizer_state = left._replace(memories=[left.memories[0][::-1], left.memories[1]])
    with pytest.raises(ValueError, match="other sizes"):
        trained(1, net=net, optimizer=Adam(0.05))
    assert (net.weights[0] == before).all()


def test_what_a_penalty_has_kept_of_other_layers_is_refused(numpy_path: None) -> None:
    penalty = CumulativeL1(1.0)
    wide, net = Network([6, 9, 3], seed=1, dtype="float64"), network()
    net.optimizer_state = trained(1, net=wide, penalty=penalty).optimizer_state
    before = net.weights[0].copy()
    with pytest.raises(ValueError, match="other sizes"):
        trained(1, net=net, penalty=penalty)
    assert (net.weights[0] == before).all()


DAMAGE: dict[str, tuple[Any, str]] = {
    "no object": (lambda record: 3, "must be an object"),
    "a part less": (lambda record: {k: v for k, v in record.items() if k != "total"}, "object of"),
    "a name": (lambda record: record | {"optimizer": 3}, "names that are none"),
    "penalties": (lambda record: record | {"penalties": [3]}, "names that are none"),
    "kept": (lambda record: record | {"kept": 1}, "not true or false"),
    "kept, and not there": (lambda record: record | {"kept": True}, "'penalty.layers.0.weight'"),
    "steps": (lambda record: record | {"steps": 1.5}, "'steps'"),
    "too many steps": (lambda record: record | {"steps": 1 << 60}, "more than"),
    "total": (lambda record: record | {"total": -1}, "'total'"),
    "memories": (lambda record: record | {"memories": 10**9}, "no tensors of 1000000000"),
    "fewer memories": (lambda record: record | {"memories": 1}, "none of a network's"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(damage: str, tmp_path: Path, numpy_path: None) -> None:
    change, message = DAMAGE[damage]
    path = tmp_path / "model"
    trained(1, optimizer=Adam(0.05)).save(path)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    record = json.loads(header["__metadata__"]["fastnn"])
    record["optimizer_state"] = change(record["optimizer_state"])
    path.write_bytes(as_bytes(load_tensors(raw), metadata={"fastnn": json.dumps(record)}))
    with pytest.raises(FileFormatError, match=message):
        fastnn.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_tensors_that_are_not_finite_or_of_another_shape(
    value: float, tmp_path: Path, numpy_path: None
) -> None:
    path = tmp_path / "model"
    net = trained(1, optimizer=Adam(0.05), penalty=L2(0.1))
    assert net.optimizer_state is not None
    net.save(path)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    tensors = load_tensors(raw)
    whole = tensors["optimizer.1.layers.0.weight"]
    changed = whole.copy()
    changed[0, 0] = value
    for array in (changed, whole[:2], whole.astype("float32")):
        tensors["optimizer.1.layers.0.weight"] = np.ascontiguousarray(array)
        path.write_bytes(as_bytes(tensors, metadata=header["__metadata__"]))
        with pytest.raises(FileFormatError, match=r"'optimizer.1.layers.0.weight' must be finite"):
            fastnn.load(path)
    net.optimizer_state.memories[1][0][0, 0] = value
    with pytest.raises(ValueError, match=r"optimizer_state.memories\[1\]\[0\] holds NaN or inf"):
        net.save(path)
