"""The flash model: what reading constants through the XIP cache costs.

One place for the shape of the cache and the price of a miss. The figures are a board's ([xip] of
board.toml); RP2040 datasheet 2.6.3: 16 KB, two ways, lines of 8 bytes, which a quad read fetches
whole in 12 + 16 SPI clocks, so 56 core cycles at the SDK's clock divider of 2.

`LineCache` replays the addresses that a kernel really read: `relume bench` counts its misses.
`bytes_cycles` is the price of constants that the cache does not hold: the planner counts with it
(relume.plan.costs), since nothing is known of the cache's content after a brown-out.
"""

from __future__ import annotations

from relume.board.profile import Xip


class LineCache:
    """Set-associative cache; of a full set the line read least recently is replaced."""

    def __init__(self, xip: Xip) -> None:
        self.line_bytes = xip.line_bytes
        self.ways = xip.ways
        self.sets = xip.cache_bytes // (xip.line_bytes * xip.ways)
        self._held: list[list[int]] = [[] for _ in range(self.sets)]
        self.misses = 0

    def read(self, address: int) -> bool:
        """Reads the line that holds `address`; whether it had to be fetched."""
        tag = address // self.line_bytes
        held = self._held[tag % self.sets]
        missed = tag not in held
        if missed:
            self.misses += 1
            if len(held) == self.ways:
                del held[0]
        else:
            held.remove(tag)
        held.append(tag)
        return missed

    def clear(self) -> None:
        """Forgets all lines, as a turn-on or a flush does; `misses` counts on."""
        for held in self._held:
            held.clear()


def lines_cycles(xip: Xip, lines: float) -> float:
    """Core cycles of fetching `lines` lines."""
    return lines * xip.miss_cycles


def bytes_cycles(xip: Xip, size: float) -> float:
    """Core cycles of reading `size` bytes of flash, in one run, that the cache does not hold."""
    return lines_cycles(xip, size / xip.line_bytes)
