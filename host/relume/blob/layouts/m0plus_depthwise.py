"""DEPTHWISE_CONV_2D laid out for the Cortex-M0+ kernel (SPEC 2.7.3).

The kernel is exact for every input and every weight: it proves its lanes at run time from the
weights, for 3 x 3 from sums of them that are put beside the filter here, and from the inputs that
it sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relume.blob.layouts import m0plus_requant as requant
from relume.blob.layouts.packed import Packed
from relume.model.graph import Int8Array, Kind, Op, Tensor, Window

KERNEL = 1
WITH_CORNER, BESIDE = 1, 2
PLANE_BYTES = 4608  # scratch for a plane of four channels, unless the image needs less
PIXEL_BYTES = 16
LANE_MAX = 65535
FLIP = 0x8000
SHORT_SEARCH = 32
_FILTER = np.dtype([
    ("w", "i1", 9), ("idle", "i1"), ("narrow", "u1"), ("split", "u1"), ("negative", "<u2"),
    ("positive", "<u2"), ("apart", "<u2"), ("zero", "<u2"),
])  # fmt: skip
GROUP = 9  # taps of a group, as in kernels/m0plus/depthwise.h
# Cycles of a channel, roughly: a part, a column of outputs, a row and an input of the plane, more
# patches of padding; two outputs of a 3 x 3 filter, of any other, and of each of its taps.
PART, COLUMN, ROW, INPUT, PADDED = 400.0, 57.0, 5.0, 8.3, 100.0
PAIR_3X3, PAIR, TAP = 65.0, 40.0, 8.0


def lay_out(op: Op, source: Tensor, out: Tensor) -> Packed | None:
    """The op's constants for the fast kernel, or None where it does not apply."""
    if refusal(op, source, out) is not None or op.weights is None:
        return None
    channels = out.shape[2]
    weights = op.weights.reshape(-1, channels).T
    ranges = [_channel(op, weights, source, out, c) for c in range(channels)]
    steps = [shortened(channel, requant.fit(channel)) for channel in ranges]
    bias = np.array([_bias(op, weights, source, c) for c in range(channels)])
    idle = np.array([_idle(channel, int(bias[c])) for c, channel in enumerate(ranges)], dtype="i1")
    corner = any(step.exact and step.corner > 0 for step in steps)
    table, exact = _table(op, steps, bias, corner)
    half = best_half(op.window, out.shape[0], out.shape[1])
    assert half is not None
    p = (half.rows, half.columns, len(exact) // 12, WITH_CORNER * corner + BESIDE * half.beside)
    return Packed(
        KERNEL,
        _filters(weights, idle) if is_3x3(op.window) else _plain(weights, idle),
        b"",
        table,
        exact,
        p,
        scratch_bytes(op.window, half.rows, half.columns),
        _note(steps),
    )


def refusal(op: Op, source: Tensor, out: Tensor) -> str | None:
    """Why the fast kernel may not be used; None if it may."""
    window = op.window
    if op.kind is not Kind.DEPTHWISE_CONV_2D or op.weights is None:
        return "no kernel"
    if op.depth_mult != 1:
        return f"multiplier {op.depth_mult}"
    if _plane_bytes(window, 1, 1) > PLANE_BYTES:
        return f"filter {window.kh} x {window.kw}, dilation {window.dil_h} x {window.dil_w}"
    return None


def is_3x3(window: Window) -> bool:
    """The kernel has special code for this window."""
    return (window.kh, window.kw, window.dil_h, window.dil_w) == (3, 3, 1, 1) and (
        window.sh == window.sw <= 2
    )


@dataclass(frozen=True)
class Half:
    """Largest half of a part, in outputs; beside: the other half is at its right, not below."""

    rows: int
    columns: int
    beside: bool


def best_half(window: Window, height: int, width: int) -> Half | None:
    """Of all halves whose planes fit PLANE_BYTES the one that an image takes the least time with.

    None if no half fits.
    """
    best: tuple[float, Half] | None = None
    for beside in (False, True):
        across, down = (2, 1) if beside else (1, 2)  # halves of a part
        for strips in range(1, -(-width // across) + 1):
            columns = -(-width // (across * strips))
            most = _most_rows(window, columns)
            if most < 1:
                continue
            bands = -(-height // (down * most))
            rows = -(-height // (down * bands))
            cost = strips * bands * _part_cost(window, Half(rows, columns, beside))
            if best is None or cost < best[0]:
                best = (cost, Half(rows, columns, beside))
    return best and best[1]


def _part_cost(window: Window, half: Half) -> float:
    """Cycles of one channel, about. Halves beside one another are padded at either side."""
    rows_in = reach(half.rows, window.kh, window.sh, window.dil_h)
    inputs = rows_in * reach(half.columns, window.kw, window.sw, window.dil_w)
    pair = PAIR_3X3 if is_3x3(window) else PAIR + TAP * window.kh * window.kw
    cost = PART + COLUMN * half.columns + pair * half.rows * half.columns + INPUT * inputs
    return cost + ROW * rows_in + (2 * ROW * rows_in + PADDED if half.beside else 0.0)


def _most_rows(window: Window, columns: int) -> int:
    """Rows of outputs whose plane fits PLANE_BYTES, 0 if not one does."""
    row = reach(columns, window.kw, window.sw, window.dil_w) * PIXEL_BYTES
    return max(0, (PLANE_BYTES // row - reach(1, window.kh, 1, window.dil_h)) // window.sh + 1)


def reach(n: int, taps: int, stride: int, dilation: int) -> int:
    """Rows or columns of inputs under n windows."""
    return (n - 1) * stride + (taps - 1) * dilation + 1


def _plane_bytes(window: Window, rows: int, columns: int) -> int:
    return (
        reach(rows, window.kh, window.sh, window.dil_h)
        * reach(columns, window.kw, window.sw, window.dil_w)
        * PIXEL_BYTES
    )


def scratch_bytes(window: Window, rows: int, columns: int) -> int:
    """Scratch memory of a tile; the engine's rl_m0_depthwise_scratch says the same."""
    taps = window.kh * window.kw
    table = 8 * (taps + -(-taps // 2))
    return _plane_bytes(window, rows, columns) + rows * columns * 8 + table


def _bias(op: Op, weights: Int8Array, source: Tensor, c: int) -> int:
    """What remains of the accumulator when all u = x + 128 are 0."""
    bias = int(op.bias[c]) if op.bias is not None else 0
    return bias - (128 + source.zero_point) * int(weights[c].sum(dtype=np.int64))


def _channel(op: Op, weights: Int8Array, source: Tensor, out: Tensor, c: int) -> requant.Channel:
    """Range of channel c's accumulator over all inputs, and its requantisation."""
    assert op.multipliers is not None and op.shifts is not None
    row = weights[c].astype(np.int64)
    bias = _bias(op, weights, source, c)
    return requant.Channel(
        int(op.multipliers[c]), int(op.shifts[c]), out.zero_point, op.act_min, op.act_max,
        bias + 255 * int(row[row < 0].sum()), bias + 255 * int(row[row > 0].sum()),
    )  # fmt: skip


def shortened(channel: requant.Channel, steps: requant.Steps) -> requant.Steps:
    """The same constants without b, which saves a multiplication, if such ones exist."""
    if steps.limit <= 1 or steps.corner:
        return steps
    edges = requant.thresholds(channel) - steps.origin
    points = np.unique(np.clip(np.concatenate([edges - 1, edges]), 0, steps.limit - 1))
    wanted = requant.outputs(channel, points + steps.origin) - channel.act_min
    slopes = np.arange(max(1, steps.a - SHORT_SEARCH), steps.a + SHORT_SEARCH + 1)
    floor = (wanted << requant.FRACTION) - points * slopes[:, None]
    low, high = floor.max(axis=1), floor.min(axis=1) + (1 << requant.FRACTION)
    passing = np.flatnonzero(low < high)
    if not len(passing):
        return steps
    first = passing[0]
    c = int(low[first] + high[first]) // 2 + (channel.act_min << requant.FRACTION)
    return replace(steps, a=int(slopes[first]), b=0, low=0, high=c & 0xFFFFFFFF)


def _idle(channel: requant.Channel, bias: int) -> int:
    """Output for the accumulator `bias`, which wraps as int32 when it is shifted left."""
    acc = (bias << max(channel.shift, 0)) & 0xFFFFFFFF
    shifted = replace(channel, shift=min(channel.shift, 0))
    wrapped = np.array([acc - (acc >> 31 << 32)], dtype=np.int64)
    return int(requant.outputs(shifted, wrapped)[0])


def _plain(weights: Int8Array, idle: Int8Array) -> bytes:
    """[channels][1 + taps]: output for u = 0, weights."""
    return np.hstack([idle[:, None], weights]).tobytes()


def _filters(weights: Int8Array, idle: Int8Array) -> bytes:
    """[channels][20]: weights, output for u = 0, and what the lanes are proven with."""
    wide = weights.reshape(-1, 3, 3).astype(np.int64)
    total = np.abs(wide).sum(axis=2)  # of each row of a filter
    negative = -np.minimum(wide, 0).sum(axis=2)
    flip = total[:, 0] > total[:, 2]
    apart = np.where(flip, total[:, 0], total[:, 2])
    every = total.sum(axis=1)
    rows = np.zeros(len(weights), dtype=_FILTER)
    rows["w"] = weights
    rows["idle"] = idle
    rows["narrow"] = _largest_top(every)
    rows["split"] = _largest_top(np.maximum(apart, every - apart))
    rows["negative"] = negative.sum(axis=1)
    rows["positive"] = every - negative.sum(axis=1)
    rows["apart"] = np.where(flip, negative[:, 0] + FLIP, negative[:, 2])
    return rows.tobytes()


def _largest_top(total: requant.Int64Array) -> requant.Int64Array:
    """Largest u for which sums of weights whose |w| add up to `total` fit a lane."""
    tops: requant.Int64Array = np.minimum(255, LANE_MAX // np.maximum(total, 1))
    return tops


def _table(
    op: Op, steps: list[requant.Steps], bias: requant.Int64Array, corner: bool
) -> tuple[bytes, bytes]:
    """[channels][5 or 7] requantisation; multiplier, exponent, origin of what has no formula."""
    assert op.multipliers is not None and op.shifts is not None
    rows = np.zeros((len(steps), 7), dtype=np.int64)
    exact: list[tuple[int, int, int]] = []
    for c, step in enumerate(steps):
        if step.exact:
            low = step.low if step.corner else step.high
            rows[c] = (step.a, step.b, low, step.limit, 0, step.corner, step.high)
        else:
            rows[c, 0] = len(exact)
            exact.append((int(op.multipliers[c]), int(op.shifts[c]), step.origin))
        rows[c, 4] = step.origin - bias[c]
    words = np.array(exact, dtype=np.int64).reshape(-1)
    table = rows[:, : 7 if corner else 5] & 0xFFFFFFFF
    return table.astype("<u4").tobytes(), (words & 0xFFFFFFFF).astype("<u4").tobytes()


def _note(steps: list[requant.Steps]) -> str:
    exact = sum(not step.exact for step in steps)
    return "two lanes" + (f", {exact} channels requantised in full" if exact else "")
