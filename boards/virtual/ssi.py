"""The RP2040's flash controller: its direct mode, and reads that the DMA empties.

Timing of a read of several frames (RP2040 datasheet 4.10, boot2_w25q080.S): 8 SPI clocks of
address and mode, the dummy clocks of SPI_CTRLR0, 8 SPI clocks for each 32-bit frame, back to back;
an SPI clock is BAUDR core cycles. Frames are handed to the DMA four at a time, at the instant at
which the fourth has come. A read through XIP while the controller is taken is a fault of the
firmware: `on_conflict` is told when code in flash starts such a read or sets the controller back,
and when flash is read before it is set back, as far as the XIP tracer looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from relume_boards.virtual.bus import FLOATING, SpiDevice
from rp2040py.peripherals.dma import DREQChannel
from rp2040py.peripherals.ssi import RPSSI

_CTRLR1, _SSIENR, _SR, _DMACR, _DR0 = 0x04, 0x08, 0x28, 0x4C, 0x60
_QUAD, _RECEIVE = 2, 3  # CTRLR0.SPI_FRF, CTRLR0.TMOD: address out, data in
_RDMAE = 1
_ADDRESS_CLOCKS, _FRAME_CLOCKS = 8, 8
_BATCH = 4
_BUSY = 1
_FLASH_LO, _FLASH_HI = 0x1000_0000, 0x2000_0000


class FlashSsi(RPSSI):
    """The controller, wired to a flash chip that has a life of its own."""

    def __init__(
        self, chip: Any, device: SpiDevice, memory: memoryview, cycle_ns: Callable[[], float]
    ) -> None:
        self._device: SpiDevice | None = None
        self._dmacr = 0
        self._left = 0
        self._at = 0
        self._next_ns = 0.0
        self._frames: deque[int] = deque()
        self._memory = memory
        self._cycle_ns = cycle_ns
        self.bursts = 0
        self.on_conflict: Callable[[str], None] = lambda text: None
        super().__init__(chip, "SSI")
        self._alarm = chip.clock.create_alarm(self._on_frames)
        self._device = device
        if self._cs_asserted:
            device.select()

    def reset(self) -> None:
        super().reset()
        self._stop()
        self._dmacr = 0
        if self._device is not None and self._cs_asserted:
            self._device.select()

    def _on_cs_pin_changed(self, value: Any, _last: Any) -> None:
        low = int(value) == 0
        if self._device is None or low == self._cs_asserted:
            return
        self._cs_asserted = low
        if low:
            self._rx_queue.clear()
            self._device.select()
        else:
            self._device.deselect()

    def _shift_byte(self, byte_out: int) -> int:
        return self._device.exchange(byte_out) if self._device else FLOATING

    # --- reads of several frames ------------------------------------------------------------

    def read_uint32(self, offset: int) -> int:
        if offset == _DMACR:
            return self._dmacr
        if offset == _DR0 and self._frames:
            return self._pop()
        status = int(super().read_uint32(offset))
        return status | _BUSY if offset == _SR and self._left else status

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _DMACR:
            self._dmacr = value
        elif offset == _DR0 and self._ssienr and self._dmacr & _RDMAE and self._is_read():
            self._start(value)
        else:
            if offset == _SSIENR and not value:
                self._stop()
            super().write_uint32(offset, value)
        if offset in (_SSIENR, _CTRLR1, _DMACR) and (self._dmacr or self._crtlr1):
            self._check_code()

    def _is_read(self) -> bool:
        return self._crtlr0 >> 21 & 3 == _QUAD and self._crtlr0 >> 8 & 3 == _RECEIVE

    def _check_code(self) -> None:
        pc = int(self.rp2040.core.registers[15])
        if _FLASH_LO <= pc < _FLASH_HI:
            self.on_conflict(f"flash controller taken by code in flash at {pc:#x}")

    def on_flash_read(self, address: int) -> None:
        """The core reads flash through XIP."""
        if self._dmacr & _RDMAE:
            self.on_conflict(f"flash controller is taken when {address:#x} is read")

    def _frame_ns(self, clocks: int) -> float:
        return clocks * (self._baudr or 2) * self._cycle_ns()

    def _start(self, word: int) -> None:
        self.bursts += 1
        self._at = word >> 8
        self._left = (self._crtlr1 & 0xFFFF) + 1
        wait = self._spictlr0 >> 11 & 31
        self._next_ns = self.rp2040.clock.nanos + self._frame_ns(_ADDRESS_CLOCKS + wait)
        self._arm()

    def _arm(self) -> None:
        batch = min(_BATCH, self._left)
        if batch:
            self._next_ns += self._frame_ns(_FRAME_CLOCKS * batch)
            self._alarm.schedule(max(0.0, self._next_ns - self.rp2040.clock.nanos))

    def _on_frames(self) -> None:
        batch = min(_BATCH, self._left)
        for at in range(self._at, self._at + 4 * batch, 4):
            self._frames.append(int.from_bytes(self._memory[at : at + 4], "big"))
        self._at += 4 * batch
        self._left -= batch
        self.rp2040.dma.set_dreq(DREQChannel.DREQ_XIP_SSIRX)
        self._arm()

    def _pop(self) -> int:
        frame = self._frames.popleft()
        if not self._frames:
            self.rp2040.dma.clear_dreq(DREQChannel.DREQ_XIP_SSIRX)
        return frame

    def _stop(self) -> None:
        """Switched off: what is in the FIFO is gone."""
        self._left = 0
        self._frames.clear()
        if hasattr(self, "_alarm"):
            self._alarm.cancel()
            self.rp2040.dma.clear_dreq(DREQChannel.DREQ_XIP_SSIRX)
