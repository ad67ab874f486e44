"""Networks written as ONNX: the same outputs in its runtime, or a clear refusal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from exchanged import ACTIVATIONS, FLOATS, compacted, network, rows
from fastnn import Network, activations, costs
from fastnn.exchange import onnx_files

pytestmark = pytest.mark.usefixtures("nothing_compiled")


def evaluated(path: Path, X: np.ndarray) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [outputs] = session.run(None, {"X": X})
    return outputs


def assert_same_in_onnx(network: Network, X: np.ndarray, tmp_path: Path, **keywords: Any) -> None:
    pytest.importorskip("onnx")
    network.to_onnx(tmp_path / "model.onnx", **keywords)
    for n in (50, 1):
        came, wanted = evaluated(tmp_path / "model.onnx", X[:n]), network.predict_proba(X[:n])
        assert came.dtype == wanted.dtype
        tolerance = 1e-5 if network.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(came, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_onnx_has_the_same_outputs(activation: str, dtype: str, tmp_path: Path) -> None:
    assert_same_in_onnx(network(activation, dtype), rows(dtype), tmp_path)


def of_every_function(xp: Any, z: Any) -> Any:
    sizes = xp.sqrt(abs(z)) + xp.log1p(abs(z)) + xp.log(abs(z) + 1) + xp.minimum(z, 0.5)
    return xp.tanh(z) + 0.1 * sizes * xp.sign(z) + xp.floor(z) + xp.copysign(0.25, z)


def test_onnx_of_an_activation_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(activations.named("activation", "tanh"))
    monkeypatch.setattr(kind, "value", staticmethod(of_every_function))
    monkeypatch.setattr(onnx_files, "OPERATORS", {})
    assert_same_in_onnx(network("tanh", "float64"), rows("float64"), tmp_path)


@pytest.mark.usefixtures("registered_for_one_test")
def test_onnx_of_a_normalised_activation_of_ones_own(tmp_path: Path) -> None:
    class LogSoftmax(activations.Activation):
        name, normalises = "log_softmax", True

        @staticmethod
        def value(xp: Any, z: Any) -> Any:
            return z

    class OfLogSoftmax(costs.Quadratic):
        name, outputs = "of_log_softmax", ("log_softmax",)

    fastnn.register(LogSoftmax)
    fastnn.register(OfLogSoftmax)
    assert_same_in_onnx(network("log_softmax", "float64"), rows(), tmp_path)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("input_scale", [None, 1 / 16])
@pytest.mark.parametrize("inputs", ["float", "uint8"])
@pytest.mark.parametrize("change", [lambda network: network, compacted], ids=["whole", "compacted"])
def test_onnx_takes_the_same_inputs(
    dtype: str, input_scale: float | None, inputs: str, change: Any, tmp_path: Path
) -> None:
    made = change(network("sigmoid", dtype, input_scale=input_scale))
    if inputs == "uint8":
        assert_same_in_onnx(made, rows("uint8"), tmp_path, input_dtype="uint8")
    else:
        assert_same_in_onnx(made, rows(dtype), tmp_path)


def test_onnx_says_what_its_inputs_are(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    compacted(network("softmax")).to_onnx(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    [x], [y] = model.graph.input, model.graph.output
    assert (x.name, y.name) == ("X", "outputs")
    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (x, y)]
    assert shapes == [["n", 7], ["n", 4]]
    assert (model.producer_name, model.producer_version) == ("fastnn", fastnn.__version__)
    assert [node.op_type for node in model.graph.node] == [
        "Gather", "Gemm", "Tanh", "Gemm", "Tanh", "Gemm", "Softmax", "Identity",
    ]  # fmt: skip


def test_onnx_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match="input_dtype must be one of 'float32', 'uint8', not"):
        network("sigmoid").to_onnx(tmp_path / "model.onnx", input_dtype="float64")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .onnx"):
        network("sigmoid").to_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
