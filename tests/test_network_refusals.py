"""The arguments that a network refuses, and what the message says."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Network, activations, costs


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ([784], ValueError, r"at least two layers, the inputs and the outputs, not \[784\]"),
        ([], ValueError, "at least two layers"),
        ([784, 0, 10], ValueError, r"sizes\[1\] must be a whole number of at least 1, not 0"),
        ([784, -3, 10], ValueError, r"sizes\[1\]"),
        ([784, 30.5, 10], ValueError, r"sizes\[1\] must be a whole number"),
        (
            [784, float("inf")],
            ValueError,
            r"sizes\[1\] must be a whole number of at least 1, not inf",
        ),
        (
            [784, float("nan")],
            ValueError,
            r"sizes\[1\] must be a whole number of at least 1, not nan",
        ),
        ([784, "30", 10], TypeError, r"sizes\[1\] must be a number"),
        (784, TypeError, "sizes must be a list of whole numbers"),
        ("784", TypeError, "sizes must be a list of whole numbers"),
    ],
)
def test_bad_sizes(sizes, error, message) -> None:
    with pytest.raises(error, match=message):
        Network(sizes)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"activation": "sigmoyd"}, ValueError, "activation must .* did you mean 'sigmoid'"),
        ({"activation": ["sigmoid"]}, ValueError, "each of the 2 layers .* not 1 names"),
        ({"activation": ["sigmoid", "x"]}, ValueError, r"activation\[1\] must be one of"),
        ({"activation": 3}, TypeError, "activation must be a name"),
        ({"cost": "crossentropy"}, ValueError, "cost must .* did you mean 'cross_entropy'"),
        ({"cost": None}, ValueError, "cost must be one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float32', 'float64'"),
        ({"dtype": "flaot32"}, ValueError, "did you mean 'float32'"),
        ({"dtype": None}, ValueError, "dtype must be one of"),
        ({"multilabel": "no"}, TypeError, "multilabel must be True or False"),
        ({"input_scale": 0}, ValueError, "input_scale must be finite and above 0"),
        ({"input_scale": -1.0}, ValueError, "input_scale must be finite and above 0, not -1"),
        ({"input_scale": float("nan")}, ValueError, "input_scale"),
        ({"input_scale": "1/256"}, TypeError, "input_scale must be a number"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, .*, not -1"),
        ({"seed": "one"}, TypeError, "seed must be .* a numpy.random.Generator or None, not 'one'"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number of at least 0, .*, not 1.5"),
    ],
)
def test_bad_arguments(keywords, error, message) -> None:
    with pytest.raises(error, match=message):
        Network([784, 30, 10], **keywords)


@pytest.mark.parametrize(
    ("cost", "output"),
    [(c.name, a.name) for c in costs.ALL for a in activations.ALL if a.name not in c.outputs],
)
def test_a_cost_is_refused_with_the_outputs_it_does_not_name(cost: str, output: str) -> None:
    with pytest.raises(ValueError, match=f"cost '{cost}' needs .*, not '{output}'"):
        Network([3, 2], activation=output, cost=cost)


@pytest.mark.parametrize("activation", ["softmax", ["softmax", "tanh"], ["softmax", "softmax"]])
def test_softmax_is_refused_in_a_hidden_layer(activation) -> None:
    with pytest.raises(ValueError, match="'softmax' is for the output layer only"):
        Network([12, 7, 4], activation=activation, cost="log_likelihood")


def test_softmax_of_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="use 'sigmoid' and the cost 'cross_entropy'"):
        Network([12, 1], activation="softmax", cost="log_likelihood")


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((3, 11)),
        np.zeros(12),
        np.zeros((2, 3, 4)),
        np.zeros((0, 12)),
        [],
        [[1.0] * 12, [1.0] * 11],
        [["a"] * 12],
        np.full((2, 12), np.nan),
        np.full((2, 12), np.inf),
        None,
        np.zeros((2, 12), complex),
    ],
    ids=lambda X: f"{getattr(X, 'shape', '')}{type(X).__name__}",
)
def test_rows_that_cannot_be_predicted(X) -> None:
    network = Network([12, 7, 4], seed=1)
    y = [0] * (1 if X is None else max(1, len(X)))
    calls = (
        network.predict,
        network.predict_proba,
        lambda X: network.accuracy(X, y),
        lambda X: network.total_cost(X, y),
    )
    for call in calls:
        with pytest.raises((ValueError, TypeError), match=r"^(X must|row 0 of X holds)"):
            call(X)


@pytest.mark.parametrize(
    "y",
    [[0, 1], [0, 1, 4], [0, 1, -1], [0, 1, 0.5], [], [[0, 1, 0]] * 3, ["0", "1", "2"], None],
    ids=repr,
)
def test_labels_that_do_not_fit(y) -> None:
    network, X = Network([12, 4], seed=1), np.zeros((3, 12))
    for call in (network.accuracy, network.total_cost):
        with pytest.raises((ValueError, TypeError), match=r"."):
            call(X, y)


def test_a_penalty_by_name_is_refused() -> None:
    rows = np.zeros((3, 12)), [0, 1, 2]
    with pytest.raises(TypeError, match=r"such as fastnn\.L1\(5\.0\), or a list .*, not 'l1'"):
        Network([12, 4]).total_cost(*rows, penalty="l1")
