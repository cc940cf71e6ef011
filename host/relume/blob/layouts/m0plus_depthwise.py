"""DEPTHWISE_CONV_2D 3 x 3 laid out for the Cortex-M0+ kernel (SPEC 2.7.3).

The kernel is exact for every input and every weight: it proves its lanes at run time from the sums
of weights that are put beside the filter here, and from the inputs that it sees.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.blob.layouts import m0plus_requant as requant
from relume.blob.layouts.packed import Packed
from relume.model.graph import Int8Array, Kind, Op, Tensor

KERNEL = 1
WITH_CORNER = 1
PLANE_BYTES = 6144  # scratch for a plane of four channels, unless the image needs less
PIXEL_BYTES = 16
LANE_MAX = 65535
FLIP = 0x8000
SHORT_SEARCH = 32
_FILTER = np.dtype([
    ("w", "i1", 9), ("idle", "i1"), ("narrow", "u1"), ("split", "u1"), ("negative", "<u2"),
    ("positive", "<u2"), ("apart", "<u2"), ("rows", "u1"), ("zero", "u1"),
])  # fmt: skip


def lay_out(op: Op, source: Tensor, out: Tensor) -> Packed | None:
    """The op's constants for the fast kernel, or None where it does not apply."""
    if refusal(op, source, out) is not None or op.weights is None:
        return None
    channels = out.shape[2]
    weights = op.weights.reshape(9, channels).T
    ranges = [_channel(op, weights, source, out, c) for c in range(channels)]
    steps = [shortened(channel, requant.fit(channel)) for channel in ranges]
    bias = np.array([_bias(op, weights, source, c) for c in range(channels)])
    corner = any(step.exact and step.corner > 0 for step in steps)
    table, exact = _table(op, steps, bias, corner)
    rows, columns = halves(op, out)
    p = (rows, columns, len(exact) // 12, WITH_CORNER * corner)
    return Packed(
        KERNEL,
        _filters(weights, ranges, bias),
        b"",
        table,
        exact,
        p,
        scratch_bytes(op.window.sh, rows, columns),
        _note(steps),
    )


def refusal(op: Op, source: Tensor, out: Tensor) -> str | None:
    """Why the fast kernel may not be used; None if it may."""
    window = op.window
    if op.kind is not Kind.DEPTHWISE_CONV_2D or op.weights is None:
        return "no kernel"
    if (window.kh, window.kw) != (3, 3):
        return f"filter {window.kh} x {window.kw}"
    if (window.dil_h, window.dil_w) != (1, 1):
        return f"dilation {window.dil_h} x {window.dil_w}"
    if (window.sh, window.sw) not in ((1, 1), (2, 2)):
        return f"stride {window.sh} x {window.sw}"
    if op.depth_mult != 1 or out.shape[2] % 4:
        return f"{out.shape[2]} channels, multiplier {op.depth_mult}"
    return None


def halves(op: Op, out: Tensor) -> tuple[int, int]:
    """Largest half of a part, (rows, columns) of outputs, whose plane fits PLANE_BYTES.

    Of all that fit the one that weaves the fewest inputs for the whole image.
    """
    height, width, _ = out.shape
    stride = op.window.sh
    best: tuple[int, int, int] | None = None
    for count in range(1, width + 1):  # parts side by side
        columns = -(-width // count)
        across = (columns - 1) * stride + 3
        most = (PLANE_BYTES // (across * PIXEL_BYTES) - 3) // stride + 1
        if most < 1:
            continue
        bands = -(-height // (2 * most))
        rows = -(-height // (2 * bands))
        woven = count * bands * across * ((rows - 1) * stride + 3)
        if best is None or woven < best[0]:
            best = (woven, rows, columns)
    assert best is not None  # one column always fits
    return best[1], best[2]


def scratch_bytes(stride: int, rows: int, columns: int) -> int:
    """Scratch memory of a tile; the engine's rl_m0_depthwise_scratch says the same."""
    plane = ((rows - 1) * stride + 3) * ((columns - 1) * stride + 3) * PIXEL_BYTES
    return plane + rows * columns * 8


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
    for a in range(steps.a - SHORT_SEARCH, steps.a + SHORT_SEARCH + 1):
        low = int(np.max((wanted << requant.FRACTION) - points * a))
        high = int(np.min(((wanted + 1) << requant.FRACTION) - points * a))
        if a > 0 and low < high:
            c = (low + high) // 2 + (channel.act_min << requant.FRACTION)
            return replace(steps, a=a, b=0, low=0, high=c & 0xFFFFFFFF)
    return steps


def _idle(channel: requant.Channel, bias: int) -> int:
    """Output for the accumulator `bias`, which wraps as int32 when it is shifted left."""
    acc = (bias << max(channel.shift, 0)) & 0xFFFFFFFF
    shifted = replace(channel, shift=min(channel.shift, 0))
    wrapped = np.array([acc - (acc >> 31 << 32)], dtype=np.int64)
    return int(requant.outputs(shifted, wrapped)[0])


def _filters(weights: Int8Array, ranges: list[requant.Channel], bias: requant.Int64Array) -> bytes:
    """[channels][20]: weights, output for u = 0, and what the lanes are proven with."""
    wide = weights.reshape(-1, 3, 3).astype(np.int64)
    total = np.abs(wide).sum(axis=2)  # of each row of a filter
    negative = -np.minimum(wide, 0).sum(axis=2)
    flip = total[:, 0] > total[:, 2]
    apart = np.where(flip, total[:, 0], total[:, 2])
    every = total.sum(axis=1)
    rows = np.zeros(len(weights), dtype=_FILTER)
    rows["w"] = weights
    rows["idle"] = [_idle(channel, int(bias[c])) for c, channel in enumerate(ranges)]
    rows["narrow"] = _largest_top(every)
    rows["split"] = _largest_top(np.maximum(apart, every - apart))
    rows["rows"] = _largest_top(total.max(axis=1))
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
