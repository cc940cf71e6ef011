"""The flash model: what reading constants through the XIP cache costs.

One place for the shape of the cache and the price of a miss. The figures are a board's ([xip] of
board.toml). RP2040: 16 KB, two ways, lines of 8 bytes with two valid bits; a miss fetches the 4
bytes asked for and no more, in one frame of the flash controller.

`LineCache` replays the addresses that a kernel really read: `relume bench` and the emulated board
count its misses. `bytes_cycles` is the price of what the cache does not hold: the planner counts
with it (relume.plan.costs), since nothing is known of the cache after a brown-out.
`burst_cycles` is that of a read past the cache to SRAM, `copy_cycles` of a call that makes such.
"""

from __future__ import annotations

from relume.board.profile import Xip

BURST_BYTES = 4096  # at most, so that interrupts wait for 0.2 ms at most
AHEAD_BYTES = 8192  # at most in one burst while the core computes, 0.3 ms
CALL_CYCLES = 200.0  # of a copy to SRAM, beside its bursts


class LineCache:
    """Set-associative cache; of a full set the line read least recently is replaced."""

    def __init__(self, xip: Xip) -> None:
        self.fill_bytes = xip.fill_bytes
        self.fills = xip.line_bytes // xip.fill_bytes
        self.ways = xip.ways
        self.sets = xip.cache_bytes // (xip.line_bytes * xip.ways)
        self._held: list[dict[int, int]] = [{} for _ in range(self.sets)]
        self.misses = 0

    def read(self, address: int) -> bool:
        """Reads the byte at `address`; whether it had to be fetched."""
        return self.access(address // self.fill_bytes)

    def access(self, fill: int) -> bool:
        """Reads fill number `fill` (address / fill_bytes); whether it had to be fetched."""
        tag, part = divmod(fill, self.fills)
        held = self._held[tag % self.sets]
        valid, bit = held.pop(tag, 0), 1 << part
        if len(held) == self.ways:
            del held[next(iter(held))]
        held[tag] = valid | bit
        missed = not valid & bit
        self.misses += missed
        return missed

    def clear(self) -> None:
        """Forgets all lines, as a turn-on or a flush does; `misses` counts on."""
        for held in self._held:
            held.clear()


def fills_cycles(xip: Xip, fills: float) -> float:
    """Core cycles of `fills` misses."""
    return fills * xip.miss_cycles


def bytes_cycles(xip: Xip, size: float) -> float:
    """Core cycles of reading `size` bytes of flash, in one run, that the cache does not hold."""
    return fills_cycles(xip, size / xip.fill_bytes)


def burst_cycles(xip: Xip, size: int) -> float:
    """Core cycles of copying `size` bytes of flash to SRAM by bursts (the board has them)."""
    return -(-size // 4) * xip.word_cycles + -(-size // BURST_BYTES) * xip.start_cycles


def copy_cycles(xip: Xip, size: int) -> float:
    """Core cycles of copying `size` bytes of flash to SRAM in one call."""
    return CALL_CYCLES + burst_cycles(xip, size) if size else 0.0
