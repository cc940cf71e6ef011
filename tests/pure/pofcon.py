"""The nRF52840's POWER registers and the capacitor behind them.

As the product specification has it: EVENTS_POFWARN is set when the supply falls below the
threshold while the comparator is on, and when it is switched on below it; nothing but a write of 0
clears it; while the comparator is on and the supply below it, the chip refuses to write its flash.
Energy is in cycles of active power (docs/SPEC.md 2.9).
"""

from __future__ import annotations

import struct

from tests.pure.twin import Memory, PowerCut

EVENTS_POFWARN, POFCON = 0x40000108, 0x40000510
MHZ = 64


class Chip:
    """A board on the capacitor of a blob. share: of the worst case that tiles take; harvest:
    cycles that come in each microsecond of waiting.
    deaf: the comparator never warns."""

    def __init__(self, blob: bytes, share: float, harvest: float = 0.0) -> None:
        self.von, self.voff = struct.unpack_from("<HH", blob, 92)
        (self.mv2,) = struct.unpack_from("<I", blob, 112)
        self.share, self.harvest, self.deaf = share, harvest, False
        self.charge = (self.von**2 - self.voff**2) * self.mv2 / 65536
        self.left = 0.0
        self.pofcon = self.event = 0
        self.charges = self.waited_us = 0

    def turn_on(self) -> None:
        self.left, self.pofcon, self.event = self.charge, 0, 0
        self.charges += 1

    @property
    def mv(self) -> float:
        return float((self.voff**2 + self.left * 65536 / self.mv2) ** 0.5)

    @property
    def warns(self) -> bool:
        """The comparator is on and the supply below the threshold."""
        code = self.pofcon >> 1 & 15
        return bool(self.pofcon & 1) and self.mv < 1700 + 100 * (code - 4)

    def _compare(self) -> None:
        if self.warns and not self.deaf:
            self.event = 1

    def draw(self, cycles: float) -> None:
        self.left -= cycles
        if self.left < 0:
            raise PowerCut
        self._compare()

    def sleep_us(self, us: int) -> None:
        self.waited_us += us
        self.left = min(self.charge, self.left + us * self.harvest)
        self.draw(us * MHZ)

    # --- machine.mem32 ------------------------------------------------------------------

    def __getitem__(self, address: int) -> int:
        return {EVENTS_POFWARN: self.event, POFCON: self.pofcon}[address]

    def __setitem__(self, address: int, value: int) -> None:
        if address == POFCON:
            self.pofcon = value
        else:
            assert address == EVENTS_POFWARN and value == 0
            self.event = 0
        self._compare()


class Fram(Memory):
    """Its writes take the board's energy, and tear where that ends."""

    def __init__(self, chip: Chip, byte_cycles: int, size: int = 65536) -> None:
        super().__init__(size)
        self.chip, self.byte_cycles = chip, byte_cycles
        self.written = 0

    def __setitem__(self, part: slice, value: bytes) -> None:
        assert not self.chip.pofcon & 1, "the comparator is on in a commit"
        n = min(len(value), int(self.chip.left / self.byte_cycles))
        self.data[part.start : part.start + n] = value[:n]
        self.written += n
        self.chip.draw(len(value) * self.byte_cycles)
