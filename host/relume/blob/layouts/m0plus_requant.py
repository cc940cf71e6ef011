"""Requantisation constants of the Cortex-M0+ kernels, proven for every reachable accumulator.

TFLite's requantisation of one channel is a staircase over the accumulator (`requant`). With
`origin` the first accumulator whose output is above act_min, d = acc - origin and unsigned 32-bit
numbers,

    d < 0        act_min
    d >= limit   act_max
    else         (d * a + (d * b >> 14) + c) >> 24, modulo 256

a and b are the slope to 38 binary places, c the offset. Rounding is not the same on both sides of
zero (halves go away from it), so d < `corner` has an offset of its own when one does not do. The
formula rises with d, so it is right for every d if it is right on both sides of every step: that
is what `fit` checks, by evaluating it there in exact integers. A channel for which no constants
pass (limit = 0) is computed from its multiplier and exponent on the board.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.blob.layouts.requant import (
    INT32_MAX,
    BoolArray,
    Channels,
    Int64Array,
    outputs,
    thresholds,
)

FRACTION = 24
FINE = 14  # d * b is shifted right by this
NUDGES = (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8)  # of the slope
BLOCK = 128  # channels at a time, for the cache's sake
_WORD = 1 << 32
_FAR = 1 << 62


@dataclass(frozen=True)
class Steps:
    """Constants of the formula; high takes low's place from corner on. limit = 0: none pass."""

    origin: int
    a: int
    b: int
    low: int
    limit: int
    corner: int
    high: int

    @property
    def exact(self) -> bool:
        """The formula holds; else the board multiplies in 64 bits."""
        return self.limit > 0


def overflows(channels: Channels) -> BoolArray:
    """[n] The accumulator leaves int32 somewhere: the reference wraps and is no staircase."""
    room = INT32_MAX >> np.maximum(channels.shift, 0)
    wraps: BoolArray = np.maximum(-channels.low, channels.high) > room
    return wraps


def fit(channels: Channels) -> list[Steps]:
    """Constants for each channel, verified; limit = 0 where there are none."""
    numbers = np.arange(len(channels))
    blocks = [numbers[first : first + BLOCK] for first in range(0, len(channels), BLOCK)]
    return [steps for block in blocks for steps in _fit(channels.only(block))]


def _fit(channels: Channels) -> list[Steps]:
    wraps = overflows(channels)
    found = [Steps(int(low), 0, 0, 0, 0, 0, 0) for low in channels.low]
    stairs = np.flatnonzero(~wraps)
    if not len(stairs):
        return found
    if channels.act_min >= channels.act_max:
        edges = channels.high[stairs, None] + 1
    else:
        edges = thresholds(channels.only(stairs))
    origin, high = edges[:, 0], channels.high[stairs]
    limit = np.minimum(edges[:, -1], high + 1) - origin
    for n, start, last in zip(stairs.tolist(), origin.tolist(), high.tolist(), strict=True):
        none = start > last  # always act_min: d < 0
        found[n] = Steps(start, 0, 0, 0, int(none), 0, 0)
    sloped = np.flatnonzero(limit > 0)  # 0: one step from act_min to act_max, by comparison
    if len(sloped):
        chosen = stairs[sloped]
        every = _Search(channels.only(chosen), edges[sloped], limit[sloped]).steps()
        for n, steps in zip(chosen.tolist(), every, strict=True):
            found[n] = steps
    return found


class _Search:
    """Slopes and offsets of channels with steps inside [0, limit)."""

    def __init__(self, channels: Channels, edges: Int64Array, limit: Int64Array) -> None:
        self.act_min, self.limit, self.origin = channels.act_min, limit, edges[:, 0]
        self.zero = np.minimum(np.maximum(-self.origin, 0), limit)  # d of acc = 0
        ends = np.stack([np.zeros_like(limit), limit, self.zero], axis=1)
        sides = np.concatenate([edges - self.origin[:, None], ends], axis=1)
        both = np.concatenate([sides, sides - 1], axis=1)
        # d on both sides of every step and of zero; what is outside is 0, which is inside.
        self.points = np.where((both >= 0) & (both < limit[:, None]), both, 0)
        values = outputs(channels, self.points + self.origin[:, None]) - channels.act_min
        self.floor = values << FRACTION
        self.top = self.points.max(axis=1)
        scales = zip(channels.multiplier.tolist(), channels.shift.tolist(), strict=True)
        self.slope = [(m << (FRACTION + FINE)) >> (31 - shift) for m, shift in scales]

    def steps(self) -> list[Steps]:
        """The first slope that passes: without a corner if there is one, the nearest."""
        origin, limit, zero = self.origin.tolist(), self.limit.tolist(), self.zero.tolist()
        found = [Steps(start, 0, 0, 0, 0, 0, 0) for start in origin]
        top = self.top.tolist()
        left = [n for n in range(len(found)) if self.slope[n] * top[n] < _WORD << FINE]
        for corner in (False, True):
            if corner:
                left = [n for n in left if zero[n]]
            for nudge in NUDGES:
                tried = [n for n in left if self.slope[n] + nudge >= 0]
                slopes = [self._split(self.slope[n] + nudge, top[n]) for n in tried]
                passed = self._offsets(tried, slopes, corner)
                for n, (a, b), sides in zip(tried, slopes, passed, strict=True):
                    if sides is not None:
                        at = zero[n] if corner else 0
                        found[n] = Steps(origin[n], a, b, sides[0], limit[n], at, sides[1])
                left = [n for n in left if not found[n].exact]
        return found

    @staticmethod
    def _split(full: int, top: int) -> tuple[int, int]:
        """a and b of a slope whose products stay in 32 bits up to d = top."""
        a, b = full >> FINE, full & ((1 << FINE) - 1)
        return (a, b) if b * top < _WORD else ((full + (1 << (FINE - 1))) >> FINE, 0)

    def _offsets(
        self, rows: list[int], slopes: list[tuple[int, int]], corner: bool
    ) -> list[tuple[int, int] | None]:
        """(low, high) that give the values at all points; None where nothing does."""
        if not rows:
            return []
        # A slope beyond that belongs to d = 0 alone, which it is multiplied with.
        a, b = (np.array([min(slope[i], _WORD) for slope in slopes])[:, None] for i in (0, 1))
        points, floor = self.points[rows], self.floor[rows]
        least = floor - (points * a + ((points * b) >> FINE))
        most = least + (1 << FRACTION)
        if not corner:
            high = _between(least.max(axis=1), most.min(axis=1), self.act_min)
            return [None if one is None else (_word(0, self.act_min), one) for one in high]
        before = points < self.zero[rows][:, None]
        low, high = (
            _between(
                np.where(side, least, -_FAR).max(axis=1),
                np.where(side, most, _FAR).min(axis=1),
                self.act_min,
            )
            for side in (before, ~before)
        )
        return [
            None if one is None or other is None else (one, other)
            for one, other in zip(low, high, strict=True)
        ]


def _between(least: Int64Array, most: Int64Array, act_min: int) -> list[int | None]:
    """c with least <= c < most, as a word with act_min in it; 0 if there is nothing to meet."""
    return [
        None if low >= high else _word((low + high) // 2, act_min)
        for low, high in zip(least.tolist(), most.tolist(), strict=True)
    ]


def _word(c: int, act_min: int) -> int:
    return (c + (act_min << FRACTION)) % _WORD


def evaluate(steps: Steps, channels: Channels, acc: Int64Array) -> Int64Array:
    """What the board computes for one channel, for checks: [k] outputs as int8 values."""
    bytes_of: Int64Array = outputs(channels, acc[None, :])[0]
    if not steps.exact:
        return bytes_of
    d = acc - steps.origin
    inside = np.clip(d, 0, max(steps.limit - 1, 0))
    c = np.where(inside < steps.corner, steps.low, steps.high)
    word = (inside * steps.a + ((inside * steps.b) >> FINE) + c) % _WORD
    byte = (word >> FRACTION) - 256 * (word >> 31)
    inner = np.where(d >= steps.limit, channels.act_max, byte)
    bytes_of = np.where(d < 0, channels.act_min, inner)
    return bytes_of
