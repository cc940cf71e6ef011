"""The Pico's QSPI flash (W25Q16JV) with the time that it takes, and what a power cut leaves.

While an operation runs the chip answers only status reads, with BUSY set. The result is put into
memory at once and the old bytes are kept until the operation's end: nothing may read the array in
between, and a cut replaces the result by a seeded mixture of old, new and half-erased bits.
Times: W25Q16JV datasheet, 9.6 AC characteristics; page and sector typical from `board.toml`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from relume_boards.virtual.bus import FLOATING, Wait

PAGE = 256
_WREN, _WRDI, _STATUS1, _STATUS2, _WRITE_STATUS = 0x06, 0x04, 0x05, 0x35, 0x01
_PROGRAM, _READ, _JEDEC, _UNIQUE, _CHIP_ERASE = 0x02, 0x03, 0x9F, 0x4B, 0xC7
_BUSY, _WEL, _QUAD = 0x01, 0x02, 0x02
_JEDEC_ID = (0xEF, 0x40, 0x15)
_BLOCK32_MS, _BLOCK64_MS = 120.0, 150.0
_PREPROGRAM = 0.3  # first part of an erase: all bits are programmed to 0 (assumed share)


@dataclass(frozen=True)
class Times:
    """Typical operation times in milliseconds."""

    program_ms: float
    erase_ms: float


@dataclass(frozen=True)
class Operation:
    """A program or erase in progress: `old` is what lay at `at` before it."""

    kind: str
    at: int
    old: bytes
    start_ns: float
    end_ns: float


class NorFlash:
    """Flash array `memory` (at least `size` bytes, shared with the chip's XIP window)."""

    def __init__(
        self,
        memory: memoryview,
        size: int,
        times: Times,
        now: Callable[[], float],
        wait: Wait,
        identity: int = 0,
    ) -> None:
        self._memory = memory
        self._size = size
        self._now = now
        self._wait = wait
        self._identity = identity.to_bytes(8, "big")
        self._erases: dict[int, tuple[str, int, float]] = {
            0x20: ("erase 4K", 4096, times.erase_ms),
            0x52: ("erase 32K", 32_768, _BLOCK32_MS),
            0xD8: ("erase 64K", 65_536, _BLOCK64_MS),
        }
        self._program_ms = times.program_ms
        self._command = bytearray()
        self._write_enabled = False
        self._busy_ns = 0.0
        self.operation: Operation | None = None
        self.programs = 0
        self.erases = 0
        self.on_start: Callable[[Operation], None] = lambda operation: None

    def busy(self) -> bool:
        """Whether an operation is running now; retires one that has ended."""
        operation = self.operation
        if operation is None:
            return False
        if self._now() < operation.end_ns:
            return True
        self._busy_ns += operation.end_ns - operation.start_ns
        self.operation = None
        return False

    @property
    def busy_ns(self) -> float:
        """Nanoseconds spent programming and erasing so far."""
        running = self._now() - self.operation.start_ns if self.busy() and self.operation else 0.0
        return self._busy_ns + running

    def select(self) -> None:
        self._command.clear()

    def exchange(self, value: int) -> int:
        command = self._command
        command.append(value)
        index = len(command) - 1
        if index == 0:
            return FLOATING
        opcode = command[0]
        if opcode == _STATUS1:
            return self._status()
        if self.busy():
            return FLOATING
        return self._answer(opcode, index)

    def _status(self) -> int:
        if self.busy() and self.operation:
            self._wait(self.operation.end_ns)
            return _BUSY | _WEL
        return _WEL if self._write_enabled else 0

    def _answer(self, opcode: int, index: int) -> int:
        if opcode == _STATUS2:
            return _QUAD
        if opcode == _JEDEC:
            return _JEDEC_ID[index - 1] if index <= 3 else 0
        if opcode == _READ and index >= 4:
            return self._memory[(self._address() + index - 4) % self._size]
        if opcode == _UNIQUE and 5 <= index < 13:
            return self._identity[index - 5]
        return FLOATING

    def _address(self) -> int:
        return int.from_bytes(self._command[1:4], "big") % self._size

    def deselect(self) -> None:
        """End of a command: this is when program and erase begin."""
        command = self._command
        if not command or self.busy():
            return
        opcode = command[0]
        if opcode == _WREN:
            self._write_enabled = True
        elif opcode == _WRDI:
            self._write_enabled = False
        elif opcode in self._erases and len(command) >= 4:
            self._erase(*self._erases[opcode])
        elif opcode == _PROGRAM and len(command) > 4:
            self._program()
        elif opcode == _WRITE_STATUS:
            self._write_enabled = False
        command.clear()

    def _erase(self, kind: str, size: int, ms: float) -> None:
        at = self._address() & ~(size - 1)
        if self._begin(kind, at, size, ms):
            self.erases += 1
            self._memory[at : at + size] = b"\xff" * size

    def _program(self) -> None:
        start = self._address()
        page = start & ~(PAGE - 1)
        data = self._command[4:]
        if not self._begin("program", page, PAGE, self._program_ms):
            return
        self.programs += 1
        for offset, byte in enumerate(data[-PAGE:], max(0, len(data) - PAGE)):
            self._memory[page + ((start + offset) & (PAGE - 1))] &= byte

    def _begin(self, kind: str, at: int, size: int, ms: float) -> bool:
        if not self._write_enabled:
            return False
        self._write_enabled = False
        now = self._now()
        old = bytes(self._memory[at : at + size])
        self.operation = Operation(kind, at, old, now, now + ms * 1e6)
        self.on_start(self.operation)
        return True

    def cut(self, rng: random.Random) -> Operation | None:
        """The power goes: an operation in progress leaves a mixture. Returns that operation."""
        operation = self.operation if self.busy() else None
        self.operation = None
        if operation is None:
            return None
        span = slice(operation.at, operation.at + len(operation.old))
        done = (self._now() - operation.start_ns) / (operation.end_ns - operation.start_ns)
        new = bytes(self._memory[span])
        if operation.kind == "program":
            self._memory[span] = _mixed(operation.old, new, done, rng)
        elif done < _PREPROGRAM:
            zeros = bytes(len(new))
            self._memory[span] = _mixed(operation.old, zeros, done / _PREPROGRAM, rng)
        else:
            part = (done - _PREPROGRAM) / (1 - _PREPROGRAM)
            self._memory[span] = _mixed(bytes(len(new)), new, part, rng)
        return operation


def _mixed(old: bytes, new: bytes, done: float, rng: random.Random) -> bytes:
    """Each bit is the new one with a chance of `done`, else the old one; eight levels a bit."""
    size = len(old)
    mask = 0
    threshold = round(done * 256)
    for level in range(8):  # a random mask whose bits are 1 with chance threshold / 256
        noise = int.from_bytes(rng.randbytes(size), "little")
        mask = (mask | noise) if threshold >> level & 1 else (mask & noise)
    if threshold >= 256:
        mask = (1 << 8 * size) - 1
    before, after = int.from_bytes(old, "little"), int.from_bytes(new, "little")
    return (before & ~mask | after & mask).to_bytes(size, "little")
