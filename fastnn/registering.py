"""User-defined activations, costs and initializers, known by name as those of fastnn are."""

from __future__ import annotations

from typing import Any, TypeVar

from fastnn import activations, costs, initializers
from fastnn.checks import checked_name

__all__ = ["register"]

Kind = TypeVar("Kind", bound=type)

_HOLDERS: tuple[tuple[type, Any], ...] = (
    (activations.Activation, activations),
    (costs.Cost, costs),
    (initializers.Initializer, initializers),
)


def register(kind: Kind) -> Kind:
    """Make a user-defined activation, cost or initializer known by its ``name``.

    `Network` and `load` then accept the name, in this process. A model file has the name only, so
    that a program which loads it registers the class first. (Penalties, optimizers and schedules
    are passed as objects, and need not be registered.)

    Parameters
    ----------
    kind : type
        A subclass of `fastnn.activations.Activation`, `fastnn.costs.Cost` or
        `fastnn.initializers.Initializer` as their modules describe it. A class of the same name,
        module and qualified name, from an earlier run of the same code, is replaced.

    Returns
    -------
    type
        The class itself, so that this can be a decorator.

    Raises
    ------
    TypeError
        If `kind` is not such a class, its ``name`` is not a string, or a cost's ``outputs`` are not
        names.
    ValueError
        If another class has the name.
    """
    is_class = isinstance(kind, type)
    held = [holder for base, holder in _HOLDERS if is_class and issubclass(kind, base)]
    if not held:
        raise TypeError(
            "register takes a subclass of fastnn.activations.Activation, fastnn.costs.Cost or "
            f"fastnn.initializers.Initializer, not {kind!r}"
        )
    name = checked_name(kind, "silu")
    outputs = getattr(kind, "outputs", None)
    if held[0] is costs and not (
        isinstance(outputs, (tuple, list)) and all(isinstance(one, str) for one in outputs)
    ):
        raise TypeError(
            f"{kind.__qualname__} needs outputs, a tuple of the names of output activations such "
            f"as outputs = ('identity',), not {outputs!r}"
        )
    others = [one for one in held[0].ALL if (_origin(one), one.name) != (_origin(kind), name)]
    if any(one.name == name for one in others):
        raise ValueError(f"the name {name!r} is taken: give {kind.__qualname__} another one")
    held[0].ALL = (*others, kind)
    return kind


def _origin(kind: type) -> tuple[str, str]:
    """Return where a class is defined."""
    return kind.__module__, kind.__qualname__
