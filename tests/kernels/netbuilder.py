"""Writes int8 .tflite files op by op, with the flatbuffer schema that ai-edge-litert ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

Array = npt.NDArray[Any]
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
PADDINGS = {"SAME": 0, "VALID": 1}
_TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


@dataclass(frozen=True)
class Node:
    """An activation tensor of the net being built: TFLite number, shape, quantization."""

    number: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class NetBuilder:
    """One subgraph with one input. Every method adds one op and returns its output."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._ops: list[Any] = []
        self._codes: list[int] = []

    def activation(self, shape: Sequence[int], scale: float, zero_point: int) -> Node:
        """A new int8 tensor without data."""
        number = self._tensor("int8", shape, 0, [scale], [zero_point])
        return Node(number, tuple(shape), float(np.float32(scale)), zero_point)

    def constant(
        self, data: Array, scales: Sequence[float] = (), axis: int = 0, zero_point: int = 0
    ) -> int:
        """A constant tensor; scales: one, or one per slice of `axis`."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), dtype=np.uint8)
        self._buffers.append(buffer)
        zero_points = [zero_point] * len(scales)
        return self._tensor(
            data.dtype.name, data.shape, len(self._buffers) - 1, scales, zero_points, axis
        )

    def _tensor(
        self, dtype: str, shape: Sequence[int], buffer: int, scales: Sequence[float],
        zero_points: Sequence[int], axis: int = 0,
    ) -> int:  # fmt: skip
        tensor = schema.TensorT()
        tensor.name = f"t{len(self._tensors)}"
        tensor.type = _TYPES[dtype]
        tensor.shape = [int(size) for size in shape]
        tensor.buffer = buffer
        if len(scales):
            quantization = schema.QuantizationParametersT()
            quantization.scale = [float(scale) for scale in scales]
            quantization.zeroPoint = list(zero_points)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def op(self, kind: str, inputs: Sequence[int], output: Node, options: Any = None) -> Node:
        """Adds an op of builtin kind `kind`; options: the schema's option table."""
        return self.many(kind, inputs, [output], options)[0]

    def many(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[Node], options: Any = None
    ) -> list[Node]:
        """The same with any number of outputs."""
        code = getattr(schema.BuiltinOperator, kind)
        if code not in self._codes:
            self._codes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex = self._codes.index(code)
        op.inputs = list(inputs)
        op.outputs = [output.number for output in outputs]
        if options is not None:
            op.builtinOptions = options
            name = type(options).__name__[:-1]
            op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self._ops.append(op)
        return list(outputs)

    def finish(self, source: Node, target: Node) -> bytes:
        """The .tflite file."""
        graph = schema.SubGraphT()
        graph.tensors = self._tensors
        graph.operators = self._ops
        graph.inputs = [source.number]
        graph.outputs = [target.number]
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.description = "relume test net"
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [self._code(code) for code in self._codes]
        builder = flatbuffers.Builder(1 << 14)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _code(code: int) -> Any:
        entry = schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)
        entry.version = 1
        return entry


def window_options(kind: str, window: Window, activation: str) -> Any:
    """Option table of CONV_2D, DEPTHWISE_CONV_2D or a pool."""
    if kind == "CONV_2D":
        options: Any = schema.Conv2DOptionsT()
    elif kind == "DEPTHWISE_CONV_2D":
        options = schema.DepthwiseConv2DOptionsT()
    else:
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = window.size
    options.strideH, options.strideW = window.stride
    options.padding = PADDINGS[window.padding]
    options.fusedActivationFunction = ACTIVATIONS[activation]
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        options.dilationHFactor, options.dilationWFactor = window.dilation
    return options


@dataclass(frozen=True)
class Window:
    """Filter size, stride and dilation as (h, w), padding SAME or VALID."""

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    dilation: tuple[int, int] = (1, 1)

    def out(self, h: int, w: int) -> tuple[int, int]:
        """Output size; 0 or less when the window does not fit."""
        sizes = []
        for axis, length in enumerate((h, w)):
            reach = (self.size[axis] - 1) * self.dilation[axis] + 1
            free = length if self.padding == "SAME" else length - reach + 1
            sizes.append(-(-free // self.stride[axis]))
        return sizes[0], sizes[1]
