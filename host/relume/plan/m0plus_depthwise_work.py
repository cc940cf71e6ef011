"""What a tile of the Cortex-M0+ depthwise convolution costs (SPEC 2.7.3).

A tile is made of parts of two halves; a part of r rows costs at most `fixed + slope * rows of a
half`, and the constants below say what goes into either. In cycles of the Thumb code, for inputs
of which no plane lets its lanes be proven, after looking through it twice.
"""

from __future__ import annotations

import numpy as np

from relume.blob.layouts.m0plus_depthwise import (
    BESIDE,
    GROUP,
    LANE_MAX,
    WITH_CORNER,
    is_3x3,
    reach,
)  # fmt: skip
from relume.model.graph import Op

PART, COLUMN, PATCHES = 720.0, 60.0, 800.0  # of a channel; PATCHES: of four
TAP, TAP_GROUP, TAPS = 7.0, 12.0, 14.0  # sums of two outputs
ROLLING = 56.0  # the same, where rows roll
OUTPUT, CORNER, EXACT = 18.0, 10.0, 140.0  # of an output
INPUT, LOOKED, ROW = 8.5, 10.0, 20.0  # of a plane; ROW: of its rows, of four channels
INPUT_BYTES = 26.0  # channels not in fours
ENTRY = 75.0  # of the table of taps


def depthwise_work(
    op: Op, p: tuple[int, ...], out: tuple[int, int, int]
) -> tuple[float, float, float, bool, float]:
    """Work's unit, tile, outputs, spans and area."""
    rows, columns, exact, flags = p[:4]
    _, width, channels = out
    window = op.window
    beside = bool(flags & BESIDE)
    strips = -(-width // (2 * columns if beside else columns))
    across = strips * reach(columns, window.kw, window.sw, window.dil_w)
    down = max(0, reach(1, window.kh, 1, window.dil_h) - window.sh)
    per_input = INPUT if channels % 4 == 0 else INPUT_BYTES
    if is_3x3(window):
        per_input += LOOKED
    per_row = across * per_input + (3 if beside else 1) * strips * ROW / 4
    pair = sums_of_pair(op) + 2 * (OUTPUT + CORNER * (flags & WITH_CORNER)) + 5
    pair += 2 * EXACT * exact / channels
    fixed = strips * (PART + PATCHES / 4 + COLUMN * columns) + down * per_row
    fixed += strips * ENTRY * window.kh * window.kw
    slope = window.sh * per_row + pair * strips * columns
    of_row, in_band = (1.0, rows) if beside else (0.5, 2 * rows)
    unit = channels * (of_row * slope + fixed / in_band) / width + channels
    reach_w = reach(1, window.kw, 1, window.dil_w)
    area = channels * (fixed + 0.5 * slope + 2 * window.sh * reach_w * per_input)
    return unit, area, 0.0, False, area


def sums_of_pair(op: Op) -> float:
    """Cycles of the sums of two outputs of a channel, at worst and on average over the channels.

    Taps go into groups as in kernels/m0plus/depthwise_channel.c, for inputs of 255.
    """
    assert op.weights is not None
    weights = np.abs(op.weights.reshape(-1, op.weights.shape[-1]).astype(np.int64)).T
    total = 0.0
    for row in weights:
        taps = row[row > 0]
        groups, n, size = 0, GROUP, 0
        for w in taps:
            if n == GROUP or (size + int(w)) * 255 > LANE_MAX:
                groups, n, size = groups + 1, 0, 0
            n, size = n + 1, size + int(w)
        cycles = TAPS + TAP_GROUP * groups + TAP * len(taps)
        total += max(cycles, ROLLING) if is_3x3(op.window) else cycles
    return total / len(weights)
