"""Models whose ends are float32 or uint8, as TFLite's converter makes them, and what they give."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType  # type: ignore[import-untyped]

from tests.kernels.netbuilder import NetBuilder
from tests.unit.tflite_nets import changed, schema

Array = np.ndarray[Any, np.dtype[Any]]


def float_net(island: bool = False) -> bytes:
    """QUANTIZE, TANH, DEQUANTIZE; with an island DEQUANTIZE and QUANTIZE in the middle, too."""
    net = NetBuilder()
    source = net.activation((1, 4, 4, 2), 1.0, 0)
    node = net.op("QUANTIZE", [source.number], net.activation(source.shape, 0.05, 7))
    floats = [source.number]
    if island:
        node = net.op("DEQUANTIZE", [node.number], net.activation(source.shape, 1.0, 0))
        floats.append(node.number)
        node = net.op("QUANTIZE", [node.number], net.activation(source.shape, 0.05, 7))
    node = net.op("TANH", [node.number], net.activation(source.shape, 1 / 128, 0))
    out = net.op("DEQUANTIZE", [node.number], net.activation(source.shape, 1.0, 0))
    return _typed(net.finish(source, out), {n: "FLOAT32" for n in (*floats, out.number)})


def uint8_net(
    source: tuple[float, int] = (0.05, 135), target: tuple[float, int] = (0.011, 117),
    last: str = "UINT8", between: str = "ABS",
) -> bytes:
    """QUANTIZE of uint8, ABS, and QUANTIZE to uint8 or (last) DEQUANTIZE to float32.

    source, target: scale and zero point of the uint8 tensors; int8 has (0.05, 7), (0.011, -11).
    """  # fmt: skip
    net = NetBuilder()
    shape = (1, 8, 8, 4)  # every byte once
    first = net.activation(shape, *source)
    node = net.op("QUANTIZE", [first.number], net.activation(shape, 0.05, 7))
    node = net.op(between, [node.number], net.activation(shape, 0.011, -11))
    kind = "QUANTIZE" if last == "UINT8" else "DEQUANTIZE"
    out = net.op(kind, [node.number], net.activation(shape, *target))
    return _typed(net.finish(first, out), {first.number: "UINT8", out.number: last})


def dequantize_net(scale: float, zero_point: int) -> bytes:
    """DEQUANTIZE of 256 bytes alone."""
    net = NetBuilder()
    source = net.activation((1, 256), scale, zero_point)
    out = net.op("DEQUANTIZE", [source.number], net.activation(source.shape, 1.0, 0))
    return _typed(net.finish(source, out), {out.number: "FLOAT32"})


def _typed(model: bytes, types: dict[int, str]) -> bytes:
    def change(model: Any) -> None:
        for number, name in types.items():
            tensor = model.subgraphs[0].tensors[number]
            tensor.type = getattr(schema.TensorType, name)
            tensor.quantization = None if name == "FLOAT32" else tensor.quantization

    return changed(model, change)


def reference(model: bytes, values: Array) -> Array:
    """What BUILTIN_REF gives for `values`, in the file's types, flat."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], values.reshape(details["shape"]))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.asarray(output).reshape(-1)
