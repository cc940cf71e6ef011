"""Places blocks in one memory, in as few bytes as a bounded search finds (`relume.plan.overlap`).

Blocks are placed in the order of their first tile, a few dozen partial placings side by side: each
is carried on by every place for the next block that touches another or an end of what is spanned,
and those that span least are kept. A few greedy placings by size are tried as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from relume.plan.overlap import Intervals, Use, collisions

GUEST_ALIGN = 16
FAR = 1 << 40
WIDTH = 48  # partial placings kept
MAX_WORK = 8_000  # blocks placed in all, over the partial placings: about half a second
MANY = 800  # blocks: more are placed one after the other only

Offsets = dict[int, int]
Apart = list[tuple[int, int, int]]


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
        low, total = place.extent(offsets)
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

    def extent(self, offsets: Offsets) -> tuple[int, int]:
        """(lowest offset, bytes from there to the last block's end) of a whole placing."""
        low = min(offsets.values(), default=0) // GUEST_ALIGN * GUEST_ALIGN
        return low, max((at - low + self.uses[n].size for n, at in offsets.items()), default=0)

    def tries(self, width: int) -> Iterator[Offsets]:
        """Whole placings, each by another way."""
        uses, numbers = self.uses, range(self.hosts)
        by_time = sorted(range(len(uses)), key=lambda n: (uses[n].first, n >= self.hosts, n))
        first = self._one(by_time)
        yield first
        if len(uses) <= MANY:
            yield self._side_by_side(by_time, width, self.extent(first)[1]) or first
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
            apart = self._apart(number, [o for o in self.pairs[number] if o in offsets])
            (at,) = self._places(number, apart, offsets, low, high, False)
            offsets[number] = at
            low, high = min(low, at), max(high, at + self.uses[number].size)
        return offsets

    def _side_by_side(self, order: Sequence[int], width: int, limit: int) -> Offsets:
        """Empty if no placing kept spans less than `limit` bytes."""
        states: list[tuple[int, int, Offsets]] = [(0, 0, {})]
        left = {number: place for place, number in enumerate(order)}
        ends = [max((left[o] for o in self.pairs[n]), default=0) for n in range(len(self.uses))]
        wanted: list[int] = []  # placed blocks that later ones must keep apart from
        for place, number in enumerate(order):
            wanted = [n for n in wanted if ends[n] > place]
            matters, size = ends[number] > place, self.uses[number].size
            apart = self._apart(number, [o for o in self.pairs[number] if left[o] < place])
            grown: dict[tuple[int, ...], tuple[int, int, Offsets, int]] = {}
            for low, high, offsets in states:
                where = [offsets[n] for n in wanted]
                for at in self._places(number, apart, offsets, low, high, True):
                    bottom = low if low < at else at
                    top = high if high > at + size else at + size
                    if top - bottom >= limit:
                        continue
                    key = [top - bottom, *[one - bottom for one in where]]
                    if matters:
                        key.append(at - bottom)
                    grown[tuple(key)] = (bottom, top, offsets, at)
            kept = sorted(grown.items(), key=_span)[:width]
            states = [
                (bottom, top, {**offsets, number: at}) for _, (bottom, top, offsets, at) in kept
            ]
            if matters:
                wanted.append(number)
        return states[0][2] if states else {}

    def _apart(self, number: int, placed: Iterable[int]) -> Apart:
        """What keeps a block from those that are placed: (block, below, above)."""
        pairs = self.pairs[number]
        return [(other, below, above) for other in placed for below, above in pairs[other]]

    def _places(
        self, number: int, apart: Apart, offsets: Offsets, low: int, high: int, all_ends: bool
    ) -> list[int]:
        """Places for a block: the least growing one, and those that touch something."""
        host = number < self.hosts
        align = self.align if host else GUEST_ALIGN
        size = self.uses[number].size
        taken = [(offsets[o] - above, offsets[o] - below) for o, below, above in apart]
        free = _free(taken, align)
        best = _least_growing(free, size, low, high, align)
        if not (host and all_ends):
            return [best]
        bottom, top = low // align * align, (high - size) // align * align
        ends = set()
        for first, last in free:
            for at in (first, last):
                if -FAR < at < FAR:
                    ends.add(at)
            for at in (bottom, top):
                ends.add(first if at < first else last if at > last else at)
        ends.discard(best)
        return [best, *sorted(ends)]


def _span(item: tuple[tuple[int, ...], object]) -> int:
    """Bytes that a partial placing spans."""
    return item[0][0]


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
    least, best = FAR * 4, 0
    bottom, top = -(-low // align) * align, (high - size) // align * align
    for first, last in free:
        at = first if bottom < first else last if bottom > last else bottom
        if at + size > high and at > top:
            at = top if top > first else first
        grown = (low - at if at < low else 0) + (at + size - high if at + size > high else 0)
        if grown < least:
            least, best = grown, at
    return best
