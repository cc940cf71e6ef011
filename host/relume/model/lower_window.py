"""Lowering of the ops with weights or a window: convolutions, FULLY_CONNECTED, pools."""

from __future__ import annotations

import math

import numpy as np

from relume.model import quantize
from relume.model.graph import Int8Array, Int32Array, Kind, Op, Shape, Tensor, Window
from relume.model.lower_common import (
    MAX_AXIS,
    Lowerings,
    Site,
    Unsupported,
    activation_tensor,
    clamp_of,
    simple_op,
    source_tensor,
)


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
        if options["padding"] == "EXPLICIT":  # model/dilation.py has worked out the output
            pads.append(int(options["before"][axis]))
            if pads[-1] > reach - 1 or (out_shape[axis] - 1) >= in_shape[axis] + pads[-1]:
                raise Unsupported("padding that leaves windows without input")
            continue
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
    source, out = source_tensor(site, 0), activation_tensor(site.output())
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
    source, out = source_tensor(site, 0), activation_tensor(site.output())
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
    source, out = source_tensor(site, 0), activation_tensor(site.output())
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
    low, high = clamp_of(site, out)
    return Op(
        kind, site.layer, (site.op.inputs[0],), site.op.outputs[0], site.op.number, window,
        depth_mult, low, high, np.ascontiguousarray(weights), _bias(site, out.shape[2]),
        multipliers, shifts,
    )  # fmt: skip


def _pool(site: Site) -> list[Op]:
    source, out = source_tensor(site, 0), activation_tensor(site.output())
    if source.shape[2] != out.shape[2]:
        raise Unsupported("channels differ between input and output (damaged file)")
    kh, kw = int(site.op.options["filter_h"]), int(site.op.options["filter_w"])
    window = _window(site, source.shape, out.shape, kh, kw)
    return [simple_op(site, Kind[site.op.kind], (), window, clamp_of(site, out))]


LOWERINGS: Lowerings = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
}
