"""The nRF52840's flash as its product specification has it (NVMC), behind MicroPython's nrf.Flash.

Words are written whole and only from 1 to 0, twice at most between two erases of their page; a
block of 512 bytes takes 403 writes between them. A cut leaves a mixture of old and new: in a
word some of its new zeros, one at least, else it was not written; in an erase some of the ones. A
page whose erase was cut may read as erased and is not: only its header may still be marked. Words
that read as ones behind it have been erased, though not well enough to keep anything.
"""

from __future__ import annotations

import random

from tests.pure.twin import PowerCut

PAGE = 4096
WORD_WRITES = 2  # nWRITE
BLOCK, BLOCK_WRITES = 512, 403  # nWRITE,BLOCK


class Broken(AssertionError):
    """A rule of the chip was broken."""


class Nvmc:
    """nrf.Flash(start, len). left: operations (words, erases) until the power goes, which is in
    the middle of one; None: it stays. torn: share of the erases that are cut besides. most: the
    most writes that a word has had; erases: of each page."""

    def __init__(self, pages: int, seed: int = 0, fill: int = 0xFF) -> None:
        self.data = bytearray([fill]) * (pages * PAGE)
        self.writes = [0] * (pages * PAGE // 4)
        self.erases = [0] * pages
        self.weak = [False] * pages
        self.left: int | None = None
        self.torn = 0.0
        self.operations = self.most = 0
        self._random = random.Random(seed)

    def _cut(self) -> bool:
        """Is this operation the one in which the power goes?"""
        self.operations += 1
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0

    def _some(self, bits: int) -> int:
        """Some of these bits, not none of them."""
        some = 0
        while not some:
            some = bits & self._random.getrandbits(32)
        return some

    def _word(self, at: int, value: int) -> None:
        old = int.from_bytes(self.data[at : at + 4], "little")
        if value & ~old:
            raise Broken(f"word {at:#x}: {old:#010x} cannot become {value:#010x}")
        if self.weak[at // PAGE] and at % PAGE >= 256:
            raise Broken(f"word {at:#x} written behind an erase that was cut")
        cut, fallen = self._cut(), old & ~value
        if cut and not fallen:
            raise PowerCut
        self.writes[at // 4] += 1
        block = at // BLOCK * BLOCK // 4
        self.most = max(self.most, self.writes[at // 4])
        if self.writes[at // 4] > WORD_WRITES:
            raise Broken(f"word {at:#x} written {self.writes[at // 4]} times since its erase")
        if sum(self.writes[block : block + BLOCK // 4]) > BLOCK_WRITES:
            raise Broken(f"block {at // BLOCK} written too often since its erase")
        new = old & ~self._some(fallen) if cut else value
        self.data[at : at + 4] = new.to_bytes(4, "little")
        if cut:
            raise PowerCut

    def _erase(self, page: int) -> None:
        there = slice(page * PAGE, (page + 1) * PAGE)
        if self._cut() or self._random.random() < self.torn:
            old, ones, self.weak[page] = self.data[there], b"\xff" * PAGE, True
            noise = self._random.randbytes(PAGE)
            mixed = bytes(a | b for a, b in zip(old, noise, strict=True))
            self.data[there] = self._random.choice((old[:16] + ones[16:], mixed, ones))
            for word in range(page * PAGE // 4, (page + 1) * PAGE // 4):
                if self.data[4 * word : 4 * word + 4] == ones[:4]:
                    self.writes[word] = 0
            raise PowerCut
        self.data[there] = b"\xff" * PAGE
        self.writes[page * PAGE // 4 : (page + 1) * PAGE // 4] = [0] * (PAGE // 4)
        self.erases[page] += 1
        self.weak[page] = False

    # --- nrf.Flash -------------------------------------------------------------------------------

    def readblocks(self, block: int, data: bytearray, offset: int = 0) -> int:
        at = block * PAGE + offset
        data[:] = self.data[at : at + len(data)]
        return 0

    def writeblocks(self, block: int, data: bytes, offset: int | None = None) -> int:
        if offset is None:
            self._erase(block)
        at = block * PAGE + (offset or 0)
        if at % 4 or len(data) % 4:
            raise Broken(f"{len(data)} bytes at {at:#x} are not whole words")
        for i in range(0, len(data), 4):
            self._word(at + i, int.from_bytes(data[i : i + 4], "little"))
        return 0

    def ioctl(self, operation: int, block: int) -> int:
        if operation == 6:
            self._erase(block)
            return 0
        return {4: len(self.data) // PAGE, 5: PAGE}[operation]
