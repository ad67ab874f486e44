"""The trials of a sweep: grids, random samples, and how a trial's parameters are written."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import activations, costs, initializers
from fastnn.arrays import real_array
from fastnn.checks import plain_repr, real, whole
from fastnn.csr import is_sparse
from fastnn.plugin_digests import name_with_code, repr_with_code

__all__ = [
    "LogUniform",
    "check_that_all_differ",
    "described",
    "digest_of_data",
    "grid",
    "key_of",
    "sample",
]

# Parameters that name a class, and the modules that list the classes, including registered ones.
LISTED_IN: dict[str, Any] = {
    "activation": activations, "cost": costs, "initializer": initializers,
}  # fmt: skip

TRIES = 100  # draws per requested trial, after which no others are assumed to exist


@dataclass(frozen=True)
class LogUniform:
    """A distribution for `sample`: numbers from `low` to `high` whose logarithm is uniform.

    Parameters
    ----------
    low, high : float
        Above 0; `low` is at most `high`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not such a number.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        real("low", self.low, above=0)
        real("high", self.high, minimum=self.low)

    def rvs(self, *, random_state: np.random.Generator) -> float:
        """Return one number, drawn from `random_state`."""
        return float(np.exp(random_state.uniform(np.log(self.low), np.log(self.high))))


def grid(space: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return a trial for each combination of values; the last parameter changes fastest.

    Parameters
    ----------
    space : mapping of str to iterable
        The values of each parameter, such as ``{"learning_rate": [0.1, 0.5], "seed": range(3)}``.

    Returns
    -------
    list of dict
        Grids can be added: ``grid(a) + grid(b)`` has the trials of both.

    Raises
    ------
    TypeError, ValueError
        If a parameter's values are not a list with at least one value.
    """
    values = [_values(name, given) for name, given in space.items()]
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]


def sample(space: Mapping[str, Any], count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return `count` different trials drawn at random from the values and distributions.

    If only a few of the parameters matter, random trials find good values with fewer trainings than
    a grid (Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012).

    Parameters
    ----------
    space : mapping
        For each parameter a list of equally likely values, or a distribution: an object with
        ``rvs(random_state=...)``, such as `LogUniform` or those of ``scipy.stats``.
    count : int
    seed : int, default 0
        Seed of the draws, not of the networks.

    Raises
    ------
    TypeError, ValueError
        If `space` is not as above, or has fewer than `count` different trials.
    """
    count = whole("count", count, minimum=1)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    sources = {
        name: given if hasattr(given, "rvs") else _values(name, given)
        for name, given in space.items()
    }
    drawn: dict[str, dict[str, Any]] = {}
    for _ in range(TRIES * count):
        trial = {name: _draw(source, rng) for name, source in sources.items()}
        drawn.setdefault(key_of(trial), trial)
        if len(drawn) == count:
            return list(drawn.values())
    raise ValueError(f"the space has {len(drawn)} different trials, and not {count}: draw fewer")


def described(value: Any) -> Any:
    """Return a parameter in the form for records and JSON: numbers, strings, lists, dicts, None.

    Classes and functions become their names, arrays a line with their checksum, other objects
    their ``repr``. User-defined ones get a digest of their code.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such numbers
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return described(value.item())
    if isinstance(value, (list, tuple, range)):
        return [described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): described(item) for name, item in value.items()}
    if hasattr(value, "__qualname__"):
        return name_with_code(value)
    if hasattr(value, "__array__"):  # also a Series or a tensor, whose repr may omit numbers
        array = _array_of(value)
        if array.ndim == 0:
            return described(array.item())
        return f"array{array.shape} {array.dtype} {checksum(array):08x}"
    return repr_with_code(value)


def key_of(parameters: Mapping[str, Any]) -> str:
    """Return the text that identifies a trial with these parameters.

    The name of a user-defined class is followed by a digest of its code.
    """
    known = {
        name: _names_with_code(value, LISTED_IN[name].ALL) if name in LISTED_IN else value
        for name, value in parameters.items()
    }
    return json.dumps(described(known), sort_keys=True)


def check_that_all_differ(trials: Sequence[Mapping[str, Any]]) -> None:
    """Raise a `ValueError` if a results file could not tell one trial from another."""
    seen: dict[str, int] = {}
    for number, trial in enumerate(trials):
        for name, value in trial.items():
            if nameless := _ambiguous_reprs(value):
                raise ValueError(
                    f"results tells trials apart by their parameters' text, and {name} has "
                    f"{nameless[0]}: give a class or a function of a module, an object whose repr "
                    "shows its values, or no results"
                )
        if (first := seen.setdefault(key_of(trial), number)) != number:
            raise ValueError(
                f"trials {first} and {number} are the same in a results file: {described(trial)}"
            )


def checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of the array's bytes in C order."""
    rows = max(1, (1 << 20) // max(1, array[:1].nbytes))
    found = 0
    for start in range(0, len(array), rows):
        found = zlib.crc32(np.ascontiguousarray(array[start : start + rows]).data, found)
    return found


def _ambiguous_reprs(value: Any) -> list[str]:
    """Return the repr of each value in a parameter whose text does not identify it."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in _ambiguous_reprs(item)]
    if isinstance(value, (str, bytes)):
        return []
    if hasattr(value, "__array__"):  # the bytes of an array of objects are their addresses
        return [repr(value)] if _array_of(value).dtype.hasobject else []
    name, text = getattr(value, "__qualname__", None), repr(value)
    shared = text != plain_repr(value) if name is None else "<" in name  # a lambda, or a local name
    return [text] if shared else []


def _array_of(value: Any) -> np.ndarray:
    """Return an array-like parameter as an array; of numbers, if pandas holds numbers in it."""
    with suppress(TypeError, ValueError):
        return real_array("value", value)
    return np.asarray(value)


def _names_with_code(value: Any, kinds: Iterable[Any]) -> Any:
    """Return a name among those of `kinds`, or a list of names, with digests of their code."""
    if isinstance(value, (list, tuple)):
        return [_names_with_code(item, kinds) for item in value]
    named = [kind for kind in kinds if isinstance(value, str) and kind.name == value]
    digests = [name_with_code(kind).removeprefix(kind.__qualname__) for kind in named]
    return value if not named else value + digests[0]


def _values(name: str, given: object) -> Sequence[Any]:
    if hasattr(given, "rvs"):
        raise TypeError(f"the values of {name!r} are a distribution: fastnn.sample draws from it")
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise TypeError(f"the values of {name!r} must be a list such as [{given!r}], not {given!r}")
    values = [_scalar(value) for value in given]
    if not values:
        raise ValueError(f"the values of {name!r} must be at least one")
    return values


def _draw(source: Any, rng: np.random.Generator) -> Any:
    if not hasattr(source, "rvs"):
        return source[rng.integers(len(source))]
    return _scalar(source.rvs(random_state=rng))


def _scalar(value: Any) -> Any:
    """Return a zero-dimensional array or tensor as a number, and anything else unchanged."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def digest_of_data(X: Any, y: Any, validation: Any) -> str:
    """Return a text that identifies the rows and targets: types, shapes and checksums."""
    parts = [("X", X), ("y", y)]
    if validation is not None:
        parts += zip(("validation_data: X", "validation_data: y"), validation, strict=True)
    arrays = [array for name, part in parts for array in _arrays_of(name, part)]
    return " ".join(f"{a.dtype}{a.shape}{checksum(a):08x}" for a in arrays)


def _arrays_of(name: str, part: Any) -> list[np.ndarray]:
    """Return the arrays that rows or targets are made of."""
    if not is_sparse(part):
        array = real_array(name, part, names=name == "y")
        if not array.ndim:
            raise ValueError(f"{name} must have one entry per row, not be the number {array}")
        return [array]
    rows = part.tocsr()
    return [rows.data, rows.indices, rows.indptr]
