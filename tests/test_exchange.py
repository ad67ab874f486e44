"""Networks converted from scikit-learn, and from and to PyTorch: the same outputs, or a refusal."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastnn
from exchanged import ACTIVATIONS, AT_THE_END, FLOATS, compacted, network, rows
from fastnn import Network, activations
from fastnn.estimators import settings

pytestmark = pytest.mark.usefixtures("nothing_compiled")


# ------------------------------------------------------------------------------------- scikit-learn


def fitted(kind: Any, X: np.ndarray, y: np.ndarray, **keywords: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three epochs do not converge
        return kind(hidden_layer_sizes=(6, 5), max_iter=3, random_state=1, **keywords).fit(X, y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_a_classifier_of_scikit_learn(activation: str, dtype: str) -> None:
    X, rng = rows(dtype), np.random.default_rng(3)
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, 50)]
    mlp = fitted(MLPClassifier, X, y, activation=activation)
    made = fastnn.from_sklearn(mlp)
    assert (made.sizes, made.cost, made.dtype) == ([7, 6, 5, 3], "log_likelihood", dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(made.predict_proba(X), mlp.predict_proba(X), rtol=tolerance)
    np.testing.assert_array_equal(mlp.classes_[made.predict(X)], mlp.predict(X))
    made.weights[0][:] = 0  # a copy
    assert mlp.coefs_[0].any()


def test_two_classes_and_labels_of_scikit_learn() -> None:
    X, rng = rows(), np.random.default_rng(3)
    mlp = fitted(MLPClassifier, X, rng.integers(0, 2, 50))
    made = fastnn.from_sklearn(mlp)
    assert (made.cost, made.multilabel) == ("cross_entropy", False)
    np.testing.assert_allclose(made.predict_proba(X)[:, 0], mlp.predict_proba(X)[:, 1], rtol=1e-12)
    mlp = fitted(MLPClassifier, X, rng.integers(0, 2, (50, 3)))
    made = fastnn.from_sklearn(mlp)
    assert (made.cost, made.multilabel) == ("cross_entropy", True)
    np.testing.assert_array_equal(made.predict(X), mlp.predict(X))


@pytest.mark.parametrize("shape", [(50,), (50, 2)])
def test_a_regressor_of_scikit_learn(shape: tuple[int, ...]) -> None:
    X, y = rows(), np.random.default_rng(3).random(shape)
    mlp = fitted(MLPRegressor, X, y)
    made = fastnn.from_sklearn(mlp)
    assert made.cost == "mean_squared"
    np.testing.assert_allclose(made.predict(X), mlp.predict(X), rtol=1e-12)
    assert made.score(X, y) == pytest.approx(mlp.score(X, y))
    mlp = fitted(MLPRegressor, X, y, loss="poisson")
    made = fastnn.from_sklearn(mlp)
    assert (made.cost, made.activations[-1]) == ("poisson", "exponential")
    np.testing.assert_allclose(made.predict(X), mlp.predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    "activation",
    [
        *(name for name in ACTIVATIONS if name not in AT_THE_END),
        ["gelu", "logistic"],
        ("elu", "relu"),
    ],
    ids=str,
)
def test_estimators_of_fastnn(activation: Any) -> None:
    X, rng = rows(), np.random.default_rng(3)
    for kind, y in (fastnn.MLPClassifier, rng.integers(0, 3, 50)), (fastnn.MLPRegressor, X[:, :2]):
        mlp = fitted(kind, X, y, activation=activation)
        made = fastnn.from_sklearn(mlp)
        np.testing.assert_allclose(made.predict(X), mlp.predict(X), rtol=1e-12)


@pytest.mark.usefixtures("registered_for_one_test")
def test_from_sklearn_knows_what_is_registered_later() -> None:
    class Square(activations.Activation):
        name = "square"

        @staticmethod
        def value(xp: Any, z: Any) -> Any:
            return z * z

    X = rows()
    mlp = fitted(fastnn.MLPRegressor, X, X[:, 0], activation="tanh")
    fastnn.register(Square)
    made = fastnn.from_sklearn(mlp.set_params(activation="square"))
    assert made.activations == ["square", "square", "identity"]


@pytest.mark.usefixtures("registered_for_one_test")
@pytest.mark.parametrize("name", ["exp", "logistic"])
def test_a_registered_activation_comes_before_scikit_learns(name: str) -> None:
    X = rows()
    mlp = fitted(fastnn.MLPRegressor, X, X[:, 0], activation="tanh").set_params(activation=name)
    kind = type("Own", (activations.Tanh,), {"name": name})
    fastnn.register(kind)
    assert fastnn.from_sklearn(mlp).activations == [name, name, "identity"]
    assert [type(one) for one in settings.activations_of(mlp)] == [kind, kind, activations.Identity]
    mlp.out_activation_ = "logistic"
    assert fastnn.from_sklearn(mlp).activations == [name, name, "sigmoid"]
    assert type(settings.activations_of(mlp)[-1]) is activations.Sigmoid


def test_from_sklearn_refuses() -> None:
    with pytest.raises(ValueError, match="this MLPClassifier is not fitted: call its fit first"):
        fastnn.from_sklearn(MLPClassifier())
    with pytest.raises(TypeError, match="MLPClassifier or MLPRegressor, not Network"):
        fastnn.from_sklearn(network("tanh"))
    mlp = fitted(fastnn.MLPRegressor, rows(), rows()[:, 0], activation=["gelu", "tanh"])
    for activation, message in {
        ("gelu",): "for each of the 2 hidden layers that were fitted, not 1 names",
        ("gelu", "tan"): r"activation\[1\] must be one of .* did you mean 'tanh'",
        ("softmax", "tanh"): "softmax",
    }.items():
        with pytest.raises(ValueError, match=message):
            fastnn.from_sklearn(mlp.set_params(activation=activation))


# ------------------------------------------------------------------------------------------ PyTorch


@pytest.fixture
def torch() -> Any:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


def outputs(torch: Any, module: Any, X: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(X)).numpy()


IN_TORCH = [name for name in ACTIVATIONS if name != "exponential"]  # PyTorch has no module for it


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", IN_TORCH)
def test_torch_there_and_back(activation: str, dtype: str, torch: Any) -> None:
    made, X = network(activation, dtype), rows(dtype)
    module = made.to_torch()
    tolerance = 1e-5 if dtype == "float32" else 1e-8
    np.testing.assert_allclose(outputs(torch, module, X), made.predict_proba(X), atol=tolerance)
    back = fastnn.from_torch(module, cost=made.cost)
    assert repr(back) == repr(made)
    for a, b in zip(back.weights + back.biases, made.weights + made.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    made.weights[0][:] = 0  # the conversions share no arrays
    assert module[0].weight.any()
    with torch.no_grad():
        module[0].weight[:] = 0
    assert back.weights[0].any()


def test_labels_beside_each_other_are_told_to_from_torch(torch: Any) -> None:
    made, X = Network([7, 3], multilabel=True, seed=1), rows("float32")
    back = fastnn.from_torch(made.to_torch(), multilabel=True)
    np.testing.assert_array_equal(back.predict(X), made.predict(X))
    with pytest.raises(ValueError, match="multilabel"):
        fastnn.from_torch(torch.nn.Sequential(torch.nn.Linear(7, 3)), multilabel=True)


def test_torch_takes_the_same_inputs(torch: Any) -> None:
    made, X = compacted(network("softmax", "float64", input_scale=0.25)), rows()
    np.testing.assert_allclose(outputs(torch, made.to_torch(), X), made.predict_proba(X), rtol=1e-9)


def test_modules_of_others(torch: Any) -> None:
    nn, X = torch.nn, rows("float32")
    module = nn.Sequential(
        nn.Linear(7, 5, bias=False), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(5, 4),
        nn.Linear(4, 3),
    )  # fmt: skip
    made = fastnn.from_torch(module)
    assert made.activations == ["relu", "identity", "identity"]
    assert made.cost == "mean_squared"
    np.testing.assert_allclose(made.predict_proba(X), outputs(torch, module, X), atol=1e-5)
    classes = fastnn.from_torch(module, output="softmax")
    assert classes.cost == "log_likelihood"
    wanted = torch.softmax(torch.from_numpy(outputs(torch, module, X)), 1).numpy()
    np.testing.assert_allclose(classes.predict_proba(X), wanted, atol=1e-5)
    assert fastnn.from_torch(module, output="sigmoid").cost == "cross_entropy"


def test_arrays_that_do_not_fit_are_refused(torch: Any) -> None:
    network = Network([3, 4, 2], seed=1)
    network.biases[0] = np.full(1, 5, "f4")
    with pytest.raises(ValueError, match=r"biases\[0\] must have the shape"):
        network.to_torch()
    with pytest.raises(ValueError, match=r"biases\[0\] must have the shape"):
        fastnn.plots.weight_images(network)


def test_nested_torch_modules(torch: Any) -> None:
    nn = torch.nn
    inner = nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Dropout(0.1))
    nested = nn.Sequential(nn.Flatten(), inner, nn.Sequential(nn.Linear(5, 4), nn.Softmax(dim=1)))
    plain = nn.Sequential(inner[0], nn.ReLU(), nested[2][0], nn.Softmax(dim=1))
    X = np.random.default_rng(1).random((7, 12), np.float32)
    for module in (nested, plain):
        np.testing.assert_allclose(
            fastnn.from_torch(module).predict_proba(X), outputs(torch, plain.eval(), X), atol=1e-6
        )
    single = fastnn.from_torch(nn.Linear(12, 4))
    assert (single.sizes, single.activations) == ([12, 4], ["identity"])


def test_torch_modules_whose_outputs_something_changes_are_refused(torch: Any) -> None:
    nn, utils = torch.nn, torch.nn.utils
    prune = pytest.importorskip("torch.nn.utils.prune")

    def made() -> Any:
        return nn.Sequential(nn.Linear(7, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 4)))

    def doubled(*arguments: Any) -> Any:
        return arguments[-1] * 2

    module, X = made(), rows("float32")
    prune.l1_unstructured(module[0], "weight", 0.5)
    with pytest.raises(ValueError, match=r"module\[0\], a Linear, .* hooks.*prune.remove"):
        fastnn.from_torch(module)
    prune.remove(module[0], "weight")
    np.testing.assert_allclose(
        fastnn.from_torch(module).predict_proba(X), outputs(torch, module, X), atol=1e-6
    )
    for place, find in {
        "module, a Sequential": lambda module: module,
        r"module\[1\], a Sequential": lambda module: module[1],
        r"module\[1\]\[0\], a ReLU": lambda module: module[1][0],
    }.items():
        module = made()
        find(module).register_forward_hook(doubled)
        with pytest.raises(ValueError, match=place + ", must have no forward hooks"):
            fastnn.from_torch(module)
    module = made()
    utils.parametrizations.weight_norm(module[0])
    with pytest.raises(ValueError, match=r"module\[0\], a Param.*remove_parametrizations"):
        fastnn.from_torch(module)
    with pytest.raises(TypeError, match=r"Sequential, not ParametrizedLinear"):
        fastnn.from_torch(module[0])


def test_torch_refuses(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nn = torch.nn
    first = nn.Linear(3, 3)
    for module, message in {
        nn.ReLU(): "must be a torch.nn.Sequential, not ReLU",
        nn.Sequential(nn.Flatten(0), first): r"module\[0\], Flatten.*must come after a Linear",
        nn.Sequential(first, nn.Flatten()): r"module\[1\] must be a Linear, .*not Flatten",
        nn.Sequential(nn.Sequential(first, nn.ReLU()), nn.Sequential(nn.Tanh())): (
            r"module\[1\]\[0\], Tanh\(\), must come after a Linear"
        ),
        nn.Sequential(): "must have a Linear",
        nn.Sequential(nn.ReLU(), first): r"module\[0\], ReLU\(\), must come after a Linear",
        nn.Sequential(first, nn.ReLU(), nn.Tanh()): r"module\[2\], Tanh\(\), must come after",
        nn.Sequential(first, nn.BatchNorm1d(3)): r"module\[1\] must be a Linear, .*not BatchNorm1d",
        nn.Sequential(first, nn.GELU()): r"GELU\(approximate='tanh'\), .* not GELU\(approximate='n",
        nn.Sequential(first, nn.LeakyReLU(0.2)): r"not LeakyReLU\(negative_slope=0.2\)",
        nn.Sequential(first, nn.Softmax(dim=0)): r"not Softmax\(dim=0\)",
        nn.Sequential(first, nn.Softmax(dim=1), nn.Linear(3, 2)): "'softmax' is for the output",
        nn.Sequential(first, nn.Linear(4, 2)): r"weights\[1\] must have the shape \(2, 3\), not",
        nn.Sequential(nn.Linear(3, 2, dtype=torch.float16)): "of float32 or float64, not float16",
        nn.Sequential(nn.Linear(3, 2, dtype=torch.bfloat16)): "float64, not bfloat16: module.float",
    }.items():
        with pytest.raises((TypeError, ValueError), match=message):
            fastnn.from_torch(module)
    with pytest.raises(ValueError, match="is given, and the module ends with tanh"):
        fastnn.from_torch(nn.Sequential(first, nn.Tanh()), output="softmax")
    with pytest.raises(ValueError, match="activation of a PyTorch module must be one of"):
        network("exponential").to_torch()
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (network("tanh").to_torch, lambda: fastnn.from_torch(None)):
        with pytest.raises(ModuleNotFoundError, match="needs torch"):
            call()
