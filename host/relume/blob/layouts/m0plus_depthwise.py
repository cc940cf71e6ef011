"""DEPTHWISE_CONV_2D laid out for the Cortex-M0+ kernel (SPEC 2.7.3).

The kernel is exact for every input and every weight: it proves its lanes at run time from the
weights, for 3 x 3 from sums of them that are put beside the filter here, and from the inputs that
it sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relume.blob.layouts.m0plus_requant import FRACTION, Steps, fit
from relume.blob.layouts.packed import Packed
from relume.blob.layouts.requant import Channels, Int64Array, outputs, thresholds
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
    weights = op.weights.reshape(-1, out.shape[2]).T
    bias = _bias(op, weights, source)
    channels = _channels(op, weights, bias, out)
    steps = shortened(channels, fit(channels))
    idle = _idle(channels, bias)
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


def _bias(op: Op, weights: Int8Array, source: Tensor) -> Int64Array:
    """[channels] What remains of the accumulators when all u = x + 128 are 0."""
    total: Int64Array = weights.sum(axis=1, dtype=np.int64)
    bias: Int64Array = -(128 + source.zero_point) * total
    return bias if op.bias is None else bias + op.bias


def _channels(op: Op, weights: Int8Array, bias: Int64Array, out: Tensor) -> Channels:
    """Ranges of the channels' accumulators over all inputs, and their requantisation."""
    assert op.multipliers is not None and op.shifts is not None
    wide = weights.astype(np.int64)
    return Channels(
        op.multipliers.astype(np.int64), op.shifts.astype(np.int64),
        bias + 255 * np.minimum(wide, 0).sum(axis=1), bias + 255 * np.maximum(wide, 0).sum(axis=1),
        out.zero_point, op.act_min, op.act_max,
    )  # fmt: skip


def shortened(channels: Channels, every: list[Steps]) -> list[Steps]:
    """The same constants without b, which saves a multiplication, where such ones exist."""
    chosen = [n for n, steps in enumerate(every) if steps.limit > 1 and not steps.corner]
    some = channels.only(np.array(chosen, dtype=np.int64))
    origin = np.array([every[n].origin for n in chosen], dtype=np.int64)
    edges = thresholds(some) - origin[:, None]
    result = list(every)
    for row, n in enumerate(chosen):
        result[n] = _short(channels, n, every[n], edges[row])
    return result


def _short(channels: Channels, n: int, steps: Steps, edges: Int64Array) -> Steps:
    """shortened() of channel n; edges: d at each of its steps."""
    points = np.sort(np.clip(np.concatenate([edges - 1, edges]), 0, steps.limit - 1))
    points = points[np.append(points[1:] > points[:-1], True)]  # each once
    acc = points[None, :] + steps.origin
    wanted = outputs(channels.only(np.array([n])), acc)[0] - channels.act_min
    slopes = np.arange(max(1, steps.a - SHORT_SEARCH), steps.a + SHORT_SEARCH + 1)
    floor = (wanted << FRACTION) - points * slopes[:, None]
    low, high = floor.max(axis=1), floor.min(axis=1) + (1 << FRACTION)
    passing = np.flatnonzero(low < high)
    if not len(passing):
        return steps
    first = passing[0]
    c = int(low[first] + high[first]) // 2 + (channels.act_min << FRACTION)
    return replace(steps, a=int(slopes[first]), b=0, low=0, high=c & 0xFFFFFFFF)


def _idle(channels: Channels, bias: Int64Array) -> Int8Array:
    """[channels] Outputs for the accumulators `bias`, which wrap as int32 when shifted left."""
    acc = (bias << np.maximum(channels.shift, 0)) & 0xFFFFFFFF
    shifted = replace(channels, shift=np.minimum(channels.shift, 0))
    wrapped = (acc - (acc >> 31 << 32))[:, None]
    return outputs(shifted, wrapped)[:, 0].astype(np.int8)


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


def _largest_top(total: Int64Array) -> Int64Array:
    """Largest u for which sums of weights whose |w| add up to `total` fit a lane."""
    tops: Int64Array = np.minimum(255, LANE_MAX // np.maximum(total, 1))
    return tops


def _table(
    op: Op, steps: list[Steps], bias: Int64Array, corner: bool
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


def _note(steps: list[Steps]) -> str:
    exact = sum(not step.exact for step in steps)
    return "two lanes" + (f", {exact} channels requantised in full" if exact else "")
