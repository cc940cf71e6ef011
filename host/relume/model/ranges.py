"""The least and the greatest byte of every channel of every tensor, for every model input.

Intervals are passed from op to op. Requantisation never falls while the accumulator rises, so
the two ends of an accumulator give the two ends of the output. Where int32 could overflow, and
for kinds that are not followed here, the interval is the whole of int8. A channel whose ends meet
is constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relume.model.graph import WEIGHT_KINDS, Graph, Kind, Op
from relume.model.quantize import scaled

Int64Array = npt.NDArray[np.int64]
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Range:
    """Ends of every channel, [channels], of a tensor."""

    low: Int64Array
    high: Int64Array

    @property
    def constant(self) -> npt.NDArray[np.bool_]:
        """Channels that are the same byte at every place, whatever the model's input is."""
        same: npt.NDArray[np.bool_] = self.low == self.high
        return same


def ranges(graph: Graph) -> tuple[Range, ...]:
    """A Range of each tensor, by number."""
    found = [_whole(tensor.shape[2]) for tensor in graph.tensors]
    for op in graph.ops:
        made = _of_op(graph, op, [found[number] for number in op.inputs])
        if made is not None:
            found[op.output] = made
    return tuple(found)


def is_channelwise(graph: Graph, op: Op) -> bool:
    """Each output channel depends on the channel of the same number of the inputs, on no other."""
    shapes = [graph.tensors[number].shape for number in op.inputs]
    out = graph.tensors[op.output].shape
    if any(shape[2] != out[2] for shape in shapes):
        return False
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return op.depth_mult == 1
    if op.kind is Kind.ADD:
        return len(shapes) == 2 and shapes == [out, out] and op.weights is None
    if op.kind is Kind.PAD:
        return op.p[2] == 0
    return op.kind in (Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D, Kind.MEAN)


def taps(op: Op, shape: tuple[int, ...], out: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """[patterns][kh][kw]: the different sets of taps inside the input that windows have."""
    window = op.window
    rows = _inside(out[0], shape[0], window.kh, window.sh, window.pad_top, window.dil_h)
    columns = _inside(out[1], shape[1], window.kw, window.sw, window.pad_left, window.dil_w)
    both = rows[:, None, :, None] & columns[None, :, None, :]
    patterns: npt.NDArray[np.bool_] = both.reshape(-1, window.kh, window.kw)
    return patterns


def _inside(
    outputs: int, inputs: int, size: int, stride: int, pad: int, dilation: int
) -> npt.NDArray[np.bool_]:
    at = (np.arange(outputs) * stride - pad)[:, None] + np.arange(size) * dilation
    return np.unique((at >= 0) & (at < inputs), axis=0)


def _whole(channels: int) -> Range:
    return Range(np.full(channels, -128), np.full(channels, 127))


def _of_op(graph: Graph, op: Op, inputs: list[Range]) -> Range | None:
    if op.kind in WEIGHT_KINDS:
        return _weighted(graph, op, inputs[0])
    if not is_channelwise(graph, op):
        return None
    ends = [[one.low for one in inputs], [one.high for one in inputs]]
    if op.kind is Kind.PAD:
        return Range(np.minimum(ends[0][0], op.p[3]), np.maximum(ends[1][0], op.p[3]))
    low, high = (_clamped(op, _byte(graph, op, end)) for end in ends)
    return Range(low, high)


def _byte(graph: Graph, op: Op, inputs: list[Int64Array]) -> Int64Array:
    """Output before the clamp where every place of an input has its channel's byte."""
    if op.kind is Kind.ADD:
        return _sum(graph, op, inputs)
    if op.kind is Kind.MEAN:
        _, multiplier, shift, count = op.p[:4]
        source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
        acc = (inputs[0] - source.zero_point) * count
        return scaled(acc, np.array(multiplier), np.array(shift)) + out.zero_point
    return inputs[0]


def _sum(graph: Graph, op: Op, inputs: list[Int64Array]) -> Int64Array:
    left, *rest = op.p[:7]
    total = np.zeros_like(inputs[0])
    for i, value in enumerate(inputs):
        raised = (value - graph.tensors[op.inputs[i]].zero_point) << left
        total = total + scaled(raised, np.array(rest[2 * i]), np.array(rest[2 * i + 1]))
    last = scaled(total, np.array(rest[4]), np.array(rest[5]))
    return last + graph.tensors[op.output].zero_point


def _clamped(op: Op, values: Int64Array) -> Int64Array:
    clipped: Int64Array = np.clip(values, op.act_min, op.act_max)
    return clipped


def _weighted(graph: Graph, op: Op, source: Range) -> Range | None:
    """Ends of each channel's accumulator, and of its requantised byte."""
    assert op.multipliers is not None and op.shifts is not None
    zero_point = graph.tensors[op.inputs[0]].zero_point
    sums = _accumulated(graph, op, source.low - zero_point, source.high - zero_point)
    if sums is None:
        return None
    bias = 0 if op.bias is None else op.bias.astype(np.int64)
    shifts = op.shifts.astype(np.int64)
    ends = [end + bias for end in sums]
    most = np.maximum(np.abs(ends[0]), np.abs(ends[1])) << np.maximum(shifts, 0)
    multipliers = op.multipliers.astype(np.int64)
    zero = graph.tensors[op.output].zero_point
    low, high = (_clamped(op, scaled(end, multipliers, shifts) + zero) for end in ends)
    # A single accumulator may wrap, as the reference does; of several the order is lost.
    lost = (most > _INT32_MAX) & (ends[0] != ends[1])
    lost |= (np.abs(ends[0]) > _INT32_MAX) | (np.abs(ends[1]) > _INT32_MAX)
    return Range(np.where(lost, op.act_min, low), np.where(lost, op.act_max, high))


def _accumulated(
    graph: Graph, op: Op, low: Int64Array, high: Int64Array
) -> tuple[Int64Array, Int64Array] | None:
    """Ends of the sums of weight * (x - zero point) of each output channel, over all windows."""
    assert op.weights is not None
    weights = op.weights.astype(np.int64)
    if op.kind is Kind.FULLY_CONNECTED:
        flat = weights.reshape(len(weights), -1)
        if flat.shape[1] % len(low):
            return None
        turns = flat.shape[1] // len(low)
        low, high = np.tile(low, turns), np.tile(high, turns)
        return _least(flat, low, high).sum(axis=1), _least(flat, high, low).sum(axis=1)
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        low, high = (np.repeat(end, op.depth_mult) for end in (low, high))
        each = [_least(weights, low, high), _least(weights, high, low)]
    else:
        moved = weights.transpose(1, 2, 0, 3)  # [kh][kw][out.c][in.c]
        each = [_least(moved, *ends).sum(axis=3) for ends in ((low, high), (high, low))]
    shape, out = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    patterns = taps(op, shape, out).reshape(-1, op.window.kh * op.window.kw).astype(np.int64)
    lows, highs = (patterns @ one.reshape(patterns.shape[1], -1) for one in each)
    return lows.min(axis=0), highs.max(axis=0)


def _least(weights: Int64Array, low: Int64Array, high: Int64Array) -> Int64Array:
    """Least product of each weight with what lies between low and high; swapped: the greatest."""
    products: Int64Array = np.where(weights > 0, weights * low, weights * high)
    return products
