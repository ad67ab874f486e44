"""Grids and samples of parameters, and what records say of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid, ParameterSampler

import fastnn
from fastnn import L1, LogUniform, grid, sample
from fastnn.regularization_path import geometric
from fastnn.sweep_space import described
from sweep_runs import run

pytestmark = pytest.mark.cpu_tiles  # the tiles that other processes use


def test_grids() -> None:
    space = {"a": [1, 2], "b": ("x", None)}
    assert grid(space) == list(ParameterGrid(space))
    assert [t["lmbda"] for t in grid({"lmbda": geometric(1, 100, 3)})] == pytest.approx(
        [1, 10, 100]
    )


def test_samples_differ_repeat_and_follow_their_distribution() -> None:
    from scipy import stats

    space = {"rate": LogUniform(0.01, 1), "units": stats.randint(5, 9), "seed": range(3)}
    trials = sample(space, 400, seed=1)
    assert trials == sample(space, 400, seed=1) != sample(space, 400, seed=2)
    rates = np.log10([trial["rate"] for trial in trials])
    assert stats.kstest(rates, "uniform", args=(-2, 2)).pvalue > 1e-3
    assert {trial["units"] for trial in trials} == {5, 6, 7, 8}
    assert type(trials[0]["units"]) is int
    assert len(sample({"seed": range(6)}, 6)) == 6
    with pytest.raises(ValueError, match="6 different trials, and not 7"):
        sample({"seed": range(6)}, 7)


def test_scikit_learns_sampler_is_taken() -> None:
    drawn = ParameterSampler({"learning_rate": [0.1, 0.5, 1.0]}, 2, random_state=0)
    assert [r["learning_rate"] for r in run(drawn)] == [t["learning_rate"] for t in drawn]


def test_parameters_in_records_are_what_json_keeps() -> None:
    rate = fastnn.StepDecay(0.5, every=2)
    given = {"a": np.float32(0.5), "b": L1(2.0), "c": (1, None), "d": rate, "e": object, "f": grid}
    told = described(given)
    assert json.loads(json.dumps(told)) == told
    assert (told["a"], told["b"], told["c"], told["e"]) == (0.5, repr(L1(2.0)), [1, None], "object")
    assert described(np.arange(3)) != described(np.arange(1, 4))
    assert described(np.array(0.5)) == 0.5


def test_arrays_without_dimensions_are_numbers() -> None:
    """Iterating over a tensor gives such arrays."""
    assert grid({"a": [np.array(0.5), 2]}) == [{"a": 0.5}, {"a": 2}]
