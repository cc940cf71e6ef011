"""A .tflite file as plain dataclasses. The only code that touches the flatbuffer.

The file is hostile until read: the flatbuffers accessors check nothing, so every vector length is
bounded by the file's size here, every index is checked, and whatever they raise becomes one
ModelError at the door.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.errors import ModelError

MAX_FILE_BYTES = 16 << 20
MAX_NAME = 63
DAMAGE = (
    struct.error, IndexError, ValueError, TypeError, KeyError, OverflowError, AttributeError,
    UnicodeDecodeError, AssertionError,
)  # fmt: skip

# Option tables by builtin op: attribute name -> accessor of the generated class.
OPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "CONV_2D": ("Conv2DOptions", {
        "padding": "Padding", "stride_h": "StrideH", "stride_w": "StrideW",
        "dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor",
        "activation": "FusedActivationFunction"}),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", {
        "padding": "Padding", "stride_h": "StrideH", "stride_w": "StrideW",
        "dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor",
        "activation": "FusedActivationFunction"}),
    "FULLY_CONNECTED": ("FullyConnectedOptions", {
        "activation": "FusedActivationFunction", "weights_format": "WeightsFormat"}),
    "AVERAGE_POOL_2D": ("Pool2DOptions", {
        "padding": "Padding", "stride_h": "StrideH", "stride_w": "StrideW",
        "filter_h": "FilterHeight", "filter_w": "FilterWidth",
        "activation": "FusedActivationFunction"}),
    "MAX_POOL_2D": ("Pool2DOptions", {
        "padding": "Padding", "stride_h": "StrideH", "stride_w": "StrideW",
        "filter_h": "FilterHeight", "filter_w": "FilterWidth",
        "activation": "FusedActivationFunction"}),
    "ADD": ("AddOptions", {"activation": "FusedActivationFunction"}),
    "SUB": ("SubOptions", {"activation": "FusedActivationFunction"}),
    "MUL": ("MulOptions", {"activation": "FusedActivationFunction"}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": "Alpha"}),
    "GELU": ("GeluOptions", {"approximate": "Approximate"}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": "Beta"}),
    "MEAN": ("ReducerOptions", {"keep_dims": "KeepDims"}),
    "REDUCE_PROD": ("ReducerOptions", {"keep_dims": "KeepDims"}),
    "CONCATENATION": ("ConcatenationOptions", {
        "axis": "Axis", "activation": "FusedActivationFunction"}),
    "PACK": ("PackOptions", {"axis": "Axis"}),
    "UNPACK": ("UnpackOptions", {"axis": "Axis"}),
    "STRIDED_SLICE": ("StridedSliceOptions", {
        "begin_mask": "BeginMask", "end_mask": "EndMask", "ellipsis_mask": "EllipsisMask",
        "new_axis_mask": "NewAxisMask", "shrink_axis_mask": "ShrinkAxisMask",
        "offset": "Offset"}),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", {
        "align_corners": "AlignCorners", "half_pixel_centers": "HalfPixelCenters"}),
    "MIRROR_PAD": ("MirrorPadOptions", {"mode": "Mode"}),
    "GATHER": ("GatherOptions", {"axis": "Axis", "batch_dims": "BatchDims"}),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", {"block": "BlockSize"}),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", {"block": "BlockSize"}),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class RawTensor:
    """One TFLite tensor. type is TFLite's name (INT8, FLOAT32, ...); data None: no constant."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    quantized_dimension: int
    data: npt.NDArray[np.uint8] | None
    special: str = ""

    @property
    def elements(self) -> int:
        """Product of the axes."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class RawOp:
    """One TFLite op; inputs hold -1 for an optional input that is absent."""

    number: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawModel:
    """First subgraph of a .tflite file."""

    file: str
    name: str
    subgraphs: int
    tensors: tuple[RawTensor, ...]
    ops: tuple[RawOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def layer(self, op: RawOp) -> str:
        """The layer's name: that of its first output tensor."""
        return self.tensors[op.outputs[0]].name if op.outputs else f"op {op.number}"


def load(source: Path | bytes) -> RawModel:
    """Reads a .tflite file, or its bytes. Errors: ModelError, naming the file."""
    file, image = _image(source)
    _check_mark(file, image)
    try:
        return _Parser(file, image).model()
    except ModelError:
        raise
    except DAMAGE as error:
        raise ModelError(f"{file}: damaged TFLite file ({error})") from error


def _image(source: Path | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "model", source
    try:
        size = source.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{source}: {size} bytes, more than any board holds")
        return str(source), source.read_bytes()
    except OSError as error:
        raise ModelError(f"{source}: {error.strerror or error}") from error


def _check_mark(file: str, image: bytes) -> None:
    if image[:2] == b"PK" or image[:8] == b"\x89HDF\r\n\x1a\n":
        raise ModelError(
            f"{file}: a Keras file, not a TFLite file: relume convert {Path(file).name} first"
        )
    if len(image) < 32 or image[4:8] != b"TFL3":
        raise ModelError(f"{file}: not a TFLite file (no TFL3 mark at offset 4)")


def _enum_names(table: Any) -> dict[int, str]:
    return {value: name for name, value in vars(table).items() if isinstance(value, int)}


class _Parser:
    """Walks one flatbuffer; bounds every vector by the file's size."""

    def __init__(self, file: str, image: bytes) -> None:
        import tflite  # type: ignore[import-untyped]

        self.file = file
        self.image = image
        self.api: Any = tflite
        self.types = _enum_names(tflite.TensorType)
        self.builtins = _enum_names(tflite.BuiltinOperator)
        self.activations = _enum_names(tflite.ActivationFunctionType)
        self.paddings = _enum_names(tflite.Padding)
        self.buffers: dict[int, npt.NDArray[np.uint8] | None] = {}
        self.budget = len(image) // 4 + 64  # elements that an honest file can hold

    def fail(self, text: str) -> ModelError:
        return ModelError(f"{self.file}: damaged TFLite file ({text})")

    def items(self, length: Callable[[], int], item: Callable[[int], Any], what: str) -> list[Any]:
        """A vector's elements; all vectors together hold at most one per 4 bytes of the file."""
        return [item(number) for number in range(self.spent(length(), what))]

    def numbers(self, length: Callable[[], int], every: Callable[[], Any], what: str) -> list[Any]:
        """The same of a vector of numbers, taken at once."""
        return list(every().tolist()) if self.spent(length(), what) else []

    def spent(self, count: int, what: str) -> int:
        """`count`, taken off what an honest file can hold."""
        if not 0 <= count <= self.budget:
            raise self.fail(f"{count} {what}")
        self.budget -= count
        return count

    def text(self, value: bytes | None, default: str) -> str:
        first = (value or b"")[:1024].split(b";")[0][-MAX_NAME:]
        decoded = first.decode("utf-8", "replace")
        return "".join(c if c.isprintable() and c != "\ufffd" else "?" for c in decoded) or default

    def model(self) -> RawModel:
        model = self.api.Model.GetRootAs(self.image, 0)
        if model.Version() != 3:
            raise self.fail(f"schema version {model.Version()}, not 3")
        if model.SubgraphsLength() < 1:
            raise self.fail("no subgraph")
        graph = model.Subgraphs(0)
        tensors = tuple(
            self.tensor(model, number, table)
            for number, table in enumerate(
                self.items(graph.TensorsLength, graph.Tensors, "tensors"))
        )  # fmt: skip
        codes = self.items(model.OperatorCodesLength, model.OperatorCodes, "operator codes")
        kinds = [self.kind(code) for code in codes]
        ops = tuple(
            self.op(number, table, kinds)
            for number, table in enumerate(
                self.items(graph.OperatorsLength, graph.Operators, "operators"))
        )  # fmt: skip
        raw = RawModel(
            self.file,
            self.text(Path(self.file).stem.encode("utf-8", "replace"), "model"),
            model.SubgraphsLength(),
            tensors,
            ops,
            tuple(self.items(graph.InputsLength, graph.Inputs, "inputs")),
            tuple(self.items(graph.OutputsLength, graph.Outputs, "outputs")),
        )
        self.check_indices(raw)
        return raw

    def check_indices(self, raw: RawModel) -> None:
        """Every tensor number that an op or the model names exists."""
        count = len(raw.tensors)
        for op in raw.ops:
            if any(not -1 <= index < count for index in op.inputs):
                raise self.fail(f"op {op.number} reads a tensor that does not exist")
            if any(not 0 <= index < count for index in op.outputs):
                raise self.fail(f"op {op.number} writes a tensor that does not exist")
        if any(not 0 <= index < count for index in (*raw.inputs, *raw.outputs)):
            raise self.fail("model input or output that does not exist")

    def kind(self, code: Any) -> str:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.builtins.get(number, f"BUILTIN_{number}")
        if name == "CUSTOM":
            return "custom op " + self.text(code.CustomCode(), "without a name")
        return name

    def tensor(self, model: Any, number: int, table: Any) -> RawTensor:
        shape = tuple(self.items(table.ShapeLength, table.Shape, "axes"))
        quant = table.Quantization()
        scales: list[float] = []
        zero_points: list[int] = []
        if quant is not None:
            scales = self.numbers(quant.ScaleLength, quant.ScaleAsNumpy, "scales")
            zero_points = self.numbers(
                quant.ZeroPointLength, quant.ZeroPointAsNumpy, "zero points"
            )
        special = "variable" if table.IsVariable() else ""
        special = "sparse" if table.Sparsity() is not None else special
        return RawTensor(
            number,
            self.text(table.Name(), f"tensor {number}"),
            tuple(int(axis) for axis in shape),
            self.types.get(table.Type(), f"type {table.Type()}"),
            tuple(float(scale) for scale in scales),
            tuple(int(zero) for zero in zero_points),
            quant.QuantizedDimension() if quant is not None else 0,
            self.buffer(model, table.Buffer()),
            special,
        )

    def buffer(self, model: Any, number: int) -> npt.NDArray[np.uint8] | None:
        """Constant bytes of a buffer; None when it is empty (an activation)."""
        if number not in self.buffers:
            if not 0 <= number < model.BuffersLength():
                raise self.fail(f"buffer {number} does not exist")
            table = model.Buffers(number)
            data = table.DataAsNumpy() if table is not None and table.DataLength() else None
            self.buffers[number] = None if data is None else np.asarray(data, dtype=np.uint8)
        return self.buffers[number]

    def op(self, number: int, table: Any, kinds: list[str]) -> RawOp:
        if not 0 <= table.OpcodeIndex() < len(kinds):
            raise self.fail(f"op {number} has no operator code")
        kind = kinds[table.OpcodeIndex()]
        inputs = self.items(table.InputsLength, table.Inputs, "op inputs")
        outputs = self.items(table.OutputsLength, table.Outputs, "op outputs")
        return RawOp(number, kind, tuple(inputs), tuple(outputs), self.options(kind, table))

    def options(self, kind: str, table: Any) -> dict[str, Any]:
        if kind not in OPTIONS:
            return {}
        class_name, fields = OPTIONS[kind]
        union = table.BuiltinOptions()
        if union is None:  # TFLite takes zeros; what cannot be zero is refused later
            values: dict[str, Any] = dict.fromkeys(fields, 0)
        else:
            if table.BuiltinOptionsType() != getattr(self.api.BuiltinOptions, class_name):
                raise self.fail(f"{kind} with options of another kind")
            options = getattr(self.api, class_name)()
            options.Init(union.Bytes, union.Pos)
            values = {name: getattr(options, accessor)() for name, accessor in fields.items()}
        if "activation" in values:
            values["activation"] = self.activations.get(values["activation"], "unknown")
        if "padding" in values:
            values["padding"] = self.paddings.get(values["padding"], "unknown")
        return values
