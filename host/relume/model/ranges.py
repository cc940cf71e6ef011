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

from relume.model.graph import PAIR_KINDS, WEIGHT_KINDS, Graph, Kind, Op
from relume.model.quantize import scaled

Int64Array = npt.NDArray[np.int64]
_INT32_MAX = (1 << 31) - 1
MAX_MUL_SHIFT = 14  # a product of two operands is below 2^16


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
    if op.kind in PAIR_KINDS:
        return op.weights is None or op.weights.shape[2] in (1, out[2])
    if op.kind is Kind.MAP:
        return shapes == [out]
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
    patterns = {tuple(row) for row in ((at >= 0) & (at < inputs)).tolist()}
    return np.array(sorted(patterns), dtype=np.bool_)


def _whole(channels: int) -> Range:
    return Range(np.full(channels, -128), np.full(channels, 127))


def _of_op(graph: Graph, op: Op, inputs: list[Range]) -> Range | None:
    if op.kind in WEIGHT_KINDS:
        return _weighted(graph, op, inputs[0])
    if not is_channelwise(graph, op):
        return None
    if op.kind is Kind.MAP:
        return _mapped(op, inputs[0])
    if op.kind in PAIR_KINDS:
        return _paired(graph, op, inputs)
    ends = [[one.low for one in inputs], [one.high for one in inputs]]
    if op.kind is Kind.PAD:
        return Range(np.minimum(ends[0][0], op.p[3]), np.maximum(ends[1][0], op.p[3]))
    low, high = (_clamped(op, _byte(graph, op, end)) for end in ends)
    return Range(low, high)


def _mapped(op: Op, source: Range) -> Range:
    """Ends of the part of the table that each channel can meet."""
    assert op.weights is not None
    table = np.roll(op.weights.astype(np.int64), 128)  # by input + 128
    parts = [
        table[low + 128 : high + 129] for low, high in zip(source.low, source.high, strict=True)
    ]
    return Range(np.array([p.min() for p in parts]), np.array([p.max() for p in parts]))


def _paired(graph: Graph, op: Op, inputs: list[Range]) -> Range | None:
    """ADD and MUL: of the corners of both operands' intervals, the least and the greatest."""
    zeros = [graph.tensors[number].zero_point for number in op.inputs]
    if op.weights is not None:
        flat = op.weights.reshape(-1, op.weights.shape[2]).astype(np.int64)
        inputs = [*inputs, Range(flat.min(axis=0), flat.max(axis=0))]
        zeros.append(op.constant_zero_point)
    first, second = (
        [one.low - zero, one.high - zero] for one, zero in zip(inputs, zeros, strict=True)
    )
    corners = [_of_pair(op, a, b) for a in first for b in second]
    if any(corner is None for corner in corners):
        return None
    bytes_ = np.array(corners) + graph.tensors[op.output].zero_point
    return Range(_clamped(op, bytes_.min(axis=0)), _clamped(op, bytes_.max(axis=0)))


def _of_pair(op: Op, a: Int64Array, b: Int64Array) -> Int64Array | None:
    """Outputs less the zero point, of operands less theirs; None where int32 could overflow."""
    if op.kind is Kind.MUL:
        if op.p[1] > MAX_MUL_SHIFT:
            return None
        return scaled(a * b, np.array(op.p[0]), np.array(op.p[1]))
    left, *rest = op.p[:7]
    total = sum(
        sign * scaled(value << left, np.array(rest[2 * i]), np.array(rest[2 * i + 1]))
        for i, (sign, value) in enumerate(zip(op.signs, (a, b), strict=True))
    )
    return scaled(np.asarray(total), np.array(rest[4]), np.array(rest[5]))


def _byte(graph: Graph, op: Op, inputs: list[Int64Array]) -> Int64Array:
    """Output before the clamp where every place of an input has its channel's byte."""
    if op.kind is Kind.MEAN:
        _, multiplier, shift, count = op.p[:4]
        source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
        acc = (inputs[0] - source.zero_point) * count
        return scaled(acc, np.array(multiplier), np.array(shift)) + out.zero_point
    return inputs[0]


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
