"""What comparisons in a formula give: a value for each lane, which has no truth of its own."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Condition", "refuse_truth"]


def refuse_truth() -> NoReturn:
    """Raise what Python's `if`, `and`, `or`, `not`, `max`, `min` and ``a < x < b`` come to.

    They would choose once, while the formula is compiled, for all numbers that are to come.
    """
    raise TypeError(
        "a formula's comparison is of many numbers at once: use xp.where(condition, x, y) in place "
        "of if, xp.maximum and xp.minimum in place of max and min, (a < x) & (x < b) in place of "
        "a < x < b, and &, | and ~ in place of and, or and not"
    )


class Condition:
    """A comparison of vectors, lane by lane; `of` is one of them."""

    def __init__(self, of: Any, value: Any) -> None:
        self.of, self.value = of, value

    def _with(self, instruction: str, other: object) -> Any:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(self.of, getattr(self.of.builder, instruction)(self.value, other.value))

    def __and__(self, other: object) -> Any:
        return self._with("and_", other)

    def __or__(self, other: object) -> Any:
        return self._with("or_", other)

    def __invert__(self) -> Condition:
        return Condition(self.of, self.of.builder.not_(self.value))

    def __bool__(self) -> bool:
        refuse_truth()
