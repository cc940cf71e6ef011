"""Requantisation constants of the Cortex-M4 kernels, proven for every reachable accumulator.

TFLite's out(acc) = clamp(round(acc * multiplier * 2^(shift - 31)) + zero point) is a staircase
that rises with acc. Two shorter staircases take its place; they rise with acc too, so they are
equal for every acc in [low, high] if they are equal on both sides of each of TFLite's steps and
at both ends. That is what is evaluated here, in exact integers.

SHORT  z = ((acc << up) << j) * m / 2^32 + c (floor); byte = clamp(z >> 16, 0, 255) - 128.
       With e = -shift, m = multiplier, up + j = 17 - e, c = 2^15 + 2^(15 - e) it is TFLite's
       double rounding wherever acc >= 0: x + 2^(e-1) >= t 2^e, x = round(acc m / 2^31), is
       acc m / 2^31 >= (t - 1/2) 2^e - 1/2. Below 0 TFLite rounds halves the other way: right if
       the clamp begins at the zero point.
FULL   x = round(2 acc * m / 2^32); x += x >> 31; byte = clamp((x + c) >> j, 0, 255) - 128.

up is 8 for channels whose sum is found as 256 S, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

SHORT, FULL = 0, 1
_LIMIT = 1 << 31
_NEAREST = 4
_NEAR = sorted(range(-3, 4), key=abs)


@dataclass(frozen=True)
class Channels:
    """How n channels are requantised. All arrays [n]; low, high: reachable sums, bias included."""

    multiplier: Int64Array
    shift: Int64Array
    low: Int64Array
    high: Int64Array
    zero_point: int
    act_min: int
    act_max: int

    def only(self, chosen: Int64Array) -> Channels:
        """The channels in `chosen`."""
        return replace(
            self,
            multiplier=self.multiplier[chosen],
            shift=self.shift[chosen],
            low=self.low[chosen],
            high=self.high[chosen],
        )

    def constants(self) -> npt.NDArray[np.int8]:
        """[n]: each channel's byte for its smallest sum; its only one if it is constant."""
        out = [exact(self, n, self.low[n : n + 1])[0] for n in range(len(self.low))]
        return np.array(out).astype(np.int8)


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


def exact(channels: Channels, n: int, acc: Int64Array) -> Int64Array:
    """TFLite's output of channel n for sums acc."""
    shift = int(channels.shift[n])
    x = acc << max(0, shift)
    x = (x * int(channels.multiplier[n]) + (1 << 30)) >> 31
    if shift < 0:
        x = (x + (x >> 63) + (1 << (-shift - 1))) >> -shift
    x = x + channels.zero_point
    out: Int64Array = np.minimum(np.maximum(x, channels.act_min), channels.act_max)
    return out


def _steps(channels: Channels, n: int) -> Int64Array:
    """Both sides of every step of channel n inside [low, high], and the two ends."""
    low, high = int(channels.low[n]), int(channels.high[n])
    first, last = (int(exact(channels, n, np.array([end]))[0]) for end in (low, high))
    levels = np.arange(first + 1, last + 1, dtype=np.int64)
    # The real product reaches level - 1/2 here; both roundings move that by less than _NEAREST.
    product = (levels - channels.zero_point - 0.5) * 2.0 ** (31 - int(channels.shift[n]))
    guess = product / max(int(channels.multiplier[n]), 1)
    near = np.minimum(np.maximum(guess, low), high).astype(np.int64)
    below, above = np.maximum(near - _NEAREST, low), np.minimum(near + _NEAREST, high)
    below = np.where(exact(channels, n, below) < levels, below, low)
    above = np.where(exact(channels, n, above) >= levels, above, high)
    while bool((above - below > 1).any()):
        middle = (below + above) >> 1
        reached = exact(channels, n, middle) >= levels
        above = np.where(reached, middle, above)
        below = np.where(reached, below, middle)
    sums: Int64Array = np.concatenate([[low, high], below, above]).astype(np.int64)
    return sums


def _short(constants: Constants, up: int, acc: Int64Array) -> Int64Array:
    z = (((acc << (up + constants.j)) * constants.m) >> 32) + constants.c
    out: Int64Array = np.minimum(np.maximum(z >> 16, 0), 255) - 128
    return out


def _full(constants: Constants, acc: Int64Array) -> Int64Array:
    x = (2 * acc * constants.m + (1 << 31)) >> 32
    x = x + (x >> 63)
    out: Int64Array = np.minimum(np.maximum((x + constants.c) >> constants.j, 0), 255) - 128
    return out


def reachable(channels: Channels, n: int) -> bool:
    """The sums of channel n stay in int32 through TFLite's own left shift."""
    most = max(abs(int(channels.low[n])), abs(int(channels.high[n])) + 1)
    return most << max(0, int(channels.shift[n])) < _LIMIT


def is_constant(channels: Channels, n: int) -> bool:
    """Channel n gives the same byte for every input."""
    ends = np.array([channels.low[n], channels.high[n]])
    out = exact(channels, n, ends)
    return reachable(channels, n) and bool(out[0] == out[1])


def fit(channels: Channels, n: int, tail: int, up: int) -> Constants | None:
    """Constants of channel n that give TFLite's byte for every sum, or None."""
    if not reachable(channels, n):
        return None
    sums = _steps(channels, n)
    wanted = exact(channels, n, sums)
    if bool((wanted == wanted[0]).all()):
        level = int(wanted[0]) + 128
        return Constants(0, level << 16, 0) if tail == SHORT else Constants(0, level, 0)
    return (_fit_short if tail == SHORT else _fit_full)(channels, n, up, sums, wanted)


def _fit_short(
    channels: Channels, n: int, up: int, sums: Int64Array, wanted: Int64Array
) -> Constants | None:
    shift = int(channels.shift[n])
    j = 17 + shift - up
    multiplier = int(channels.multiplier[n])
    if j < 0:
        multiplier = (multiplier + (1 << (-j - 1))) >> -j
        j = 0
    if j > 31 or int(np.abs(sums).max() + 1) << (up + j) >= _LIMIT:
        return None
    addend = (1 << 15) + ((channels.zero_point + 128) << 16)
    if -15 <= shift < 0:
        addend += 1 << (15 + shift)
    for dm in _NEAR if j == 0 else (0,):
        for dc in _NEAR if j == 0 else (0,):
            found = Constants(min(multiplier + dm, _LIMIT - 1), addend + dc, j)
            if bool((_short(found, up, sums) == wanted).all()):
                return found
    return None


def _fit_full(
    channels: Channels, n: int, up: int, sums: Int64Array, wanted: Int64Array
) -> Constants | None:
    e = -int(channels.shift[n])
    most = int(np.abs(sums).max()) + 1
    if not 1 <= e <= 21 or 2 * most << up >= 2 * _LIMIT or 2 * most >= _LIMIT:
        return None
    found = Constants(
        int(channels.multiplier[n]), (1 << (e - 1)) + ((channels.zero_point + 128) << e), e
    )
    largest = (most * found.m >> 31) + found.c
    if largest >= _LIMIT or largest >> e >= 1 << 15:
        return None
    return found if bool((_full(found, sums) == wanted).all()) else None
