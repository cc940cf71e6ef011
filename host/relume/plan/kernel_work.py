"""How much the portable kernels really do for one unit, beyond the multiply-accumulates of the op.

Blocks of four channels are computed whole; CONV_2D gathers its window once a pixel; every row of a
window, every tap that may lie outside the input and every pixel has a fixed price. The weights
below were fitted, with the rows of [cycles.portable] in board.toml, to cycle counts of the
Cortex-M0+ code over nets of all kinds made at random, so that `a * work + b * outputs + c` is
never exceeded.
"""

from __future__ import annotations

from relume.model.graph import PAIR_KINDS, Graph, Kind, Op
from relume.plan.move_work import concatenation_work, gather_work


def kernel_work(graph: Graph, op: Op) -> tuple[float, int]:
    """(work, outputs) of one unit of op: multiply them by a and b of its row in board.toml."""
    rows, _, depth = graph.tensors[op.inputs[0]].shape
    channels = graph.tensors[op.output].shape[2]
    window = op.window
    if op.kind is Kind.CONV_2D:
        return _conv(window.kh, window.kw, depth, channels)
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return _depthwise(window.kh, window.kw, channels)
    if op.kind in (Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D):
        edges = 2 * (window.kh + window.kw) + 15
        return window.kh * (window.kw + 1) * channels + edges, channels
    if op.kind is Kind.MEAN:
        return graph.macs_per_unit(op) + (rows if op.p[0] & 1 else 1), 1
    if op.kind in PAIR_KINDS:
        return _repeats(graph, op) / channels, 1
    if op.kind is Kind.GATHER:
        return gather_work(graph, op), 1
    if op.kind is Kind.CONCATENATION:
        return concatenation_work(op), 1
    if op.kind in (Kind.PAD, Kind.SOFTMAX):
        return 1, channels
    return graph.macs_per_unit(op), graph.unit_bytes(op)


def _repeats(graph: Graph, op: Op) -> int:
    """1 where an operand is repeated, or a constant: then each pixel has a price."""
    size = graph.tensors[op.output].size
    sizes = [graph.tensors[number].size for number in op.inputs]
    if op.weights is not None:
        sizes.append(op.weight_bytes)
    return int(any(one != size for one in sizes))


def _fours(channels: int) -> int:
    return -(-channels // 4) * 4


def _conv(kh: int, kw: int, depth: int, channels: int) -> tuple[float, int]:
    taps = kh * kw
    by_words = channels >= 4 and taps * depth % 4 == 0
    dots = (0.8 if by_words else 1.0) * _fours(channels)
    work = taps * depth * (dots + 1) + 7 * taps + 5 * kh + 25
    return work, _fours(channels) if channels > 4 else channels


def _depthwise(kh: int, kw: int, channels: int) -> tuple[float, int]:
    return (1.8 * kh * (kw + 1) + 16) * channels + 4 * (kh + kw) + 45, channels
