"""Loading a network from a file."""

from __future__ import annotations

import os

import numpy as np

from fastnn import penalties
from fastnn.checks import as_format_errors, whole
from fastnn.model_files import Model, read_model
from fastnn.network.network import Network
from fastnn.network_checks import checked_generator
from fastnn.penalties import per_layer, records

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = 1 << 31,
    seed: int | np.random.Generator | None = None,
) -> Network:
    """Read a network written by `Network.save` or by the ``save`` of the book's network2.

    Parameters
    ----------
    path : path
        The file, in any of the forms of `Network.save`; the content tells which. A file of the
        book's becomes a float64 network with the file's cost.
    max_bytes : int, default 2 GiB
        The largest file that is read.
    seed : int, numpy.random.Generator or None, default None
        Of the generator that later fits draw from, as in `Network`.

    Raises
    ------
    TypeError, ValueError
        If `path` is not a path, `max_bytes` is not a whole number of at least 1, or `seed` is no
        seed.
    FileFormatError
        If the file is not such a file, or is damaged; the message says what is wrong with it.
        Nothing in it is executed, and memory use is bounded by a multiple of its size.
    OSError
        If it cannot be read.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a path, not {path!r}")
    generator = checked_generator(seed)
    model = read_model(path, max_bytes=whole("max_bytes", max_bytes, minimum=1))
    with as_format_errors(path, "model file"):
        network = _network(model)
    network._rng = generator
    return network


def _network(model: Model) -> Network:
    network = Network._of(
        model.weights,
        model.biases,
        activation=model.activations,
        cost=model.cost,
        multilabel=model.multilabel,
        dtype=model.dtype,
        input_scale=model.input_scale,
    )
    network.penalty = records.from_record(model.penalty, penalties.ALL)
    per_layer(network.penalty, len(network.weights))
    if (kept := model.kept_inputs) is not None:
        network.weights[0] = np.ascontiguousarray(network.weights[0][:, kept])
        network._sizes, network.kept_inputs = (len(kept), *network._sizes[1:]), kept
    network.optimizer_state = model.optimizer_state
    return network
