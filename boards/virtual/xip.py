"""What flash reads cost: misses of the XIP cache, estimated from traced windows.

rp2040py reads flash in no time. Here the core is stepped one instruction at a time for a short
window every so often; each fetch from flash and each load from it goes through a shadow cache of
the chip's shape, which keeps its content from window to window. Four bytes that the shadow meets
for the first time since power-on count as one miss, since they are met only once. Those that it
has held before and lost stand for all the misses of their kind between two windows, so they count
by the cycles that a window stands for. `XipSampler.follow` estimates nothing.

Accuracy, as stall cycles per hundred executed, against a trace of every instruction:

    boot of the firmware               68 true, 20 to 50 estimated
    deploy over the link, flash writes 65 true, 54 to 69 estimated
    keyword spotting, one inference    10 true, 16 to 25 estimated

A board's first milliseconds, where nearly all is met for the first time and clocks are slow, are
followed anyhow (`pico.py`), and what DMA reads through the cache is counted word by word. Left
out: the flush of the cache by flash writes, the boot ROM's own reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relume.board.profile import Xip
from relume.plan.xip import LineCache

XIP_MODEL = "XIP misses followed as the board starts, then sampled through a shadow cache"
XIP_TRACED = "XIP misses of every instruction, by a cache of the chip's shape"
_FLASH_LO, _FLASH_HI = 0x1000_0000, 0x1100_0000
_BOOT2 = 0x100  # bytes; the boot ROM runs its own copy in SRAM (RP2040 datasheet 2.8.1.3.1)
_PAST_LO, _PAST_HI = 0x1200_0000, 0x1400_0000  # past the cache (RP2040 datasheet 2.6.3)
_SRAM_LO = 0x2000_0000
_CYCLE_NS = 8.0
_LITERAL, _REGISTER, _OFFSET, _MULTIPLE = range(1, 5)
_Decoded = tuple[int, int, int, int]
_FOLLOWED = 64
_NO_LOAD: _Decoded = (0, 0, 0, 0)


def decode(opcode: int) -> _Decoded:
    """(form, base register, index register or byte offset, words) of a Thumb load; form 0: none.

    Loads relative to SP are left out: the stack is in SRAM.
    """
    if opcode >> 11 == 0b01001:
        return (_LITERAL, 15, (opcode & 0xFF) * 4, 1)
    base = (opcode >> 3) & 7
    if 0b0101011 <= opcode >> 9 <= 0b0101111:
        return (_REGISTER, base, (opcode >> 6) & 7, 1)
    scale = {0b01101: 4, 0b01111: 1, 0b10001: 2}.get(opcode >> 11)
    if scale:
        return (_OFFSET, base, ((opcode >> 6) & 31) * scale, 1)
    if opcode >> 11 == 0b11001:
        return (_MULTIPLE, (opcode >> 8) & 7, 0, (opcode & 0xFF).bit_count())
    return _NO_LOAD


@dataclass(frozen=True)
class Probe:
    """The core as the tracer needs it: halfwords of flash and SRAM, the 16 registers, one
    instruction (returns cycles), the clock's tick, whether the core sleeps, and who is told of an
    address of flash that is read."""

    flash: memoryview
    sram: memoryview
    registers: memoryview
    execute: Callable[[], int]
    tick: Callable[[float], None]
    asleep: Callable[[], bool]
    on_read: Callable[[int], None]


class XipSampler:
    """Turns traced windows into stall cycles. `window`: instructions traced at a time;
    `every`: core cycles from one window to the next. Both set the cost on the host: about a tenth
    more than without at the defaults."""

    def __init__(
        self,
        xip: Xip,
        window: int = 1_000,
        every: int = 20_000,
    ) -> None:
        self.cache = LineCache(xip)
        self._shift = xip.fill_bytes.bit_length() - 1
        self.miss_cycles = xip.miss_cycles
        self.window = window
        self.every = every
        self.rate = 0.0
        self._first = 0
        self._again = 0
        self._seen: set[int] = set()
        self._table: list[_Decoded | None] = [None] * 0x10000
        self._due = 0
        self._owed = 0.0

    def due(self, cycles: int) -> bool:
        """Whether a window should begin at that count of core cycles."""
        if cycles < self._due:
            return False
        self._due = cycles + self.every
        return True

    def sample(self, probe: Probe) -> None:
        """Trace one window: what is owed at once, and the rate for every executed cycle."""
        self._first = self._again = 0
        cycles = self._trace(probe, self.window)
        self._owed += self._first * self.miss_cycles
        if cycles:
            self.rate = self._again * self.miss_cycles / cycles

    def follow(self, probe: Probe) -> int:
        """Step some instructions and return their own stall cycles: nothing is estimated."""
        self._first = self._again = 0
        self._trace(probe, _FOLLOWED)
        return self.misses * self.miss_cycles

    @property
    def misses(self) -> int:
        """Misses that the last window saw."""
        return self._first + self._again

    def stall(self, cycles: int) -> int:
        """Whole stall cycles due for `cycles` executed since the last call."""
        self._owed += cycles * self.rate
        extra = int(self._owed)
        self._owed -= extra
        return extra

    def moved(self, address: int, size: int) -> int:
        """Stall cycles of DMA that reads that many bytes of flash through the cache, in order."""
        if not _FLASH_LO <= address < _FLASH_HI:
            return 0
        first, end = address >> self._shift, (address + size - 1 >> self._shift) + 1
        missed = [fill for fill in range(first, end) if self.cache.access(fill)]
        self._seen.update(missed)
        return len(missed) * self.miss_cycles

    def _missed(self, fill: int) -> None:
        if fill in self._seen:
            self._again += 1
        else:
            self._seen.add(fill)
            self._first += 1

    def _trace(self, probe: Probe, count: int) -> int:
        """Step `count` instructions, or until the core sleeps; returns their cycles."""
        registers, flash, sram, table = probe.registers, probe.flash, probe.sram, self._table
        execute, tick, on_read = probe.execute, probe.tick, probe.on_read
        access, shift = self.cache.access, self._shift
        last, total = -1, 0
        for number in range(count):
            if not number & 15 and probe.asleep():
                break
            pc = registers[15]
            if pc >= _SRAM_LO:
                opcode = sram[(pc - _SRAM_LO) >> 1]
            elif pc >= _FLASH_LO:
                opcode = flash[(pc - _FLASH_LO) >> 1]
                if pc >> shift != last and pc >= _FLASH_LO + _BOOT2:
                    last = pc >> shift
                    on_read(pc)
                    if access(last):
                        self._missed(last)
            else:
                opcode = 0
            form, base, extra, words = table[opcode] or self._decoded(opcode)
            if form:
                address = ((pc + 4) & ~3) if base == 15 else registers[base]
                address += registers[extra] if form == _REGISTER else extra
                if _FLASH_LO <= address < _FLASH_HI and pc >= _FLASH_LO + _BOOT2:
                    on_read(address)
                    for word in range(words):
                        self._load((address >> shift) + word)
                elif _PAST_LO <= address < _PAST_HI:
                    on_read(address)
                    self._first += words
            cycles = execute()
            tick(cycles * _CYCLE_NS)
            total += cycles
        return total

    def _load(self, fill: int) -> None:
        if self.cache.access(fill):
            self._missed(fill)

    def _decoded(self, opcode: int) -> _Decoded:
        made = self._table[opcode] = decode(opcode)
        return made
