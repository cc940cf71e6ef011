"""Small .tflite files for tests of the reader and of the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

from tests.kernels.netbuilder import NetBuilder, Window, window_options

__all__ = ["add_op", "changed", "schema", "small_net"]


def small_net() -> bytes:
    """CONV_2D 3x3, RESHAPE, FULLY_CONNECTED, SOFTMAX on an 8x8x1 input."""
    random = np.random.default_rng(1)
    net = NetBuilder()
    source = net.activation((1, 8, 8, 1), 0.02, -3)
    window = Window((3, 3), (2, 2))
    weights = net.constant(random.integers(-127, 128, (4, 3, 3, 1), dtype=np.int8), [0.01] * 4)
    bias = net.constant(np.arange(4, dtype=np.int32), [0.0002])
    conv = net.activation((1, 4, 4, 4), 0.05, -128)
    options = window_options("CONV_2D", window, "RELU")
    net.op("CONV_2D", [source.number, weights, bias], conv, options)
    flat = net.activation((1, 64), 0.05, -128)
    net.op("RESHAPE", [conv.number, net.constant(np.array([1, 64], np.int32))], flat)
    dense = net.constant(random.integers(-127, 128, (10, 64), dtype=np.int8), [0.003])
    logits = net.activation((1, 10), 0.1, 5)
    net.op("FULLY_CONNECTED", [flat.number, dense, -1], logits, schema.FullyConnectedOptionsT())
    scores = net.activation((1, 10), 1 / 256, -128)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    net.op("SOFTMAX", [logits.number], scores, softmax)
    return net.finish(source, scores)


def changed(image: bytes, change: Callable[[Any], None]) -> bytes:
    """A .tflite file with its ModelT changed by `change`."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(image, 0))
    change(model)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def add_op(model: Any, kind: str, custom: str | None = None) -> None:
    """Puts an op of another kind behind the last one: it reads and replaces the output."""
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom
    model.operatorCodes.append(code)
    tensor = schema.TensorT()
    last = graph.tensors[graph.outputs[0]]
    tensor.name, tensor.type, tensor.shape = "extra", last.type, last.shape
    tensor.quantization = last.quantization
    graph.tensors.append(tensor)
    op = schema.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = [graph.outputs[0]], [len(graph.tensors) - 1]
    graph.operators.append(op)
    graph.outputs = op.outputs
