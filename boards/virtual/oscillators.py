"""The RP2040's clock sources with the time that they take: ring, crystal, PLLs.

rp2040py runs the core at 125 MHz from the first instruction and lets every oscillator be stable at
once. Here the core runs at what its clock registers say, so that everything before the PLL takes
the time that it takes on the chip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from relume_boards.virtual.bus import Wait
from rp2040py.peripherals.clocks import RPClocks
from rp2040py.peripherals.peripheral import BasePeripheral
from rp2040py.peripherals.xosc import RPXOSC

CORE_HZ = 125e6
USB_HZ = 48e6
RING_HZ = 6.5e6
"""Nominal with the divider of 16 that it has at reset (RP2040 datasheet 2.17.3: 1.8 to 12)."""
CRYSTAL_HZ = 12e6
BOOT_ROM_S = 2.5e-3
"""Power-on to boot2's first instruction: derived, not measured. The boot ROM reads 256 bytes and
their command serially at a sixth of the ring's 6.5 MHz (1.95 ms), waits 100 us twice (RP2040
datasheet 2.8.1) and checks a CRC-32."""
PLL_LOCK_S = 100e-6
"""Assumed: the datasheet names no figure."""

_ROSC_DIV, _ROSC_STATUS, _ROSC_RANDOM = 0x10, 0x18, 0x1C
_ROSC_PASS = 0xAA0
_XOSC_STATUS, _XOSC_STABLE = 0x04, 1 << 31
_POLL_NS = 10e3  # a status that is asked for again so soon is waited for
_PLL_CS, _PLL_PWR, _PLL_LOCK = 0x00, 0x04, 1 << 31
_PLL_ON = 0x21  # PD and VCOPD, both 0 when it runs
_WAKE_EN0, _WAKE_EN1, _SLEEP_EN0, _SLEEP_EN1 = 0xA0, 0xA4, 0xA8, 0xAC
_GATES = {_WAKE_EN0: 0xFFFF_FFFF, _WAKE_EN1: 0x7FFF, _SLEEP_EN0: 0xFFFF_FFFF, _SLEEP_EN1: 0x7FFF}
_TIMER_CLOCK, _UART0_CLOCKS = 0x20, 0xC0  # RP2040 datasheet 2.15.7: CLOCKS SLEEP_EN1
_FROM_USB_PLL = 1  # CLK_SYS_CTRL.AUXSRC
_ROSC_CTRL, _ROSC_OFF = 0x00, 0xD1E000


class Ring(BasePeripheral):
    """ROSC: its divider counts, all else is kept and read back."""

    def __init__(self, chip: Any, random: Callable[[], int]) -> None:
        super().__init__(chip, "ROSC")
        self._random = random
        self._registers: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        self._registers = {_ROSC_DIV: _ROSC_PASS + 16, _ROSC_STATUS: 0x8000_1000}

    @property
    def on(self) -> bool:
        return self._registers.get(_ROSC_CTRL, 0) & 0xFFF000 != _ROSC_OFF

    @property
    def hz(self) -> float:
        """Its output."""
        divider = (self._registers[_ROSC_DIV] - _ROSC_PASS) % 32 or 32
        return RING_HZ * 16 / divider

    def read_uint32(self, offset: int) -> int:
        if offset == _ROSC_RANDOM:
            return self._random() & 1
        return self._registers.get(offset, 0)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset != _ROSC_STATUS:
            self._registers[offset] = value


class TimedCrystal(RPXOSC):
    """XOSC: stable when the start-up delay that the firmware has set is over."""

    def __init__(self, chip: Any, wait: Wait) -> None:
        super().__init__(chip, "XOSC_BASE")
        self._wait = wait
        self._stable_at = 0.0
        self._asked_at = -math.inf

    def write_uint32(self, offset: int, value: int) -> None:
        was = self._enabled
        super().write_uint32(offset, value)
        if self._enabled and not was:
            delay = (self._startup & 0x3FFF) * 256 / CRYSTAL_HZ
            self._stable_at = self.rp2040.clock.nanos + delay * 1e9

    def read_uint32(self, offset: int) -> int:
        clock = self.rp2040.clock
        if offset == _XOSC_STATUS and self._enabled and clock.nanos < self._stable_at:
            if clock.nanos - self._asked_at < _POLL_NS:
                self._wait(self._stable_at)
            self._asked_at = float(clock.nanos)
            if clock.nanos < self._stable_at:
                return int(super().read_uint32(offset)) & ~_XOSC_STABLE
        return int(super().read_uint32(offset))


class TimedPll(BasePeripheral):
    """A PLL: locked `PLL_LOCK_S` after it was powered."""

    def __init__(self, chip: Any, name: str, wait: Wait) -> None:
        super().__init__(chip, name)
        self._wait = wait
        self.reset()

    def reset(self) -> None:
        self._registers = {_PLL_CS: 1, _PLL_PWR: 0x2D, 0x0C: 0x77000}
        self._locked_at = 0.0

    @property
    def on(self) -> bool:
        return not self._registers[_PLL_PWR] & _PLL_ON

    def write_uint32(self, offset: int, value: int) -> None:
        was = self.on
        self._registers[offset] = value
        if self.on and not was:
            self._locked_at = self.rp2040.clock.nanos + PLL_LOCK_S * 1e9

    def read_uint32(self, offset: int) -> int:
        value = self._registers.get(offset, 0)
        if offset != _PLL_CS:
            return value
        value &= ~_PLL_LOCK
        if not self.on:
            return value
        if self.rp2040.clock.nanos < self._locked_at:
            self._wait(self._locked_at)
        return value | (_PLL_LOCK if self.rp2040.clock.nanos >= self._locked_at else 0)


class GatedClocks(RPClocks):
    """The clock tree with the registers that gate clocks while the chip sleeps."""

    def __init__(self, chip: Any) -> None:
        super().__init__(chip, "CLOCKS_BASE")
        self.gates = dict(_GATES)

    def reset(self) -> None:
        super().reset()
        self.gates = dict(_GATES)

    def read_uint32(self, offset: int) -> int:
        if offset in self.gates:
            return self.gates[offset]
        return int(super().read_uint32(offset))

    def write_uint32(self, offset: int, value: int) -> None:
        if offset in self.gates:
            self.gates[offset] = value & _GATES[offset]
        else:
            super().write_uint32(offset, value)

    @property
    def timer_wakes(self) -> bool:
        """The timer is clocked in SLEEP."""
        return bool(self.gates[_SLEEP_EN1] & _TIMER_CLOCK)

    @property
    def uart_hears(self) -> bool:
        """UART0 is clocked in SLEEP."""
        return self.gates[_SLEEP_EN1] & _UART0_CLOCKS == _UART0_CLOCKS

    @property
    def gated(self) -> bool:
        """In SLEEP nothing runs but what may end it: timer and UART0."""
        others = self.gates[_SLEEP_EN1] & ~(_TIMER_CLOCK | _UART0_CLOCKS)
        return not (self.gates[_SLEEP_EN0] or others)


def core_hz(clocks: Any, ring: Ring) -> float:
    """What the core runs at: clk_sys by its registers (RP2040 datasheet 2.15.7)."""
    if clocks.sys_ctrl & 1:
        return USB_HZ if clocks.sys_ctrl >> 5 & 7 == _FROM_USB_PLL else CORE_HZ
    return CRYSTAL_HZ if clocks.ref_ctrl & 3 == 2 else ring.hz
