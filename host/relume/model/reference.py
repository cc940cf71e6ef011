"""TFLite's reference kernels on the host: the oracle of every comparison.

ai-edge-litert with OpResolverType.BUILTIN_REF, with one change. Its reference FULLY_CONNECTED for
int8 (LiteRT, kernels/internal/reference/integer_ops/fully_connected.h) rescales in floating point,
round(acc * scale), while TensorFlow's up to 2.19, TFLite Micro and CMSIS-NN rescale with the
quantized multiplier as all other kernels do; the two differ in about one byte in 500. What this
project computes is the latter. LiteRT's reference CONV_2D still has it, so FULLY_CONNECTED ops are
written as 1 x 1 convolutions before the net is run; numbers of tensors stay what they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from relume.errors import ModelError


def run_reference(model: bytes, data: bytes) -> dict[int, bytes]:
    """TFLite tensor number -> bytes, of the input and of every tensor that an op writes.

    model: a .tflite file; data: the int8 input tensor's bytes. Raises ModelError when
    ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import (  # type: ignore[import-untyped]
            Interpreter,
            OpResolverType,
        )
    except ImportError as error:
        raise ModelError("no reference kernels: pip install ai-edge-litert") from error
    interpreter = Interpreter(
        model_content=dense_as_convolution(model),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    values = np.frombuffer(data, dtype=np.int8).reshape(details["shape"])
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    written = {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]}
    own = sorted(i for i in written if i < _tensor_count(model))
    return {int(details["index"]): data} | {i: interpreter.get_tensor(i).tobytes() for i in own}


def _tensor_count(model: bytes) -> int:
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

    return int(schema.Model.GetRootAsModel(model, 0).Subgraphs(0).TensorsLength())


def dense_as_convolution(model: bytes) -> bytes:
    """The same net with every int8 FULLY_CONNECTED as RESHAPE, CONV_2D 1 x 1, RESHAPE."""
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert import schema_py_generated as schema

    net = schema.ModelT.InitFromPackedBuf(model, 0)
    rewriter = _Rewriter(schema, net)
    if not rewriter.rewrite():
        return model
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(net.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Rewriter:
    """Replaces the ops of one net in place; new tensors get numbers behind the old ones."""

    def __init__(self, schema: Any, net: Any) -> None:
        self.schema = schema
        self.net = net
        self.graph = net.subgraphs[0]

    def rewrite(self) -> bool:
        """Was there anything to replace?"""
        ops: list[Any] = []
        for op in self.graph.operators:
            ops += self._three(op) if self._is_dense(op) else [op]
        changed = len(ops) != len(self.graph.operators)
        self.graph.operators = ops
        return changed

    def _is_dense(self, op: Any) -> bool:
        code = self.net.operatorCodes[op.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        int8 = self.graph.tensors[op.inputs[0]].type == self.schema.TensorType.INT8
        return bool(kind == self.schema.BuiltinOperator.FULLY_CONNECTED and int8)

    def _code(self, kind: int, version: int) -> int:
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = version
        self.net.operatorCodes.append(code)
        return len(self.net.operatorCodes) - 1

    def _tensor(self, like: Any, shape: list[int], buffer: int, scales: list[float]) -> int:
        """A tensor of like's type and zero point with another shape and other scales."""
        tensor = self.schema.TensorT()
        tensor.name = f"{bytes(like.name or b'').decode(errors='replace')}/dense"
        tensor.type, tensor.shape, tensor.buffer = like.type, shape, buffer
        quantization = self.schema.QuantizationParametersT()
        quantization.scale = scales
        quantization.zeroPoint = [int(like.quantization.zeroPoint[0])] * len(scales)
        quantization.quantizedDimension = 0
        tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _three(self, op: Any) -> list[Any]:
        tensors = self.graph.tensors
        source, weights, out = (tensors[i] for i in (*op.inputs[:2], op.outputs[0]))
        channels, k = (int(size) for size in weights.shape)
        rows = int(np.prod(source.shape)) // k
        scales = [float(scale) for scale in weights.quantization.scale]
        in_scale = float(source.quantization.scale[0])
        if len(scales) == 1:
            # FULLY_CONNECTED multiplies the two scales in float32, CONV_2D in double.
            scales = [float(np.float32(in_scale) * np.float32(scales[0]))]
            in_scale = 1.0
        flat = self._tensor(source, [1, rows, 1, k], 0, [in_scale])
        filters = self._tensor(weights, [channels, 1, 1, k], weights.buffer, scales)
        result = self._tensor(out, [1, rows, 1, channels], 0, [float(out.quantization.scale[0])])
        bias = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
        inputs = [flat, filters, self._zeros(channels) if bias is None else bias]
        return [
            self._reshape(op.inputs[0], flat),
            self._convolution(inputs, result, op.builtinOptions.fusedActivationFunction),
            self._reshape(result, op.outputs[0]),
        ]

    def _zeros(self, channels: int) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.zeros(4 * channels, dtype=np.uint8)
        self.net.buffers.append(buffer)
        tensor = self.schema.TensorT()
        tensor.name, tensor.type = "zeros/dense", self.schema.TensorType.INT32
        tensor.shape, tensor.buffer = [channels], len(self.net.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _reshape(self, source: int, target: int) -> Any:
        options = self.schema.ReshapeOptionsT()
        options.newShape = [int(size) for size in self.graph.tensors[target].shape]
        kind = self.schema.BuiltinOperator.RESHAPE
        return self._op(kind, 1, [source], target, options, "ReshapeOptions")

    def _convolution(self, inputs: list[int], target: int, activation: int) -> Any:
        options = self.schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.padding = self.schema.Padding.VALID
        options.fusedActivationFunction = activation
        kind = self.schema.BuiltinOperator.CONV_2D
        return self._op(kind, 3, inputs, target, options, "Conv2DOptions")

    def _op(
        self, kind: int, version: int, inputs: list[int], target: int, options: Any, table: str
    ) -> Any:
        op = self.schema.OperatorT()
        op.opcodeIndex = self._code(kind, version)
        op.inputs, op.outputs = inputs, [target]
        op.builtinOptions = options
        op.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
        return op
