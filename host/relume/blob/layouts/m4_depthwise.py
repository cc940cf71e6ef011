"""DEPTHWISE_CONV_2D 3 x 3 for Cortex-M4: words of two rows (SPEC 2.7.2).

Ten words a channel: the filter's columns as (w0, w1) and as (w1, w2), what the sum starts with,
then multiplier, addend and shift.
"""

from __future__ import annotations

import numpy as np

from relume.blob.layouts.m4_conv import KERNEL, Unfit, channels_of
from relume.blob.layouts.m4_requant import (
    FULL,
    SHORT,
    Channels,
    Constants,
    Int64Array,
    fit,
    fold,
)
from relume.blob.layouts.packed import Packed
from relume.model.graph import Op, Tensor

FULL_FLAG = 0x100  # in the shift's word
BAND_BYTES = 4096  # scratch for woven rows, if one band does not need more


def depthwise(op: Op, source: Tensor, out: Tensor) -> Packed:
    """DEPTHWISE_CONV_2D 3 x 3, stride 1 or 2. Raises Unfit with the reason."""
    assert op.weights is not None
    _refuse(op, out)
    out_h, out_w, channels = out.shape
    weights = op.weights.reshape(9, channels).T.astype(np.int64)
    bias = fold(weights, op.bias, source.zero_point)
    lanes = channels_of(op, out, weights, bias)
    constants = [_constants(lanes, n) for n in range(channels)]
    row = 16 * ((out_w - 1) * op.window.sw + 3)
    whole = -(-out_h // 2) if op.window.sh == 1 else out_h
    bands = max(1, min(whole, BAND_BYTES // row - 1))
    scratch = 4 + (bands + 1) * row
    table = _table(weights, bias, constants)
    return Packed(KERNEL, table, b"", b"", b"", (0, bands), scratch, "rows in pairs")


def _constants(lanes: Channels, n: int) -> Constants:
    """Constants of channel n for the clamp of signed bytes."""
    short = fit(lanes, n, SHORT, 0)
    if short is not None:
        return Constants(short.m, short.c - (128 << 16), short.j)
    full = fit(lanes, n, FULL, 0)
    if full is None:
        raise Unfit("no requantisation constants pass the proof")
    return Constants(full.m, full.c - (128 << full.j), full.j | FULL_FLAG)


def _refuse(op: Op, out: Tensor) -> None:
    window = op.window
    if (window.kh, window.kw) != (3, 3) or (window.dil_h, window.dil_w) != (1, 1):
        raise Unfit(f"filter {window.kh} x {window.kw}, dilation {window.dil_h}")
    if (window.sh, window.sw) not in ((1, 1), (2, 2)):
        raise Unfit(f"stride {window.sh} x {window.sw}")
    channels = out.shape[2]
    if op.depth_mult != 1 or channels % 4:
        raise Unfit(f"{channels} channels, multiplier {op.depth_mult}")


def _table(weights: Int64Array, bias: Int64Array, constants: list[Constants]) -> bytes:
    rows: list[list[int]] = []
    for n, one in enumerate(constants):
        first, second, third = (weights[n, 3 * i : 3 * i + 3] & 0xFFFF for i in range(3))
        words = [*(first + (second << 16)), *(second + (third << 16))]
        words += [bias[n], one.m, one.c, one.j]
        rows.append([int(word) & 0xFFFFFFFF for word in words])
    return np.array(rows, dtype="<u4").tobytes()
