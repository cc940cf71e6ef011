"""What the firmware gives to the DMA, on the emulated board: FRAM writes and CRC-32."""

from __future__ import annotations

import random

import pytest

from tests.emulated.bench import Repl

pytestmark = pytest.mark.emulated

SIZE = 16_384
BYTE_US = 64 / 125
DATA = random.Random(16).randbytes(256) * (SIZE // 256)
SETUP = (
    "import _relume, binascii, gc, machine, rp2, time",
    "f = _relume.FRAM()",
    f"p = bytes.fromhex({DATA[:256].hex()!r})",
    f"d = bytearray(p * {SIZE // 256}); m = memoryview(d)",
    "def us(call, *a):\r gc.collect(); s = time.ticks_us(); call(*a); "
    "return time.ticks_us() - s\r",
)


def ready(**options: object) -> Repl:
    """A board at its prompt with a FRAM `f`, 16 KB `d` and `us(call, ...)`."""
    repl = Repl(**options)
    repl.boot()
    for line in SETUP:
        repl.type(line)
    return repl


@pytest.fixture(scope="module")
def board() -> Repl:
    """One board for the tests that leave it as it was."""
    return ready()


def fram(repl: Repl, at: int, n: int = SIZE) -> bytes:
    return bytes(repl.pico.fram.memory[at : at + n])


# --- CRC -----------------------------------------------------------------------------------------


def test_the_crc_is_zlibs_at_every_alignment_and_length(board: Repl) -> None:
    wrong = (
        "print([(i, n) for i in range(5) for n in (0, 1, 63, 64, 65, 66, 67, 999) "
        "if _relume.crc32(m[i:i+n], 77) != binascii.crc32(m[i:i+n], 77)])"
    )
    assert board.type(wrong) == "[]"
    assert board.type("print(_relume.crc32(d) == binascii.crc32(d))") == "True"


def test_the_sniffer_computes_it_and_software_would_take_its_time(board: Repl) -> None:
    fast = int(board.type("print(us(_relume.crc32, d))"))
    assert fast < SIZE / 4 * 8e-3 + 60, "a word a cycle, and the interpreter"


def test_the_sniffer_is_given_back_and_left_to_a_channel_that_moves(board: Repl) -> None:
    board.type("r = lambda a: machine.mem32[0x50000000 + a]")
    board.type("machine.mem32[0x50000438] = 123; machine.mem32[0x50000434] = 0x1e7")
    assert board.type("print(_relume.crc32(d) == binascii.crc32(d))") == "True"
    assert board.type("print(r(0x438), hex(r(0x434)))") == "123 0x1e7"
    # A channel 3 that waits for SPI1's receiver for ever, and is watched by the sniffer.
    for register, value in ((0xC0, 0x20000000), (0xC4, 0x20000000), (0xC8, 9)):
        board.type(f"machine.mem32[0x50000000 + {register}] = {value}")
    board.type("machine.mem32[0x500000CC] = 19 << 15 | 3 << 11 | 1")
    slow = int(board.type("print(us(_relume.crc32, d))"))
    assert board.type("print(_relume.crc32(d) == binascii.crc32(d), r(0x438))") == "True 123"
    assert slow > SIZE * 10 * 8e-3, "software"
    board.type("machine.mem32[0x50000444] = 8; machine.mem32[0x50000434] = 0")


# --- FRAM ----------------------------------------------------------------------------------------


def test_a_write_in_the_background_costs_the_core_next_to_nothing(board: Repl) -> None:
    assert int(board.type("print(us(f.write, 0, d))")) >= SIZE * BYTE_US
    assert int(board.type("print(us(f.start, 32768, d))")) < 100
    left = int(board.type("print(us(f.flush))"))
    assert left < SIZE * BYTE_US
    assert fram(board, 32768) == fram(board, 0) == DATA
    assert board.type("print(f.busy(), us(f.flush) < 100)") == "False True"


def test_the_interpreter_works_while_the_bytes_leave(board: Repl) -> None:
    board.type(
        "def work():\r n = 0; f.start(65536, d)\r while f.busy():\r  n += 1\r return n\r\r\r\r"
    )
    assert int(board.type("print(work())")) > 100
    assert fram(board, 65536) == DATA, "nobody had to wait for it"
    assert board.type("f.flush(); print(f.read(65536, 16384) == d)") == "True"


def test_reading_finishes_the_write_first(board: Repl) -> None:
    assert board.type("f.start(100_000, d); print(f.read(100_000, 16384) == d)") == "True"


def test_a_source_in_flash_is_written_too(board: Repl) -> None:
    board.type("import uctypes; b = uctypes.bytearray_at(0x10000100, 300); f.start(500, b)")
    assert board.type("print(f.busy())") == "False", "polled: flash may be busy meanwhile"
    assert fram(board, 500, 300) == bytes(board.pico.flash[0x100 : 0x100 + 300])


def test_machine_spi_and_rp2_dma_have_their_own_channels(board: Repl) -> None:
    board.type("f.start(131072, d); x = rp2.DMA(); e = bytearray(4096)")
    board.type("c = x.pack_ctrl(size=0); x.config(read=d, write=e, count=4096, ctrl=c)")
    board.type("_ = x.active(1); time.sleep_ms(1)")
    assert board.type("print(x.channel, e == d[:4096])") == "0 True"
    board.type("f.flush(); x.close()")
    assert fram(board, 131072) == DATA


# --- the ends of it ------------------------------------------------------------------------------


def test_a_power_cut_leaves_a_prefix() -> None:
    board = ready()
    board.output.clear()
    board.pico.feed(b"f.start(0, d)\r")
    board.pico.run(0.005)
    board.pico.power_off("test")
    written = board.pico.fram.bytes_written
    assert 100 < written < SIZE
    assert fram(board, 0) == DATA[:written] + bytes(SIZE - written)
    assert board.pico.record.cuts[-1].operation == "fram write"


def test_a_soft_reset_cuts_the_write_short_and_lets_the_chip_go() -> None:
    board = ready()
    board.pico.feed(b"f.start(0, d); machine.soft_reset()\r")
    board.pico.run(1.0)
    board.boot()
    written = board.pico.fram.bytes_written
    assert fram(board, 0, written) == DATA[:written] and written < SIZE
    for line in SETUP:
        board.type(line)
    assert board.type("f.start(0, d); f.flush(); print(f.read(0, 16384) == d)") == "True"


def test_another_start_of_the_spi_cuts_the_write_short_and_its_owner_is_told() -> None:
    board = ready()
    assert board.type("f.start(0, d); g = _relume.FRAM(); print(g.busy(), f.busy())") == (
        "False False"
    )
    assert "NVM does not answer" in board.type("f.flush()")
    assert board.type("f.flush(); print(g.read(100_000, 4) == bytes(4))") == "True"
    assert fram(board, 0) != DATA
    assert board.type("f.start(0, d); f.flush(); print(f.read(0, 16384) == d)") == "True"


def test_a_sniffer_that_computes_something_else_is_never_believed() -> None:
    board = Repl()
    board.boot()
    chip = board.pico.chip
    assert chip is not None
    feed = chip.dma.sniffer.feed
    chip.dma.sniffer.feed = lambda value, size: feed(value ^ 1, size)  # type: ignore[method-assign]
    for line in SETUP:
        board.type(line)
    assert board.type("print(_relume.crc32(d) == binascii.crc32(d))") == "True"
    assert int(board.type("print(us(_relume.crc32, d))")) > SIZE * 10 * 8e-3, "software"


def test_a_write_that_stops_moving_is_an_error_and_no_hang() -> None:
    board = ready()
    board.type("f.start(0, d); machine.mem32[0x4003C024] = 0")  # SPI0 asks the DMA no more
    assert "NVM does not answer" in board.type("f.flush()")
    board.type("f.write(50_000, d)")
    assert fram(board, 50_000) == DATA
    board.type("g = _relume.FRAM(); g.start(0, d); g.flush()")
    assert fram(board, 0) == DATA


def test_a_program_that_takes_every_channel_leaves_two() -> None:
    board = ready()
    board.type("x = [rp2.DMA() for _ in range(10)]")
    assert "OSError" in board.type("rp2.DMA()")
    assert board.type("f.start(0, d); print(f.busy())") == "True"
    assert int(board.type("print(us(_relume.crc32, d))")) < 100
    assert board.type("f.flush(); print(f.read(0, 16384) == d)") == "True"
