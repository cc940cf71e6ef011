"""Models with float32 in and out: the host does what their QUANTIZE and DEQUANTIZE did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType  # type: ignore[import-untyped]
from relume.blob.reader import read_blob
from relume.errors import ModelError
from relume.link.inputs import quantize
from relume.model.tflite_reader import read_tflite, survey

from tests import native
from tests.kernels import oracle
from tests.kernels.netbuilder import NetBuilder
from tests.unit.tflite_nets import changed, schema


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

    def floating(model: Any) -> None:
        for number in (*floats, out.number):
            tensor = model.subgraphs[0].tensors[number]
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None

    return changed(net.finish(source, out), floating)


def test_a_float_model_gives_tflites_values() -> None:
    model = float_net()
    assert survey(model).supported
    packed = oracle.packed(model)
    blob = read_blob(packed.blob)
    values = np.random.default_rng(1).normal(0, 3, (1, 4, 4, 2)).astype(np.float32)
    data = quantize(values, blob.input_tensor)
    mine = np.frombuffer(native.accepted(packed.blob).run(data)[blob.output], np.int8)
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    want = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).reshape(-1)
    tensor = blob.output_tensor
    assert np.array_equal((mine.astype(int) - tensor.zero_point) * np.float32(tensor.scale), want)


def test_floats_in_the_middle_are_refused_by_layer() -> None:
    with pytest.raises(ModelError, match="op 1, layer t2, DEQUANTIZE: "):
        read_tflite(float_net(island=True))


def test_just_below_a_half_is_rounded_down() -> None:
    tensor = read_blob(oracle.packed(float_net()).blob).input_tensor
    value = np.nextafter(np.float32(0.5), np.float32(0)) * np.float32(tensor.scale)
    scaled = np.float32(value) / np.float32(tensor.scale)
    assert scaled < 0.5
    assert quantize(np.array([value]), tensor) == bytes([tensor.zero_point])
