"""What a tile of the Cortex-M0+ convolutions costs, from its shape (SPEC 2.7.1), in cycles.

Every input that is not left out costs the same whatever its value, so the worst case is that none
is left out. The figures are those of the assembly's headers, with what the C code around it takes;
the rows of [cycles.m0plus] in board.toml add a margin.
"""

from __future__ import annotations

from dataclasses import dataclass

from relume.blob.layouts.m0plus_conv import CACHED, WIDTH, WITH_CORNER, WITH_SPARSE
from relume.blob.layouts.packed import Packed
from relume.model.graph import Graph, Kind, Op
from relume.plan.m0plus_depthwise_work import depthwise_work

# Cycles of an input: of a block of channels, sparse and dense; listed; spread to a word.
SPARSE, DENSE, LISTED, SPREAD = 23.4, 20.8, 10.3, 10.2
RUN, BLOCK = 21.0, 62.0  # of a run, of a block of channels


@dataclass(frozen=True)
class Work:
    """Of one unit and once a tile, worst. outputs: requantised a unit. typical_unit: of a unit, as
    it typically is (Cortex-M4; `m0plus_typical` has the others).

    spans: the weights, which the flash cache does not hold, are fetched once a tile all the same.
    area: for each rectangle of a tile beyond the first, with rows of `row` units.
    """

    unit: float
    tile: float
    outputs: float
    spans: bool = False
    area: float = 0.0
    row: int = 1
    typical_unit: float = 0.0


def m0plus_work(graph: Graph, op: Op, fast: Packed, room: int | None = None) -> Work:
    """Work of an op laid out by one of relume.blob.layouts.m0plus_*.

    room: bytes of its weights that SRAM holds at a time, None: they are read in place.
    """
    out = graph.tensors[op.output].shape
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return Work(*depthwise_work(op, fast.p, out), row=out[1])
    if op.kind is Kind.ADD:
        return Work(0.0, 0.0, 1.0)
    if op.kind is Kind.FULLY_CONNECTED:
        return _fully_connected(graph, op, fast)
    return _conv(graph, op, fast, room)


def fits_spans(graph: Graph, op: Op, fast: Packed) -> bool:
    """A convolution of ours whose weights are fetched once a tile, span by span."""
    return op.kind is Kind.CONV_2D and m0plus_work(graph, op, fast).spans


def outputs_of(fast: Packed, channels: int) -> float:
    """Outputs of a pixel in units of one that is inside the staircase and stored as it is."""
    _, live, exact, flags = fast.p[:4]
    corner = 0.25 * live if flags & WITH_CORNER else 0.0
    copied = (channels + live) / 4 if live % 4 or live < channels else 0
    return 4 * -(-live // 4) + 4 * exact + corner + copied


def _fully_connected(graph: Graph, op: Op, fast: Packed) -> Work:
    """Of an output; a tile begins and ends inside a block and prepares the inputs."""
    channels, exact = graph.tensors[op.output].shape[2], fast.p[2]
    sparse = bool(fast.p[3] & WITH_SPARSE)
    inputs = graph.macs_per_unit(op)
    block = inputs * (SPARSE if sparse else DENSE) + RUN + BLOCK
    begun = inputs * (LISTED if sparse else SPREAD) + 2 * block + 200
    each = 1.5 + (4.0 if exact else 0.0)
    rows = -(-channels // WIDTH) * WIDTH / channels
    return Work(block / WIDTH * rows, begun, each)


def _conv(graph: Graph, op: Op, fast: Packed, room: int | None) -> Work:
    """Of a pixel; a tile of several rows lists all the rows of its first windows."""
    _, in_width, depth = graph.tensors[op.inputs[0]].shape
    _, width, channels = graph.tensors[op.output].shape
    band, live, _, flags = fast.p[:4]
    window, taps = op.window, op.window.kh * op.window.kw
    inputs, blocks = taps * depth, -(-live // WIDTH)
    spans = spans_of(graph, op, fast, room)
    outputs = outputs_of(fast, channels)
    if not flags & WITH_SPARSE:
        products = blocks * (inputs * DENSE + BLOCK)
        spread = spans * (SPREAD * inputs + 80 * window.kh + 120)
        return Work(products + spread, 0.0, outputs, spans > 1)
    products = blocks * (inputs * SPARSE + RUN * window.kh + BLOCK)
    if taps == 1:
        listed = spans * (LISTED * inputs + 160)
        return Work(products + listed, 0.0, outputs, spans > 1)
    bands = -(-width // band)
    columns = min(bands * ((band - 1) * window.sw + window.kw), in_width * bands)
    row = spans * (columns * (LISTED * depth + 12) + 200.0 * bands)
    runs = spans * (40.0 * window.kh + 140)
    unit = products + runs + row * min(window.sh, window.kh) / width
    # a tile that begins and ends inside a row lists rows for both
    return Work(unit, row * (window.kh + window.sh), outputs, spans > 1)


def takes_spans(channels: int, live: int) -> bool:
    """Whether some of a CONV_2D's channels can be computed, and stored, without the others."""
    return live == channels and live % 4 == 0


def spans_of(graph: Graph, op: Op, fast: Packed, room: int | None) -> int:
    """Parts that the channels of a CONV_2D are computed in."""
    depth, channels = graph.tensors[op.inputs[0]].shape[2], graph.tensors[op.output].shape[2]
    inputs, live = op.window.kh * op.window.kw * depth, fast.p[1]
    return _spans(inputs, -(-live // 4), room) if takes_spans(channels, live) else 1


def _spans(inputs: int, quads: int, room: int | None) -> int:
    if room is None and quads * 4 * inputs <= CACHED:
        return 1
    blocks = max(1, (CACHED if room is None else room) // ((inputs + inputs % 2) * WIDTH))
    return -(-quads // (2 * blocks))
