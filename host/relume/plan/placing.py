"""Places blocks in one memory, in as few bytes as a bounded search finds (`relume.plan.overlap`).

Blocks are placed in the order of their first tile, a few dozen partial placings side by side: each
is carried on by every place for the next block that touches another or an end of what is spanned,
and those that span least are kept. A few greedy placings by size are tried as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from relume.plan.overlap import Intervals, Use, collisions

GUEST_ALIGN = 16
FAR = 1 << 40
WIDTH = 48  # partial placings kept
MAX_WORK = 8_000  # blocks placed in all, over the partial placings: about half a second
MANY = 800  # blocks: more are placed one after the other only

Offsets = dict[int, int]


def place_uses(
    uses: Sequence[Use], align: int, *, guests: int = 0, width: int = WIDTH
) -> tuple[tuple[int, ...], int]:
    """(offset of each block, bytes in all).

    Offsets are multiples of align, those of the last `guests` blocks of GUEST_ALIGN. Guests come
    after the others that begin with the same tile, where they make the span grow least. Blocks
    need not be tensors.
    """
    place = _Placing(uses, len(uses) - guests, align)
    least = _least(uses)
    best: tuple[int, Offsets] | None = None
    for offsets in place.tries(max(1, min(width, MAX_WORK // max(1, len(uses))))):
        low = min(offsets.values(), default=0) // GUEST_ALIGN * GUEST_ALIGN
        total = max((at - low + uses[n].size for n, at in offsets.items()), default=0)
        if best is None or total < best[0]:
            best = (total, {number: at - low for number, at in offsets.items()})
        if best[0] < least + GUEST_ALIGN:
            break
    assert best is not None
    return tuple(best[1][number] for number in range(len(uses))), best[0]


def _least(uses: Sequence[Use]) -> int:
    """Bytes that no placing can do without."""
    held = np.zeros(max((use.last for use in uses), default=0) + 1, dtype=np.int64)
    for use in uses:
        held[use.first : use.last] += np.maximum(use.high - use.low, 0)
    return max([int(held.max()), *(use.size for use in uses)])


class _Placing:
    """One problem: blocks, hosts first, and what keeps them apart."""

    def __init__(self, uses: Sequence[Use], hosts: int, align: int) -> None:
        self.uses = uses
        self.hosts = hosts
        self.align = align
        self.pairs = collisions(uses)

    def tries(self, width: int) -> Iterator[Offsets]:
        """Whole placings, each by another way."""
        uses, numbers = self.uses, range(self.hosts)
        by_time = sorted(range(len(uses)), key=lambda n: (uses[n].first, n >= self.hosts, n))
        yield self._one(by_time)
        if len(uses) <= MANY:
            yield self._side_by_side(by_time, width)
        guests = list(range(self.hosts, len(uses)))
        for order in (
            sorted(numbers, key=lambda n: (-uses[n].size, n)),
            sorted(numbers, key=lambda n: (-uses[n].first, n)),
            sorted(numbers, key=lambda n: (-uses[n].size * len(uses[n].low), n)),
        ):
            yield self._one([*order, *guests])

    def _one(self, order: Sequence[int]) -> Offsets:
        """Each block where it makes the span grow least."""
        low = high = 0
        offsets: Offsets = {}
        for number in order:
            (at,) = self._places(number, offsets, low, high, False)
            offsets[number] = at
            low, high = min(low, at), max(high, at + self.uses[number].size)
        return offsets

    def _side_by_side(self, order: Sequence[int], width: int) -> Offsets:
        states: list[tuple[int, int, Offsets]] = [(0, 0, {})]
        left = {number: place for place, number in enumerate(order)}
        ends = [max((left[o] for o in self.pairs[n]), default=0) for n in range(len(self.uses))]
        wanted: list[int] = []  # placed blocks that later ones must keep apart from
        for place, number in enumerate(order):
            wanted = [n for n in [*wanted, number] if ends[n] > place]
            grown: dict[tuple[int, ...], tuple[int, int, Offsets]] = {}
            for low, high, offsets in states:
                for at in self._places(number, offsets, low, high, True):
                    bottom, top = min(low, at), max(high, at + self.uses[number].size)
                    more = {**offsets, number: at}
                    key = (top - bottom, *(more[n] - bottom for n in wanted))
                    grown[key] = (bottom, top, more)
            states = [grown[key] for key in sorted(grown, key=lambda key: key[0])[:width]]
        return states[0][2]

    def _places(
        self, number: int, offsets: Mapping[int, int], low: int, high: int, all_ends: bool
    ) -> list[int]:
        """Places for a block: the least growing one, and those that touch something."""
        taken = [
            (offsets[other] - above, offsets[other] - below)
            for other, intervals in self.pairs[number].items()
            if other in offsets
            for below, above in intervals
        ]
        host = number < self.hosts
        align = self.align if host else GUEST_ALIGN
        size = self.uses[number].size
        free = _free(taken, align)
        best = _least_growing(free, size, low, high, align)
        if not (host and all_ends):
            return [best]
        ends = {end for span in free for end in span if abs(end) < FAR}
        ends |= {_clamp(span, at // align * align) for span in free for at in (low, high - size)}
        return [best, *sorted(ends - {best})]


def _clamp(span: tuple[int, int], at: int) -> int:
    return max(span[0], min(span[1], at))


def _free(taken: Intervals, align: int) -> Intervals:
    """Closed ranges of offsets, multiples of align, outside the open intervals `taken`."""
    free: Intervals = []
    at = -FAR
    for low, high in sorted(taken):
        end = low // align * align
        if end >= at:
            free.append((at, end))
        at = max(at, -(-high // align) * align)
    return [*free, (at, FAR)]


def _least_growing(free: Intervals, size: int, low: int, high: int, align: int) -> int:
    """The offset that makes [low, high) grow least; among these the lowest."""
    best: tuple[int, int] | None = None
    for span in free:
        at = _clamp(span, -(-low // align) * align)
        if at + size > high:
            at = max(span[0], min(at, (high - size) // align * align))
        grown = max(0, low - at) + max(0, at + size - high)
        if best is None or grown < best[0]:
            best = (grown, at)
    assert best is not None
    return best[1]
