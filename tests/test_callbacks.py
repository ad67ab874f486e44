"""What happens between epochs: callbacks, early stopping, validation and the history."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Blocks, Callback, EarlyStopping, History, Network, engine
from fastnn.trainer.arguments import held_out

RNG = np.random.default_rng(5)
X, Y = RNG.integers(0, 256, (45, 12), dtype=np.uint8), RNG.integers(0, 4, 45)


def new(**keywords) -> Network:
    return Network([12, 7, 4], **{"dtype": "float64", "seed": 1, **keywords})


class Record(Callback):
    def __init__(self, network: Network, begin=(), end=()) -> None:
        self.network, self.begin, self.end, self.calls = network, begin, end, []

    def epoch_begin(self, epoch, network):
        assert network is self.network
        self.calls.append(("begin", epoch))
        return epoch in self.begin

    def epoch_end(self, epoch, network, history):
        assert network is self.network
        assert history is network.history
        self.calls.append(("end", epoch, len(history.train_cost), len(history.seconds)))
        return epoch in self.end


def test_callbacks_see_every_epoch() -> None:
    network = new()
    record = Record(network)
    network.fit(X, Y, epochs=2, callbacks=[record, Callback()])
    assert record.calls == [("begin", 0), ("end", 0, 1, 1), ("begin", 1), ("end", 1, 2, 2)]


@pytest.mark.parametrize("reads", [True, False])
def test_arrays_are_written_after_an_epoch_only_for_callbacks_that_read_them(
    reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, epoch = [], engine.Training.epoch

    def noted(*args: Any, write_back: bool = True, **options: Any) -> float:
        written.append(write_back)
        return epoch(*args, write_back=write_back, **options)

    monkeypatch.setattr(engine.Training, "epoch", noted)
    network, expected = new(), new()
    record = Record(network, end=[2])
    record.reads_network = reads
    costs = network.fit(X, Y, epochs=5, penalty=fastnn.L1(0.1), callbacks=[record]).train_cost
    assert written == [reads] * 3
    assert costs == expected.fit(X, Y, epochs=3, penalty=fastnn.L1(0.1)).train_cost


def test_arrays_in_the_place_of_others_are_trained_on() -> None:
    class Copies(Callback):
        def epoch_end(self, epoch, network, history):
            network.weights[0] = network.weights[0].copy()

    network, expected = new(), new()
    network.fit(X, Y, epochs=3, callbacks=[Copies()])
    expected.fit(X, Y, epochs=3)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


@pytest.mark.parametrize("where", ["weights", "biases", "compact"])
def test_other_lists_in_the_place_of_those_trained_are_refused(where: str) -> None:
    class Replaces(Callback):
        def epoch_begin(self, epoch, network):
            if epoch == 1 and where == "compact":
                network.compact()
            elif epoch == 1:
                setattr(network, where, [array.copy() for array in getattr(network, where)])

    network = new()
    network.weights[0][:, 3] = 0
    with pytest.raises(RuntimeError, match=r"a callback has changed network\.weights"):
        network.fit(np.where(np.arange(12) == 3, 0, X), Y, epochs=3, callbacks=[Replaces()])


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("where", ["weights", "biases", "prune"])
def test_arrays_that_a_callback_changes_are_put_back(where: str, blocks: bool) -> None:
    """The engine trains its own copies, so the changes would be lost."""

    class Writes(Callback):
        def epoch_end(self, epoch, network, history):
            if where == "prune":
                network.prune(0.3)
            else:
                getattr(network, where)[1][...] *= 2

    network, expected = new(), new()
    given = {"X": Blocks([(X, Y)])} if blocks else {"X": X, "y": Y}
    with pytest.raises(RuntimeError, match=r"a callback has changed network\.weights"):
        network.fit(**given, epochs=3, callbacks=[Writes()])
    expected.fit(**given, epochs=1)
    for one, other in zip(network.weights + network.biases, expected.weights + expected.biases,
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("stop", "epochs"), [({"begin": [2]}, 2), ({"end": [2]}, 3)])
def test_a_callback_ends_the_fit(stop, epochs: int) -> None:
    network, expected = new(), new()
    history = network.fit(X, Y, epochs=9, callbacks=(Record(network, **stop), Record(network)))
    assert len(history.train_cost) == epochs
    expected.fit(X, Y, epochs=epochs)
    np.testing.assert_array_equal(network.weights[0], expected.weights[0])


@pytest.mark.parametrize(("answer", "epochs"), [(np.True_, 1), (np.False_, 3), (1, 3), ("no", 3)])
def test_only_true_ends_the_fit_also_if_it_is_numpys(answer, epochs: int) -> None:
    class Answers(Callback):
        def epoch_end(self, epoch, network, history):
            return answer

    assert len(new().fit(X, Y, epochs=3, callbacks=[Answers()]).seconds) == epochs


def test_what_a_callback_raises_ends_the_fit_there() -> None:
    class Fails(Callback):
        def epoch_end(self, epoch, network, history):
            raise RuntimeError("enough")

    network = new()
    with pytest.raises(RuntimeError, match="enough"):
        network.fit(X, Y, epochs=3, callbacks=[Fails()])
    assert len(network.history.train_cost) == 1


# ------------------------------------------------------------------------------- early stopping


class Keep(Callback):
    """Copies the arrays after every epoch."""

    def __init__(self) -> None:
        self.arrays = []

    def epoch_end(self, epoch, network, history):
        self.arrays.append([a.copy() for a in (*network.weights, *network.biases)])


@pytest.mark.parametrize("monitor", ["val_score", "val_cost", "train_cost"])
@pytest.mark.parametrize("min_delta", [0.0, 0.01])
def test_the_best_epochs_weights_are_put_back(monitor: str, min_delta: float) -> None:
    network, keep, patience = new(), Keep(), 3
    before = network.weights[0]
    history = network.fit(
        X[:30], Y[:30], epochs=60, learning_rate=3.0, validation_data=(X[30:], Y[30:]),
        early_stopping=EarlyStopping(patience, min_delta, monitor), callbacks=[keep],
    )  # fmt: skip
    values = np.array(getattr(history, monitor)) * (1 if monitor == "val_score" else -1)
    best, since = 0, 0
    for epoch in range(1, len(values)):
        best, since = (epoch, 0) if values[epoch] > values[best] + min_delta else (best, since + 1)
        assert since < patience or epoch == len(values) - 1
    assert since == patience
    assert len(values) < 60
    assert history.best_epoch == best
    for came, wanted in zip(network.weights + network.biases, keep.arrays[best], strict=True):
        np.testing.assert_array_equal(came, wanted)
    assert network.weights[0] is before


def test_a_fit_that_was_stopped_has_no_best_epoch() -> None:
    """Its weights are those of the last epoch."""

    class Stops(Callback):
        def epoch_end(self, epoch: int, network: Network, history: History) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    network = new()
    with pytest.raises(KeyboardInterrupt):
        network.fit(
            X[:30], Y[:30], epochs=9, validation_data=(X[30:], Y[30:]), early_stopping=5,
            callbacks=[Stops()],
        )  # fmt: skip
    assert network.history.best_epoch is None


def test_a_number_is_the_patience() -> None:
    options = {"epochs": 60, "learning_rate": 3.0, "validation_data": (X[30:], Y[30:])}
    histories = [
        new().fit(X[:30], Y[:30], early_stopping=stopping, **options)
        for stopping in (4, EarlyStopping(4))
    ]
    assert histories[0].val_cost == histories[1].val_cost
    assert len(histories[0].val_cost) == histories[0].best_epoch + 5


def test_early_stopping_needs_something_to_watch() -> None:
    with pytest.raises(ValueError, match="give validation_data or validation_fraction"):
        new().fit(X, Y, epochs=1, early_stopping=3)
    new().fit(X, Y, epochs=1, early_stopping=EarlyStopping(monitor="train_cost"))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"patience": 0}, "patience must be"),
        ({"min_delta": -1}, "min_delta must be"),
        ({"monitor": "val_scores"}, r"monitor must be one of .* did you mean 'val_score'"),
    ],
)
def test_bad_early_stopping(keywords, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**keywords)


# ------------------------------------------------------------------------------ validation rows


@pytest.mark.parametrize("targets", ["labels", "rows"])
def test_a_fraction_is_held_out(targets: str) -> None:
    """The fit is the same as if the caller had split the rows with the same draw."""
    y = Y if targets == "labels" else np.eye(4)[Y]
    network, split = new(), new()
    drawn = split._rng.permutation(45)
    held, rows = np.sort(drawn[:12]), np.sort(drawn[12:])
    history = network.fit(X, y, epochs=3, validation_fraction=0.25, batch_size=7)
    expected = split.fit(
        X[rows], y[rows], epochs=3, validation_data=(X[held], y[held]), batch_size=7
    )
    np.testing.assert_array_equal(network.weights[0], split.weights[0])
    assert history.val_cost == expected.val_cost
    assert history.val_accuracy == expected.val_accuracy
    assert history.train_cost == expected.train_cost


@pytest.mark.parametrize(("n", "share", "held"), [(100, 0.07, 7), (50, 0.14, 7), (10, 0.25, 3)])
def test_a_share_of_the_rows_is_rounded_up_from_what_it_says(
    n: int, share: float, held: int
) -> None:
    assert held_out(n, share, validates=False) == held


def test_the_n_of_the_penalty_is_the_rows_left() -> None:
    from fastnn import L1

    network, split = new(), new()
    drawn = split._rng.permutation(45)
    network.fit(X, Y, epochs=2, validation_fraction=0.25, penalty=L1(2.0))
    split.fit(X[np.sort(drawn[12:])], Y[np.sort(drawn[12:])], epochs=2, penalty=L1(2.0))
    np.testing.assert_array_equal(network.weights[0], split.weights[0])


BAD = {
    "fraction 0": ({"validation_fraction": 0}, ValueError),
    "fraction 1": ({"validation_fraction": 1}, ValueError),
    "fraction that leaves nothing": ({"validation_fraction": 0.99}, ValueError),
    "fraction -0.1": ({"validation_fraction": -0.1}, ValueError),
    "fraction of text": ({"validation_fraction": "0.1"}, TypeError),
    "both": ({"validation_fraction": 0.1, "validation_data": (X, Y)}, ValueError),
    "early_stopping 0": ({"early_stopping": 0, "validation_data": (X, Y)}, ValueError),
    "early_stopping of text": ({"early_stopping": "5"}, TypeError),
    "a callback alone": ({"callbacks": Callback()}, TypeError),
    "a function": ({"callbacks": [print]}, TypeError),
}


@pytest.mark.parametrize(("keywords", "error"), BAD.values(), ids=BAD)
def test_bad_arguments_leave_the_network_untouched(keywords, error) -> None:
    network = new()
    state = network._rng.bit_generator.state
    with pytest.raises(error) as caught:
        network.fit(X, Y, epochs=2, **keywords)
    assert len(str(caught.value)) > 20
    np.testing.assert_array_equal(network.weights[0], new().weights[0])
    assert network._rng.bit_generator.state == state
    assert network.history is None


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"callbacks": [EarlyStopping(2)]}, r"not \[EarlyStopping.*give .* as early_stopping="),
        ({"callbacks": EarlyStopping(2)}, "give EarlyStopping as early_stopping="),
        ({"early_stopping": True}, r"or a fastnn\.EarlyStopping, not True \(bool\)"),
    ],
)
def test_what_early_stopping_takes_is_said(keywords, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        new().fit(X, Y, epochs=2, **keywords)


# ---------------------------------------------------------------------------------- the history


def test_a_history_as_a_dict_and_as_a_file(tmp_path: Path) -> None:
    history = new().fit(X, Y, epochs=3, validation_data=(X, Y))
    names = ["train_cost", "val_cost", "val_accuracy", "seconds", "learning_rate"]
    series = history.to_dict()
    assert list(series) == names
    assert series["train_cost"] == history.train_cost
    assert series["train_cost"] is not history.train_cost
    history.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["epoch", *names]
    columns = list(zip(*[[float(value) for value in row] for row in rows], strict=True))
    assert columns == [(1, 2, 3), *map(tuple, series.values())]


def test_an_empty_history_as_a_file(tmp_path: Path) -> None:
    History().to_csv(tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text() == "epoch\n"
    assert History().to_dict() == {}
    assert History().val_score == []


@pytest.mark.parametrize("score", ["val_accuracy", "val_r2"])
def test_a_history_draws_itself(score: str) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    history = History([3.0, 2.0], [3.5, 2.5], **{score: [0.5, 0.75]})
    assert history.plot(ax=ax) is ax
    [twin] = [other for other in figure.axes if other is not ax]
    percent = 100 if score == "val_accuracy" else 1
    assert twin.lines[0].get_ydata().tolist() == [0.5 * percent, 0.75 * percent]
