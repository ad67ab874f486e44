"""Conversions to and from PyTorch modules: plain stacks of ``Linear`` and activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import activations
from fastnn.checks import not_installed, one_of
from fastnn.network import Network
from fastnn.network.stack import Stack

if TYPE_CHECKING:
    from torch import nn

__all__ = ["from_torch", "to_torch"]

# The parameters of a Flatten whose rows are as fastnn's.
FLAT_ROWS = {"start_dim": 1, "end_dim": -1}

# The default cost of a module, by its output activation.
COSTS = {"softmax": "log_likelihood", "sigmoid": "cross_entropy"}


def to_torch(network: Stack) -> nn.Sequential:
    """Return a module with the outputs of `network`, as `Network.to_torch` describes."""
    torch, (weights, biases) = _torch("to_torch"), network._arrays()
    nn, dtype = torch.nn, getattr(torch, network.dtype.name)
    known = _activations(nn)
    modules = []
    weights = [network._first_weights() * (network.input_scale or 1), *weights[1:]]
    for w, b, name in zip(weights, biases, network.activations, strict=True):
        one_of("activation of a PyTorch module", name, known)
        linear = nn.Linear(w.shape[1], len(w), dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(w))
            linear.bias.copy_(torch.tensor(b))
        modules.append(linear)
        if name != "identity":
            modules.append(known[name][0])
    return nn.Sequential(*modules)


def from_torch(
    module: nn.Sequential,
    *,
    output: str | None = None,
    cost: str | None = None,
    multilabel: bool = False,
) -> Network:
    """Return a network with the outputs of a ``torch.nn.Sequential``.

    Parameters
    ----------
    module : torch.nn.Sequential
        ``Linear`` layers, each followed by at most one activation: ``Sigmoid``, ``Tanh``, ``ReLU``,
        ``LeakyReLU()``, ``ELU()``, ``GELU(approximate="tanh")``, ``Softplus()``, ``Identity`` or,
        at the end, ``Softmax(dim=1)``; in nested ``Sequential`` modules too, or a single
        ``Linear``. ``Dropout``, which predictions do not use, and ``Flatten`` at the beginning are
        left out.
    output : str, optional
        The activation after the last layer if the module has none: "softmax" for a module trained
        with ``CrossEntropyLoss``, "sigmoid" for one trained with ``BCEWithLogitsLoss``, since these
        losses include it.
    cost : str, optional
        The network's cost; by default "log_likelihood" for softmax outputs, "cross_entropy" for
        sigmoid outputs, else "mean_squared".
    multilabel : bool, default False
        Whether each output is a separate label, which the module does not tell.

    Returns
    -------
    Network
        It has the module's dtype and copies of its parameters.

    Raises
    ------
    TypeError, ValueError
        If the module contains anything else, or a part has forward hooks or parametrizations, as
        pruning and weight normalisation add them; the message names the part.
    ModuleNotFoundError
        If PyTorch is not installed.
    """
    nn = _torch("from_torch").nn
    if type(module) not in (nn.Sequential, nn.Linear):
        raise TypeError(f"module must be a torch.nn.Sequential, not {type(module).__name__}")
    linears: list[Any] = []
    names: list[str] = []
    for place, part in _parts(nn, module, "module"):
        if type(part) is nn.Linear:
            linears.append(part)
            names.append("identity")
        elif type(part) is nn.Flatten and not linears and _settings(part) == FLAT_ROWS:
            continue  # fastnn takes flat rows
        elif type(part) is not nn.Dropout:
            if not names or names[-1] != "identity":
                raise ValueError(f"{place}, {part}, must come after a Linear")
            names[-1] = _name(nn, place, part)
    if not linears:
        raise ValueError("module must have a Linear")
    if output is not None:
        if names[-1] != "identity":
            raise ValueError(f"output={output!r} is given, and the module ends with {names[-1]}")
        names[-1] = activations.named("output", output).name
    weights, biases = zip(*map(_arrays, linears), strict=True)
    return Network._of(
        list(weights),
        list(biases),
        activation=names,
        cost=COSTS.get(names[-1], "mean_squared") if cost is None else cost,
        multilabel=multilabel,
        dtype=weights[0].dtype,
    )


def _parts(nn: Any, module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield where each part of nested `Sequential` modules stands, and the part."""
    _refuse_changed(nn, module, place)
    if type(module) is not nn.Sequential:
        yield place, module
        return
    for number, part in enumerate(module):
        yield from _parts(nn, part, f"{place}[{number}]")


def _refuse_changed(nn: Any, part: Any, place: str) -> None:
    """Refuse a part whose outputs may depend on more than its type and its parameters."""
    which = f"{place}, a {type(part).__name__},"
    if part._forward_pre_hooks or part._forward_hooks:
        raise ValueError(
            f"{which} must have no forward hooks, which may change its outputs: remove them, "
            "those of pruning with torch.nn.utils.prune.remove"
        )
    if nn.utils.parametrize.is_parametrized(part):
        raise ValueError(
            f"{which} must have no parametrizations: remove them with "
            "torch.nn.utils.parametrize.remove_parametrizations"
        )


def _torch(what: str) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise not_installed(what, "torch", "torch") from error
    return torch


def _activations(nn: Any) -> dict[str, list[Any]]:
    """Return the modules that stand for each activation; `to_torch` uses the first."""
    return {
        "sigmoid": [nn.Sigmoid()],
        "tanh": [nn.Tanh()],
        "relu": [nn.ReLU()],
        "leaky_relu": [nn.LeakyReLU(0.01)],
        "elu": [nn.ELU()],
        "gelu": [nn.GELU(approximate="tanh")],
        "softplus": [nn.Softplus()],
        "identity": [nn.Identity()],
        "softmax": [nn.Softmax(dim=1), nn.Softmax(dim=-1)],
    }


def _name(nn: Any, place: str, part: Any) -> str:
    known = _activations(nn)
    for name, modules in known.items():
        for module in modules:
            if type(part) is type(module) and _settings(part) == _settings(module):
                return name
    allowed = ", ".join(str(modules[0]) for modules in known.values())
    raise ValueError(
        f"{place} must be a Linear, Dropout, or one of {allowed}, with these settings, not {part}"
    )


def _settings(part: Any) -> dict[str, Any]:
    """Return the parameters of an activation module that affect its values."""
    without = ("training", "inplace")
    return {k: v for k, v in vars(part).items() if not k.startswith("_") and k not in without}


def _arrays(linear: Any) -> tuple[np.ndarray, np.ndarray]:
    kind = str(linear.weight.dtype).removeprefix("torch.")
    if kind not in ("float32", "float64"):
        raise ValueError(f"module must be of float32 or float64, not {kind}: module.float() is one")
    w = linear.weight.detach().cpu().numpy().copy()
    if linear.bias is None:
        return w, np.zeros(len(w), w.dtype)
    return w, linear.bias.detach().cpu().numpy().copy()
