"""An SPI FRAM chip: MB85RS / FM25 / CY15B command set, byte-exact at a power cut.

A byte is stored at the end of its frame, so a cut in the middle of a WRITE leaves exactly the
bytes whose frames had ended. Faults for tests: see `Fault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relume_boards.virtual.bus import FLOATING

_WREN, _WRDI, _RDSR, _WRSR, _READ, _WRITE, _RDID = 0x06, 0x04, 0x05, 0x01, 0x03, 0x02, 0x9F
_WEL = 0x02
_BLOCK_PROTECT = 0x0C
_WPEN = 0x80


@dataclass(frozen=True)
class Fault:
    """What is wrong with the chip.

    absent: nobody drives MISO. dead: answers, but never latches write enable. stuck: at byte
    `address` the bits of `mask` always read as those of `value`.
    """

    kind: Literal["absent", "dead", "stuck"]
    address: int = 0
    mask: int = 0
    value: int = 0


class SpiFram:
    """`size` bytes (a power of two) behind chip select; content survives, latches do not.

    Address width follows the size: 2 bytes up to 64 KB, else 3. RDID answers with Fujitsu's
    maker code and a density code that grows with the size.
    """

    def __init__(self, size: int = 262_144, content: bytes | None = None) -> None:
        if size < 256 or size & (size - 1):
            raise ValueError(f"FRAM size {size} is not a power of two of at least 256")
        self.size = size
        self.memory = bytearray(size)
        if content is not None:
            self.memory[: len(content)] = content[:size]
        self.address_bytes = 2 if size <= 65_536 else 3
        self.fault: Fault | None = None
        self.bytes_read = 0
        self.bytes_written = 0
        self.power_up()

    def power_up(self) -> None:
        """Volatile state to its power-on value."""
        self._selected = False
        self._write_enabled = False
        self._status = 0
        self._begin()

    def _begin(self) -> None:
        self._opcode = -1
        self._index = 0
        self._address = 0
        self._wrote = False

    @property
    def position(self) -> tuple[str, int] | None:
        """Operation in progress and its current address: where a cut would hit."""
        if not self._selected or self._opcode not in (_READ, _WRITE):
            return None
        return ("write" if self._opcode == _WRITE else "read", self._address)

    def select(self) -> None:
        self._selected = True
        self._begin()

    def deselect(self) -> None:
        if self._selected and self._opcode in (_WRITE, _WRSR) and self._index > 1:
            self._write_enabled = False
        self._selected = False

    def exchange(self, value: int) -> int:
        """One frame: `value` in, what MISO showed out."""
        if not self._selected or (self.fault and self.fault.kind == "absent"):
            return FLOATING
        index = self._index
        self._index += 1
        if index == 0:
            return self._command(value)
        if self._opcode in (_READ, _WRITE):
            return self._access(index, value)
        return self._register(index, value)

    def _command(self, opcode: int) -> int:
        self._opcode = opcode
        if opcode == _WREN:
            self._write_enabled = not (self.fault and self.fault.kind == "dead")
        elif opcode == _WRDI:
            self._write_enabled = False
        return FLOATING

    def _access(self, index: int, value: int) -> int:
        if index <= self.address_bytes:
            self._address = ((self._address << 8) | value) & (self.size - 1)
            return FLOATING
        at = self._address
        self._address = (at + 1) & (self.size - 1)
        if self._opcode == _READ:
            self.bytes_read += 1
            return self._stuck(at, self.memory[at])
        if self._write_enabled:
            self.memory[at] = value
            self.bytes_written += 1
        return FLOATING

    def _stuck(self, at: int, value: int) -> int:
        fault = self.fault
        if fault and fault.kind == "stuck" and fault.address == at:
            return (value & ~fault.mask) | (fault.value & fault.mask)
        return value

    def _register(self, index: int, value: int) -> int:
        if self._opcode == _RDSR:
            return self._status | (_WEL if self._write_enabled else 0)
        if self._opcode == _WRSR and index == 1 and self._write_enabled:
            self._status = value & (_WPEN | _BLOCK_PROTECT)
        if self._opcode == _RDID:
            density = self.size.bit_length() - 11
            identity = (0x04, 0x7F, density & 0x1F, 0x02)
            return identity[index - 1] if index <= 4 else 0
        return FLOATING
