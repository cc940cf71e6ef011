"""TFLite's own QUANTIZE op as an oracle: float32 -> int8."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]
from ai_edge_litert.interpreter import Interpreter, OpResolverType  # type: ignore[import-untyped]

from tests.kernels.netbuilder import NetBuilder
from tests.unit.tflite_nets import changed


def tflite_quantize(
    values: np.ndarray[Any, Any], scale: float, zero_point: int
) -> np.ndarray[Any, Any]:
    """What BUILTIN_REF makes of a vector of float32."""
    net = NetBuilder()
    source = net.activation((1, values.size), 1.0, 0)
    target = net.op("QUANTIZE", [source.number], net.activation(source.shape, scale, zero_point))

    def floating(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[source.number]
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None

    image = changed(net.finish(source, target), floating)
    interpreter = Interpreter(
        model_content=image, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values.reshape(1, -1))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.asarray(output).reshape(values.shape)
