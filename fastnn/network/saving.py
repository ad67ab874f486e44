"""A network from a file."""

from __future__ import annotations

import os

import numpy as np

from fastnn.checks import FileFormatError
from fastnn.model_file import read_model
from fastnn.network.network import Network

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `Network.save` or the ``save`` of the book's network2 has written.

    One of the book's becomes a float64 network with the file's cost.

    Raises
    ------
    FileFormatError
        If the file is not such a file, or is damaged; the message says what is wrong with it.
    OSError
        If it cannot be read.
    """
    model = read_model(path)
    try:
        network = Network._of(
            model.weights,
            model.biases,
            activation=model.activations,
            cost=model.cost,
            multilabel=model.multilabel,
            dtype=model.dtype,
            input_scale=model.input_scale,
        )
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{os.fspath(path)}: not a model file: {error}") from error
    if (kept := model.kept_inputs) is not None:
        network.weights[0] = np.ascontiguousarray(network.weights[0][:, kept])
        network._sizes, network.kept_inputs = (len(kept), *network._sizes[1:]), kept
    return network
