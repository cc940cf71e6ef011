"""What every lowering needs: one op of the file, its tensors, and how an op is refused.

Tensor numbers are TFLite's here; model/aliases.py renumbers them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from relume.model import quantize
from relume.model.graph import Kind, Op, Shape, Tensor, Window
from relume.model.tflite_file import RawModel, RawOp, RawTensor

MAX_AXIS = 0xFFFF
FLOAT_TYPES = frozenset({"FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16"})


class Unsupported(Exception):
    """Why an op cannot be run; becomes part of a ModelError."""


def hwc(shape: tuple[int, ...]) -> Shape:
    """(h, w, c) of a TFLite shape whose N is 1; fewer axes are filled with 1 from the left."""
    axes = list(shape)
    while len(axes) > 3 and axes[0] == 1:
        axes.pop(0)
    if len(axes) == 4:
        raise Unsupported(f"batch of {axes[0]}: convert with a batch size of 1")
    if len(axes) > 4:
        raise Unsupported(f"{len(shape)} axes, at most 4 can be run")
    if any(not 1 <= axis <= MAX_AXIS for axis in axes):
        raise Unsupported(f"shape {list(shape)}: every axis must be fixed, 1 to {MAX_AXIS}")
    filled = [1] * (3 - len(axes)) + axes
    return filled[0], filled[1], filled[2]


def folded(shape: tuple[int, ...]) -> Shape:
    """(h, w, c) of a shape of any number of axes, for ops that look at bytes alone.

    hwc(shape) where there is one; else the axes before the last become h and w.
    """
    try:
        return hwc(shape)
    except Unsupported:
        rows, channels = math.prod(shape[:-1]), shape[-1] if shape else 1
    if not 1 <= channels <= MAX_AXIS or not 1 <= rows <= MAX_AXIS**2:
        raise Unsupported(f"shape {list(shape)}: every axis must be fixed, 1 to {MAX_AXIS}")
    heights = range(-(-rows // MAX_AXIS), min(rows, MAX_AXIS) + 1)
    h = next((h for h in heights if rows % h == 0), None)
    if h is None:
        raise Unsupported(f"shape {list(shape)} cannot be folded to three axes")
    return h, rows // h, channels


class Site:
    """What a lowering needs to know about one op of the file."""

    def __init__(self, raw: RawModel, op: RawOp, fresh: int) -> None:
        self.raw = raw
        self.op = op
        self.fresh = fresh
        self.extra: dict[int, Tensor] = {}

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.raw.layer(self.op)

    def tensor(self, place: int) -> RawTensor:
        """Input `place` of the op."""
        if place >= len(self.op.inputs) or self.op.inputs[place] < 0:
            raise Unsupported(f"input {place} is missing")
        return self.raw.tensors[self.op.inputs[place]]

    def output(self) -> RawTensor:
        """The op's only output."""
        if len(self.op.outputs) != 1:
            raise Unsupported(f"{len(self.op.outputs)} outputs")
        return self.raw.tensors[self.op.outputs[0]]

    def constant(self, place: int, types: dict[str, str], what: str) -> npt.NDArray[np.generic]:
        """A constant input, shaped; types: TFLite type -> numpy type."""
        tensor = self.tensor(place)
        if tensor.type not in types:
            raise Unsupported(f"{what} of type {tensor.type}, not {' or '.join(types)}")
        if tensor.data is None:
            raise Unsupported(f"{what} not constant")
        if tensor.special:
            raise Unsupported(f"{tensor.special} {what}")
        dtype = np.dtype(types[tensor.type])
        if any(axis < 0 for axis in tensor.shape):
            raise Unsupported(f"{what} of unknown shape")
        if tensor.elements * dtype.itemsize != tensor.data.size:
            raise Unsupported(
                f"{what}: {tensor.data.size} bytes for shape {list(tensor.shape)} (damaged file)"
            )
        return np.frombuffer(tensor.data.tobytes(), dtype=dtype).reshape(tensor.shape)

    def integers(self, place: int, what: str) -> list[int]:
        """A constant input of integers, flat."""
        values = self.constant(place, {"INT32": "<i4", "INT64": "<i8"}, what)
        return [int(value) for value in values.reshape(-1)]


def activation_tensor(
    tensor: RawTensor, shape_of: Callable[[tuple[int, ...]], Shape] = hwc
) -> Tensor:
    """An int8 activation with one scale, or Unsupported. shape_of: hwc or folded."""
    if tensor.type in FLOAT_TYPES:
        raise Unsupported(
            f"{tensor.type.lower()} activations: convert with full int8 quantisation: "
            "relume convert NET.keras --samples X.npy -o NET.tflite"
        )
    if tensor.type != "INT8":
        raise Unsupported(f"{tensor.type.lower()} activations, only int8 can be run")
    if tensor.special:
        raise Unsupported(f"{tensor.special} tensor {tensor.name}")
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise Unsupported(f"tensor {tensor.name} has not one scale and zero point")
    scale, zero = tensor.scales[0], tensor.zero_points[0]
    if not (math.isfinite(scale) and scale > 0):
        raise Unsupported(f"tensor {tensor.name} has scale {scale}")
    if not -128 <= zero <= 127:
        raise Unsupported(f"tensor {tensor.name} has zero point {zero}")
    return Tensor(tensor.name, shape_of(tensor.shape), scale, zero)


def source_tensor(site: Site, place: int) -> Tensor:
    """Input `place` as an activation, or Unsupported."""
    tensor = site.tensor(place)
    if tensor.data is not None:
        raise Unsupported(f"input {place} is a constant")
    return activation_tensor(tensor)


def loose_tensor(site: Site, place: int) -> Tensor:
    """Input `place` of an op that looks at bytes alone: any number of axes."""
    tensor = site.tensor(place)
    if tensor.data is not None:
        raise Unsupported(f"input {place} is a constant")
    return activation_tensor(tensor, folded)


def clamp_of(site: Site, out: Tensor) -> tuple[int, int]:
    """Output bytes between which the op's fused activation stays."""
    activation = str(site.op.options.get("activation", "NONE"))
    try:
        return quantize.activation_range(activation, out.scale, out.zero_point)
    except ValueError as error:
        raise Unsupported(f"fused activation {activation}") from error


def simple_op(
    site: Site, kind: Kind, p: tuple[int, ...] = (), window: Window = Window(),  # noqa: B008
    clamp: tuple[int, int] = (-128, 127), inputs: int = 1,
) -> Op:  # fmt: skip
    """An op without weights that reads the first `inputs` inputs."""
    return Op(
        kind, site.layer, site.op.inputs[:inputs], site.op.outputs[0], site.op.number, window,
        0, *clamp, p=p,
    )  # fmt: skip


Lowerings = dict[str, Callable[[Site], list[Op]]]  # by TFLite's name of the op
