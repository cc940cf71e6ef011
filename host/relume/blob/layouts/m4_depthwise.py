"""DEPTHWISE_CONV_2D for Cortex-M4 (SPEC 2.7.2), the first of these that fits.

3 x 3   words of two rows. Ten words a channel: the filter's columns as (w0, w1) and as (w1, w2),
        what the sum starts with, then multiplier, addend and shift.
conv    one input channel: it is a CONV_2D with a filter for each output channel.
taps    any other. Four channels make a block: words (w0, w2) and (w1, w3) of each tap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.blob.layouts import m4_conv
from relume.blob.layouts.m4_conv import KERNEL, Unfit, channels_of
from relume.blob.layouts.m4_requant import (
    FULL,
    SHORT,
    Constants,
    fit,
    fold,
)
from relume.blob.layouts.packed import Packed
from relume.blob.layouts.requant import Channels, Int64Array
from relume.model.graph import Op, Tensor

FULL_FLAG = 0x100  # in the shift's word
AS_CONV, TAPS = 3, 2  # op.kernel
TAPS_BYTES = 8192  # scratch for a gathered window, at most
BAND_BYTES = 4096  # scratch for woven rows, if one band does not need more


def depthwise(op: Op, source: Tensor, out: Tensor) -> Packed:
    """DEPTHWISE_CONV_2D. Raises Unfit with the reason."""
    assert op.weights is not None
    if source.shape[2] == 1:
        filters = np.ascontiguousarray(op.weights.transpose(2, 0, 1)[..., None])
        return replace(m4_conv.conv(replace(op, weights=filters), source, out), kernel=AS_CONV)
    return _rows_in_pairs(op, source, out) if _is_paired(op, out) else _taps(op, source, out)


def _rows_in_pairs(op: Op, source: Tensor, out: Tensor) -> Packed:
    out_h, out_w, _ = out.shape
    weights, bias, lanes = _lanes(op, source, out)
    constants = _constants(lanes)
    row = 16 * ((out_w - 1) * op.window.sw + 3)
    whole = -(-out_h // 2) if op.window.sh == 1 else out_h
    bands = max(1, min(whole, BAND_BYTES // row - 1))
    scratch = 4 + (bands + 1) * row
    table = _table(weights, bias, constants)
    return Packed(KERNEL, table, b"", b"", b"", (0, bands), scratch, "rows in pairs")


def _taps(op: Op, source: Tensor, out: Tensor) -> Packed:
    weights, bias, lanes = _lanes(op, source, out)
    n, taps = weights.shape
    scratch = (taps + 1) * (n + -n % 4)
    if scratch > TAPS_BYTES:
        raise Unfit(f"a window of {scratch} bytes")
    constants = _full(lanes)
    whole = np.pad(weights, ((0, -n % 4), (0, 0))).reshape(-1, 4, taps)[:, (0, 2, 1, 3)]
    words = np.ascontiguousarray(whole.transpose(0, 2, 1)).astype("<i2").tobytes()
    rows: list[int] = []
    for first in range(0, n, 4):
        starts = [int(b) for b in bias[first : first + 4]]
        of = [value for one in constants[first : first + 4] for value in (one.m, one.c, one.j)]
        rows += starts + [0] * (4 - len(starts)) + of + [0] * (12 - len(of))
    table = np.array([row & 0xFFFFFFFF for row in rows], dtype="<u4").tobytes()
    return Packed(TAPS, words, table, b"", b"", (), scratch, "four channels a tap")


def _lanes(op: Op, source: Tensor, out: Tensor) -> tuple[Int64Array, Int64Array, Channels]:
    """Weights [n][taps], bias with the input's zero point folded in, requantisation."""
    assert op.weights is not None
    weights = op.weights.reshape(-1, out.shape[2]).T.astype(np.int64)
    bias = fold(weights, op.bias, source.zero_point)
    return weights, bias, channels_of(op, out, weights, bias)


def _constants(lanes: Channels) -> list[Constants]:
    """Each channel's constants for the clamp of signed bytes: the short ones where they pass."""
    found = fit(lanes, SHORT, np.zeros(len(lanes), dtype=np.int64))
    others = np.array([n for n, one in enumerate(found) if one is None], dtype=np.int64)
    full = dict(zip(others.tolist(), _full(lanes.only(others)), strict=True))
    return [
        Constants(full[n].m, full[n].c, full[n].j | FULL_FLAG)
        if one is None
        else Constants(one.m, one.c - (128 << 16), one.j)
        for n, one in enumerate(found)
    ]


def _full(lanes: Channels) -> list[Constants]:
    found = fit(lanes, FULL, np.zeros(len(lanes), dtype=np.int64))
    whole = [Constants(one.m, one.c - (128 << one.j), one.j) for one in found if one is not None]
    if len(whole) < len(found):
        raise Unfit("no requantisation constants pass the proof")
    return whole


def _is_paired(op: Op, out: Tensor) -> bool:
    """What the kernel of paired rows takes."""
    window = op.window
    return (
        (window.kh, window.kw, window.dil_h, window.dil_w) == (3, 3, 1, 1)
        and (window.sh, window.sw) in ((1, 1), (2, 2))
        and op.depth_mult == 1
        and out.shape[2] % 4 == 0
    )


def _table(weights: Int64Array, bias: Int64Array, constants: list[Constants]) -> bytes:
    rows: list[list[int]] = []
    for n, one in enumerate(constants):
        first, second, third = (weights[n, 3 * i : 3 * i + 3] & 0xFFFF for i in range(3))
        words = [*(first + (second << 16)), *(second + (third << 16))]
        words += [bias[n], one.m, one.c, one.j]
        rows.append([int(word) & 0xFFFFFFFF for word in words])
    return np.array(rows, dtype="<u4").tobytes()
