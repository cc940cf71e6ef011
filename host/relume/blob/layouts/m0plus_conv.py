"""CONV_2D and FULLY_CONNECTED laid out for the Cortex-M0+ kernels (SPEC 2.7.1).

The kernels are exact for every input; what depends on the weights is proven here, from the weights
themselves, or the op stays with the portable kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from relume.blob.layouts.m0plus_requant import Steps, fit, overflows
from relume.blob.layouts.packed import Packed, Refusal
from relume.blob.layouts.requant import Channels, Int64Array, outputs
from relume.model.graph import Kind, Op, Tensor

KERNEL = 1
WITH_CORNER, WITH_SCATTER, WITH_SPARSE = 1, 2, 4
WIDTH = 8  # channels of a block: two quads
SUM_BITS = 23  # of a sum, without sign: four of them are taken out of 96 bits
NARROW_MAX = 65535  # of a sum of u times stored bytes, for which two words do
MAX_INPUTS = 32768
CACHED = 14336  # weights of a span of channels, in bytes, as in kernels/m0plus/conv.c
LIST_BYTES = 4096  # of the lists of a band, if it can be
THREE_SUMS: Int64Array = np.array(  # all, turned, upper of the four sums of a quad
    [[1, 1 << 8, 1 << 16, 1 << 24], [1 << 8, 1, 1 << 24, 1 << 16], [0, 0, 1, 1 << 8]]
)


@dataclass(frozen=True)
class _Shape:
    taps: int
    depth: int
    live: int

    @property
    def inputs(self) -> int:
        """Inputs of a window, rounded up to 2."""
        return -(-self.taps * self.depth // 2) * 2

    @property
    def quads(self) -> int:
        return -(-self.live // 4)

    @property
    def blocks(self) -> int:
        return -(-self.live // WIDTH)


def lay_out(op: Op, source: Tensor, out: Tensor) -> Packed | None:
    """The op's constants for the fast kernels, or None where they are not proven."""
    proven = _proven(op, source, out)
    if isinstance(proven, Refusal):
        return None
    weights, live, constants, steps = proven.weights, proven.live, proven.constants, proven.steps
    taps = op.window.kh * op.window.kw if op.kind is Kind.CONV_2D else 1
    shape = _Shape(taps, weights.shape[1] // taps, len(live))
    sparse = _is_sparse(op, source)
    corner = any(step.exact and step.corner > 0 for step in steps)
    scatter = len(live) < len(weights)
    flags = WITH_CORNER * corner + WITH_SCATTER * scatter + WITH_SPARSE * sparse
    table, exact = _table(op, steps, live, corner, shape.quads)
    offset = max(0, -int(weights.min()))
    limit = min(NARROW_MAX, NARROW_MAX // max(1, int(weights.max()) + offset)) * sparse
    extra = exact + (_scatter(live, constants) if scatter else b"")
    band = _band(op, source, out, shape) if sparse else max(1, out.shape[1])
    return Packed(
        KERNEL,
        _blocks(weights[live], shape, offset).tobytes(),
        _starts(op, weights[live], live, steps, source, sparse),
        table,
        extra if extra else bytes(4),
        (band, len(live), len(exact) // 12, flags, limit, offset),
        scratch_bytes(op, source, shape, band, sparse),
        _note(shape, len(weights), len(exact) // 12, sparse),
    )


def refusal(op: Op, source: Tensor, out: Tensor) -> str | None:
    """Why the fast kernels may not be used; None if they may."""
    proven = _proven(op, source, out)
    return proven.reason if isinstance(proven, Refusal) else None


@dataclass(frozen=True, eq=False)
class _Proven:
    """Weights [channels][inputs of a window], the channels to compute with their requantisation,
    and what the others always are [channels]."""

    weights: Int64Array
    live: Int64Array
    constants: npt.NDArray[np.int8]
    steps: list[Steps]


def _proven(op: Op, source: Tensor, out: Tensor) -> _Proven | Refusal:
    """What the fast kernels need to be exact, or why they may not be used."""
    if op.weights is None or op.kind not in (Kind.CONV_2D, Kind.FULLY_CONNECTED):
        return Refusal("no kernel")
    if op.kind is Kind.CONV_2D and (op.window.dil_h, op.window.dil_w) != (1, 1):
        return Refusal("dilation")
    weights = _matrix(op)
    if weights.shape[1] > MAX_INPUTS:
        return Refusal("window too large")
    channels = _channels(op, weights, source, out)
    live, constants = _live_channels(op, weights, channels)
    channels = channels.only(live)
    steps = fit(channels)
    origin = np.array([step.origin for step in steps], dtype=np.int64)
    most = np.maximum(channels.high - origin, origin - channels.low - 1)
    if (most >> SUM_BITS).any():
        return Refusal("sums of more than 24 bits")
    return _Proven(weights, live, constants, steps)


def _matrix(op: Op) -> Int64Array:
    """Weights [channels][inputs of a window]."""
    assert op.weights is not None
    return op.weights.reshape(op.weights.shape[0], -1).astype(np.int64)


def _is_sparse(op: Op, source: Tensor) -> bool:
    """Zero is -128, so that u = x + 128 is unsigned, and words hold whole quads of inputs."""
    depth = source.shape[2] if op.kind is Kind.CONV_2D else _matrix(op).shape[1]
    return source.zero_point == -128 and depth % 4 == 0


def _channels(op: Op, weights: Int64Array, source: Tensor, out: Tensor) -> Channels:
    """Ranges of the channels' accumulators over all inputs, and their requantisation."""
    assert op.multipliers is not None and op.shifts is not None
    low, high = -128 - source.zero_point, 127 - source.zero_point
    positive = np.maximum(weights, 0).sum(axis=1)
    negative = np.minimum(weights, 0).sum(axis=1)
    bias = 0 if op.bias is None else op.bias.astype(np.int64)
    return Channels(
        op.multipliers.astype(np.int64), op.shifts.astype(np.int64),
        bias + positive * low + negative * high, bias + positive * high + negative * low,
        out.zero_point, op.act_min, op.act_max,
    )  # fmt: skip


def _live_channels(
    op: Op, weights: Int64Array, channels: Channels
) -> tuple[Int64Array, npt.NDArray[np.int8]]:
    """Channels to compute, at least one, and what the others always are [channels]."""
    count = len(weights)
    constants = np.zeros(count, dtype=np.int8)
    if op.kind is Kind.FULLY_CONNECTED:
        return np.arange(count), constants
    wraps = overflows(channels)
    ends = outputs(channels, np.stack([channels.low, channels.high], axis=1))
    lives = weights.any(axis=1) & (wraps | (ends[:, 0] != ends[:, 1]))
    for c in np.flatnonzero(~lives):
        constants[c] = _constant(channels.only(np.array([c]))) if wraps[c] else ends[c, 0]
    live = np.flatnonzero(lives)
    return live if len(live) else np.array([0], dtype=np.int64), constants


def _constant(channel: Channels) -> int:
    """Output of one channel without weights whose shifted bias wraps, as int32 arithmetic has
    it."""
    acc = (int(channel.low[0]) << max(int(channel.shift[0]), 0)) & 0xFFFFFFFF
    acc -= (acc >> 31) << 32
    shifted = replace(channel, shift=np.minimum(channel.shift, 0))
    return int(outputs(shifted, np.array([[acc]], dtype=np.int64))[0, 0])


def _blocks(weights: Int64Array, shape: _Shape, offset: int) -> npt.NDArray[np.uint8]:
    """[blocks][inputs][WIDTH] of w + offset, which no byte is below; absent weights are 0."""
    full = np.zeros((shape.blocks * WIDTH, shape.inputs), dtype=np.int64)
    full[: weights.shape[0], : weights.shape[1]] = weights + offset
    split = full.reshape(shape.blocks, WIDTH, shape.inputs).transpose(0, 2, 1)
    return np.ascontiguousarray(split).astype(np.uint8)


def _starts(
    op: Op, weights: Int64Array, live: npt.NDArray[np.int64], steps: list[Steps],
    source: Tensor, sparse: bool,
) -> bytes:  # fmt: skip
    """What the sums of the blocks' quads begin with, u32 [quads][3], for s = bias - origin.

    Inputs are multiplied as u = x + 128 (sparse) or as x; the zero point is taken off here.
    """
    bias = np.zeros(len(op.multipliers if op.multipliers is not None else live), dtype=np.int64)
    if op.bias is not None:
        bias += op.bias
    start = bias[live] - np.array([step.origin for step in steps], dtype=np.int64)
    start -= (source.zero_point + 128 * sparse) * weights.sum(axis=1)
    full = np.zeros((-(-len(live) // WIDTH) * 2, 4), dtype=np.int64)
    full.reshape(-1)[: len(start)] = start
    return ((full @ THREE_SUMS.T) & 0xFFFFFFFF).astype("<u4").tobytes()


def _table(
    op: Op, steps: list[Steps], live: npt.NDArray[np.int64], corner: bool, quads: int
) -> tuple[bytes, bytes]:
    """Requantisation [quads * 4][4 or 6]; multiplier, exponent, origin of what has no formula."""
    assert op.multipliers is not None and op.shifts is not None
    rows = np.zeros((len(steps), 6), dtype=np.int64)
    exact: list[tuple[int, int, int]] = []
    for i, (step, c) in enumerate(zip(steps, live, strict=True)):
        if step.exact:
            rows[i] = (step.a, step.b, step.low, step.limit, step.corner, step.high)
            if step.corner == 0:
                rows[i, 2] = step.high
        else:
            rows[i, 0] = len(exact)
            exact.append((int(op.multipliers[c]), int(op.shifts[c]), step.origin))
    idle = np.array([0, 0, 0, 1, 0, 0])
    full = np.tile(idle, (quads * 4, 1))
    full[: len(rows)] = rows
    lanes = full[:, : 6 if corner else 4]
    words = np.array(exact, dtype=np.int64).reshape(-1)
    return lanes.astype("<u4").tobytes(), (words & 0xFFFFFFFF).astype("<u4").tobytes()


def _scatter(live: npt.NDArray[np.int64], constants: npt.NDArray[np.int8]) -> bytes:
    """Outputs of all channels as they are when nothing is computed, then the live ones' places."""
    return constants.tobytes() + bytes(-len(constants) % 4) + live.astype("<u2").tobytes()


def _columns(op: Op, source: Tensor, shape: _Shape, band: int) -> int:
    """Columns of the input that the windows of `band` outputs of a row touch."""
    if shape.taps == 1:
        return 1
    return min(source.shape[1], (band - 1) * op.window.sw + op.window.kw)


def _list_bytes(op: Op, source: Tensor, shape: _Shape, band: int) -> int:
    rows = op.window.kh if op.kind is Kind.CONV_2D else 1
    columns = _columns(op, source, shape, band)
    return rows * ((columns + 1) * 8 + columns * shape.depth * 8)


def _band(op: Op, source: Tensor, out: Tensor, shape: _Shape) -> int:
    """Outputs of a row at a time: what LIST_BYTES allow, in equal parts, at least 4.

    Columns that two bands share are listed twice.
    """
    width = out.shape[1]
    if shape.taps == 1 or op.kind is not Kind.CONV_2D:
        return max(1, width)
    most = max(
        (n for n in range(1, width + 1) if _list_bytes(op, source, shape, n) <= LIST_BYTES),
        default=1,
    )
    parts = -(-width // max(most, 4))
    return -(-width // parts)


def scratch_bytes(op: Op, source: Tensor, shape: _Shape, band: int, sparse: bool) -> int:
    """Scratch memory of a tile; the engine's rl_m0_scratch says the same."""
    size = 32 * shape.blocks
    if not sparse:
        return size + 4 * shape.inputs
    rows = op.window.kh if op.kind is Kind.CONV_2D else 1
    return size + 12 * (rows + 1) + _list_bytes(op, source, shape, band)


def _note(shape: _Shape, channels: int, exact: int, sparse: bool) -> str:
    parts = ["sparse" if sparse else "dense"]
    if shape.live < channels:
        parts.append(f"{channels - shape.live} of {channels} channels constant")
    if exact:
        parts.append(f"{exact} channels requantised in full")
    return ", ".join(parts)
