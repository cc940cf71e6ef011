"""Long reads of the flash controller, emptied by DMA: what the firmware's copies are made of."""

from __future__ import annotations

import random

import pytest
from relume_boards.virtual.chip import CYCLE_NS, SRAM_BASE, Chip
from relume_boards.virtual.flash import Times

from tests.emulated.bench import BOARD, SPIN

CTRLR0, CTRLR1, SSIENR, BAUDR, SR, DMACR, DR0, SPI_CTRLR0 = (
    0x00, 0x04, 0x08, 0x14, 0x28, 0x4C, 0x60, 0xF4,
)  # fmt: skip
QUAD_READ = 2 << 21 | 31 << 16 | 3 << 8
DUMMY_CLOCKS = 4
CLK_SYS_CTRL = 0x3C
TO, AT = 0x8000, 0x1234


def chip_with(data: bytes) -> Chip:
    """A chip whose core spins in SRAM at 125 MHz, and `data` in its flash at AT."""
    flash = bytearray(b"\xff" * BOARD.flash_bytes)
    flash[AT : AT + len(data)] = data
    chip = Chip(flash, Times(0.4, 45.0), random.Random(1))
    chip.sram[: len(SPIN)] = SPIN
    chip.core.pc = SRAM_BASE
    chip.clocks.write_uint32(CLK_SYS_CTRL, 1)
    return chip


def begin(chip: Chip, words: int) -> None:
    """What firmware/ports/rp2/fetch_rp2.c writes to the controller and to DMA channel 0."""
    ssi, dma = chip.ssi, chip.dma
    for register, value in (
        (SSIENR, 0), (CTRLR0, QUAD_READ), (BAUDR, 2),
        (SPI_CTRLR0, 0xA0 << 24 | DUMMY_CLOCKS << 11), (CTRLR1, words - 1), (DMACR, 1),
        (SSIENR, 1),
    ):  # fmt: skip
        ssi.write_uint32(register, value)
    # byte swap, requests of the controller, rising destination, words, enable
    control = 1 << 22 | 39 << 15 | 1 << 5 | 2 << 2 | 1
    for register, value in (
        (0, 0x1800_0000 + DR0), (4, SRAM_BASE + TO), (8, words), (12, control),
    ):  # fmt: skip
        dma.write_uint32(register, value)
    ssi.write_uint32(DR0, AT << 8 | 0xA0)


def busy(chip: Chip) -> bool:
    return bool(chip.dma.read_uint32(12) & 1 << 24)


@pytest.mark.parametrize("words", [1, 4, 7, 256])
def test_a_long_read_takes_its_spi_clocks_and_brings_the_bytes(words: int) -> None:
    data = random.Random(words).randbytes(4 * words)
    chip = chip_with(data)
    begin(chip, words)
    clocks = 8 + DUMMY_CLOCKS + 8 * words
    chip.run((2 * clocks - 8) * CYCLE_NS)
    assert busy(chip) and chip.ssi.read_uint32(SR) & 1
    chip.run(16 * CYCLE_NS)
    assert not busy(chip) and not chip.ssi.read_uint32(SR) & 1
    assert bytes(chip.sram[TO : TO + 4 * words]) == data


def test_a_controller_that_is_switched_off_brings_nothing_more() -> None:
    data = random.Random(1).randbytes(1024)
    chip = chip_with(data)
    begin(chip, 256)
    chip.run(2000 * CYCLE_NS)
    chip.ssi.write_uint32(SSIENR, 0)
    chip.run(10_000 * CYCLE_NS)
    assert busy(chip)
    assert bytes(chip.sram[TO + 512 : TO + 1024]) != data[512:]


def test_a_read_while_the_controller_is_taken_is_told_on() -> None:
    chip, told = chip_with(b""), []
    chip.ssi.on_conflict = told.append
    read = chip.probe().on_read
    read(0x1000_0100)
    begin(chip, 4)
    assert told == []
    read(0x1000_0104)
    chip.ssi.write_uint32(DMACR, 0)
    read(0x1000_0108)
    assert told == ["flash controller is taken when 0x10000104 is read"]


def test_code_in_flash_that_takes_the_controller_is_told_on() -> None:
    chip, told = chip_with(b""), []
    chip.ssi.on_conflict = told.append
    begin(chip, 4)
    assert told == []
    chip.core.pc = 0x1000_0100
    chip.ssi.write_uint32(CTRLR1, 7)
    assert len(told) == 1 and "0x10000100" in told[0]
