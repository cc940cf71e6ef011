"""TFLite's requantisation of an op's channels, all at once, and where it steps.

out(acc) = clamp(round(acc * multiplier * 2^(shift - 31)) + zero point) is a staircase that rises
with the accumulator (bias included). A kernel's shorter formula that rises with acc too is equal
to it for every acc in [low, high] if it is on both sides of each step and at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Channels:
    """How n channels are requantised. All arrays [n]; low, high: reachable sums, bias included."""

    multiplier: Int64Array
    shift: Int64Array
    low: Int64Array
    high: Int64Array
    zero_point: int
    act_min: int
    act_max: int

    def __len__(self) -> int:
        return len(self.shift)

    def only(self, chosen: Int64Array | BoolArray) -> Channels:
        """The channels in `chosen`: their numbers, or a mask."""
        return replace(
            self,
            multiplier=self.multiplier[chosen],
            shift=self.shift[chosen],
            low=self.low[chosen],
            high=self.high[chosen],
        )

    @property
    def levels(self) -> Int64Array:
        """Outputs that a step leads to, rising."""
        return np.arange(self.act_min + 1, self.act_max + 1, dtype=np.int64)


def outputs(channels: Channels, acc: Int64Array) -> Int64Array:
    """Reference outputs [n][k] for accumulators [n][k] that stay inside int32 when shifted left
    (MultiplyByQuantizedMultiplier)."""
    left, right = _shifts(channels)
    x = acc << left
    x *= channels.multiplier[:, None]
    x += 1 << 30
    x >>= 31
    half = np.where(right > 0, 1 << np.maximum(right - 1, 0), 0)
    x += np.where(right > 0, x >> 63, 0) + half
    x >>= right
    x += channels.zero_point
    clipped: Int64Array = np.minimum(np.maximum(x, channels.act_min), channels.act_max)
    return clipped


def _shifts(channels: Channels) -> tuple[Int64Array, Int64Array]:
    """Places to the left and to the right, [n][1]."""
    shift = channels.shift[:, None]
    return np.maximum(shift, 0), np.maximum(-shift, 0)


def thresholds(channels: Channels) -> Int64Array:
    """[n][act_max - act_min]: least acc with output above act_min + i, high + 1 if none has.

    Where the real product reaches the level less 1/2, and both sides of that looked at; what is
    wrong there is halved until it is right. No shifted sum may leave int32.
    """
    wanted = channels.levels[None, :]
    first, last = channels.low[:, None], channels.high[:, None] + 1
    guess = np.minimum(np.maximum(_estimate(channels, wanted), first), last)
    below = (guess == first) | (outputs(channels, guess - 1) < wanted)
    above = (guess == last) | (outputs(channels, guess) >= wanted)
    wrong = np.flatnonzero(~(below & above).all(axis=1))
    if len(wrong):
        guess[wrong] = _halved(channels.only(wrong))
    return guess


def _estimate(channels: Channels, wanted: Int64Array) -> Int64Array:
    """Least acc whose two roundings reach `wanted`, for multipliers above 0."""
    left, right = _shifts(channels)
    level = wanted - channels.zero_point
    half = np.where(right > 0, 1 << np.maximum(right - 1, 0), 0)
    need = (level << np.minimum(right, 40)) - half  # of what is shifted right
    need = need + (need < 0) * (right > 0)  # halves below 0 go away from it
    need = np.minimum(np.maximum(need, -INT32_MAX - 2), INT32_MAX + 2)
    product = (need << 31) - (1 << 30)
    acc = -(-product // np.maximum(channels.multiplier, 1)[:, None])
    least: Int64Array = -(-acc >> left)
    return least


def _halved(channels: Channels) -> Int64Array:
    """thresholds() without an estimate."""
    wanted = channels.levels[None, :]
    shape = len(channels), wanted.shape[1]
    low = np.broadcast_to(channels.low[:, None], shape)
    high = np.broadcast_to(channels.high[:, None] + 1, shape)
    while np.any(low < high):
        middle = (low + high) >> 1
        enough = outputs(channels, middle) >= wanted
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return high
