"""Other libraries' strengths as fastnn's, and back."""

from __future__ import annotations

from fastnn.checks import real, whole
from fastnn.penalties.base import Penalty
from fastnn.penalties.shrinking import L1, L2, ElasticNet

__all__ = ["from_keras", "from_sklearn", "from_torch", "to_keras", "to_sklearn", "to_torch"]


def from_sklearn(alpha: float, n: int, batch_size: int) -> L2:
    """Return the penalty of scikit-learn's ``MLPClassifier(alpha=alpha)``.

    It adds alpha*w to the gradient's sum over a batch of m rows and divides by m, so that a step
    shrinks by eta*alpha/m: lmbda = alpha*n/m.

    Parameters
    ----------
    alpha : float
    n : int
        Training rows: those of ``fit``, without the ones kept for early stopping.
    batch_size : int
        scikit-learn's own default is ``min(200, n)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    n, m = whole("n", n, minimum=1), whole("batch_size", batch_size, minimum=1)
    return L2(real("alpha", alpha) * n / m)


def to_sklearn(penalty: L2, n: int, batch_size: int) -> float:
    """Return the ``alpha`` that gives scikit-learn's MLP this penalty, the way back.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equal there, or another argument is not a whole number above 0.
    """
    n, m = whole("n", n, minimum=1), whole("batch_size", batch_size, minimum=1)
    strength = _parts(penalty, "scikit-learn's MLP has L2 alone", l1=False)[1]
    if penalty.on_biases:
        raise ValueError(f"no equal there for {penalty!r}: scikit-learn's is of weights alone")
    return strength * m / n


def from_keras(l1: float, l2: float, n: int) -> Penalty:
    """Return the penalty of Keras's ``kernel_regularizer=L1L2(l1, l2)`` on every layer.

    It adds l1*sum(abs(w)) + l2*sum(w**2) to the mean cost of a batch
    (https://keras.io/api/layers/regularizers/): a step shrinks by eta*l1 and eta*2*l2*w.

    Parameters
    ----------
    l1, l2 : float
    n : int
        Training rows.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    n = whole("n", n, minimum=1)
    return _penalty_of(real("l1", l1) * n, 2 * real("l2", l2) * n)


def to_keras(penalty: Penalty, n: int) -> tuple[float, float]:
    """Return the ``l1`` and ``l2`` that give a Keras layer this penalty, the way back.

    They are those of its ``kernel_regularizer``, and of its ``bias_regularizer`` too where the
    penalty is of the biases.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equal there, or another argument is not a whole number above 0.
    """
    n = whole("n", n, minimum=1)
    l1, l2 = _parts(penalty, "Keras has L1 and L2 alone")
    return l1 / n, l2 / (2 * n)


def from_torch(weight_decay: float, n: int) -> L2:
    """Return the penalty of ``torch.optim.SGD(weight_decay=weight_decay)``.

    It adds weight_decay*w to the mean gradient: a step shrinks by eta*weight_decay*w. PyTorch
    applies it to the biases too, unless they are in a parameter group without it.

    Parameters
    ----------
    weight_decay : float
    n : int
        Training rows.

    Raises
    ------
    TypeError, ValueError
        If a number is not one, or out of range.
    """
    return L2(real("weight_decay", weight_decay) * whole("n", n, minimum=1))


def to_torch(penalty: L2, n: int) -> float:
    """Return the ``weight_decay`` that gives PyTorch's SGD this penalty, the way back.

    Where the penalty is not of the biases, these belong in a parameter group without it.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equal there, or another argument is not a whole number above 0.
    """
    n = whole("n", n, minimum=1)
    return _parts(penalty, "PyTorch's weight_decay is L2 alone", l1=False)[1] / n


def _penalty_of(l1: float, l2: float) -> Penalty:
    """Return the simplest penalty with these two strengths."""
    if l1 and l2:
        return ElasticNet(l1 + l2, l1 / (l1 + l2))
    return L1(l1) if l1 else L2(l2)


def _parts(penalty: Penalty, reason: str, *, l1: bool = True) -> tuple[float, float]:
    """Return the strengths of L1 and L2 in a penalty; a `ValueError` says why it has no equal."""
    kind = type(penalty.simplified() or penalty)
    if kind not in ((L1, L2, ElasticNet) if l1 else (L2,)):
        raise ValueError(f"no equal there for {penalty!r}: {reason}")
    return penalty.strengths(1.0)
