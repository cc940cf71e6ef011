"""What a tile of the Cortex-M0+ kernels typically costs, in cycles of the Thumb code.

The loops are those of `m0plus_work`; here they take what they take on average, without margin, and
inputs that are 0 are left out. How many are not is taken from the networks of MLPerf Tiny: behind
a ReLU, the fewer the more channels a tensor has (`nonzero`). The figures were fitted to their
layers in tiles of several sizes, to 8 % of each layer whose share of zeros is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from relume.blob.layouts.m0plus_conv import WIDTH, WITH_SPARSE
from relume.blob.layouts.m0plus_depthwise import BESIDE, is_3x3
from relume.blob.layouts.packed import Packed
from relume.model.graph import Graph, Kind, Op
from relume.plan.m0plus_depthwise_work import COLUMN, ENTRY, sums_of_pair
from relume.plan.m0plus_work import BLOCK, DENSE, RUN, SPREAD, outputs_of, spans_of

# CONV_2D and FULLY_CONNECTED
ENTERED = 23.5  # of an input that is not 0, for a block of channels
ENTERED_POINT = 19.4  # 1 x 1: with sums that are mostly narrow
LOOKED_AT = 8.0  # of an input that is listed or left out
STORED = 30.0  # of an output
STORED_POINT, POINT = 34.7, 120.0  # 1 x 1: of an output, of a pixel
DENSE_PIXEL = 190.0
TILE, DENSE_TILE = 850.0, 1150.0
# DEPTHWISE_CONV_2D: of a channel of a part, of a pair of outputs with stride 1 and more
PART, PAIR, PAIR_FAR = 645.0, 85.4, 137.0
NARROW = 40.0  # sums in a pair of 3 x 3, which other filters' take the place of
RAGGED = 800.0  # of a channel of a single row, whose sums cannot roll
DEPTHWISE_TILE = 4300.0
ADDED, ADDED_TILE = 19.5, 700.0

FULL = (Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D, Kind.MEAN, Kind.SOFTMAX)


@dataclass(frozen=True)
class Typical:
    """As the fields of OpCycles: of a unit, once a tile, of a begun part, of a single row."""

    unit: float
    tile: float
    part: float = 0.0
    part_units: int = 1
    ragged: float = 0.0


def nonzero(graph: Graph, tensor: int) -> float:
    """Share of a tensor's values that is typically not at the low end of its range, behind a ReLU:
    seven tenths of 8 channels, 42 % of 64; half of FULLY_CONNECTED outputs. All of the network's
    input and of pools."""
    if tensor == graph.input:
        return 1.0
    maker = next(op for op in graph.ops if op.output == tensor)
    if maker.kind is Kind.RESHAPE:
        return nonzero(graph, maker.inputs[0])
    if maker.kind in FULL:
        return 1.0
    if maker.kind is Kind.FULLY_CONNECTED:
        return 0.5
    return min(1.0, 0.27 + 1.2 / math.sqrt(graph.tensors[tensor].shape[2]))


def typical_work(
    graph: Graph, op: Op, fast: Packed, inside: float, room: int | None = None
) -> Typical:
    """Of an op laid out by relume.blob.layouts.m0plus_*.

    inside: share of window taps that fall inside the input. room: bytes of its weights that SRAM
    holds at a time, None: they are read in place.
    """
    if op.kind is Kind.ADD:
        return Typical(ADDED, ADDED_TILE)
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return _depthwise(graph, op, fast)
    if op.kind is Kind.FULLY_CONNECTED:
        return _dense(graph, op, fast)
    return _conv(graph, op, fast, inside, room)


def _dense(graph: Graph, op: Op, fast: Packed) -> Typical:
    """Of an output; a tile lists its inputs, and begins a block."""
    inputs = graph.macs_per_unit(op)
    if fast.p[3] & WITH_SPARSE:
        sums = inputs * nonzero(graph, op.inputs[0]) * ENTERED + RUN + BLOCK
        begun = inputs * LOOKED_AT
    else:
        sums, begun = inputs * DENSE + BLOCK, inputs * SPREAD
    return Typical(sums / WIDTH + STORED, begun + DENSE_TILE)


def _conv(graph: Graph, op: Op, fast: Packed, inside: float, room: int | None) -> Typical:
    _, in_width, depth = graph.tensors[op.inputs[0]].shape
    _, width, _ = graph.tensors[op.output].shape
    band, live, _, flags = fast.p[:4]
    window, blocks = op.window, -(-live // WIDTH)
    inputs = window.kh * window.kw * depth
    spans = spans_of(graph, op, fast, room)
    outputs = outputs_of(fast, graph.tensors[op.output].shape[2])
    if not flags & WITH_SPARSE:
        sums = blocks * ((inputs + inputs % 2) * DENSE + BLOCK)
        return Typical(sums + spans * (SPREAD * inputs + DENSE_PIXEL) + STORED * outputs, TILE)
    entered = blocks * inputs * inside * nonzero(graph, op.inputs[0])
    begun = blocks * (RUN * window.kh + BLOCK)
    if window.kh * window.kw == 1:
        unit = ENTERED_POINT * entered + begun + spans * (LOOKED_AT * inputs + POINT)
        return Typical(unit + STORED_POINT * outputs, TILE)
    bands = -(-width // band)
    columns = min(bands * ((band - 1) * window.sw + window.kw), in_width * bands)
    row = spans * columns * depth * LOOKED_AT
    unit = ENTERED * entered + begun + spans * (40.0 * window.kh + 140)
    unit += row * min(window.sh, window.kh) / width + STORED * outputs
    return Typical(unit, TILE + row * max(0, window.kh - window.sh))


def _depthwise(graph: Graph, op: Op, fast: Packed) -> Typical:
    rows, columns, _, flags = fast.p[:4]
    _, width, channels = graph.tensors[op.output].shape
    beside = bool(flags & BESIDE)
    strips = -(-width // (2 * columns if beside else columns))
    pair = PAIR if op.window.sh == 1 else PAIR_FAR
    part = PART + COLUMN * columns
    if not is_3x3(op.window):
        pair += max(0.0, sums_of_pair(op) - NARROW)
        part += ENTRY * op.window.kh * op.window.kw
    of_rows = rows if beside else 2 * rows
    part *= channels * strips
    single = channels * RAGGED if op.window.sh == 1 else 0.0
    return Typical(channels * pair / 2, DEPTHWISE_TILE, part, width * of_rows, single)
