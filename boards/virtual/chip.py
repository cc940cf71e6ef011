"""The RP2040 itself: rp2040py 0.3.6 behind one class, with the blocks of `parts.py`, `ssi.py` and
`dma.py` put in.

A `Chip` lives for one charge. Power off throws it away; the next one starts with noise in SRAM.
Model: rp2040py's Cortex-M0+ cycle table (from rp2040js) at 125 MHz, one core, no bus contention.
Before the PLL runs, a cycle takes as long as the oscillator of `oscillators.py` makes it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

from relume_boards.virtual.bus import I2cDevice, SpiDevice
from relume_boards.virtual.dma import TimedDma
from relume_boards.virtual.flash import NorFlash, Times
from relume_boards.virtual.i2c import TimedI2c
from relume_boards.virtual.oscillators import (
    CORE_HZ,
    GatedClocks,
    Ring,
    TimedCrystal,
    TimedPll,
    core_hz,
)
from relume_boards.virtual.parts import TimedSpi, TimedUart, whole_cycles
from relume_boards.virtual.ssi import FlashSsi
from relume_boards.virtual.xip import Probe
from rp2040py.clock.simulation_clock import SimulationClock
from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.execute_batch import execute_batch
from rp2040py.rp2040 import RP2040

CYCLE_NS = 8.0
"""One core cycle: rp2040py's execution loop runs at 125 MHz."""
XIP_BASE = 0x1000_0000
SRAM_BASE = 0x2000_0000
_UART = (0x40034, 0x40038)
_SPI = (0x4003C, 0x40040)
_I2C = (0x40044, 0x40048)
_SSI = 0x18000
_DMA = 0x50000
_CLOCKS, _XOSC, _ROSC, _PLLS, _RTC = 0x40008, 0x40024, 0x40060, (0x40028, 0x4002C), 0x4005C
_SCR, _SLEEPDEEP = 0xD10, 4
_VBUS_PIN = 24
_VSYS_CHANNEL = 3
_execute_batch: Callable[[Any, int], None] = execute_batch
"""rp2040py's loop needs of a simulator only what `_Switch` has."""
_UF2_MAGIC = (0x0A324655, 0x9E5D5157)
_UF2_RP2040 = 0xE48BFF56


def uf2_blocks(image: bytes) -> list[tuple[int, bytes]]:
    """(flash offset, bytes) of every block of a UF2 image for the RP2040.

    Raises ValueError with the block's number when the image is not one.
    """
    if not image or len(image) % 512:
        raise ValueError(f"{len(image)} bytes are no whole number of 512-byte UF2 blocks")
    blocks = []
    for number in range(len(image) // 512):
        block = image[number * 512 : number * 512 + 512]
        start0, start1, flags, address, size, _, _, family = struct.unpack_from("<8I", block)
        if (start0, start1) != _UF2_MAGIC or size > 476:
            raise ValueError(f"block {number} is not a UF2 block")
        if flags & 0x2000 and family != _UF2_RP2040:
            raise ValueError(f"block {number} is for chip family {family:#010x}, not the RP2040")
        blocks.append((address - XIP_BASE, block[32 : 32 + size]))
    return blocks


class _Switch:
    """What `execute_batch` wants of a simulator."""

    __slots__ = ("clock", "rp2040", "stopped")

    def __init__(self, rp2040: RP2040, clock: SimulationClock) -> None:
        self.rp2040 = rp2040
        self.clock = clock
        self.stopped = False


class _Warnings:
    """rp2040py's log: the first few distinct warnings are kept for the record."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.count = 0

    def _note(self, component: str, message: str) -> None:
        self.count += 1
        text = f"{component}: {message}"
        if len(self.first) < 20 and text not in self.first:
            self.first.append(text)

    def debug(self, component_name: str, message: str) -> None:
        pass

    info = debug

    def warning(self, component_name: str, message: str) -> None:
        self._note(component_name, message)

    def error(self, component_name: str, message: str) -> None:
        self._note(component_name, message)


class Chip:
    """One RP2040 from power-on to power-off.

    `flash` is the array's content (up to 16 MB), `identity` its 64-bit unique number; `noise`
    fills SRAM and USB RAM. The boot ROM's flash check is skipped: the core starts at the flash's
    first byte, as rp2040py does.
    """

    def __init__(
        self, flash: bytes | bytearray, times: Times, noise: random.Random, identity: int = 0
    ) -> None:
        self._clock = SimulationClock()
        mcu: Any = RP2040(self._clock)
        self._mcu = mcu
        self.log = _Warnings()
        mcu.logger = self.log
        for index, word in enumerate(BOOTROM_B1):
            mcu.bootrom[index] = word
        mcu.core.reset()
        self.flash = memoryview(mcu.flash)
        self.flash[: len(flash)] = flash
        self.sram = memoryview(mcu.sram)
        self.sram[:] = noise.randbytes(len(self.sram))
        mcu.usb_dpram[:] = noise.randbytes(len(mcu.usb_dpram))
        self.core: Any = mcu.core
        self._cycles_before = 0
        self.waited = 0
        self.slow_ns = 0.0
        self._fit_parts(times, len(flash), identity)
        self._fit_clocks(noise)
        self._switch = _Switch(mcu, self._clock)
        self._stop = self._clock.create_alarm(self._on_stop)
        self.on_reset: Callable[[], None] = lambda: None
        mcu.watchdog.on_watchdog_trigger = self._on_watchdog
        mcu.core.pc = XIP_BASE

    def _fit_parts(self, times: Times, size: int, identity: int) -> None:
        mcu = self._mcu
        requests = mcu.dma.dreq
        mcu.dma = mcu.peripherals[_DMA] = TimedDma(mcu, self.wait, self._cycle_ns)
        mcu.dma.dreq.update(requests)
        for index in (0, 1):
            uart, spi = TimedUart(mcu, index, self.wait), TimedSpi(mcu, index, self.wait)
            mcu.uart[index] = mcu.peripherals[_UART[index]] = uart
            mcu.spi[index] = mcu.peripherals[_SPI[index]] = spi
            i2c = TimedI2c(mcu, index, self.wait, CYCLE_NS)
            mcu.i2c[index] = mcu.peripherals[_I2C[index]] = i2c
        self.nor = NorFlash(self.flash, size, times, lambda: self.nanos, self.wait, identity)
        self.ssi = FlashSsi(mcu, self.nor, self.flash, self._cycle_ns)
        mcu.ssi = mcu.peripherals[_SSI] = self.ssi
        self.uart: TimedUart = mcu.uart[0]

    def _fit_clocks(self, noise: random.Random) -> None:
        mcu = self._mcu
        self.clocks = GatedClocks(mcu)
        mcu.clocks = mcu.peripherals[_CLOCKS] = self.clocks
        self._ring = mcu.peripherals[_ROSC] = Ring(mcu, lambda: noise.getrandbits(1))
        mcu.xosc = mcu.peripherals[_XOSC] = TimedCrystal(mcu, self.wait)
        names = ("PLL_SYS_BASE", "PLL_USB_BASE")
        self._plls = [TimedPll(mcu, name, self.wait) for name in names]
        mcu.peripherals.update(zip(_PLLS, self._plls, strict=True))
        self._fit_scr()
        self.on_interpreter: Callable[[], None] = lambda: None
        rtc = mcu.peripherals[_RTC]
        write = rtc.write_uint32

        def started(offset: int, value: int) -> None:
            rtc.write_uint32 = write
            self.on_interpreter()
            write(offset, value)

        rtc.write_uint32 = started

    def _fit_scr(self) -> None:
        """The core's System Control Register, which rp2040py lacks."""
        ppb = self._mcu.ppb
        read, write = ppb.read_uint32, ppb.write_uint32
        self._scr = 0

        def written(offset: int, value: int) -> None:
            if offset == _SCR:
                self._scr = value
            else:
                write(offset, value)

        ppb.read_uint32 = lambda offset: self._scr if offset == _SCR else read(offset)
        ppb.write_uint32 = written

    # --- time -------------------------------------------------------------------------------

    @property
    def nanos(self) -> float:
        """Emulated nanoseconds since the core's first instruction."""
        return float(self._clock.nanos)

    @property
    def cycles(self) -> int:
        """Core cycles since power-on, sleep not counted, resets by software included."""
        return self._cycles_before + int(self.core.cycles)

    @property
    def sleeping(self) -> bool:
        """Whether the core waits for an interrupt or event."""
        return bool(self.core.waiting)

    @property
    def asleep(self) -> bool:
        """The SLEEP state at its deepest (RP2040 datasheet 2.11.2): core 0 waits with SLEEPDEEP,
        as core 1 does since the boot ROM, everything runs from the crystal, the other sources are
        off and all clocks gated but those that may end the sleep."""
        if not (self.sleeping and self._scr & _SLEEPDEEP and self.clocks.gated):
            return False
        others = self._ring.on or any(pll.on for pll in self._plls) or self.clocks.sys_ctrl & 1
        return not (others or self.dma.moving)

    @property
    def deaf(self) -> bool:
        """Asleep with the console's clocks gated: what comes in is lost."""
        return self.asleep and not self.clocks.uart_hears

    @property
    def nanos_to_event(self) -> float:
        """Nanoseconds to the chip's next own alarm; infinite if none is set."""
        if not self._clock.has_scheduled_alarm:
            return float("inf")
        return float(self._clock.nanos_to_next_alarm)

    @property
    def core_hz(self) -> float:
        """What the core runs at now: 125 MHz once the firmware has started its PLL."""
        return core_hz(self._mcu.clocks, self._ring)

    def _cycle_ns(self) -> float:
        """A cycle of what the core's clock drives."""
        return 1e9 / self.core_hz

    def alarm(self, callback: Callable[[], None]) -> Any:
        """An alarm on this chip's clock: `.schedule(ns from now)`, `.cancel()`."""
        return self._clock.create_alarm(callback)

    def _on_stop(self) -> None:
        self._switch.stopped = True

    def _on_watchdog(self) -> None:
        """A reset asked for by software: the core starts again, the power stays."""
        self._cycles_before += int(self.core.cycles)
        self._mcu.enter_reset(from_watchdog=True)
        self._mcu.leave_reset()
        self.on_reset()

    def run(self, ns: float) -> None:
        """Run for `ns` emulated nanoseconds; overshoots by at most the instruction in hand."""
        slower = CORE_HZ / self.core_hz
        cycles, waited = self.cycles, self.waited
        switch = self._switch
        switch.stopped = False
        self._stop.schedule(ns if self.sleeping else ns / slower)
        while not switch.stopped:
            _execute_batch(switch, 1)
        self._late(self.cycles - cycles - (self.waited - waited), slower)

    def follow(self, steps: Callable[[], int]) -> int:
        """Let `steps` step the core through `probe()`, which ticks as at 125 MHz, and add what a
        slower clock makes of it; then the stall cycles that it returns, which are returned."""
        slower = CORE_HZ / self.core_hz
        cycles, waited = self.cycles, self.waited
        stalls = steps()
        self._late(self.cycles - cycles - (self.waited - waited), slower)
        if stalls:
            self.stall(stalls)
        return stalls

    def _late(self, cycles: int, slower: float) -> None:
        """`cycles` took `slower` times as long as the clock was told."""
        if slower > 1:
            late = cycles * CYCLE_NS * (slower - 1)
            self.slow_ns += late
            self._clock.tick(late)

    def wait(self, until_ns: float) -> None:
        """The core polls until `until_ns`: move on to it, or to the next alarm if that is nearer.

        Called from inside an instruction, never from an alarm. The cycles count as spent."""
        ahead = min(until_ns - self.nanos, self.nanos_to_event)
        if ahead > 0:
            cycles = whole_cycles(ahead, CYCLE_NS)
            self.core.cycles += cycles
            self.waited += cycles
            self._clock.tick(cycles * CYCLE_NS)

    def stall(self, cycles: int) -> None:
        """The core stands still for `cycles`, between two instructions."""
        self.core.cycles += cycles
        self._clock.tick(cycles * CYCLE_NS)
        self._late(cycles, CORE_HZ / self.core_hz)

    def probe(self) -> Probe:
        """What the XIP tracer steps the core with. A window leaves the PIO blocks standing."""
        core = self.core
        return Probe(
            flash=self.flash.cast("B").cast("H"),
            sram=self.sram.cast("B").cast("H"),
            registers=memoryview(core.registers),
            execute=core.execute_instruction,
            tick=self._clock.tick,
            asleep=lambda: bool(core.waiting),
            on_read=self.ssi.on_flash_read,
        )

    # --- wiring -----------------------------------------------------------------------------

    @property
    def dma(self) -> TimedDma:
        """The DMA controller's registers."""
        dma: TimedDma = self._mcu.dma
        return dma

    def spi(self, index: int) -> TimedSpi:
        """The registers of an SPI."""
        spi: TimedSpi = self._mcu.spi[index]
        return spi

    def attach_spi(self, index: int, cs: int, device: SpiDevice) -> None:
        """Put `device` on SPI `index` with its chip select (active low) on GPIO `cs`."""
        spi = self.spi(index)
        spi.device = device

        def changed(value: Any, _last: Any) -> None:
            spi.sync()
            if int(value) == 0:
                device.select()
            else:
                device.deselect()

        self._mcu.gpio[cs].add_listener(changed)

    def i2c(self, index: int) -> TimedI2c:
        """The registers of an I2C."""
        i2c: TimedI2c = self._mcu.i2c[index]
        return i2c

    def attach_i2c(
        self, index: int, sda: int, scl: int, device: I2cDevice, rise_ns: float
    ) -> None:
        """Put `device` on I2C `index`; pull-ups hold both lines."""
        i2c, gpio = self.i2c(index), self._mcu.gpio
        i2c.device, i2c.rise_ns = device, rise_ns
        i2c.on_hold = lambda: gpio[sda].set_input_value(False)
        gpio[scl].set_input_value(True)
        gpio[sda].set_input_value(not device.holds)

        def clocked(value: Any, last: Any) -> None:
            if int(last) == 0 and int(value) != 0:
                device.clock()
                gpio[sda].set_input_value(not device.holds)

        gpio[scl].add_listener(clocked)

    def attach_adc(self, channel: int, counts: Callable[[], int]) -> None:
        """What a channel of the ADC reads, 0 to 4095, asked for at each conversion."""
        adc = self._mcu.adc
        convert = adc.on_adc_read

        def read(asked: int) -> None:
            if asked == channel:
                adc.channel_values[channel] = counts()
            convert(asked)

        adc.on_adc_read = read

    def drive(self, pin: int, high: bool) -> None:
        """Something outside drives a GPIO pin."""
        self._mcu.gpio[pin].set_input_value(high)

    def settle(self) -> None:
        """Bring lazy blocks up to now; call before looking at a chip on the bus."""
        for bus in (*self._mcu.spi, *self._mcu.i2c):
            bus.sync()

    @property
    def i2c_busy_ns(self) -> float:
        """Nanoseconds in which something went over an I2C."""
        return float(sum(i2c.busy_ns for i2c in self._mcu.i2c))

    def set_supply(self, volts: float, usb: bool) -> None:
        """VSYS / 3 on ADC channel 3 (3.3 V reference), VBUS sense on GPIO 24."""
        counts = round(volts / 3 / 3.3 * 4095)
        self._mcu.adc.channel_values[_VSYS_CHANNEL] = max(0, min(4095, counts))
        self._mcu.gpio[_VBUS_PIN].set_input_value(usb)
