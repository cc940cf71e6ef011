"""DMA on the emulated chip: the sniffer, time, SPI writes beside a core that computes."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume_boards.virtual.chip import CYCLE_NS, SRAM_BASE, Chip
from relume_boards.virtual.flash import Times
from relume_boards.virtual.fram import SpiFram

from tests.emulated.bench import BOARD, SPIN

READ, WRITE, COUNT, TRIGGER = 0, 4, 8, 12
SNIFF_CTRL, SNIFF_DATA, ABORT = 0x434, 0x438, 0x444
BUSY, SNIFF, SWAP = 1 << 24, 1 << 23, 1 << 22
BYTES, HALVES, WORDS = 0, 1, 2
FORCE, SPI0_TX = 0x3F, 16
RISING = 1 << 4  # the address that is read
REVERSED_CRC, SUM = 1, 15
SNIFFER_SWAP, OUT_REV, OUT_INV = 1 << 9, 1 << 10, 1 << 11
CLK_SYS_CTRL, CLK_PERI_CTRL = 0x3C, 0x48
SSPCR0, SSPCR1, SSPDR, SSPCPSR, SSPDMACR = 0x00, 0x04, 0x08, 0x10, 0x24
SPI0_DR = 0x4003_C000 + SSPDR
FROM, NOWHERE = 0x8000, 0x7000
BYTE_CYCLES = 64  # 8 bits at an eighth of the core's clock
CS = 5


def chip_with(data: bytes) -> Chip:
    """A chip whose core spins in SRAM at 125 MHz, and `data` in SRAM."""
    chip = Chip(bytes(BOARD.flash_bytes), Times(0.4, 45.0), random.Random(1))
    chip.sram[: len(SPIN)] = SPIN
    chip.core.pc = SRAM_BASE
    chip.clocks.write_uint32(CLK_SYS_CTRL, 1)
    chip.sram[FROM : FROM + len(data)] = data
    return chip


def move(chip: Chip, to: int, count: int, size: int, request: int, extra: int = 0) -> None:
    """Channel 0 from FROM to one address."""
    control = request << 15 | size << 2 | RISING | extra | 1
    for register, value in (
        (READ, SRAM_BASE + FROM), (WRITE, to), (COUNT, count), (TRIGGER, control),
    ):  # fmt: skip
        chip.dma.write_uint32(register, value)


def busy(chip: Chip) -> bool:
    return bool(chip.dma.read_uint32(TRIGGER) & BUSY)


def cycles(chip: Chip, count: float) -> None:
    chip.run(count * CYCLE_NS)


# --- sniffer -------------------------------------------------------------------------------------


def sniffed(
    data: bytes, size: int, control: int, seed: int = 0xFFFF_FFFF, channel: int = 0, extra: int = 0
) -> int:
    """SNIFF_DATA after `data` has passed through channel 0."""
    chip = chip_with(data)
    chip.dma.write_uint32(SNIFF_DATA, seed)
    chip.dma.write_uint32(SNIFF_CTRL, control | channel << 1 | 1)
    move(chip, SRAM_BASE + NOWHERE, len(data) >> size, size, FORCE, SNIFF | extra)
    cycles(chip, len(data) + 200)
    assert not busy(chip)
    return chip.dma.read_uint32(SNIFF_DATA)


CRC = REVERSED_CRC << 5 | OUT_REV | OUT_INV


@pytest.mark.parametrize("size", [BYTES, HALVES, WORDS])
def test_the_sniffer_gives_zlibs_crc_at_every_width(size: int) -> None:
    data = random.Random(size).randbytes(400)
    assert sniffed(data, size, CRC) == zlib.crc32(data)
    assert sniffed(data, size, CRC & ~OUT_INV) == zlib.crc32(data) ^ 0xFFFF_FFFF


def reversed32(value: int) -> int:
    return int(f"{value:032b}"[::-1], 2)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.binary(min_size=1, max_size=40))
def test_a_crc_goes_on_from_the_state_of_another(first: bytes, second: bytes) -> None:
    seed = reversed32(zlib.crc32(first) ^ 0xFFFF_FFFF)
    assert sniffed(second, BYTES, CRC, seed) == zlib.crc32(first + second)


def test_the_plain_crc_takes_the_most_significant_bit_first() -> None:
    """A word then counts from its highest byte: CRC-32/MPEG-2, check value of "123456789"."""
    assert sniffed(b"123456789", BYTES, 0) == 0x0376_E6E7
    assert sniffed(b"43218765", WORDS, 0) == sniffed(b"12345678", BYTES, 0)


def test_two_byte_swaps_cancel_for_the_sniffer() -> None:
    data = random.Random(3).randbytes(64)
    assert sniffed(data, WORDS, CRC, extra=SWAP) != zlib.crc32(data)
    assert sniffed(data, WORDS, CRC | SNIFFER_SWAP, extra=SWAP) == zlib.crc32(data)


def test_the_sum_wraps() -> None:
    assert sniffed(b"\xff\xff\xff\xff\x05\0\0\0", WORDS, SUM << 5, seed=2) == 6


def test_only_the_channel_that_is_watched_counts() -> None:
    assert sniffed(b"data", BYTES, CRC & ~OUT_INV & ~OUT_REV, channel=1) == 0xFFFF_FFFF
    chip = chip_with(b"data")
    chip.dma.write_uint32(SNIFF_DATA, 5)
    chip.dma.write_uint32(SNIFF_CTRL, 1)
    move(chip, SRAM_BASE + NOWHERE, 4, BYTES, FORCE)  # not marked for the sniffer
    cycles(chip, 100)
    assert chip.dma.read_uint32(SNIFF_DATA) == 5


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "count"), [(BYTES, 1000), (WORDS, 1000), (WORDS, 1)])
def test_a_transfer_that_nothing_paces_takes_a_cycle_a_datum(size: int, count: int) -> None:
    chip = chip_with(bytes(4096))
    move(chip, SRAM_BASE + NOWHERE, count, size, FORCE)
    cycles(chip, max(0, count - 4))
    assert busy(chip) or count == 1
    cycles(chip, 8)
    assert not busy(chip)


def test_a_stopped_channel_moves_nothing_more() -> None:
    chip = chip_with(bytes(range(256)))
    move(chip, SRAM_BASE + NOWHERE, 256, BYTES, FORCE)
    cycles(chip, 130)
    chip.dma.write_uint32(ABORT, 1)
    assert chip.dma.read_uint32(ABORT) == 0 and not busy(chip)
    reached = chip.sram[NOWHERE]
    cycles(chip, 500)
    assert chip.sram[NOWHERE] == reached and 60 <= reached < 130


# --- SPI -----------------------------------------------------------------------------------------


def bus(data: bytes, dmacr: int = 3) -> tuple[Chip, SpiFram]:
    """A FRAM on SPI0 that has just got WREN, WRITE and address 0x0100; `data` in SRAM."""
    chip, fram = chip_with(data), SpiFram(8192)
    chip.attach_spi(0, CS, fram)
    chip.clocks.write_uint32(CLK_PERI_CTRL, 1 << 11)
    spi = chip.spi(0)
    for register, value in ((SSPCPSR, 8), (SSPCR0, 7), (SSPCR1, 2), (SSPDMACR, dmacr)):
        spi.write_uint32(register, value)
    fram.select()
    fram.exchange(0x06)
    fram.deselect()
    fram.select()
    for byte in (0x02, 0x01, 0x00):
        fram.exchange(byte)
    return chip, fram


def written(chip: Chip, fram: SpiFram) -> int:
    """Bytes that have arrived."""
    chip.settle()
    return fram.bytes_written


def test_spi_takes_a_byte_in_eight_of_its_clocks_while_the_core_goes_on() -> None:
    data = random.Random(1).randbytes(200)
    chip, fram = bus(data)
    start = chip.cycles
    move(chip, SPI0_DR, len(data), BYTES, SPI0_TX)
    for sent in (1, 20, 150):
        cycles(chip, start + BYTE_CYCLES * sent + 8 - chip.cycles)
        assert written(chip, fram) == sent
    assert chip.waited == 0, "the core spun, it did not wait"
    cycles(chip, BYTE_CYCLES * 60)
    assert written(chip, fram) == len(data) and not busy(chip)
    assert bytes(fram.memory[0x100 : 0x100 + len(data)]) == data


def test_the_dma_is_ahead_of_the_line_by_the_fifo_alone() -> None:
    """Nine bytes: eight in the FIFO, one in the shift register."""
    chip, fram = bus(bytes(200))
    move(chip, SPI0_DR, 200, BYTES, SPI0_TX)
    for _ in range(10):
        cycles(chip, 5 * BYTE_CYCLES)
        moved = 200 - chip.dma.read_uint32(COUNT)
        assert moved - written(chip, fram) == 9


def test_without_the_spis_request_nothing_moves() -> None:
    chip, fram = bus(bytes(10), dmacr=0)
    move(chip, SPI0_DR, 10, BYTES, SPI0_TX)
    cycles(chip, 5000)
    assert written(chip, fram) == 0 and busy(chip)
    chip.spi(0).write_uint32(SSPDMACR, 2)
    cycles(chip, 5000)
    assert written(chip, fram) == 10


def test_a_byte_that_changes_before_its_turn_is_sent_changed() -> None:
    chip, fram = bus(b"\x11" * 100)
    move(chip, SPI0_DR, 100, BYTES, SPI0_TX)
    cycles(chip, 30 * BYTE_CYCLES + 8)
    chip.sram[FROM : FROM + 100] = b"\x22" * 100
    cycles(chip, 100 * BYTE_CYCLES)
    assert bytes(fram.memory[0x100:0x164]) == b"\x11" * 39 + b"\x22" * 61


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 100 * BYTE_CYCLES))
def test_a_power_cut_leaves_a_prefix(at: int) -> None:
    data = random.Random(2).randbytes(100)
    chip, fram = bus(data)
    start = chip.cycles
    move(chip, SPI0_DR, 100, BYTES, SPI0_TX)
    cycles(chip, at)
    sent = written(chip, fram)
    assert sent == (chip.cycles - start) // BYTE_CYCLES
    assert bytes(fram.memory[0x100:0x164]) == data[:sent] + bytes(100 - sent)
