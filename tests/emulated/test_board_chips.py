"""The chips beside the core: FRAM, flash, XIP cache. No firmware needed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.plan.xip import LineCache
from relume_boards.virtual.flash import NorFlash, Times
from relume_boards.virtual.fram import Fault, SpiFram
from relume_boards.virtual.xip import decode

from tests.emulated.bench import BOARD

SECTOR = 4096


def talk(chip: SpiFram | NorFlash, *data: int) -> bytes:
    """One command: what came back, byte for byte."""
    chip.select()
    answer = bytes(chip.exchange(byte) for byte in data)
    chip.deselect()
    return answer


def address(chip: SpiFram, at: int) -> bytes:
    return at.to_bytes(chip.address_bytes, "big")


@pytest.mark.parametrize(("size", "width"), [(8192, 2), (65_536, 2), (131_072, 3), (262_144, 3)])
def test_fram_address_width_follows_size(size: int, width: int) -> None:
    chip = SpiFram(size)
    assert chip.address_bytes == width
    talk(chip, 0x06)
    talk(chip, 0x02, *address(chip, size - 2), 1, 2, 3)
    assert (chip.memory[-2:], chip.memory[0]) == (b"\x01\x02", 3)
    assert talk(chip, 0x03, *address(chip, size - 1), 0, 0)[-2:] == b"\x02\x03"


def test_fram_writes_only_after_write_enable_and_only_once() -> None:
    chip = SpiFram()
    talk(chip, 0x02, *address(chip, 0), 9)
    assert chip.memory[0] == 0
    talk(chip, 0x06)
    assert talk(chip, 0x05, 0)[1] == 0x02
    talk(chip, 0x02, *address(chip, 0), 9)
    assert talk(chip, 0x05, 0)[1] == 0x00
    talk(chip, 0x02, *address(chip, 0), 7)
    assert chip.memory[0] == 9


def test_fram_write_disable_and_power_up_clear_the_latch() -> None:
    chip = SpiFram()
    talk(chip, 0x06)
    talk(chip, 0x04)
    assert talk(chip, 0x05, 0)[1] == 0
    talk(chip, 0x06)
    chip.power_up()
    assert talk(chip, 0x05, 0)[1] == 0


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(0, 64))
def test_fram_cut_inside_a_write_leaves_exactly_the_bytes_that_ended(sent: int) -> None:
    chip = SpiFram()
    talk(chip, 0x06)
    chip.select()
    for byte in (0x02, *address(chip, 100), *([0xAA] * sent)):
        chip.exchange(byte)
    chip.power_up()
    assert chip.memory[100:164] == b"\xaa" * sent + bytes(64 - sent)


def test_absent_fram_floats_dead_fram_ignores_stuck_fram_lies() -> None:
    chip = SpiFram()
    chip.fault = Fault("absent")
    assert talk(chip, 0x9F, 0, 0, 0, 0) == b"\xff" * 5
    chip.fault = Fault("dead")
    talk(chip, 0x06)
    talk(chip, 0x02, *address(chip, 0), 5)
    assert chip.memory[0] == 0 and talk(chip, 0x05, 0)[1] == 0
    chip.fault = Fault("stuck", address=3, mask=0x01, value=0x01)
    assert talk(chip, 0x03, *address(chip, 2), 0, 0)[-2:] == b"\x00\x01"


class Bench:
    """A flash chip with a clock that the test moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.memory = memoryview(bytearray(b"\xff" * 65_536))
        self.chip = NorFlash(self.memory, 65_536, Times(0.4, 45.0), lambda: self.now, self.wait)

    def wait(self, until: float) -> None:
        pass

    def busy(self) -> bool:
        return bool(talk(self.chip, 0x05, 0)[1] & 1)

    def program(self, at: int, data: bytes) -> None:
        talk(self.chip, 0x06)
        talk(self.chip, 0x02, *at.to_bytes(3, "big"), *data)

    def erase(self, at: int) -> None:
        talk(self.chip, 0x06)
        talk(self.chip, 0x20, *at.to_bytes(3, "big"))


def test_flash_program_takes_its_time_and_only_clears_bits() -> None:
    bench = Bench()
    bench.program(256, b"\x0f" * 256)
    bench.now = 0.39e6
    assert bench.busy()
    bench.now = 0.41e6
    assert not bench.busy()
    bench.program(256, b"\xf3" * 256)
    bench.now = 1e6
    assert bytes(bench.memory[256:512]) == b"\x03" * 256
    assert not bench.busy()
    assert bench.chip.busy_ns == pytest.approx(0.8e6)


def test_flash_answers_only_status_while_busy() -> None:
    bench = Bench()
    bench.erase(0)
    bench.program(0, b"\0")
    bench.now = 46e6
    assert not bench.busy()
    assert bench.memory[0] == 0xFF
    assert bench.chip.programs == 0


def test_flash_program_wraps_inside_its_page() -> None:
    bench = Bench()
    bench.program(254, b"\1\2\3\4")
    assert bytes(bench.memory[254:257]) == b"\x01\x02\xff"
    assert bytes(bench.memory[0:2]) == b"\x03\x04"


def cut_program(at_ms: float, seed: int) -> bytes:
    bench = Bench()
    bench.program(0, bytes(256))
    bench.now = at_ms * 1e6
    bench.chip.cut(random.Random(seed))
    return bytes(bench.memory[:256])


def bits(data: bytes) -> int:
    return int.from_bytes(data, "big").bit_count()


def test_flash_cut_inside_a_program_leaves_a_seeded_mixture() -> None:
    early, late = cut_program(0.1, 1), cut_program(0.3, 1)
    assert 2048 > bits(early) > bits(late) > 0
    assert early == cut_program(0.1, 1) != cut_program(0.1, 2)
    assert bits(cut_program(0.41, 1)) == 0


def test_flash_cut_inside_an_erase_leaves_neither_old_nor_erased() -> None:
    bench = Bench()
    bench.program(0, b"\x55" * 256)
    bench.now = 1e6
    old = bytes(bench.memory[:SECTOR])
    bench.erase(0)
    bench.now += 30e6
    operation = bench.chip.cut(random.Random(3))
    assert operation is not None and operation.kind == "erase 4K"
    assert bytes(bench.memory[:SECTOR]) not in (old, b"\xff" * SECTOR)
    assert bytes(bench.memory[SECTOR : 2 * SECTOR]) == b"\xff" * SECTOR


def test_xip_cache_keeps_two_lines_a_set_and_replaces_the_older() -> None:
    cache = LineCache(BOARD.xip)
    stride = cache.sets * cache.fills
    assert [cache.access(n * stride) for n in (0, 1, 0, 2, 0, 1)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_xip_cache_fetches_the_halves_of_a_line_one_by_one() -> None:
    cache = LineCache(BOARD.xip)
    assert [cache.read(at) for at in (0, 3, 4, 7, 0, 8)] == [True, False, True, False, False, True]
    far = BOARD.xip.cache_bytes
    assert [cache.read(at) for at in (far, 2 * far, 4, 0)] == [True, True, True, True]
    assert cache.misses == 7


@pytest.mark.parametrize(
    ("opcode", "form"),
    [
        (0x4801, 1),  # ldr r0, [pc, #4]
        (0x5888, 2),  # ldr r0, [r1, r2]
        (0x5688, 2),  # ldrsb r0, [r1, r2]
        (0x6848, 3),  # ldr r0, [r1, #4]
        (0x7848, 3),  # ldrb r0, [r1, #1]
        (0x8848, 3),  # ldrh r0, [r1, #2]
        (0xC803, 4),  # ldm r0, {r0, r1}
        (0x5088, 0),  # str r0, [r1, r2]
        (0x6048, 0),  # str r0, [r1, #4]
        (0x7048, 0),  # strb r0, [r1, #1]
        (0x8048, 0),  # strh r0, [r1, #2]
        (0x9801, 0),  # ldr r0, [sp, #4]
        (0x1840, 0),  # adds r0, r0, r1
    ],
)
def test_xip_tracer_knows_loads(opcode: int, form: int) -> None:
    assert decode(opcode)[0] == form
