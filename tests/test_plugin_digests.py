"""A file that was written with a user-defined plug-in is not resumed with a changed version."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import penalties, schedules, sweeps
from fastnn.plugin_digests import name_with_code, repr_with_code
from fastnn.sweep_space import described

SOURCE = """
from functools import cached_property
from fastnn.penalties.base import Shrinking, soft

FACTOR = 1.0

def most(kappa, *, share=1.0):
    return kappa * 1 * share

class Own(Shrinking):
    '''A rule.'''
    name = "own"
    after_gradient = True
    shares = 1

    def coefficients(self, step):
        '''How much a step takes.'''
        return (FACTOR * step * self.lmbda,)

    @staticmethod
    def shrink(xp, w, kappa):
        return soft(xp, w, most(kappa))

    def value(self, w):
        return 0.0

    @cached_property
    def once(self):
        return 3.0

    def strengths(self, step):
        return step * self.lmbda, 0.0
"""
EDITS = {
    "a number of the module": ("FACTOR = 1.0", "FACTOR = 5.0"),
    "a helper": ("kappa * 1", "kappa * 2"),
    "a method": ("step * self.lmbda,)", "2 * step * self.lmbda,)"),
    "an attribute": ("shares = 1", "shares = 2"),
    "a default by keyword": ("share=1.0", "share=2.0"),
    "a cached property": ("return 3.0", "return 4.0"),
    "the order": ("after_gradient = True", "after_gradient = False"),
}


def own(source: str = SOURCE) -> Any:
    namespace: dict[str, Any] = {"__name__": "a_program"}
    exec(source, namespace)
    return namespace["Own"]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_class_is_another(edit: str) -> None:
    one, same, other = own(), own(), own(SOURCE.replace(*EDITS[edit]))
    assert repr_with_code(one(2.0)) == repr_with_code(same(2.0)) != repr_with_code(other(2.0))
    assert name_with_code(one) == name_with_code(same) != name_with_code(other)
    assert repr_with_code(one(2.0)).startswith("Own(lmbda=2.0, biases=False) ")
    partly, same, other = (partial(kind, biases=True) for kind in (one, same, other))
    assert repr_with_code(partly) == repr_with_code(same) != repr_with_code(other)


def test_documentation_is_not_code() -> None:
    other = own(SOURCE.replace("A rule", "Another rule").replace("How much", "What"))
    assert name_with_code(own()) == name_with_code(other)


def test_what_is_fastnns_has_its_name_alone() -> None:
    for value in (fastnn.L1(2.0), fastnn.Adam(schedules.CosineDecay(0.1)), 0.5, np.float32(2)):
        assert repr_with_code(value) == repr(value)
    for kind in (*penalties.ALL, np.float32, len, dict):
        assert name_with_code(kind) == kind.__qualname__


def test_a_class_within_another_is_seen() -> None:
    class Own(schedules.ConstantRate):
        shares = 2

    assert repr_with_code(fastnn.Adam(Own(0.1))) != repr(fastnn.Adam(Own(0.1)))


class Held:
    """A schedule's part, whose repr shows nothing."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    """A part without a dict of its attributes."""

    __slots__ = ("__hidden", "unset", "value")

    def __init__(self, value: Any, hidden: Any = None) -> None:
        self.value, self.__hidden = value, hidden


class Rates:
    """Two methods with the same code."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def rate(self) -> float:
        return self.factor


class Holder(schedules.ConstantRate):
    """A schedule whose repr, that of its base class, omits an attribute."""

    def __init__(self, value: Any) -> None:
        super().__init__(0.1)
        object.__setattr__(self, "held", value)

    @cached_property
    def once(self) -> float:
        return 3.0


HELD: dict[str, tuple[Any, Any]] = {
    "numbers": (1.0, 5.0),
    "sequences": ([1.0, (2.0,)], [1.0, (3.0,)]),
    "dicts": ({"a": 1.0}, {"a": 2.0}),
    "arrays": (np.arange(3.0), np.arange(3.0)[::-1]),
    "arrays of objects": (np.array([{"a": 1.0}, 2]), np.array([{"a": 2.0}, 2])),
    "functions": (lambda x: x, lambda x: x + 1),
    "objects": (Held(1.0), Held(2.0)),
    "objects of fastnn": (schedules.CosineDecay(0.1), schedules.CosineDecay(0.2)),
    "objects within objects": (Held([Held(1.0)]), Held([Held(2.0)])),
    "where a list ends": ([[1], [2, 3]], [[1, 2], [3]]),
    "where an object ends": ([Held([1]), 2], [Held([1, 2])]),
    "empty containers": ([], ()),
    "sets": ({"a", "b"}, {"a", "c"}),
    "sets of objects": ({1, (2, 3)}, {1, (2, 4)}),
    "decimals": (Decimal("0.1"), Decimal("0.2")),
    "fractions": (Fraction(1, 3), Fraction(2, 3)),
    "functions of numpy": (np.sin, np.cos),
    "classes of fastnn": (fastnn.L1, fastnn.L2),
    "slots": (Slotted(1.0), Slotted(2.0)),
    "hidden slots": (Slotted(1.0, 2.0), Slotted(1.0, 3.0)),
    "bound methods": (Rates(1.0).rate, Rates(2.0).rate),
    "partial functions": (partial(max, 1.0), partial(max, 2.0)),
}


@pytest.mark.parametrize(("value", "other"), HELD.values(), ids=HELD)
def test_an_attribute_that_is_not_shown_counts(value: Any, other: Any) -> None:
    for wrap in (Holder, lambda one: fastnn.SGD(schedules.LinearWarmup(Holder(one)))):
        texts = [repr_with_code(wrap(one)) for one in (value, copy.deepcopy(value), other)]
        assert texts[0] == texts[1] != texts[2]


def test_values_that_are_equal_count_alike_whether_or_not_they_are_one_object() -> None:
    rates, part = [0.1, 0.2], Held(1.0)
    one, equal, other = (Holder((rates, second)) for second in (rates, list(rates), []))
    assert repr_with_code(one) == repr_with_code(equal) != repr_with_code(other)
    one, equal, other = (Holder([part, second]) for second in (part, Held(1.0), Held(None)))
    assert repr_with_code(one) == repr_with_code(equal) != repr_with_code(other)


def test_a_memory_address_does_not_count() -> None:
    kept = [np.random.default_rng(seed) for seed in (1, 1)]
    assert repr_with_code(Holder(kept[0])) == repr_with_code(Holder(kept[1]))


def test_what_is_computed_once_does_not_count_nor_does_a_cycle_matter() -> None:
    holder = Holder(held := Held(None))
    held.value = [holder]
    before = repr_with_code(holder)
    assert holder.once == 3.0
    assert repr_with_code(holder) == before


IN_ANY_PROCESS = """
from fastnn.plugin_digests import name_with_code

HELPERS, FACTOR = (print, len), {factor}

def some(x):
    assert x not in {{"one", "two", "three", "four"}}
    return [FACTOR * part for part in (lambda: (x, FACTOR))()], HELPERS

print(name_with_code(some))
"""


def test_a_digest_is_that_of_any_process_and_of_code_within_code() -> None:
    def told(factor: int, seed: int) -> str:
        command = [sys.executable, "-c", IN_ANY_PROCESS.format(factor=factor)]
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout

    assert told(1, seed=1) == told(1, seed=2) == told(1, seed=3) != told(2, seed=1)


def test_functions_have_a_digest_too() -> None:
    def some(x: float) -> float:
        return x + 1

    first = described(some)

    def some(x: float) -> float:
        return x + 2

    assert first != described(some)


def test_a_name_that_has_no_value_yet_is_left_out() -> None:
    described_in_time = []

    def first(x: float) -> float:
        return second(x)

    described_in_time.append(described(first))

    def second(x: float) -> float:
        return x

    assert [described(first)] != described_in_time


@pytest.mark.usefixtures("numpy_path")
def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.random((30, 6)), rng.integers(0, 3, 30)
    given: dict[str, Any] = {"checkpoint": tmp_path / "run", "resume": True}
    fastnn.Network([6, 4, 3], seed=1).fit(X, y, epochs=2, penalty=own()(0.1), **given)
    edited = own(SOURCE.replace("FACTOR = 1.0", "FACTOR = 5.0"))(0.1)
    network = fastnn.Network([6, 4, 3], seed=1)
    with pytest.raises(ValueError, match=r"of another fit: its penalty is .*Own"):
        network.fit(X, y, epochs=4, penalty=edited, **given)
    network.fit(X, y, epochs=4, penalty=own()(0.1), **given)
    assert len(network.history.train_cost) == 4


@pytest.mark.usefixtures("numpy_path")
def test_a_checkpoint_of_other_attributes_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.random((30, 6)), rng.integers(0, 3, 30)

    def fit(value: float, epochs: int) -> None:
        rate = schedules.LinearWarmup(Holder(value))
        network = fastnn.Network([6, 4, 3], seed=1)
        given: dict[str, Any] = {"checkpoint": tmp_path / "run", "resume": True}
        network.fit(X, y, epochs=epochs, learning_rate=rate, **given)

    fit(1.0, 2)
    with pytest.raises(ValueError, match=r"of another fit: its optimizer is .*Holder"):
        fit(2.0, 4)
    fit(1.0, 4)


@pytest.mark.usefixtures("numpy_path")
def test_a_warm_start_begins_anew_with_other_attributes() -> None:
    class Scaled(penalties.CumulativeL1):
        def __init__(self, lmbda: float, factor: float) -> None:
            super().__init__(lmbda)
            object.__setattr__(self, "factor", factor)  # not a field

    rng = np.random.default_rng(3)
    X, y = rng.random((30, 6)), rng.integers(0, 3, 30)

    def weights(factor: float, *, forgets: bool) -> list[bytes]:
        network = fastnn.Network([6, 4, 3], seed=1)
        network.fit(X, y, epochs=1, penalty=Scaled(1.0, 1.0))
        if forgets:
            network.optimizer_state = None
        network.fit(X, y, epochs=1, penalty=Scaled(1.0, factor), warm_start=True)
        return [w.tobytes() for w in network.weights]

    assert weights(5.0, forgets=False) == weights(5.0, forgets=True)
    assert weights(1.0, forgets=False) != weights(1.0, forgets=True)


@pytest.mark.usefixtures("numpy_path")
def test_a_sweep_trains_an_edited_class_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.random((30, 6)), rng.integers(0, 3, 30)

    def costs(kind: Any) -> list[float]:
        trials = [{"sizes": [6, 3], "penalty": kind, "lmbda": lmbda} for lmbda in (0.05, 0.1)]
        found = sweeps.sweep(X, y, trials, epochs=2, n_jobs=1, results=tmp_path / "found.jsonl")
        return [record["zeros"] for record in found]

    edited = own(SOURCE.replace("FACTOR = 1.0", "FACTOR = 100.0"))
    first = costs(own())
    assert costs(own()) == first
    assert costs(edited) != first
