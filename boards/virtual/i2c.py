"""The RP2040's I2C controller with time, and a FRAM chip behind it.

The controller is DW_apb_i2c as a master (RP2040 datasheet 4.3): two FIFOs of 16, a start and an
address where a transfer begins or turns round, nine bits a byte. A bit takes what the counters say
(4.3.14.1) and the rise of SCL. Like the other blocks it is brought up to date when somebody looks;
a byte reaches the chip at the end of its ninth bit, so a cut leaves the bytes before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from relume_boards.virtual.bus import FLOATING, I2cDevice, Wait
from rp2040py.irq import IRQ
from rp2040py.peripherals.i2c import RPI2C

_CON, _TAR, _DATA_CMD = 0x00, 0x04, 0x10
_FS_HCNT, _FS_LCNT, _INTR_STAT, _RAW_INTR_STAT = 0x1C, 0x20, 0x2C, 0x34
_CLR_INTR, _CLR_TX_ABRT, _CLR_STOP_DET, _CLR_RX_OVER, _CLR_START_DET = 0x40, 0x54, 0x60, 0x48, 0x64
_ENABLE, _STATUS, _TXFLR, _RXFLR, _SDA_HOLD, _ABRT_SOURCE = 0x6C, 0x70, 0x74, 0x78, 0x7C, 0x80
_DMA_CR = 0x88
_CLEARS = {
    _CLR_RX_OVER: 1 << 1, _CLR_TX_ABRT: 1 << 6, _CLR_STOP_DET: 1 << 9, _CLR_START_DET: 1 << 10,
}  # fmt: skip
_RX_OVER, _RX_FULL, _TX_EMPTY, _TX_ABRT, _STOP_DET = 1 << 1, 1 << 2, 1 << 4, 1 << 6, 1 << 9
_READ, _STOP, _RESTART = 1 << 8, 1 << 9, 1 << 10
_NO_ADDRESS, _NO_DATA = 1 << 0, 1 << 3  # of IC_TX_ABRT_SOURCE
_TX_EMPTY_CTRL = 1 << 8
_DEPTH = 16
_POLLS_BEFORE_WAIT = 3


class TimedI2c(RPI2C):
    """A master whose commands take the bus's time. rise_ns: of SCL, a bit; on_hold is called when
    the chip keeps SDA down and nothing moves."""

    def __init__(self, chip: Any, index: int, wait: Wait, cycle_ns: float) -> None:
        self.device: I2cDevice | None = None
        self.rise_ns = 0.0
        self.busy_ns = 0.0
        self.on_hold: Callable[[], None] = lambda: None
        self._cycle_ns = cycle_ns
        self._wait = wait
        super().__init__(chip, f"I2C{index}", (IRQ.I2C0, IRQ.I2C1)[index])
        self._clear()

    def _clear(self) -> None:
        self._commands: deque[tuple[float, int]] = deque()
        self._got: deque[int] = deque()
        self._next: tuple[float, Callable[[float], None]] | None = None
        self._free_ns = 0.0
        self._reads: bool | None = None  # direction on the bus; None: it is idle
        self._byte = 0
        self._polls = 0
        self._latched = 0

    def reset(self) -> None:
        super().reset()
        self._clear()

    @property
    def bit_ns(self) -> float:
        """A period of SCL (RP2040 datasheet 4.3.14.1)."""
        clocks = self.fs_clock_high_period + self._spikelen + 7 + self.fs_clock_low_period + 1
        return float(clocks * self._cycle_ns + self.rise_ns)

    def sync(self) -> None:
        """All that has ended on the bus by now."""
        now = self.rp2040.clock.nanos
        while self._next is not None and self._next[0] <= now:
            end, then = self._next
            self._next = None
            then(end)

    # --- the bus ----------------------------------------------------------------------------

    def _takes(self, begin: float, bits: int, then: Callable[[float], None]) -> None:
        self.busy_ns += bits * self.bit_ns
        self._next = (begin + bits * self.bit_ns, then)

    def _go_on(self, end: float) -> None:
        """The next command, if there is one: without, SCL is held down until it comes."""
        self._free_ns = end
        if self.device is not None and self.device.holds:
            self.on_hold()
            return
        if not self._commands:
            return
        queued, command = self._commands[0]
        begin = max(end, queued)
        if self._reads is not bool(command & _READ) or command & _RESTART:
            self._takes(begin, 10, self._addressed)
        else:
            self._send(begin)

    def _addressed(self, end: float) -> None:
        reads = bool(self._commands[0][1] & _READ)
        address = int(self.target_address) & 0x7F
        if self.device is None or not self.device.start(address, reads):
            self._give_up(end, _NO_ADDRESS)
            return
        self._reads = reads
        self._send(end)

    def _send(self, begin: float) -> None:
        self._byte = self._commands.popleft()[1]
        self._takes(begin, 9, self._sent)

    def _sent(self, end: float) -> None:
        device, command = self.device, self._byte
        assert device is not None
        if self._reads:
            if len(self._got) < _DEPTH:
                self._got.append(device.read())
            else:
                self._latched |= _RX_OVER
        elif not device.write(command & 0xFF):
            self._give_up(end, _NO_DATA)
            return
        if command & _STOP:
            self._takes(end, 1, self._stopped)
        else:
            self._go_on(end)

    def _give_up(self, end: float, reason: int) -> None:
        self._commands.clear()
        self.abort_source = reason
        self._latched |= _TX_ABRT
        self._takes(end, 1, self._stopped)

    def _stopped(self, end: float) -> None:
        if self.device is not None:
            self.device.stop()
        self._reads = None
        self._latched |= _STOP_DET
        self._go_on(end)

    # --- registers --------------------------------------------------------------------------

    def _look(self) -> None:
        """A register is read: a core that polls is moved on to what it waits for."""
        self.sync()
        self._polls += 1
        if self._polls > _POLLS_BEFORE_WAIT and self._next is not None:
            self._wait(self._next[0])
            self.sync()

    def _raw(self) -> int:
        shifting = self._next is not None and self.control & _TX_EMPTY_CTRL
        empty = len(self._commands) <= self.tx_threshold and not shifting
        full = len(self._got) > self.rx_threshold
        return self._latched | (_TX_EMPTY if empty else 0) | (_RX_FULL if full else 0)

    def read_uint32(self, offset: int) -> int:
        if offset == _DATA_CMD:
            self.sync()
            self._polls = 0
            return self._got.popleft() if self._got else 0
        if offset in (_RAW_INTR_STAT, _INTR_STAT, _STATUS, _TXFLR, _RXFLR, _ABRT_SOURCE):
            self._look()
        if offset in (_RAW_INTR_STAT, _INTR_STAT):
            return self._raw() & (0xFFFF if offset == _RAW_INTR_STAT else int(self.int_enable))
        if offset == _STATUS:
            active = 0x21 if self._next is not None or self._reads is not None else 0
            room = 0x02 if len(self._commands) < _DEPTH else 0
            empty = 0x04 if not self._commands else 0
            return active | room | empty | (0x08 if self._got else 0)
        if offset in (_TXFLR, _RXFLR):
            return len(self._commands if offset == _TXFLR else self._got)
        if offset == _CLR_INTR or offset in _CLEARS:
            there = self._latched
            self._latched &= ~_CLEARS.get(offset, there)
            return int(there != self._latched)
        if offset in (_SDA_HOLD, _DMA_CR):
            return 0
        return int(super().read_uint32(offset))

    def write_uint32(self, offset: int, value: int) -> None:
        self.sync()
        if offset == _DATA_CMD:
            self._polls = 0
            if self.enable & 1 and len(self._commands) < _DEPTH:
                self._commands.append((self.rp2040.clock.nanos, value))
                if self._next is None:
                    self._go_on(self._free_ns)
            return
        if offset == _ENABLE:
            self.enable = value & 1
            if not self.enable:
                self._commands.clear()
                self._got.clear()
                self._next, self._reads = None, None
            return
        if offset not in (_SDA_HOLD, _DMA_CR):
            super().write_uint32(offset, value)


class I2cFram:
    """`size` bytes, a power of two up to 128 KB, at `address`: MB85RC and FM24V. Content survives.

    Two address bytes; above 64 KB the lowest bit of the device's address is the seventeenth.
    holds: SCL clocks for which the chip keeps SDA down, as one does that was left in the middle of
    a read. absent: nobody acknowledges. protected: the WP pin is high, nothing is written.
    """

    def __init__(self, size: int, address: int = 0x50, content: bytes | None = None) -> None:
        if not 256 <= size <= 1 << 17 or size & (size - 1):
            raise ValueError(f"I2C FRAM of {size} bytes: a power of two, 256 to 131072")
        self.size, self.address = size, address
        self.memory = bytearray(size)
        if content is not None:
            self.memory[: len(content)] = content[:size]
        self.holds = 0
        self.absent = self.protected = False
        self.bytes_read = self.bytes_written = 0
        self.power_up()

    def power_up(self) -> None:
        """Volatile state to its power-on value."""
        self._at = 0
        self._bytes = 0
        self._doing = ""

    @property
    def position(self) -> tuple[str, int] | None:
        """Operation in progress and its current address: where a cut would hit."""
        there = self._doing == "read" or (self._doing == "write" and self._bytes >= 2)
        return (self._doing, self._at) if there else None

    def start(self, address: int, read: bool) -> bool:
        """True: acknowledged."""
        bank = address - self.address
        if self.absent or not 0 <= bank < max(1, self.size >> 16):
            self._doing = ""
            return False
        self._doing = "read" if read else "write"
        self._bytes = 0
        if not read:
            self._at = bank << 16
        return True

    def write(self, value: int) -> bool:
        """Two bytes of address, then data. True: acknowledged."""
        self._bytes += 1
        if self._bytes <= 2:
            self._at |= value << (8 if self._bytes == 1 else 0)
            self._at %= self.size
            return True
        if not self.protected:
            self.memory[self._at] = value
            self.bytes_written += 1
        self._at = (self._at + 1) % self.size
        return True

    def read(self) -> int:
        """The next byte."""
        if self._doing != "read":
            return FLOATING
        value = self.memory[self._at]
        self._at = (self._at + 1) % self.size
        self.bytes_read += 1
        return value

    def stop(self) -> None:
        """Both sides let the bus go."""
        self._doing = ""

    def clock(self) -> None:
        """SCL rose outside of a transfer."""
        self.holds = max(0, self.holds - 1)
