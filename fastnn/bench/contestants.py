"""The contestants: fastnn and its peers, by name; each is imported when it is first needed.

A contestant is made from a case and a problem, and holds its data in the form and dtype that suit
it best. Training contestants have ``epoch(order)``, which trains `epochs` times over the rows in
that order and returns when it is done, and ``weights()``, a list of (out, in) arrays. Contestants
in an evaluation have ``accuracy()``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.bench.cases import Case
from fastnn.bench.problem import Problem

__all__ = ["FASTNN", "PEERS", "Entrant", "Peer", "entrants", "names"]

FASTNN = "fastnn"


class Peer(NamedTuple):
    """Where to find a peer, and what it is.

    place : str
        Module and class.
    needs : str
        The module that must be installed.
    what : str
        A description for the report.
    penalties : tuple of str
        The penalties that the peer supports; it runs other cases with L2 instead.
    """

    place: str
    needs: str
    what: str
    penalties: tuple[str, ...] = ("none", "l1", "l2", "elasticnet")

    def is_installed(self) -> bool:
        """Return whether the peer can run here."""
        return importlib.util.find_spec(self.needs) is not None


PEERS = {
    "per-sample": Peer(
        "numpy:PerSample",
        "numpy",
        "the book's algorithm in numpy, one sample at a time",
        ("none", "l1", "l2"),
    ),
    "numpy": Peer("numpy:Batched", "numpy", "numpy, whole batches"),
    "torch": Peer("torch:Eager", "torch", "PyTorch, eager, autograd and torch.optim"),
    "torch-by-hand": Peer("torch:ByHand", "torch", "PyTorch, backprop by hand under no_grad"),
    "jax": Peer("jax:Grad", "jax", "JAX, grad, the whole epoch jitted with lax.scan"),
    "jax-by-hand": Peer(
        "jax:ByHand", "jax", "JAX, backprop by hand, weights (out, in), the epoch jitted"
    ),
    "scikit-learn": Peer(
        "sklearn:Sgd",
        "sklearn",
        'scikit-learn, MLPClassifier(solver="sgd", momentum=0)',
        ("none", "l2"),
    ),
}


class Entrant(NamedTuple):
    """A contestant of one case.

    case : Case
        The case as this contestant runs it; the penalty may differ.
    make : callable
        ``make(case, problem)`` makes the contestant.
    what : str
    """

    case: Case
    make: Callable[[Case, Problem], Any]
    what: str

    def run(self, problem: Problem) -> tuple[Any, Callable[[np.ndarray], object]]:
        """Return the contestant, and a function that runs a round on a given order of the rows."""
        contestant = self.make(self.case, problem)
        if self.case.work == "evaluate":
            return contestant, lambda order: contestant.accuracy()
        return contestant, contestant.epoch


def names(case: Case) -> list[str]:
    """Return the names of all possible entrants of `case`, installed or not, fastnn first."""
    return [FASTNN, *_variants(case), *case.peers]


def entrants(case: Case, peers: Sequence[str]) -> dict[str, Entrant]:
    """Return the entrants of `case`: fastnn, then its installed peers that are in `peers`."""
    from fastnn.bench import product

    make = product.Book if case.work == "book" else product.Fused
    found = {FASTNN: Entrant(case, make, "fastnn")}
    for name, variant in _variants(case).items():
        found[name] = Entrant(variant, make, f"with the penalty {variant.penalty}")
    for name in case.peers:
        peer = PEERS[name]
        if name not in peers or not peer.is_installed():
            continue
        known = case.penalty in peer.penalties
        module, kind = peer.place.split(":")
        found[name] = Entrant(
            case if known else replace(case, penalty="l2"),
            getattr(importlib.import_module(f"fastnn.bench.peers_{module}"), kind),
            peer.what if known else f"{peer.what}; L2 in place of {case.penalty}",
        )
    return found


def _variants(case: Case) -> dict[str, Case]:
    """Return the case with each penalty by name if its `work` is "penalty", else nothing."""
    penalties = ("l1", "l2", "elasticnet") if case.work == "penalty" else ()
    return {f"{FASTNN}, {penalty}": replace(case, penalty=penalty) for penalty in penalties}
