"""Requantisation constants of the Cortex-M0+ kernels, proven for every reachable accumulator.

TFLite's requantisation of one channel is a staircase over the accumulator (bias included):
out(acc) = clamp(round(acc * multiplier * 2^(shift - 31)) + zero point). With `origin` the first
accumulator whose output is above act_min, d = acc - origin and unsigned 32-bit numbers,

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

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

FRACTION = 24
FINE = 14  # d * b is shifted right by this
NEAR = 4  # of a threshold's estimate
_WORD = 1 << 32
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Channel:
    """How one output channel is requantised: TFLite's constants and the reachable range of acc."""

    multiplier: int
    shift: int
    zero_point: int
    act_min: int
    act_max: int
    acc_min: int
    acc_max: int


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


def outputs(channel: Channel, acc: Int64Array) -> Int64Array:
    """Reference outputs for accumulators [n] inside int32 (MultiplyByQuantizedMultiplier)."""
    x = acc << max(channel.shift, 0)
    x = (x * channel.multiplier + (1 << 30)) >> 31
    right = max(-channel.shift, 0)
    if right:
        x = (x - (x < 0) + (1 << (right - 1))) >> right
    out = x + channel.zero_point
    clipped: Int64Array = np.minimum(np.maximum(out, channel.act_min), channel.act_max)
    return clipped


def overflows(channel: Channel) -> bool:
    """The accumulator leaves int32 somewhere: the reference wraps and is no staircase."""
    left = max(channel.shift, 0)
    return max(-channel.acc_min, channel.acc_max) << left > _INT32_MAX


def _bracket(channel: Channel, wanted: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Around each threshold: where the real product reaches wanted - 1/2, which both roundings
    move by less than NEAR; checked, and the whole range where that is not so."""
    first, last = channel.acc_min, channel.acc_max + 1
    product = (wanted - channel.zero_point - 0.5) * 2.0 ** (31 - channel.shift)
    near = np.clip(product / max(channel.multiplier, 1), first, last).astype(np.int64)
    low, high = np.maximum(near - NEAR, first), np.minimum(near + NEAR, last)
    below = (low == first) | (outputs(channel, low - 1) < wanted)
    above = (high == last) | (outputs(channel, high) >= wanted)
    return np.where(below, low, first), np.where(above, high, last)


@functools.lru_cache(maxsize=64)
def thresholds(channel: Channel) -> Int64Array:
    """[act_max - act_min]: least acc with output above act_min + i, or acc_max + 1."""
    wanted = np.arange(channel.act_min + 1, channel.act_max + 1)
    low, high = _bracket(channel, wanted)
    while np.any(low < high):
        middle = (low + high) >> 1
        enough = outputs(channel, middle) >= wanted
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return high


@functools.lru_cache(maxsize=8192)
def fit(channel: Channel) -> Steps:
    """Constants for one channel, verified; limit = 0 if there are none."""
    if overflows(channel):
        return Steps(channel.acc_min, 0, 0, 0, 0, 0, 0)
    steps = thresholds(channel)
    origin = int(steps[0]) if steps.size else channel.acc_max + 1
    if origin > channel.acc_max:  # always act_min: d < 0
        return Steps(channel.acc_max + 1, 0, 0, 0, 1, 0, 0)
    limit = (
        int(steps[-1]) - origin if steps[-1] <= channel.acc_max else channel.acc_max - origin + 1
    )
    if limit == 0:  # one step from act_min to act_max: both ends by comparison
        return Steps(origin, 0, 0, 0, 0, 0, 0)
    points = _points(channel, steps, origin, limit)
    values = outputs(channel, points + origin)
    for corner in (0, max(0, min(limit, -origin))):
        found = _search(channel, points, values, corner)
        if found is not None:
            a, b, low, high = found
            return Steps(origin, a, b, low, limit, corner, high)
    return Steps(origin, 0, 0, 0, 0, 0, 0)


def _points(channel: Channel, steps: Int64Array, origin: int, limit: int) -> Int64Array:
    """d on both sides of every step and of zero, inside [0, limit)."""
    zero = np.array([0, limit, max(0, min(limit, -origin))], dtype=np.int64)
    edges = np.concatenate([steps - origin, zero])
    points = np.sort(np.concatenate([edges, edges - 1]))
    return points[(points >= 0) & (points < limit)]


def _search(
    channel: Channel, points: Int64Array, values: Int64Array, corner: int
) -> tuple[int, int, int, int] | None:
    """(a, b, low, high) that give `values` at `points` without leaving 32 bits."""
    top = int(points[-1])
    slope = (channel.multiplier << (FRACTION + FINE)) >> (31 - channel.shift)
    if slope * top >= _WORD << FINE:
        return None
    for nudge in (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8):
        full = slope + nudge
        if full < 0:
            continue
        a, b = full >> FINE, full & ((1 << FINE) - 1)
        if b * top >= _WORD:
            a, b = (full + (1 << (FINE - 1))) >> FINE, 0
        height = points * a + ((points * b) >> FINE)
        sides = [
            _offset(height[side], values[side] - channel.act_min)
            for side in (points < corner, points >= corner)
        ]
        if None in sides:
            continue
        low, high = sides[0], sides[1]
        assert low is not None and high is not None
        word = channel.act_min << FRACTION
        return a, b, (low + word) % _WORD, (high + word) % _WORD
    return None


def _offset(height: Int64Array, values: Int64Array) -> int | None:
    """c with (height + c) >> 24 == values and height + c < 2^32; 0 if there is nothing to meet."""
    if height.size == 0:
        return 0
    low = int(np.max((values << FRACTION) - height))
    high = int(np.min(((values + 1) << FRACTION) - height))
    if low >= high:
        return None
    return (low + high) // 2


def evaluate(steps: Steps, channel: Channel, acc: Int64Array) -> Int64Array:
    """What the board computes, for checks: [n] outputs as int8 values."""
    if not steps.exact:
        return outputs(channel, acc)
    d = acc - steps.origin
    inside = np.clip(d, 0, max(steps.limit - 1, 0))
    c = np.where(inside < steps.corner, steps.low, steps.high)
    word = (inside * steps.a + ((inside * steps.b) >> FINE) + c) % _WORD
    byte = (word >> FRACTION) - 256 * (word >> 31)
    return np.where(d < 0, channel.act_min, np.where(d >= steps.limit, channel.act_max, byte))
