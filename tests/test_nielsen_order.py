"""The order of an epoch: that of `random.shuffle`, which leaves `random` in the same state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from fastnn.nielsen import _order

LENGTHS = [0, 1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 624, 1000, 4097]


@pytest.fixture(autouse=True)
def _random_state_is_kept() -> Iterator[None]:
    state = random.getstate()
    yield
    random.setstate(state)


def pairs(n: int) -> list[Any]:
    return [(i, object()) for i in range(n)]


def shuffle(items: list[Any]) -> Any:
    shuffler = _order.Shuffler(items)
    order = shuffler.shuffle()
    shuffler.settle()
    return order


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 1000])
@pytest.mark.parametrize("n", LENGTHS)
def test_order_list_and_state_are_those_of_random_shuffle(n: int, drawn: int) -> None:
    random.seed(12345678)
    random.gauss(0.0, 1.0)  # leaves the second number of its pair in the state
    for _ in range(drawn):
        random.getrandbits(32)
    start, original = random.getstate(), pairs(n)
    expected = list(original)
    for _ in range(3):
        random.shuffle(expected)
    after = random.getstate()

    random.setstate(start)
    items = list(original)
    for _ in range(3):
        before = list(items)
        order = shuffle(items)
        assert order.dtype == "int64"
        assert items == [before[i] for i in order]
    assert items == expected
    assert random.getstate() == after


def test_a_longer_list() -> None:
    random.seed(1)
    expected = list(range(50_000))
    random.shuffle(expected)
    random.seed(1)
    items = list(range(50_000))
    order = shuffle(items)
    assert items == expected == order.tolist()


def test_the_list_is_reordered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reordered at the end, or earlier, just before a user-defined shuffle sees it."""
    random.seed(2)
    items, expected = list(range(100)), list(range(100))
    for _ in range(2):
        random.shuffle(expected)
    expected.reverse()
    random.shuffle(expected)
    random.seed(2)
    shuffler = _order.Shuffler(items)
    first = shuffler.shuffle()
    assert items == list(range(100))
    second, seen = shuffler.shuffle(), []
    with monkeypatch.context() as patched:
        patched.setattr(random, "shuffle", lambda items: [seen.extend(items), items.reverse()])
        assert shuffler.shuffle().tolist() == list(range(99, -1, -1))
    assert seen == first[second].tolist()
    shuffler.shuffle()
    shuffler.settle()
    assert items == expected
    shuffler.settle()
    assert items == expected


def test_words_that_run_out_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_order, "WORDS_PER_ITEM", 0.1)
    test_order_list_and_state_are_those_of_random_shuffle(4097, 10)


def test_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_order, "_compiled_fisher_yates", lambda: None)
    test_order_list_and_state_are_those_of_random_shuffle(1000, 10)


def test_the_fast_path_calls_no_python_shuffle(monkeypatch: pytest.MonkeyPatch) -> None:
    if _order._compiled_fisher_yates() is None:
        pytest.skip("the JIT is off")

    def refuse(*_: object) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(random.Random, "_randbelow", refuse)
    assert sorted(shuffle(pairs(100))) == list(range(100))


def test_a_replaced_shuffle_is_called_on_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def reverse(items: list[Any]) -> None:
        seen.append(items)
        items.reverse()

    monkeypatch.setattr(random, "shuffle", reverse)
    state, original = random.getstate(), pairs(10)
    items = list(original)
    order = shuffle(items)
    assert seen[0] is items
    assert items == original[::-1]
    assert order.tolist() == list(range(9, -1, -1))
    assert random.getstate() == state


def test_the_shuffle_of_another_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    own = random.Random(7)
    monkeypatch.setattr(random, "shuffle", own.shuffle)
    items = list(range(100))
    shuffle(items)
    twin, expected = random.Random(7), list(range(100))
    twin.shuffle(expected)
    assert items == expected
    assert own.getstate() == twin.getstate()


class Reversing(random.Random):
    """A generator whose bits are not the Mersenne Twister's."""

    def getrandbits(self, k: int, /) -> int:
        return 0


def test_the_shuffle_of_a_subclass_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "shuffle", Reversing().shuffle)
    items, expected = list(range(50)), list(range(50))
    order = shuffle(items)
    Reversing().shuffle(expected)
    assert items == expected == order.tolist()


def test_a_generator_with_bits_of_its_own_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    own = random.Random(7)
    own.getrandbits = own._randbelow = lambda k: 0  # type: ignore[method-assign,attr-defined]
    monkeypatch.setattr(random, "shuffle", own.shuffle)
    items = list(range(50))
    shuffle(items)
    assert items == [*range(1, 50), 0]


def test_the_same_object_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "shuffle", lambda items: items.reverse())
    a, b = (1, object()), (2, object())
    before = [a, b, a]
    items = list(before)
    assert [before[i] for i in shuffle(items)] == items == [a, b, a]


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items.pop(),
        lambda items: items.append(items[0]),
        lambda items: items.__setitem__(0, ("new", object())),
    ],
)
def test_a_shuffle_that_changes_the_data_is_refused(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "shuffle", change)
    with pytest.raises(ValueError, match="must reorder the training data"):
        shuffle(pairs(5))
