"""One TFLite op -> ops of the graph, or the reason why not.

Tensor numbers are still TFLite's here; model/aliases.py renumbers them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from relume.model import quantize
from relume.model.graph import Int8Array, Int32Array, Kind, Op, Shape, Tensor, Window
from relume.model.tflite_file import RawModel, RawOp, RawTensor

MAX_AXIS = 0xFFFF
MAX_SOFTMAX = 4095
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


class Site:
    """What a lowering needs to know about one op of the file."""

    def __init__(self, raw: RawModel, op: RawOp, fresh: int) -> None:
        self.raw = raw
        self.op = op
        self.fresh = fresh
        self.extra: dict[int, Tensor] = {}

    @property
    def layer(self) -> str:
        return self.raw.layer(self.op)

    def tensor(self, place: int) -> RawTensor:
        """Input `place` of the op."""
        if place >= len(self.op.inputs) or self.op.inputs[place] < 0:
            raise Unsupported(f"input {place} is missing")
        return self.raw.tensors[self.op.inputs[place]]

    def output(self) -> RawTensor:
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


def activation_tensor(tensor: RawTensor) -> Tensor:
    """An int8 activation with one scale, or Unsupported."""
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
    return Tensor(tensor.name, hwc(tensor.shape), scale, zero)


def _input(site: Site, place: int) -> Tensor:
    tensor = site.tensor(place)
    if tensor.data is not None:
        raise Unsupported(f"input {place} is a constant")
    return activation_tensor(tensor)


def _clamp(site: Site, out: Tensor) -> tuple[int, int]:
    activation = str(site.op.options.get("activation", "NONE"))
    try:
        return quantize.activation_range(activation, out.scale, out.zero_point)
    except ValueError as error:
        raise Unsupported(f"fused activation {activation}") from error


def _window(site: Site, in_shape: Shape, out_shape: Shape, kh: int, kw: int) -> Window:
    """Explicit padding as TFLite's ComputePaddingHeightWidth; checks the output's shape."""
    options = site.op.options
    strides = (int(options["stride_h"]), int(options["stride_w"]))
    dilations = (int(options.get("dilation_h", 1)), int(options.get("dilation_w", 1)))
    if min(kh, kw, *strides, *dilations) < 1 or max(kh, kw, *strides, *dilations) > MAX_AXIS:
        raise Unsupported("filter, stride or dilation out of range (damaged file)")
    pads = []
    for axis, size in enumerate((kh, kw)):
        reach = (size - 1) * dilations[axis] + 1
        if options["padding"] == "SAME":
            expected = -(-in_shape[axis] // strides[axis])
        elif options["padding"] == "VALID":
            expected = (in_shape[axis] - reach + strides[axis]) // strides[axis]
        else:
            raise Unsupported(f"padding {options['padding']}")
        if expected != out_shape[axis]:
            raise Unsupported(f"output {out_shape[axis]} instead of {expected} (damaged file)")
        pads.append(max(0, (expected - 1) * strides[axis] + reach - in_shape[axis]) // 2)
    if max(pads) > MAX_AXIS:
        raise Unsupported("filter too large")
    return Window(kh, kw, *strides, pads[0], pads[1], *dilations)


def _weights(site: Site, axes: int, channel_axis: int) -> tuple[Int8Array, tuple[float, ...]]:
    """int8 weights with `axes` axes and their scales (one, or one per channel)."""
    tensor = site.tensor(1)
    array = site.constant(1, {"INT8": "i1"}, "weights").astype(np.int8)
    if array.ndim != axes or array.size == 0:
        raise Unsupported(f"weights of shape {list(tensor.shape)}")
    channels = array.shape[channel_axis]
    if len(tensor.scales) not in (1, channels):
        raise Unsupported(f"{len(tensor.scales)} weight scales for {channels} channels")
    if len(tensor.scales) > 1 and tensor.quantized_dimension != channel_axis:
        raise Unsupported(f"weights quantized along axis {tensor.quantized_dimension}")
    if any(tensor.zero_points):
        raise Unsupported("asymmetric weights: convert with full int8 quantisation")
    if not all(math.isfinite(scale) and scale >= 0 for scale in tensor.scales):
        raise Unsupported("a weight scale that is negative or not finite")
    return array, tensor.scales


def _bias(site: Site, channels: int) -> Int32Array | None:
    if len(site.op.inputs) < 3 or site.op.inputs[2] < 0:
        return None
    bias = site.constant(2, {"INT32": "<i4"}, "bias").astype(np.int32).reshape(-1)
    if bias.size != channels:
        raise Unsupported(f"{bias.size} biases for {channels} channels")
    return bias


def _conv(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    weights, scales = _weights(site, 4, 0)
    channels, kh, kw, depth = weights.shape
    if depth != source.shape[2]:
        raise Unsupported(f"grouped convolution ({source.shape[2]} channels, filter has {depth})")
    if channels != out.shape[2]:
        raise Unsupported(f"{channels} filters for {out.shape[2]} channels (damaged file)")
    multipliers, shifts = quantize.per_channel(source.scale, scales, out.scale, channels)
    window = _window(site, source.shape, out.shape, kh, kw)
    return [_weighted(site, Kind.CONV_2D, window, 0, out, weights, multipliers, shifts)]


def _depthwise(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    weights, scales = _weights(site, 4, 3)
    _, kh, kw, channels = weights.shape
    if weights.shape[0] != 1 or channels != out.shape[2] or channels % source.shape[2]:
        raise Unsupported(
            f"filter {list(weights.shape)} for {source.shape[2]} -> {out.shape[2]} channels"
        )
    multipliers, shifts = quantize.per_channel(source.scale, scales, out.scale, channels)
    window = _window(site, source.shape, out.shape, kh, kw)
    depth_mult = channels // source.shape[2]
    kind = Kind.DEPTHWISE_CONV_2D
    return [_weighted(site, kind, window, depth_mult, out, weights[0], multipliers, shifts)]


def _fully_connected(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    if site.op.options["weights_format"] != 0:
        raise Unsupported("shuffled weights")
    weights, scales = _weights(site, 2, 0)
    channels, depth = weights.shape
    if (
        source.size % depth
        or out.shape[2] != channels
        or source.size // depth * channels != out.size
    ):
        raise Unsupported(
            f"weights {list(weights.shape)} do not fit {source.shape} -> {out.shape}"
        )
    if len(scales) == 1:
        params = quantize.per_tensor(source.scale, scales[0], out.scale, channels)
    else:
        params = quantize.per_channel(source.scale, scales, out.scale, channels)
    return [_weighted(site, Kind.FULLY_CONNECTED, Window(), 0, out, weights, *params)]


def _weighted(
    site: Site, kind: Kind, window: Window, depth_mult: int, out: Tensor,
    weights: Int8Array, multipliers: Int32Array, shifts: Int8Array,
) -> Op:  # fmt: skip
    low, high = _clamp(site, out)
    return Op(
        kind, site.layer, (site.op.inputs[0],), site.op.outputs[0], site.op.number, window,
        depth_mult, low, high, np.ascontiguousarray(weights), _bias(site, out.shape[2]),
        multipliers, shifts,
    )  # fmt: skip


def _simple(
    site: Site, kind: Kind, p: tuple[int, ...] = (), window: Window = Window(),  # noqa: B008
    clamp: tuple[int, int] = (-128, 127), inputs: int = 1,
) -> Op:  # fmt: skip
    return Op(
        kind, site.layer, site.op.inputs[:inputs], site.op.outputs[0], site.op.number, window,
        0, *clamp, p=p,
    )  # fmt: skip


def _pool(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    if source.shape[2] != out.shape[2]:
        raise Unsupported("channels differ between input and output (damaged file)")
    kh, kw = int(site.op.options["filter_h"]), int(site.op.options["filter_w"])
    window = _window(site, source.shape, out.shape, kh, kw)
    return [_simple(site, Kind[site.op.kind], (), window, _clamp(site, out))]


def _add(site: Site) -> list[Op]:
    first, second = _input(site, 0), _input(site, 1)
    out = activation_tensor(site.output())
    if not first.shape == second.shape == out.shape:
        raise Unsupported(f"broadcast of {first.shape} and {second.shape}")
    p = quantize.add_parameters(first.scale, second.scale, out.scale)
    return [_simple(site, Kind.ADD, p, clamp=_clamp(site, out), inputs=2)]


def _softmax(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    beta = float(site.op.options["beta"])
    if source.shape != out.shape:
        raise Unsupported("shapes differ between input and output (damaged file)")
    if out.zero_point != -128 or out.scale != 1.0 / 256.0:
        raise Unsupported("output quantization is not 1/256 with zero point -128")
    if source.shape[2] > MAX_SOFTMAX:
        raise Unsupported(f"{source.shape[2]} elements, at most {MAX_SOFTMAX} can be run")
    if not (math.isfinite(beta) and beta * source.scale * (1 << 26) > 1):
        raise Unsupported(f"beta {beta} with input scale {source.scale}")
    return [_simple(site, Kind.SOFTMAX, quantize.softmax_parameters(beta, source.scale))]


def _pad(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    pairs = site.integers(1, "paddings")
    axes = len(site.tensor(0).shape)
    if len(pairs) != 2 * axes or any(not 0 <= pad <= MAX_AXIS for pad in pairs):
        raise Unsupported(f"paddings {pairs}")
    if axes > 3 and any(pairs[: 2 * (axes - 3)]):
        raise Unsupported("padding of the batch axis")
    last = [0] * (6 - 2 * min(axes, 3)) + pairs[-2 * min(axes, 3) :]
    expected = tuple(source.shape[i] + last[2 * i] + last[2 * i + 1] for i in range(3))
    if expected != out.shape:
        raise Unsupported(f"output {out.shape} instead of {expected} (damaged file)")
    value = out.zero_point
    if site.op.kind == "PADV2":
        constant = site.constant(2, {"INT8": "i1"}, "pad value")
        if constant.size != 1:
            raise Unsupported("pad value is not one number")
        value = int(constant.astype(np.int8).reshape(-1)[0])
    return [_simple(site, Kind.PAD, (last[0], last[2], last[4], value))]


def _mean(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    rank = len(site.tensor(0).shape)
    axes = {(axis + rank if axis < 0 else axis) + 4 - rank for axis in site.integers(1, "axes")}
    axes.discard(0)
    if not axes or not axes <= {1, 2}:
        raise Unsupported(f"mean over axes {sorted(axes)} of NHWC, only H and W can be run")
    h, w, c = source.shape
    natural = (1 if 1 in axes else h, 1 if 2 in axes else w, c)
    count = h * w * c // math.prod(natural)
    if math.prod(natural) != out.size:
        raise Unsupported(f"output {out.shape} instead of {natural} (damaged file)")
    mask = (1 if 1 in axes else 0) | (2 if 2 in axes else 0)
    p = (mask, *quantize.mean_parameters(source.scale, out.scale, count), count)
    mean = _simple(site, Kind.MEAN, p)
    if natural == out.shape:
        return [mean]
    site.extra[site.fresh] = Tensor(out.name, natural, out.scale, out.zero_point)
    whole = Op(Kind.MEAN, mean.name, mean.inputs, site.fresh, mean.number, p=p)
    return [whole, Op(Kind.RESHAPE, mean.name, (site.fresh,), mean.output, mean.number)]


def _reshape(site: Site) -> list[Op]:
    source, out = _input(site, 0), activation_tensor(site.output())
    if source.size != out.size:
        raise Unsupported(f"{source.size} elements become {out.size} (damaged file)")
    if (source.scale, source.zero_point) != (out.scale, out.zero_point):
        raise Unsupported("quantization differs between input and output")
    return [_simple(site, Kind.RESHAPE)]


RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
LOWERINGS: dict[str, Callable[[Site], list[Op]]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "ADD": _add,
    "SOFTMAX": _softmax,
    "PAD": _pad,
    "PADV2": _pad,
    "MEAN": _mean,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
}


def lower(raw: RawModel, op: RawOp, fresh: int) -> tuple[list[Op], dict[int, Tensor]]:
    """Ops of one TFLite op, and tensors that it adds (numbers from `fresh` on).

    Raises Unsupported with the reason.
    """
    if op.kind in ("QUANTIZE", "DEQUANTIZE"):
        raise Unsupported("float input or output: convert with int8 in and out (relume convert)")
    if op.kind not in LOWERINGS:
        raise Unsupported("no kernel for this kind of layer")
    site = Site(raw, op, fresh)
    try:
        return LOWERINGS[op.kind](site), site.extra
    except ValueError as error:
        raise Unsupported(f"quantization: {error}") from error
