"""Penalties as JSON values, for the files that record them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fastnn.checks import one_named
from fastnn.penalties.base import Penalty
from fastnn.penalties.layers import PenaltyLike

__all__ = ["from_record", "to_record"]


def to_record(penalty: PenaltyLike, known: Iterable[type[Penalty]]) -> Any:
    """Return the ``penalty`` given to `fit` as a JSON value: its name and its parameters.

    The value is None if the class of any penalty is not in `known`, as no file could restore it.
    """
    if penalty is None:
        return None
    kinds = tuple(known)
    chosen = [penalty] if isinstance(penalty, Penalty) else list(penalty)
    if any(one is not None and type(one) not in kinds for one in chosen):
        return None
    records = [one and {"name": one.name, **_parameters(one)} for one in chosen]
    return records[0] if isinstance(penalty, Penalty) else records


def from_record(record: Any, known: Iterable[type[Penalty]]) -> PenaltyLike:
    """Return what `to_record` recorded: a penalty, or a list with one or None for each layer.

    Raises
    ------
    TypeError, ValueError
        If `record` is not such a record, or has a parameter that the penalty does not take.
    """
    if isinstance(record, list):
        return [None if one is None else _one(one, known) for one in record]
    return None if record is None else _one(record, known)


def _parameters(penalty: Penalty) -> dict[str, Any]:
    return {field.name: getattr(penalty, field.name) for field in fields(penalty)}


def _one(record: Any, known: Iterable[type[Penalty]]) -> Penalty:
    if not isinstance(record, dict):
        raise TypeError(
            f"'penalty' must be a JSON object, a list of them or null, not {record!r:.40}"
        )
    kind = one_named("'penalty' name", record.get("name"), known)
    return kind(**{name: value for name, value in record.items() if name != "name"})
