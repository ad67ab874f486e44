"""`fastnn.MLPClassifier` against scikit-learn's: the same call of `fit`, one thread, float32."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import data
from fastnn.bench import problem

neural_network = pytest.importorskip("sklearn.neural_network")

ESTIMATORS = {"fastnn": fastnn.MLPClassifier, "scikit-learn": neural_network.MLPClassifier}
FEW_ROWS = 200

# More epochs than the fit of the digits needs to converge.
ENOUGH = 2000


class Case(NamedTuple):
    """A data set, how many of its rows, and parameters of the estimator."""

    data: str
    rows: int
    parameters: dict[str, Any]


CASES = {
    "adam, batch 200": Case(
        "mnist", 20_000, {"hidden_layer_sizes": (100,), "batch_size": 200, "max_iter": 5}
    ),
    "sgd, batch 10": Case(
        "mnist",
        20_000,
        {"hidden_layer_sizes": (30,), "batch_size": 10, "solver": "sgd", "max_iter": 5},
    ),
    "digits, to convergence": Case("digits", 1437, {"max_iter": ENOUGH}),
}


def rows_of(case: Case) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a case's rows, scaled to 0..1, its labels, and where they come from."""
    if case.data == "mnist":
        found = problem.digits(evaluated=False)
        few = slice(case.rows)
        return found.rows[few].astype(np.float32) / 255, found.labels[few], found.origin
    digits = data.load("digits")
    rows = digits.train_images[: case.rows].astype(np.float32) / 16
    return rows, digits.train_labels[: case.rows], "embedded digits"


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("case", CASES)
def test_fit(
    benchmark: Any,
    timed: Callable[..., Any],
    threads: Callable[[int], None],
    runs_once: bool,
    case: str,
    name: str,
) -> None:
    benchmark.group = case
    threads(1)
    chosen = CASES[case]
    if runs_once:
        few = chosen.parameters | {"max_iter": 1}
        chosen = chosen._replace(rows=FEW_ROWS, parameters=few)
    X, y, origin = rows_of(chosen)

    def fit(seed: int) -> Any:
        mlp = ESTIMATORS[name](**chosen.parameters, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mlp.fit(X, y)

    fitted = timed(fit, lambda: 1, data=origin, rows=len(X))
    assert np.isfinite(fitted.loss_)
    assert fitted.n_iter_ < ENOUGH
