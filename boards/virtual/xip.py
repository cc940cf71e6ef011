"""What flash reads cost: misses of the XIP cache, estimated from short traced windows.

rp2040py reads flash in no time. Here the core is stepped one instruction at a time for a short
window every so often; each fetch from flash and each load from it goes through a shadow cache
of the chip's shape. The misses per cycle of the last windows are then charged to all cycles since
the window before.

Accuracy. The shadow sees only the windows and keeps its lines between them. A working set that
fits the cache and data that are read once come out right after a few windows. Data that are read
again and again, and are larger than the cache, come out too cheap (a line seen in one window is
often still in the shadow in the next, though the chip would have replaced it); a loop first met
in a window too dear by its first pass. Prefetch into the instruction queue is taken as one 32-bit
read per two instructions. Treat the figure as within a factor of two, and off as zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

XIP_MODEL = "XIP misses sampled through a shadow cache"
_FLASH_LO, _FLASH_HI = 0x1000_0000, 0x1100_0000
_SMOOTHING = 4
_Decoded = tuple[int, int, int, int]
_NONE, _LITERAL, _REGISTER, _OFFSET, _MULTIPLE = range(5)


class Core(Protocol):
    registers: memoryview


class ShadowCache:
    """Two ways, least recently used replaced. Addresses are flash offsets or bus addresses."""

    def __init__(self, cache_bytes: int, line_bytes: int) -> None:
        self.sets = cache_bytes // (2 * line_bytes)
        self._shift = line_bytes.bit_length() - 1
        self._newer = [-1] * self.sets
        self._older = [-1] * self.sets
        self.misses = 0

    def access(self, address: int) -> None:
        line = address >> self._shift
        index = line % self.sets
        newer = self._newer[index]
        if newer == line:
            return
        if self._older[index] != line:
            self.misses += 1
        self._older[index] = newer
        self._newer[index] = line


def decode(opcode: int) -> _Decoded:
    """(form, base register, index register or byte offset, words) of a Thumb load, or none."""
    if opcode >> 11 == 0b01001:
        return (_LITERAL, 15, (opcode & 0xFF) * 4, 1)
    base, top = (opcode >> 3) & 7, opcode >> 9
    if 0b0101011 <= top <= 0b0101111:
        return (_REGISTER, base, (opcode >> 6) & 7, 1)
    scale = {0b01101: 4, 0b01111: 1, 0b10001: 2}.get(opcode >> 11)
    if scale:
        return (_OFFSET, base, ((opcode >> 6) & 31) * scale, 1)
    if opcode >> 11 == 0b11001:
        return (_MULTIPLE, (opcode >> 8) & 7, 0, (opcode & 0xFF).bit_count())
    return (_NONE, 0, 0, 0)


class XipSampler:
    """Turns traced windows into stall cycles.

    `step` executes one instruction and returns its cycles; `registers` are the core's 16;
    `fetch` gives the halfword at a flash offset or an SRAM address.
    """

    def __init__(
        self, cache_bytes: int, line_bytes: int, miss_cycles: int, window: int = 300
    ) -> None:
        self.cache = ShadowCache(cache_bytes, line_bytes)
        self.miss_cycles = miss_cycles
        self.window = window
        self.stalled = 0
        self._decoded: dict[int, _Decoded] = {}
        self._recent: list[tuple[int, int]] = []

    def trace(
        self,
        step: Callable[[], int],
        registers: memoryview,
        fetch: Callable[[int], int],
        awake: Callable[[], bool],
    ) -> None:
        """One window; ends early when the core goes to sleep."""
        before, cycles = self.cache.misses, 0
        for _ in range(self.window):
            if not awake():
                break
            self._look(registers, fetch)
            cycles += step()
        if cycles:
            self._recent = [*self._recent[1 - _SMOOTHING :], (self.cache.misses - before, cycles)]

    def _look(self, registers: memoryview, fetch: Callable[[int], int]) -> None:
        pc = registers[15] & ~1
        if _FLASH_LO <= pc < _FLASH_HI:
            self.cache.access(pc)
        opcode = fetch(pc)
        decoded = self._decoded.get(opcode)
        if decoded is None:
            decoded = self._decoded[opcode] = decode(opcode)
        form, base, extra, words = decoded
        if form == _NONE:
            return
        if form == _LITERAL:
            address = ((pc + 4) & ~3) + extra
        elif form == _REGISTER:
            address = (registers[base] + registers[extra]) & 0xFFFF_FFFF
        else:
            address = registers[base] + extra
        if _FLASH_LO <= address < _FLASH_HI:
            for word in range(words):
                self.cache.access(address + 4 * word)

    @property
    def stall_per_cycle(self) -> float:
        """Stall cycles to add for each cycle that the core executed."""
        cycles = sum(length for _, length in self._recent)
        misses = sum(count for count, _ in self._recent)
        return misses * self.miss_cycles / cycles if cycles else 0.0

    def stall(self, cycles: int) -> int:
        """Whole stall cycles for `cycles` executed since the last call."""
        extra = round(cycles * self.stall_per_cycle)
        self.stalled += extra
        return extra
