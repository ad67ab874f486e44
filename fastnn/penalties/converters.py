"""Conversions between other libraries' penalty strengths and fastnn's."""

from __future__ import annotations

from fastnn.checks import flag, real, whole
from fastnn.penalties.base import Penalty
from fastnn.penalties.shrinking import L1, L2, ElasticNet

__all__ = ["from_keras", "from_sklearn", "from_torch", "to_keras", "to_sklearn", "to_torch"]


def from_sklearn(alpha: float, n: int, batch_size: int) -> L2:
    """Return the penalty of scikit-learn's ``MLPClassifier(alpha=alpha)``.

    scikit-learn adds alpha*w to the gradient's sum over a batch of m rows and divides by m, so that
    a step subtracts eta*alpha/m*w: lmbda = alpha*n/m.

    Parameters
    ----------
    alpha : float
    n : int
        Training rows: those given to ``fit``, without those held out for early stopping.
    batch_size : int
        As given to scikit-learn, which takes n if it is larger; by default ``min(200, n)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or is out of range.
    """
    n, m = _rows(n, batch_size)
    return L2(real("alpha", alpha) * n / m)


def to_sklearn(penalty: L2, n: int, batch_size: int) -> float:
    """Return the ``alpha`` that gives scikit-learn's MLP this penalty.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equivalent there, or another argument is not a whole number above 0.
    """
    n, m = _rows(n, batch_size)
    strength = _parts(penalty, "scikit-learn's MLP has L2 alone", l1=False)[1]
    if penalty.on_biases:
        raise ValueError(f"{penalty!r} has no equivalent: scikit-learn's is of weights alone")
    return strength * m / n


def from_keras(l1: float, l2: float, n: int) -> Penalty:
    """Return the penalty of Keras's ``kernel_regularizer=L1L2(l1, l2)`` on every layer.

    Keras adds l1*sum(abs(w)) + l2*sum(w**2) to the mean cost of a batch
    (https://keras.io/api/layers/regularizers/): a step subtracts eta*(l1*sign(w) + 2*l2*w).

    Parameters
    ----------
    l1, l2 : float
    n : int
        Training rows.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or is out of range.
    """
    n = whole("n", n, minimum=1)
    return _penalty_of(real("l1", l1) * n, 2 * real("l2", l2) * n)


def to_keras(penalty: Penalty, n: int) -> tuple[float, float]:
    """Return the ``l1`` and ``l2`` that give a Keras layer this penalty.

    They are for its ``kernel_regularizer``, and also for its ``bias_regularizer`` where the penalty
    includes the biases.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equivalent there, or another argument is not a whole number above 0.
    """
    n = whole("n", n, minimum=1)
    l1, l2 = _parts(penalty, "Keras has L1 and L2 alone")
    return l1 / n, l2 / (2 * n)


def from_torch(weight_decay: float, n: int, *, biases: bool = False) -> L2:
    """Return the penalty of ``torch.optim.SGD`` with this weight decay for the weights.

    PyTorch adds weight_decay*w to the mean gradient: a step subtracts eta*weight_decay*w.

    Parameters
    ----------
    weight_decay : float
    n : int
        Training rows.
    biases : bool, default False
        Whether the biases decay too, as they do in ``SGD(model.parameters(), weight_decay=...)``;
        they do not in a parameter group of their own without weight decay.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or is out of range.
    """
    lmbda = real("weight_decay", weight_decay) * whole("n", n, minimum=1)
    return L2(lmbda, biases=flag("biases", biases))


def to_torch(penalty: L2, n: int) -> float:
    """Return the ``weight_decay`` that gives PyTorch's SGD this penalty.

    Where the penalty excludes the biases, they belong in a parameter group without weight decay.

    Raises
    ------
    TypeError, ValueError
        If `penalty` has no equivalent there, or another argument is not a whole number above 0.
    """
    n = whole("n", n, minimum=1)
    return _parts(penalty, "PyTorch's weight_decay is L2 alone", l1=False)[1] / n


def _rows(n: int, batch_size: int) -> tuple[int, int]:
    """Return n and the rows of scikit-learn's batches."""
    n = whole("n", n, minimum=1)
    return n, min(n, whole("batch_size", batch_size, minimum=1))


def _penalty_of(l1: float, l2: float) -> Penalty:
    """Return the simplest penalty with these two strengths."""
    if l1 and l2:
        return ElasticNet(l1 + l2, l1 / (l1 + l2))
    return L1(l1) if l1 else L2(l2)


def _parts(penalty: Penalty, reason: str, *, l1: bool = True) -> tuple[float, float]:
    """Return a penalty's L1 and L2 strengths; a `ValueError` gives `reason` if it has others."""
    kind = type(penalty.simplified() or penalty)
    if kind not in ((L1, L2, ElasticNet) if l1 else (L2,)):
        raise ValueError(f"{penalty!r} has no equivalent: {reason}")
    return penalty.strengths(1.0)
