"""Places blocks in one memory so that no byte is in use for two of them during one tile.

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
MAX_STEPS = 100_000  # differences looked at in all, over the orders tried: below a second
MAX_ORDERS = 60  # tried by chance


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


def busiest(uses: Sequence[Use], n_tiles: int) -> tuple[int, int]:
    """(tile, bytes) of the tile during which most bytes are in use."""
    held = np.zeros(max(n_tiles, 1), dtype=np.int64)
    for use in uses:
        held[use.first : use.last] += np.maximum(use.high - use.low, 0)
    tile = int(held.argmax())
    return tile, int(held[tile])


def forbidden(a: Use, b: Use) -> Intervals:
    """Differences b - a at which the two collide: open intervals, rising, disjoint."""
    start, stop = max(a.first, b.first), min(a.last, b.last)
    if start >= stop:
        return []
    low_a, high_a = (side[start - a.first : stop - a.first] for side in (a.low, a.high))
    low_b, high_b = (side[start - b.first : stop - b.first] for side in (b.low, b.high))
    held = (high_a > low_a) & (high_b > low_b)
    pairs = np.stack(((low_a - high_b)[held], (high_a - low_b)[held]), axis=1)
    merged: Intervals = []
    for low, high in np.unique(pairs, axis=0).tolist():
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def place_uses(uses: Sequence[Use], align: int) -> tuple[tuple[int, ...], int]:
    """(offset of each block, bytes in all). The best of several greedy orders.

    Offsets are multiples of align, the total is what the blocks span.
    """
    pairs = _pairs(uses)
    n_tiles = max((use.last for use in uses), default=0)
    least = busiest(uses, n_tiles)[1]
    least = max([least, *(use.size for use in uses)], default=0)
    best: tuple[int, list[int]] | None = None
    steps = sum(1 + len(intervals) for by_other in pairs for intervals in by_other.values())
    for order in _orders(uses, min(MAX_ORDERS, MAX_STEPS // max(1, steps))):
        offsets = _place(uses, pairs, order, align)
        total = max((at + use.size for at, use in zip(offsets, uses, strict=True)), default=0)
        if best is None or total < best[0]:
            best = (total, offsets)
        if best[0] < least + align:
            break
    assert best is not None
    return tuple(best[1]), best[0]


def _pairs(uses: Sequence[Use]) -> list[dict[int, Intervals]]:
    """By block: the blocks that it may collide with and the differences (they - it) forbidden."""
    pairs: list[dict[int, Intervals]] = [{} for _ in uses]
    by_time = sorted(range(len(uses)), key=lambda number: uses[number].first)
    shared = [
        (a, b)
        for place, a in enumerate(by_time)
        for b in _until(uses, by_time, place + 1, uses[a].last)
    ]
    if len(shared) > MAX_PAIRS:
        uses = [whole(use) for use in uses]
    for a, b in shared:
        if len(shared) > MAX_PAIRS:
            apart = uses[a].first >= uses[b].last or uses[b].first >= uses[a].last
            intervals = [] if apart else [(-uses[b].size, uses[a].size)]
        else:
            intervals = forbidden(uses[a], uses[b])
        if intervals:
            pairs[a][b] = intervals
            pairs[b][a] = [(-high, -low) for low, high in reversed(intervals)]
    return pairs


def _until(uses: Sequence[Use], by_time: list[int], start: int, end: int) -> Iterator[int]:
    """Blocks from place `start` on that begin before tile `end`."""
    for place in range(start, len(by_time)):
        if uses[by_time[place]].first >= end:
            return
        yield by_time[place]


def _orders(uses: Sequence[Use], tries: int) -> Iterator[list[int]]:
    """Orders to place the blocks in: by size, by time, then by size with chance mixed in."""
    numbers = list(range(len(uses)))
    yield sorted(numbers, key=lambda n: (-uses[n].size, n))
    yield sorted(numbers, key=lambda n: (uses[n].first, n))
    yield sorted(numbers, key=lambda n: (-uses[n].first, n))
    yield sorted(numbers, key=lambda n: (-uses[n].size * len(uses[n].low), n))
    chance = np.random.default_rng(0)
    sizes = np.array([use.size for use in uses], dtype=np.float64)
    for _ in range(tries):
        noisy = sizes * chance.uniform(0.3, 1.0, len(sizes))
        yield [int(n) for n in np.argsort(-noisy, kind="stable")]


def _place(
    uses: Sequence[Use], pairs: list[dict[int, Intervals]], order: list[int], align: int
) -> list[int]:
    """Each block where it makes the span grow least; offsets from the span's start."""
    offsets: dict[int, int] = {}
    low = high = 0
    for number in order:
        taken = [
            (offsets[other] - above, offsets[other] - below)
            for other, intervals in pairs[number].items()
            if other in offsets
            for below, above in intervals
        ]
        size = uses[number].size
        at = _best(_free(taken, align), size, low, high, align)
        offsets[number] = at
        low, high = min(low, at), max(high, at + size)
    return [offsets[number] - low for number in range(len(uses))]


def _free(taken: Intervals, align: int) -> Intervals:
    """Closed ranges of offsets, multiples of align, outside the open intervals `taken`."""
    free: Intervals = []
    at = -(1 << 40)
    for low, high in sorted(taken):
        end = low // align * align
        if end >= at:
            free.append((at, end))
        at = max(at, -(-high // align) * align)
    return [*free, (at, 1 << 40)]


def _best(free: Intervals, size: int, low: int, high: int, align: int) -> int:
    """The offset that makes [low, high) grow least; among these the lowest."""
    best: tuple[int, int] | None = None
    for first, last in free:
        at = min(max(low, first), last)  # the lowest that does not go below the span
        if at + size > high:
            at = max(first, min(at, (high - size) // align * align))
        grown = max(0, low - at) + max(0, at + size - high)
        if best is None or grown < best[0]:
            best = (grown, at)
    assert best is not None
    return best[1]
