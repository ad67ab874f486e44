"""The results of comparisons in a formula: one for each lane, without a single truth value."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Condition", "refuse_truth"]


def refuse_truth() -> NoReturn:
    """Raise a TypeError for `if`, `and`, `or`, `not`, `max`, `min` and ``a < x < b`` in a formula.

    They would decide once, while the formula is compiled, for all numbers that it is applied to.
    """
    raise TypeError(
        "a formula's comparison is of many numbers at once: use xp.where(condition, x, y) in place "
        "of if, xp.maximum and xp.minimum in place of max and min, (a < x) & (x < b) in place of "
        "a < x < b, and &, | and ~ in place of and, or and not"
    )


class Condition:
    """A comparison of vectors, lane by lane; `of` is one of the vectors."""

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
