"""What TFLite's reference kernels say to a seeded layer, where ai-edge-litert is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from relume.bench.layers import IN_SCALE, SeededLayer
from relume.errors import ModelError
from relume.model.graph import Kind, Op
from relume.model.reference import reference_output

_AXIS = {Kind.CONV_2D: 0, Kind.DEPTHWISE_CONV_2D: 3, Kind.FULLY_CONNECTED: 0}


def reference(model: bytes, data: bytes) -> bytes | None:
    """The output of BUILTIN_REF; None where ai-edge-litert 1.2.0 is not installed."""
    try:
        return reference_output(model, data)
    except ModelError:
        return None


def layer_reference(layer: SeededLayer, data: bytes) -> bytes | None:
    """The layer's output by BUILTIN_REF for the input `data`; None as above."""
    if find_spec("ai_edge_litert") is None or find_spec("flatbuffers") is None:
        return None
    return reference(tflite(layer), data)


def tflite(layer: SeededLayer) -> bytes:
    """The layer as a .tflite file of one op, relu fused. Needs ai-edge-litert."""
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

    op, (source, target) = layer.graph.ops[0], layer.graph.tensors
    assert op.bias is not None
    weights, bias_scales = _file_weights(op), [s * IN_SCALE for s in layer.weight_scales]
    scales = list(layer.weight_scales)
    if op.kind is Kind.FULLY_CONNECTED:
        scales, bias_scales = scales[:1], bias_scales[:1]
    dense = op.kind is Kind.FULLY_CONNECTED
    shapes = [[1, t.shape[2]] if dense else [1, *t.shape] for t in (source, target)]
    made = [
        _tensor(schema, "input", "INT8", shapes[0], 0, [source.scale], source.zero_point),
        _tensor(schema, "weights", "INT8", list(weights.shape), 1, scales, 0, _AXIS[op.kind]),
        _tensor(schema, "bias", "INT32", [len(op.bias)], 2, bias_scales, 0),
        _tensor(schema, "output", "INT8", shapes[1], 0, [target.scale], target.zero_point),
    ]
    model = _model(schema, op, made, [weights.tobytes(), op.bias.astype("<i4").tobytes()])
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _file_weights(op: Op) -> np.ndarray[Any, np.dtype[np.int8]]:
    assert op.weights is not None
    return op.weights[None] if op.kind is Kind.DEPTHWISE_CONV_2D else op.weights


def _tensor(
    schema: Any, name: str, kind: str, shape: list[int], buffer: int, scales: list[float],
    zero_point: int, axis: int = 0,
) -> Any:  # fmt: skip
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, shape, buffer
    tensor.type = getattr(schema.TensorType, kind)
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = scales
    tensor.quantization.zeroPoint = [zero_point] * len(scales)
    tensor.quantization.quantizedDimension = axis
    return tensor


def _options(schema: Any, op: Op) -> tuple[Any, int]:
    """(option table, its type)."""
    relu = schema.ActivationFunctionType.RELU
    if op.kind is Kind.FULLY_CONNECTED:
        table = schema.FullyConnectedOptionsT()
        table.fusedActivationFunction = relu
        return table, schema.BuiltinOptions.FullyConnectedOptions
    depthwise = op.kind is Kind.DEPTHWISE_CONV_2D
    table = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    table.padding = schema.Padding.SAME
    table.strideH, table.strideW = op.window.sh, op.window.sw
    table.dilationHFactor, table.dilationWFactor = op.window.dil_h, op.window.dil_w
    table.fusedActivationFunction = relu
    if depthwise:
        table.depthMultiplier = 1
        return table, schema.BuiltinOptions.DepthwiseConv2DOptions
    return table, schema.BuiltinOptions.Conv2DOptions


def _model(schema: Any, op: Op, tensors: list[Any], constants: list[bytes]) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, op.kind.name)
    code.version = 1
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = 0, [0, 1, 2], [3]
    node.builtinOptions, node.builtinOptionsType = _options(schema, op)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [node], [0], [3]
    graph.name = op.name
    model = schema.ModelT()
    model.version, model.description = 3, "relume bench"
    model.subgraphs, model.operatorCodes = [graph], [code]
    model.buffers = [schema.BufferT()]
    for data in constants:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, dtype=np.uint8)
        model.buffers.append(buffer)
    return model
