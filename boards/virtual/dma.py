"""The RP2040's DMA controller with what rp2040py's lacks: time for transfers that nothing paces,
and the sniffer, which computes checksums of what passes through one channel.

Sources: RP2040 datasheet 2.5.5.2 and the registers SNIFF_CTRL and SNIFF_DATA (2.5.7); that 32-bit
transfers of memory with CALC = 1, OUT_REV and a start of all ones give zlib's CRC-32 less its
inversion is what programs on real chips rely on (usedbytes/rp2040-serial-bootloader). A channel
that a request paces moves one datum at the instant of the request; one that nothing paces moves
one a core cycle, `_BATCH` of them at the instant at which the last is due; what it reads from
flash misses the XIP cache as the core does. Bus contention and the few cycles of the controller's
own pipeline are not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from relume_boards.virtual.bus import Wait
from rp2040py.peripherals import dma as base
from rp2040py.peripherals.dma import RPDMA, TREQ, RPDMAChannel

_BATCH = 64
_POLLS_BEFORE_WAIT = 3
_POLL_CYCLES = 64  # reads of a busy channel that are farther apart are no polling loop

_EN = 1
_CRC32, _CRC32_REVERSED, _EVEN, _SUM = 0x0, 0x1, 0xE, 0xF  # SNIFF_CTRL.CALC
_BSWAP, _OUT_REV, _OUT_INV = 1 << 9, 1 << 10, 1 << 11
_POLYNOMIAL = 0x04C1_1DB7  # IEEE 802.3


def _row(index: int) -> int:
    value = index << 24
    for _ in range(8):
        value = value << 1 ^ (_POLYNOMIAL if value & 1 << 31 else 0)
    return value & 0xFFFF_FFFF


_TABLE = [_row(index) for index in range(256)]
_REVERSED = [int(f"{byte:08b}"[::-1], 2) for byte in range(256)]


def _reverse32(value: int) -> int:
    return int(f"{value:032b}"[::-1], 2)


class Sniffer:
    """SNIFF_CTRL and SNIFF_DATA. CRC-16 is not modelled: it leaves SNIFF_DATA as it is."""

    def __init__(self) -> None:
        self.control = 0
        self.data = 0

    def watches(self, channel: int) -> bool:
        return bool(self.control & _EN) and self.control >> 1 & 15 == channel

    @property
    def result(self) -> int:
        """SNIFF_DATA as it reads."""
        value = _reverse32(self.data) if self.control & _OUT_REV else self.data
        return value ^ 0xFFFF_FFFF if self.control & _OUT_INV else value

    def feed(self, value: int, size: int) -> None:
        """A datum of `size` bytes has passed."""
        calc = self.control >> 5 & 15
        taken = value.to_bytes(size, "little" if self.control & _BSWAP else "big")
        if calc == _CRC32:
            self._divide(taken)
        elif calc == _CRC32_REVERSED:
            self._divide(bytes(_REVERSED[byte] for byte in reversed(taken)))
        elif calc == _EVEN:
            self.data ^= int.from_bytes(taken, "big").bit_count() & 1
        elif calc == _SUM:
            self.data = self.data + int.from_bytes(taken, "big") & 0xFFFF_FFFF

    def _divide(self, taken: bytes) -> None:
        data = self.data
        for byte in taken:
            data = (data << 8 & 0xFFFF_FFFF) ^ _TABLE[data >> 24 ^ byte]
        self.data = data


class TimedChannel(RPDMAChannel):
    """A channel that takes its time and lets the sniffer look."""

    dma: TimedDma
    _inside = False  # a batch: what follows is scheduled by its last transfer

    def transfer8(self) -> None:
        value = int(self.rp2040.read_uint8(self._read_addr))
        self._sniff(value, 1)
        self.rp2040.write_uint8(self._write_addr, value)

    def transfer16(self) -> None:
        value = int(self.rp2040.read_uint16(self._read_addr))
        self._sniff(value, 2)
        self.rp2040.write_uint16(self._write_addr, value)

    def transfer32(self) -> None:
        value = int(self.rp2040.read_uint32(self._read_addr))
        self._sniff(value, 4)
        self.rp2040.write_uint32(self._write_addr, value)

    def transfer_swap16(self) -> None:
        value = int(self.rp2040.read_uint16(self._read_addr))
        self._write_swapped(value.to_bytes(2, "little"))

    def transfer_swap32(self) -> None:
        value = int(self.rp2040.read_uint32(self._read_addr))
        self._write_swapped(value.to_bytes(4, "little"))

    def _write_swapped(self, taken: bytes) -> None:
        value = int.from_bytes(taken, "big")
        self._sniff(value, len(taken))
        write = self.rp2040.write_uint16 if len(taken) == 2 else self.rp2040.write_uint32
        write(self._write_addr, value)

    def _sniff(self, value: int, size: int) -> None:
        if self._ctrl & base.SNIFF_EN and self.dma.sniffer.watches(self.index):
            self.dma.sniffer.feed(value, size)

    def _batch(self) -> int:
        return min(_BATCH, int(self._trans_count))

    def schedule_transfer(self) -> None:
        if self._treq_value != TREQ.PERMANENT:
            super().schedule_transfer()
        elif not self._inside:
            data = self._batch()
            cycles = data + self.dma.on_flash(self._read_addr, data * self._size)
            self.transfer_alarm.schedule(cycles * self.dma.cycle_ns())

    @property
    def _size(self) -> int:
        """Bytes of a datum."""
        return 1 << (self._ctrl >> 2 & 3)

    def transfer(self) -> None:
        if self._treq_value == TREQ.PERMANENT:
            self._inside = True
            for _ in range(self._batch() - 1):
                super().transfer()
            self._inside = False
        super().transfer()


class TimedDma(RPDMA):
    """The controller. `wait` spares the host a core that polls a channel's busy flag; `on_flash`
    says what stall cycles bytes cost that are read at an address."""

    def __init__(self, chip: Any, wait: Wait, cycle_ns: Callable[[], float]) -> None:
        self.cycle_ns = cycle_ns
        self.on_flash: Callable[[int, int], int] = lambda address, size: 0
        self.sniffer = Sniffer()
        super().__init__(chip, "DMA")
        self.channels = [TimedChannel(self, chip, index) for index in range(12)]
        self._wait = wait
        self._polls = 0
        self._polled_ns = -math.inf

    def reset(self) -> None:
        super().reset()
        self.sniffer = Sniffer()

    @property
    def moving(self) -> bool:
        """Whether a channel has something left to do."""
        return any(channel.active for channel in self.channels)

    def read_uint32(self, offset: int) -> int:
        if offset == base.SNIFF_CTRL:
            return self.sniffer.control
        if offset == base.SNIFF_DATA:
            return self.sniffer.result
        if offset == base.CHAN_ABORT:
            return 0  # over at once
        value = int(super().read_uint32(offset))
        if offset < base.CHANNEL_REGISTERS_SIZE and offset & 0x3F in base.CTRL_REGS:
            self._polled(bool(value & base.BUSY))
        return value

    def _polled(self, busy: bool) -> None:
        now = float(self.rp2040.clock.nanos)
        near = now - self._polled_ns <= _POLL_CYCLES * self.cycle_ns()
        self._polls = self._polls + 1 if busy and near else 0
        if self._polls >= _POLLS_BEFORE_WAIT:
            self._wait(now + _BATCH * self.cycle_ns())
        self._polled_ns = float(self.rp2040.clock.nanos)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == base.SNIFF_CTRL:
            self.sniffer.control = value & 0xFFF
        elif offset == base.SNIFF_DATA:
            self.sniffer.data = value
        else:
            super().write_uint32(offset, value)
