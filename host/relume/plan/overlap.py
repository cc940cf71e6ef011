"""Which addresses of two blocks let no byte be in use for both during one tile.

A block is a tensor or anything else of which, while a tile runs, one range of bytes is in use.
Two blocks at a and b collide during a tile if [a + low, a + high) meets [b + low', b + high'), so
each tile of the time that they share forbids the differences b - a in the open interval
(low - high', high - low'). An output may so lie over the dead rows of its own input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Intervals = list[tuple[int, int]]

MAX_PAIRS = 20_000  # pairs of blocks that are compared tile by tile


@dataclass(frozen=True, eq=False)
class Use:
    """Bytes [low, high) of a block of `size` bytes are in use during tiles [first, first + n).

    low, high [n]: bytes from the block's start; nothing is in use where high <= low.
    """

    size: int
    first: int
    low: IntArray
    high: IntArray

    @property
    def last(self) -> int:
        """One past the last tile."""
        return self.first + len(self.low)


def whole(use: Use) -> Use:
    """All of the block in use as long as any of it is."""
    held = np.flatnonzero(use.high > use.low)
    if not len(held):
        return use
    n = int(held[-1] - held[0]) + 1
    ends = np.full(n, use.size, dtype=np.int64)
    return Use(use.size, use.first + int(held[0]), np.zeros(n, dtype=np.int64), ends)


def forbidden(a: Use, b: Use) -> Intervals:
    """Differences b - a at which the two collide: open intervals, rising, disjoint."""
    start, stop = max(a.first, b.first), min(a.last, b.last)
    if start >= stop:
        return []
    low_a, high_a = (side[start - a.first : stop - a.first] for side in (a.low, a.high))
    low_b, high_b = (side[start - b.first : stop - b.first] for side in (b.low, b.high))
    held = (high_a > low_a) & (high_b > low_b)
    lows, highs = (low_a - high_b)[held].tolist(), (high_a - low_b)[held].tolist()
    merged: Intervals = []
    for low, high in sorted(set(zip(lows, highs, strict=True))):
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def collisions(uses: Sequence[Use]) -> list[dict[int, Intervals]]:
    """By block: the blocks that it may collide with and the differences (they - it) forbidden."""
    pairs: list[dict[int, Intervals]] = [{} for _ in uses]
    by_time = sorted(range(len(uses)), key=lambda number: uses[number].first)
    shared = [
        (a, b)
        for place, a in enumerate(by_time)
        for b in _until(uses, by_time, place + 1, uses[a].last)
        if len(uses[b].low)
    ]
    if len(shared) > MAX_PAIRS:
        uses = [whole(use) for use in uses]
    for a, b in shared:
        if len(shared) > MAX_PAIRS:
            apart = uses[a].first >= uses[b].last or uses[b].first >= uses[a].last
            intervals = [] if apart else [(-uses[b].size, uses[a].size)]
        elif len(uses[a].low) == 1 or len(uses[b].low) == 1:
            intervals = _at_one_tile(uses[a], uses[b])
        else:
            intervals = forbidden(uses[a], uses[b])
        if intervals:
            pairs[a][b] = intervals
            pairs[b][a] = [(-high, -low) for low, high in reversed(intervals)]
    return pairs


def _at_one_tile(a: Use, b: Use) -> Intervals:
    """forbidden() of blocks that meet during one tile."""
    tile = max(a.first, b.first)
    low, high = int(a.low[tile - a.first]), int(a.high[tile - a.first])
    other, end = int(b.low[tile - b.first]), int(b.high[tile - b.first])
    return [(low - end, high - other)] if high > low and end > other else []


def _until(uses: Sequence[Use], by_time: list[int], start: int, end: int) -> Iterator[int]:
    """Blocks from place `start` on that begin before tile `end`."""
    for place in range(start, len(by_time)):
        if uses[by_time[place]].first >= end:
            return
        yield by_time[place]
