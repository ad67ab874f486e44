"""What the text of an option means, and refusals of options that do not belong together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

import typer

from fastnn.checks import one_of, real

if TYPE_CHECKING:
    from fastnn.optimizers import Optimizer
    from fastnn.penalties import Penalty
    from fastnn.sweep_space import LogUniform

__all__ = [
    "finite",
    "hidden_layers",
    "names_in",
    "need_compiler",
    "numbers_in",
    "optimizer_of",
    "penalty_of",
    "refuse_folder",
    "strength_for",
    "units_in",
]

T = TypeVar("T")


def finite(value: float | None) -> float | None:
    """Return a number unless it is infinite or NaN; the callback of an option."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a finite number is expected, not {value}")
    return value


def hidden_layers(values: list[str]) -> list[int]:
    """Return the units of the hidden layers that --hidden lists."""
    text = ",".join(values)
    if text.strip() == "none":
        return []
    return units_in("--hidden", text, "such as 30 or 100,30, or none")


def names_in(option: str, text: str, known: Iterable[str]) -> list[str]:
    """Return the comma-separated names that an option lists, each one of `known`."""
    try:
        return [one_of(option, name.strip(), known) for name in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def need_compiler() -> None:
    """Raise a `ValueError` in a command that is about compiled kernels, if there are none."""
    from fastnn.engine import jit

    if not jit.is_on():
        raise ValueError("nothing is compiled while NUMBA_DISABLE_JIT is set: unset it")


@overload
def numbers_in(option: str, text: str, *, drawn: None = None, **bounds: float) -> list[float]: ...


@overload
def numbers_in(
    option: str, text: str, *, drawn: bool, **bounds: float
) -> list[float] | LogUniform: ...


def numbers_in(
    option: str, text: str, *, drawn: bool | None = None, **bounds: float
) -> list[float] | LogUniform:
    """Return the values that an option's text describes: a list of numbers, or a distribution.

    LOW:HIGH:COUNT is a list in equal ratios. If `drawn`, LOW:HIGH is a distribution instead; None
    stands for a command without --samples.
    """
    from fastnn.regularization_path import geometric
    from fastnn.sweep_space import LogUniform

    try:
        if ":" not in text:
            return [real(option, float(number), **bounds) for number in text.split(",")]
        low, high, *count = text.split(":")
        if len(count) > 1 or bool(drawn) == bool(count):
            raise ValueError
        ends = float(low), float(high)
        return geometric(*ends, int(count[0])) if count else LogUniform(*ends)
    except ValueError:
        least = "above 0" if ":" in text or "above" in bounds else "of at least 0"
        grid = "0.1:10:5" if drawn is None else "0.1:10:5 for a grid, or 0.1:10 for --samples"
        raise typer.BadParameter(
            f"numbers {least} are expected, such as 0.1,0.5, or {grid}, not {text!r}",
            param_hint=option,
        ) from None


def optimizer_of(name: str, learning_rate: float | None, penalty: Penalty | None) -> Optimizer:
    """Return the optimizer that the options name, if it can be combined with the penalty."""
    from fastnn import optimizers

    try:
        optimizer = optimizers.named("--optimizer", name, learning_rate)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--learning-rate") from error
    try:
        optimizers.check_penalties(optimizer, [penalty])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--penalty") from error
    return optimizer


def penalty_of(name: str, strength: float) -> Penalty:
    """Return the penalty that --penalty and --lmbda specify."""
    from fastnn import penalties

    try:
        return penalties.named("--penalty", name, strength)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lmbda") from error


def refuse_folder(name: str | None, folder: Path | None) -> None:
    """Refuse --data for rows that do not come from such a folder; None is MNIST, if it is there."""
    if folder is not None and name not in (None, "mnist", "fashion"):
        raise typer.BadParameter(f"it is for mnist and fashion, not {name}", param_hint="--data")


def strength_for(penalty: str, lmbda: T | None) -> T | None:
    """Return --lmbda, which is required with a --penalty and forbidden without one."""
    if penalty == "none" and lmbda is not None:
        raise typer.BadParameter("it needs a --penalty", param_hint="--lmbda")
    if penalty != "none" and lmbda is None:
        raise typer.BadParameter(f"{penalty} needs a strength, --lmbda", param_hint="--penalty")
    return lmbda


def units_in(option: str, text: str, example: str, *, layers: int = 1) -> list[int]:
    """Return the units that `text` lists, of at least `layers` layers; `example` is such a text."""
    sizes = [size.strip() for size in text.split(",")]
    if len(sizes) < layers or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise typer.BadParameter(
            f"whole numbers above 0 are expected, {example}, not {text!r}", param_hint=option
        )
    return [int(size) for size in sizes]
