"""RP2040 blocks that rp2040py models without time, rebuilt with it: UART, SPI.

Each class takes the place of rp2040py's own block in the chip's address map (`chip.py` does the
swap). With `chip.py`, `ssi.py` and `dma.py` these are the only modules that know rp2040py's
classes.

Time inside a block is lazy: a byte in flight carries the instant at which it ends, and the block
brings itself up to date whenever the core looks at it or the power goes. A core that only polls a
busy flag is moved on to the next instant at which the flag can change (`Wait`): the result is the
same, the host is spared the loop, and the cycles are counted as spent.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from relume_boards.virtual.bus import FLOATING, SpiDevice, Wait
from rp2040py.irq import IRQ
from rp2040py.peripherals.dma import DREQChannel
from rp2040py.peripherals.spi import RPSPI, ISPIDMAChannels
from rp2040py.peripherals.uart import RPUART, IUARTDMAChannels

_PERI_HZ = (125e6, 125e6, 48e6, 6.5e6, 12e6, 125e6, 125e6, 125e6)
"""clk_peri by CLK_PERI_CTRL.AUXSRC: system clock, system PLL, USB PLL, ring and crystal oscillator
(RP2040 datasheet 2.15.7). MicroPython picks the USB PLL."""

_CRYSTAL = 4  # which a system clock without its PLL comes from by the time a UART or SPI is used


def peri_hz(chip: Any) -> float:
    """The clock of UART and SPI as the firmware has set it."""
    source = int(chip.clocks.peri_ctrl) >> 5 & 7
    if source == 0 and not chip.clocks.sys_ctrl & 1:
        source = _CRYSTAL
    return _PERI_HZ[source]


# --- UART: PL011 -------------------------------------------------------------------------------

_FIFO_DEPTH = 32
_RX_TRIGGER = 16  # UARTIFLS at reset: half full
_TX_TRIGGER = 16
_RX_TIMEOUT_BITS = 32  # ARM DDI 0183G 2.4.2: receive timeout after 32 bit periods

_DR, _FR, _IBRD, _FBRD, _LCR, _CR, _IFLS, _IMSC, _RIS, _MIS, _ICR, _DMACR = (
    0x00, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48,
)  # fmt: skip
_FR_TXFE, _FR_RXFF, _FR_TXFF, _FR_RXFE, _FR_BUSY = 0x80, 0x40, 0x20, 0x10, 0x08
_INT_RT, _INT_TX, _INT_RX = 0x40, 0x20, 0x10
_POLLS_BEFORE_WAIT = 3


class TimedUart(RPUART):
    """PL011 with FIFOs that fill and drain at the line's speed, both ways.

    Interrupts follow ARM DDI 0183G 2.8: receive level and transmit level when the FIFO crosses
    its trigger, receive timeout when bytes have lain for 32 bit periods.
    """

    def __init__(self, chip: Any, index: int, wait: Wait) -> None:
        names = (("UART0", IRQ.UART0, 0), ("UART1", IRQ.UART1, 1))[index]
        rx, tx = (
            (DREQChannel.DREQ_UART0_RX, DREQChannel.DREQ_UART0_TX),
            (DREQChannel.DREQ_UART1_RX, DREQChannel.DREQ_UART1_TX),
        )[index]
        self._sent: deque[float] = deque()
        self._polls = 0
        super().__init__(chip, names[0], names[1], IUARTDMAChannels(rx=rx, tx=tx))
        self._wait = wait
        self._timeout = chip.clock.create_alarm(self._on_timeout)
        self._tx_alarm = chip.clock.create_alarm(self._on_tx_level)

    def reset(self) -> None:
        super().reset()
        self._sent.clear()
        self._timeout.cancel()
        self._tx_alarm.cancel()

    @property
    def bit_ns(self) -> float:
        """Nanoseconds of one bit; 115200 baud until the divisor is set."""
        if not self._int_divisor:
            return 1e9 / 115200
        return 16e9 * float(self.baud_divider) / peri_hz(self.rp2040)

    @property
    def room(self) -> bool:
        """Whether a byte from outside would find a place now."""
        return bool(self.enabled and self.rx_enabled and not self.rx_fifo.full)

    def feed_byte(self, value: int) -> None:
        """One byte has arrived on the line."""
        self.rx_fifo.push(value)
        if self.rx_fifo.item_count == _RX_TRIGGER or not self.fifos_enabled:
            self._interrupt_status |= _INT_RX
        self._arm_timeout()
        self.check_interrupts()

    def check_interrupts(self) -> None:
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    def _arm_timeout(self) -> None:
        if self.rx_fifo.empty:
            self._timeout.cancel()
        else:
            self._timeout.schedule(_RX_TIMEOUT_BITS * self.bit_ns)

    def _on_timeout(self) -> None:
        if not self.rx_fifo.empty:
            self._interrupt_status |= _INT_RT
            self.check_interrupts()

    def _on_tx_level(self) -> None:
        pending = self._pending()
        if pending > _TX_TRIGGER:
            falls = self._sent[pending - _TX_TRIGGER - 1]
            self._tx_alarm.schedule(falls - self.rp2040.clock.nanos)
            return
        self._interrupt_status |= _INT_TX
        self.check_interrupts()

    def _pending(self) -> int:
        """Bytes not yet wholly on the line."""
        now, sent = self.rp2040.clock.nanos, self._sent
        while sent and sent[0] <= now:
            sent.popleft()
        return len(sent)

    def _send(self, value: int) -> None:
        pending = self._pending()
        if pending > _FIFO_DEPTH:
            return  # FIFO and shift register full: the byte is lost, as on the chip
        now = self.rp2040.clock.nanos
        start = self._sent[-1] if self._sent else now
        self._sent.append(start + 10 * self.bit_ns)
        if pending == _TX_TRIGGER:
            self._tx_alarm.schedule(self._sent[0] - now)
        if self.on_byte:
            self.on_byte(value & 0xFF)

    def _read_data(self) -> int:
        value: int = self.rx_fifo.pull()
        if self.rx_fifo.item_count < _RX_TRIGGER:
            self._interrupt_status &= ~_INT_RX
        if self.rx_fifo.empty:
            self._interrupt_status &= ~_INT_RT
        self._arm_timeout()
        self.check_interrupts()
        return value

    def _read_flags(self) -> int:
        pending = self._pending()
        full = pending > _FIFO_DEPTH
        if full:
            self._polls += 1
            if self._polls >= _POLLS_BEFORE_WAIT:
                self._wait(self._sent[0])
        else:
            self._polls = 0
        return (
            (_FR_RXFF if self.rx_fifo.full else 0)
            | (_FR_RXFE if self.rx_fifo.empty else 0)
            | (_FR_TXFF if full else 0)
            | (_FR_TXFE if pending <= 1 else 0)
            | (_FR_BUSY if pending else 0)
        )

    def read_uint32(self, offset: int) -> int:
        if offset == _DR:
            return self._read_data()
        if offset == _FR:
            return self._read_flags()
        if offset == _IFLS:
            return 0x12
        if offset == _DMACR:
            return 0
        return int(super().read_uint32(offset))

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _DR:
            self._send(value)
        elif offset == _ICR:
            self._interrupt_status &= ~self.raw_write_value
            self._arm_timeout()
            self.check_interrupts()
        elif offset not in (_IFLS, _DMACR):
            super().write_uint32(offset, value)


# --- SPI: PL022 --------------------------------------------------------------------------------

_CR0, _CR1, _SDR, _SR, _CPSR, _SIMSC, _SRIS, _SMIS, _SICR, _SDMACR = range(0x00, 0x28, 4)
_SR_BSY, _SR_RFF, _SR_RNE, _SR_TNF, _SR_TFE = 0x10, 0x08, 0x04, 0x02, 0x01
_RIS_TX, _RIS_RX, _RIS_ROR = 0x08, 0x04, 0x01
_TXDMAE, _RXDMAE = 2, 1
_DEPTH = 8
_WHOLE_CHAIN = _DEPTH + 1  # eight in the FIFO, one in the shift register


class TimedSpi(RPSPI):
    """PL022 whose frames take `data_bits / clock_frequency` each, back to back.

    A frame reaches the device at its end. With DMA or interrupts on, an alarm stands at the end
    of the frame in flight; without, nothing happens until the core looks.
    """

    def __init__(self, chip: Any, index: int, wait: Wait) -> None:
        name, irq, rx, tx = (
            ("SPI0", IRQ.SPI0, DREQChannel.DREQ_SPI0_RX, DREQChannel.DREQ_SPI0_TX),
            ("SPI1", IRQ.SPI1, DREQChannel.DREQ_SPI1_RX, DREQChannel.DREQ_SPI1_TX),
        )[index]
        self._frames: deque[tuple[float, int]] = deque()
        self._got: deque[int] = deque()
        self._polls = 0
        self._armed = False
        self.device: SpiDevice | None = None
        super().__init__(chip, name, irq, ISPIDMAChannels(rx=rx, tx=tx))
        self._wait = wait
        self._alarm = chip.clock.create_alarm(self._on_frame)

    def reset(self) -> None:
        self._frames.clear()
        self._got.clear()
        self._alarm.cancel()
        self._armed = False
        super().reset()

    @property
    def frame_ns(self) -> float:
        divisor = self._clock_divisor * (1 + (self._control0 >> 8 & 0xFF))
        return float(self.data_bits) * 1e9 * (divisor or 2) / peri_hz(self.rp2040)

    def sync(self) -> None:
        """Hand the device every frame that has ended by now."""
        now, frames = self.rp2040.clock.nanos, self._frames
        while frames and frames[0][0] <= now:
            value = frames.popleft()[1]
            answer = self.device.exchange(value & 0xFF) if self.device else FLOATING
            if len(self._got) < _DEPTH:
                self._got.append(answer)
            else:
                self._int_raw |= _RIS_ROR

    def _on_frame(self) -> None:
        self._armed = False
        self.sync()
        self._publish()

    def _publish(self) -> None:
        """Levels to the DMA and the interrupt line; arm the next frame's end if anyone waits."""
        queued = max(0, len(self._frames) - 1)
        raw = self._int_raw & _RIS_ROR
        raw |= _RIS_TX if queued <= _DEPTH // 2 else 0
        raw |= _RIS_RX if len(self._got) >= _DEPTH // 2 else 0
        self._int_raw = raw
        if not (self._dma_control or self._int_enable):
            return
        self.check_interrupts()
        if self._frames and not self._armed:
            self._armed = True
            self._alarm.schedule(max(0.0, self._frames[0][0] - self.rp2040.clock.nanos))
        self._update_dma_tx()
        self._update_dma_rx()

    def _update_dma_tx(self) -> None:
        if self._dma_control & _TXDMAE and len(self._frames) < _WHOLE_CHAIN:
            self.rp2040.dma.set_dreq(self.dreq.tx)
        else:
            self.rp2040.dma.clear_dreq(self.dreq.tx)

    def _update_dma_rx(self) -> None:
        if self._dma_control & _RXDMAE and self._got:
            self.rp2040.dma.set_dreq(self.dreq.rx)
        else:
            self.rp2040.dma.clear_dreq(self.dreq.rx)

    def _status(self) -> int:
        self.sync()
        self._polls += 1
        if self._polls > _POLLS_BEFORE_WAIT and self._frames and not self._got:
            self._wait(self._frames[0][0])
            self.sync()
        pending, got = len(self._frames), len(self._got)
        return (
            (_SR_BSY if pending else 0)
            | (_SR_RFF if got == _DEPTH else 0)
            | (_SR_RNE if got else 0)
            | (_SR_TNF if pending < _WHOLE_CHAIN else 0)
            | (_SR_TFE if pending <= 1 else 0)
        )

    def read_uint32(self, offset: int) -> int:
        if offset == _SR:
            return self._status()
        if offset == _SDR:
            self.sync()
            self._polls = 0
            value = self._got.popleft() if self._got else 0
            self._publish()
            return value
        if offset in (_SRIS, _SMIS):
            self.sync()
            self._publish()
        return int(super().read_uint32(offset))

    def _write_data(self, value: int) -> None:
        self.sync()
        self._polls = 0
        if len(self._frames) < _WHOLE_CHAIN and self.enabled:
            now = self.rp2040.clock.nanos
            start = self._frames[-1][0] if self._frames else now
            self._frames.append((start + self.frame_ns, value & ((1 << self.data_bits) - 1)))
        self._publish()

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _SDR:
            self._write_data(value)
            return
        super().write_uint32(offset, value)
        if offset in (_CR1, _SIMSC, _SDMACR):
            self.sync()
            self._publish()
        if offset == _SDMACR:
            self._update_dma_tx()
            self._update_dma_rx()


def whole_cycles(ns: float, cycle_ns: float) -> int:
    """Core cycles that cover `ns` nanoseconds, at least one."""
    return max(1, math.ceil(ns / cycle_ns - 1e-6))
