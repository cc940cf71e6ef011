"""What a tile of the Cortex-M0+ convolutions costs, from its shape (SPEC 2.7.1).

The dense way's time depends on the shape alone and bounds the sparse way's, which is taken only
where it is shorter; lists and script come on top. Work is counted in pairs of inputs times quads
of channels; the weights below, with the rows of [cycles.m0plus] in board.toml, were fitted to
cycle counts of the Thumb code over random shapes and the worst data found.
"""

from __future__ import annotations

from dataclasses import dataclass

from relume.blob.layouts.m0plus_conv import WITH_SPARSE
from relume.blob.layouts.packed import Packed
from relume.model.graph import Graph, Kind, Op
from relume.plan.m0plus_depthwise_work import depthwise_work

CACHED = 14336  # weights of a span of channels, in bytes, as in kernels/m0plus/conv.c
TYPICAL_SPARSE = 0.55  # share of the dense way's time with activations as networks have them


@dataclass(frozen=True)
class Work:
    """Of one unit and once a tile, worst; typical_unit is typical. outputs: requantised a unit.

    by_rows: the weights, which the flash cache does not hold, are fetched once a row of pixels.
    area: for each rectangle of a tile beyond the first, with rows of `row` units.
    """

    unit: float
    tile: float
    typical_unit: float
    outputs: float
    by_rows: bool = False
    area: float = 0.0
    row: int = 1


def m0plus_work(graph: Graph, op: Op, fast: Packed) -> Work:
    """Work of an op laid out by one of relume.blob.layouts.m0plus_*."""
    out = graph.tensors[op.output].shape
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return Work(*depthwise_work(op, fast.p, out), row=out[1])
    if op.kind is Kind.ADD:
        return Work(0.0, 0.0, 0.0, 1.0)
    width, live, exact, flags = fast.p[:4]
    quads = -(-live // 4)
    taps = op.window.kh * op.window.kw if op.kind is Kind.CONV_2D else 1
    depth = graph.macs_per_unit(op) // (taps * (out[2] if op.kind is Kind.CONV_2D else 1))
    inputs = taps * depth
    sparse = bool(flags & WITH_SPARSE)
    products = inputs / 2 * quads + 4 * quads + (12 * quads / (width // 4) if sparse else 0)
    spans = _spans(inputs + inputs % 2, width, quads) if live == out[2] and live % 4 == 0 else 1
    gathered = spans * (inputs * (0.9 if sparse else 0.7) + 12 * op.window.kh + 20)
    script = spans * (60 + 3 * op.window.kh + inputs / 16) if sparse else 0
    listed = 0.36 * inputs + 8 if sparse else 0.0
    outputs = 4 * quads + 2 * exact + (out[2] / 8 if live % 4 or live < out[2] else 0)
    share = TYPICAL_SPARSE if sparse else 1.0
    if op.kind is Kind.FULLY_CONNECTED:
        gathered, script = gathered / spans, script / spans
        block = products / quads * (width // 4)
        tile = gathered + script + listed + 2 * block + 4
        unit = products / (4 * quads)
        return Work(unit, tile, share * unit, 1.0 + 0.5 * exact)
    if taps == 1:
        listed *= spans
        unit = products + gathered + script + listed
        return Work(unit, 0.0, share * products + (listed or gathered), outputs, spans > 1)
    row = 0.36 * graph.tensors[op.inputs[0]].shape[1] * depth + 20 if sparse else 0.0
    per_pixel = row * op.window.sh / out[1]
    unit = products + gathered + script + per_pixel
    typical = share * products + per_pixel + 8 * spans
    return Work(unit, row * op.window.kh, typical, outputs, spans > 1)


def is_by_rows(graph: Graph, op: Op, fast: Packed) -> bool:
    """A convolution of ours whose weights are fetched once a row of pixels."""
    return op.kind is Kind.CONV_2D and m0plus_work(graph, op, fast).by_rows


def _spans(inputs: int, width: int, quads: int) -> int:
    """Parts that the channels of a layer are computed in."""
    if quads * 4 * inputs <= CACHED:
        return 1
    blocks = max(1, CACHED // (inputs * width))
    return -(-quads // (blocks * width // 4))
