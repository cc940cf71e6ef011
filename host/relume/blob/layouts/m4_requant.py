"""Requantisation constants of the Cortex-M4 kernels, proven for every reachable accumulator.

Two staircases that are shorter than TFLite's (`requant`) take its place; they rise with acc too,
so they are looked at on both sides of each of TFLite's steps and at both ends, in exact integers.

SHORT  z = ((acc << up) << j) * m / 2^32 + c (floor); byte = clamp(z >> 16, 0, 255) - 128.
       With e = -shift, m = multiplier, up + j = 17 - e, c = 2^15 + 2^(15 - e) it is TFLite's
       double rounding wherever acc >= 0: x + 2^(e-1) >= t 2^e, x = round(acc m / 2^31), is
       acc m / 2^31 >= (t - 1/2) 2^e - 1/2. Below 0 TFLite rounds halves the other way: right if
       the clamp begins at the zero point.
FULL   x = round(2 acc * m / 2^32); x += x >> 31; byte = clamp((x + c) >> j, 0, 255) - 128.

up is 8 for channels whose sum is found as 256 S, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relume.blob.layouts.requant import (
    BoolArray,
    Channels,
    Int64Array,
    outputs,
    thresholds,
)

SHORT, FULL = 0, 1
BLOCK = 128  # channels at a time, for the cache's sake
_LIMIT = 1 << 31
_NEAR = sorted(range(-3, 4), key=abs)


def constants_of(channels: Channels) -> npt.NDArray[np.int8]:
    """[n]: each channel's byte for its smallest sum; its only one if it is constant."""
    return outputs(channels, channels.low[:, None])[:, 0].astype(np.int8)


@dataclass(frozen=True)
class Constants:
    """Multiplier, addend and shift of one channel."""

    m: int
    c: int
    j: int


def reach(weights: Int64Array, bias: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest bias + sum of x * w over all int8 x. weights [n][k], bias [n]."""
    low = bias + np.minimum(-128 * weights, 127 * weights).sum(axis=1)
    high = bias + np.maximum(-128 * weights, 127 * weights).sum(axis=1)
    return low, high


def fold(weights: Int64Array, bias: npt.NDArray[np.int32] | None, zero_point: int) -> Int64Array:
    """Bias [n] for raw inputs: the input's zero point times the weights' sum taken off."""
    start = np.zeros(len(weights), dtype=np.int64) if bias is None else bias.astype(np.int64)
    folded: Int64Array = start - zero_point * weights.sum(axis=1)
    return folded


def reachable(channels: Channels) -> BoolArray:
    """[n] The sums stay in int32 through TFLite's own left shift."""
    most = np.maximum(np.abs(channels.low), np.abs(channels.high) + 1)
    fits: BoolArray = most < -(-_LIMIT >> np.maximum(channels.shift, 0))
    return fits


def are_constant(channels: Channels) -> BoolArray:
    """[n] The channel gives the same byte for every input."""
    out = outputs(channels, np.stack([channels.low, channels.high], axis=1))
    same: BoolArray = reachable(channels) & (out[:, 0] == out[:, 1])
    return same


def fit(channels: Channels, tail: int, up: Int64Array) -> list[Constants | None]:
    """Constants of each channel that give TFLite's byte for every sum, or None. up [n]."""
    found: list[Constants | None] = [None] * len(channels)
    stairs = np.flatnonzero(reachable(channels))
    for first in range(0, len(stairs), BLOCK):
        block = stairs[first : first + BLOCK]
        for n, constants in zip(block, _fit(channels.only(block), tail, up[block]), strict=True):
            found[n] = constants
    return found


def _fit(channels: Channels, tail: int, up: Int64Array) -> list[Constants | None]:
    sums = _steps(channels)
    wanted = outputs(channels, sums)
    found = (_fit_short if tail == SHORT else _fit_full)(channels, up, sums, wanted)
    for n in np.flatnonzero((wanted == wanted[:, :1]).all(axis=1)):
        level = int(wanted[n, 0]) + 128
        found[n] = Constants(0, level << 16, 0) if tail == SHORT else Constants(0, level, 0)
    return found


def _steps(channels: Channels) -> Int64Array:
    """[n][k]: both sides of every step inside [low, high], and the two ends."""
    low, high = channels.low[:, None], channels.high[:, None]
    steps = thresholds(channels)
    below, above = np.maximum(steps - 1, low), np.minimum(steps, high)
    return np.concatenate([low, high, below, above], axis=1)


def _short(rows: list[Constants], up: Int64Array, acc: Int64Array) -> Int64Array:
    m, c, j = _columns(rows)
    z = (((acc << (up[:, None] + j)) * m) >> 32) + c
    out: Int64Array = np.minimum(np.maximum(z >> 16, 0), 255) - 128
    return out


def _full(rows: list[Constants], acc: Int64Array) -> Int64Array:
    m, c, j = _columns(rows)
    x = (2 * acc * m + (1 << 31)) >> 32
    x = x + (x >> 63)
    out: Int64Array = np.minimum(np.maximum((x + c) >> j, 0), 255) - 128
    return out


def _columns(rows: list[Constants]) -> tuple[Int64Array, Int64Array, Int64Array]:
    """m, c and j, [n][1]."""
    values = np.array([(one.m, one.c, one.j) for one in rows], dtype=np.int64)
    return values[:, 0:1], values[:, 1:2], values[:, 2:3]


def _fit_short(
    channels: Channels, up: Int64Array, sums: Int64Array, wanted: Int64Array
) -> list[Constants | None]:
    found: list[Constants | None] = [None] * len(channels)
    starts = {}
    for n, most in enumerate((np.abs(sums).max(axis=1) + 1).tolist()):
        one = _short_start(channels, n, int(up[n]))
        if one.j <= 31 and most << (int(up[n]) + one.j) < _LIMIT:
            starts[n] = one
    for dm in _NEAR:
        for dc in _NEAR:
            tried = {
                n: Constants(min(one.m + dm, _LIMIT - 1), one.c + dc, one.j)
                for n, one in starts.items()
                if found[n] is None and (one.j == 0 or dm == dc == 0)
            }
            if not tried:
                continue
            rows = list(tried)
            bytes_of = _short(list(tried.values()), up[rows], sums[rows])
            for n, passes in zip(rows, (bytes_of == wanted[rows]).all(axis=1), strict=True):
                if passes:
                    found[n] = tried[n]
    return found


def _short_start(channels: Channels, n: int, up: int) -> Constants:
    """What follows from TFLite's constants; where j is 0, others near it may do instead."""
    shift, multiplier = int(channels.shift[n]), int(channels.multiplier[n])
    j = 17 + shift - up
    if j < 0:
        multiplier = (multiplier + (1 << (-j - 1))) >> -j
        j = 0
    addend = (1 << 15) + ((channels.zero_point + 128) << 16)
    if -15 <= shift < 0:
        addend += 1 << (15 + shift)
    return Constants(multiplier, addend, j)


def _fit_full(
    channels: Channels, up: Int64Array, sums: Int64Array, wanted: Int64Array
) -> list[Constants | None]:
    found: list[Constants | None] = [None] * len(channels)
    starts = {}
    for n, most in enumerate((np.abs(sums).max(axis=1) + 1).tolist()):
        one = _full_start(channels, n, int(up[n]), most)
        if one is not None:
            starts[n] = one
    if starts:
        rows = list(starts)
        bytes_of = _full(list(starts.values()), sums[rows])
        for n, passes in zip(rows, (bytes_of == wanted[rows]).all(axis=1), strict=True):
            found[n] = starts[n] if passes else None
    return found


def _full_start(channels: Channels, n: int, up: int, most: int) -> Constants | None:
    """None where a word would not hold a sum, |sum| < most, on its way."""
    e = -int(channels.shift[n])
    if not 1 <= e <= 21 or 2 * most << up >= 2 * _LIMIT or 2 * most >= _LIMIT:
        return None
    start = Constants(
        int(channels.multiplier[n]), (1 << (e - 1)) + ((channels.zero_point + 128) << e), e
    )
    largest = (most * start.m >> 31) + start.c
    return None if largest >= _LIMIT or largest >> e >= 1 << 15 else start
