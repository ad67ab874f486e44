"""Networks as ONNX files, which other runtimes evaluate.

An activation's formula, the same that the engine compiles, is called once with values whose
arithmetic adds nodes to the graph; where it normalises, they follow a LogSoftmax. An activation for
which ONNX has an operator in both dtypes becomes that operator.
"""

from __future__ import annotations

import math
import os
from typing import Any, cast

import numpy as np

from fastnn import __version__
from fastnn.activations import Activation
from fastnn.arrays import scale_of
from fastnn.checks import not_installed, one_of
from fastnn.engine.conditions import refuse_truth
from fastnn.engine.plain_numbers import numpys_of_numbers
from fastnn.files import replace_file
from fastnn.network.stack import Stack

__all__ = ["to_onnx"]

OPERATORS = {"sigmoid": "Sigmoid", "relu": "Relu", "identity": "Identity"}
OPSET, IR_VERSION = 13, 7  # of 2020, so that old runtimes read the file; later ones add nothing


def to_onnx(
    network: Stack, path: str | os.PathLike[str], *, input_dtype: str | None = None
) -> None:
    """Write `network` to `path` as an ONNX model, as `Network.to_onnx` says."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise not_installed("to_onnx", "onnx", "onnx") from error
    weights, biases = network._arrays()
    dtype = network.dtype.name
    given = dtype if input_dtype is None else one_of("input_dtype", input_dtype, (dtype, "uint8"))
    graph = Graph(onnx, dtype)
    a = _scaled_inputs(graph, network, given)
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        names = graph.array(f"layers.{layer}.weight", w), graph.array(f"layers.{layer}.bias", b)
        z = graph.node("Gemm", a, *names, transB=1)
        a = _activated(graph, network._activations[layer], z)
    graph.node("Identity", a, output="outputs")
    made = graph.model((given, network.n_inputs), network.sizes[-1])
    onnx.checker.check_model(made)
    replace_file(path, made.SerializeToString())


def _scaled_inputs(graph: Graph, network: Stack, given: str) -> str:
    """Return the columns that the network uses, in its dtype and scaled."""
    a = "X"
    if network.kept_inputs is not None:
        a = graph.node("Gather", a, graph.array("kept_inputs", network.kept_inputs), axis=1)
    if given == "uint8":
        a = graph.node("Cast", a, to=graph.dtype_code)
    scale = scale_of(np.dtype(given), network.input_scale)
    return a if scale == 1 else graph.node("Mul", a, graph.constant(scale))


def _activated(graph: Graph, activation: Activation, z: str) -> str:
    if activation.name == "softmax":
        return graph.node("Softmax", z, axis=1)
    if activation.name in OPERATORS:
        return graph.node(OPERATORS[activation.name], z)
    if activation.normalises:
        z = graph.node("LogSoftmax", z, axis=1)
    value: Value = activation.value(Space(), Value(graph, z))
    return value.name


class Graph:
    """The nodes and constants of a graph under construction.

    Parameters
    ----------
    onnx : module
    dtype : str
        The network's dtype.
    """

    def __init__(self, onnx: Any, dtype: str) -> None:
        self._onnx, self._dtype = onnx, np.dtype(dtype)
        self._nodes: list[Any] = []
        self._arrays: dict[str, Any] = {}
        self.dtype_code = self._code(dtype)

    def _code(self, dtype: str) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = output or f"{operator.lower()}.{len(self._nodes)}"
        made = self._onnx.helper.make_node(operator, list(inputs), [name], **attributes)
        self._nodes.append(made)
        return name

    def array(self, name: str, values: np.ndarray) -> str:
        """Add an array, once; return its name."""
        if name not in self._arrays:
            self._arrays[name] = self._onnx.numpy_helper.from_array(values, name)
        return name

    def constant(self, number: float) -> str:
        """Return the name of a number in the network's dtype."""
        return self.array(f"constant.{number!r}", np.array(number, self._dtype))

    def model(self, inputs: tuple[str, int], outputs: int) -> Any:
        """Return the model: input ``X`` (n, inputs), output ``outputs`` (n, outputs), for any n."""
        helper, (dtype, width) = self._onnx.helper, inputs
        graph = helper.make_graph(
            self._nodes,
            "fastnn",
            [helper.make_tensor_value_info("X", self._code(dtype), ["n", width])],
            [helper.make_tensor_value_info("outputs", self.dtype_code, ["n", outputs])],
            list(self._arrays.values()),
        )
        return helper.make_model(
            graph,
            producer_name="fastnn",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )


class Value:
    """A result in the graph; the operators that formulas use add nodes to it."""

    __array_ufunc__ = None  # numpy functions refuse it, numpy operators defer to it
    __hash__ = None  # type: ignore[assignment] # because == is overridden

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def call(self, operator: str, *operands: Value | float) -> Value:
        """Return the result of an operator; a number becomes a constant."""
        names = [o.name if isinstance(o, Value) else self.graph.constant(o) for o in operands]
        return Value(self.graph, self.graph.node(operator, *names))

    def __add__(self, other: Value | float) -> Value:
        return self.call("Add", self, other)

    def __radd__(self, other: float) -> Value:
        return self.call("Add", other, self)

    def __sub__(self, other: Value | float) -> Value:
        return self.call("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.call("Sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self.call("Mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return self.call("Mul", other, self)

    def __truediv__(self, other: Value | float) -> Value:
        return self.call("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self.call("Div", other, self)

    def __neg__(self) -> Value:
        return self.call("Neg", self)

    def __abs__(self) -> Value:
        return self.call("Abs", self)

    def __gt__(self, other: Value | float) -> Value:
        return self.call("Greater", self, other)

    def __lt__(self, other: Value | float) -> Value:
        return self.call("Less", self, other)

    def __ge__(self, other: Value | float) -> Value:
        return self.call("GreaterOrEqual", self, other)

    def __le__(self, other: Value | float) -> Value:
        return self.call("LessOrEqual", self, other)

    def __eq__(self, other: object) -> Any:
        return self.call("Equal", self, cast("Value | float", other))

    def __ne__(self, other: object) -> Any:
        return ~(self == other)

    def __and__(self, other: Value) -> Value:
        return self.call("And", self, other)

    def __or__(self, other: Value) -> Value:
        return self.call("Or", self, other)

    def __invert__(self) -> Value:
        return self.call("Not", self)

    def __bool__(self) -> bool:
        refuse_truth()


def _called(operator: str, *operands: Value | float) -> Value:
    """Return the result of an operator of which at least one operand is in the graph."""
    return next(o for o in operands if isinstance(o, Value)).call(operator, *operands)


@numpys_of_numbers(Value)
class Space:
    """The functions that an activation's formula uses, with numpy's names."""

    def where(self, condition: Value, x: Value | float, y: Value | float) -> Value:
        return condition.call("Where", condition, x, y)

    def maximum(self, x: Value | float, y: Value | float) -> Value:
        return _called("Max", x, y)

    def minimum(self, x: Value | float, y: Value | float) -> Value:
        return _called("Min", x, y)

    def exp(self, x: Value) -> Value:
        return x.call("Exp", x)

    def expm1(self, x: Value) -> Value:
        return self.exp(x) - 1.0

    def tanh(self, x: Value) -> Value:
        return x.call("Tanh", x)

    def sqrt(self, x: Value) -> Value:
        return x.call("Sqrt", x)

    def floor(self, x: Value) -> Value:
        return x.call("Floor", x)

    def sign(self, x: Value) -> Value:
        return x.call("Sign", x)

    def copysign(self, x: Value | float, y: Value | float) -> Value:
        size = cast("Value", abs(x))
        if not isinstance(y, Value):
            return size * math.copysign(1.0, y)
        return self.where(y < 0.0, -size, size)

    def log(self, x: Value) -> Value:
        return x.call("Log", x)

    def log1p(self, x: Value) -> Value:
        return self.log(1.0 + x)

    def logaddexp(self, x: Any, y: Any) -> Value:
        u = self.exp(-abs(x - y))
        return self.maximum(x, y) + self.log1p(u)
