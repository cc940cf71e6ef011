"""Files that cannot be used end in one ModelError that names the place; never in a traceback.

SECURITY H1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.errors import ModelError
from relume.model.tflite_reader import read_tflite, survey

from tests.unit.tflite_nets import add_op, changed, schema, small_net

IMAGE = small_net()


def _types(kind: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.type = kind if tensor.type == schema.TensorType.INT8 else tensor.type

    return change


def _tensor(number: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[number], name, value)

    return change


def _quantization(number: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[number].quantization, name, value)

    return change


def _graph(**fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0], name, value)

    return change


def _op(number: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].operators[number], name, value)

    return change


def _options(number: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].operators[number].builtinOptions, name, value)

    return change


def _two_subgraphs(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def _short_buffer(model: Any) -> None:
    buffer = model.buffers[model.subgraphs[0].tensors[1].buffer]
    buffer.data = buffer.data[:-1]


def _twice(model: Any) -> None:
    operators = model.subgraphs[0].operators
    operators.insert(2, operators[2])


def _broadcast(model: Any) -> None:
    add_op(model, "ADD")
    model.subgraphs[0].operators[-1].inputs = [8, 3]


CASES: dict[str, tuple[Callable[[Any], None], str]] = {
    "float": (_types(schema.TensorType.FLOAT32), "float32 activations: convert with full int8"),
    "int16": (_types(schema.TensorType.INT16), "int16 activations, only int8"),
    "batch": (_tensor(0, shape=[2, 8, 8, 1]), "batch of 2"),
    "open shape": (_tensor(0, shape=[1, -1, 8, 1]), "every axis must be fixed"),
    "five axes": (_tensor(0, shape=[2, 2, 2, 2, 4]), "5 axes, at most 4"),
    "two inputs": (_graph(inputs=[0, 3]), "2 model inputs"),
    "no output": (_graph(outputs=[]), "0 model outputs"),
    "unknown output": (_graph(outputs=[99]), "does not exist"),
    "subgraphs": (_two_subgraphs, "2 subgraphs"),
    "no ops": (_graph(operators=[]), "no ops"),
    "cosine": (lambda m: add_op(m, "COS"), "op 4, layer extra, COS: no kernel"),
    "custom": (lambda m: add_op(m, "CUSTOM", "Fancy"), "op 4, layer extra, custom op Fancy"),
    "dequantize": (lambda m: add_op(m, "DEQUANTIZE"), "convert with int8 in and out"),
    "bad index": (_op(0, inputs=[0, 77, 2]), "op 0 reads a tensor that does not exist"),
    "bad opcode": (_op(1, opcodeIndex=9), "op 1 has no operator code"),
    "missing input": (_op(0, inputs=[0]), "input 1 is missing"),
    "weights from an op": (_op(0, inputs=[0, 0, 2]), "weights not constant"),
    "wrong order": (lambda m: m.subgraphs[0].operators.reverse(), "before any op wrote it"),
    "dense shapes": (_op(2, inputs=[7, 6, -1]), r"weights \[10, 64\] do not fit"),
    "written twice": (_twice, "writes tensor 7 a second time"),
    "short weights": (_short_buffer, "35 bytes for shape"),
    "huge shape": (_tensor(1, shape=[65535, 65535, 65535, 1]), "bytes for shape"),
    "asymmetric": (_quantization(1, zeroPoint=[1] * 4), "asymmetric weights"),
    "scales": (_quantization(1, scale=[0.1] * 3), "3 weight scales for 4 channels"),
    "axis": (_quantization(1, quantizedDimension=2), "quantized along axis 2"),
    "zero scale": (_quantization(0, scale=[0.0]), "has scale 0.0"),
    "nan scale": (_quantization(3, scale=[float("nan")]), "has scale nan"),
    "no quantization": (_tensor(3, quantization=None), "has not one scale"),
    "zero point": (_quantization(3, zeroPoint=[200]), "zero point 200"),
    "bias size": (_op(0, inputs=[0, 1, 5]), "2 biases for 4 channels"),
    "stride 0": (_options(0, strideH=0), "out of range"),
    "output shape": (_tensor(3, shape=[1, 5, 4, 4]), "output 5 instead of 4"),
    "activation": (_options(0, fusedActivationFunction=4), "fused activation TANH"),
    "no options": (_op(0, builtinOptions=None, builtinOptionsType=0), "out of range"),
    "foreign options": (_op(0, builtinOptions=schema.AddOptionsT(), builtinOptionsType=11),
                        "options of another kind"),
    "softmax output": (_quantization(8, scale=[0.01]), "not 1/256"),
    "softmax beta": (_options(3, beta=-1.0), "beta -1.0"),
    "softmax huge": (_options(3, beta=1e30), "scale ratio"),
    "broadcast": (_broadcast, "op 4, layer extra, ADD: broadcast of"),
    "schema": (lambda m: setattr(m, "version", 2), "schema version 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_bad_model_is_refused_in_one_line_that_names_the_reason(case: str) -> None:
    change, reason = CASES[case]
    image = changed(IMAGE, change)
    with pytest.raises(ModelError, match=reason) as refusal:
        read_tflite(image)
    assert "\n" not in str(refusal.value)


def test_an_accepted_bias_may_have_any_shape_of_its_size() -> None:
    read_tflite(changed(IMAGE, _tensor(2, shape=[2, 2])))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a TFLite file"),
        (b"hello world, this is certainly no model", "not a TFLite file"),
        (b"PK\x03\x04" + bytes(60), "a Keras file, not a TFLite file: relume convert"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "a Keras file"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason) as refusal:
        read_tflite(path)
    assert str(path) in str(refusal.value)


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.tflite: No such file"):
        read_tflite(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match="directory"):
        survey(tmp_path)


def _only_model_error(image: bytes) -> None:
    for read in (read_tflite, survey):
        try:
            read(image)
        except ModelError as error:
            assert "\n" not in str(error)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(IMAGE) - 1), st.integers(0, 255)), min_size=1, max_size=6
    )
)
def test_flipped_bytes_give_a_graph_or_a_model_error(flips: list[tuple[int, int]]) -> None:
    image = bytearray(IMAGE)
    for at, value in flips:
        image[at] = value
    image[4:8] = b"TFL3"
    _only_model_error(bytes(image))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(0, len(IMAGE) // 4 - 1), st.sampled_from((0, 1, 4, 0x7FFFFFFF, 0xFFFFFFFF)))
def test_hostile_offsets_and_lengths_give_a_model_error(word: int, value: int) -> None:
    image = np.frombuffer(IMAGE[: len(IMAGE) // 4 * 4], dtype="<u4").copy()
    image[word] = value
    raw = bytearray(image.tobytes())
    raw[4:8] = b"TFL3"
    began = time.perf_counter()
    _only_model_error(bytes(raw))
    assert time.perf_counter() - began < 2


def test_every_truncation_gives_a_model_error_or_a_graph() -> None:
    for size in range(0, len(IMAGE), 7):
        _only_model_error(IMAGE[:size])
