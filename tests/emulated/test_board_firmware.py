"""The real firmware on the emulated board: boot, REPL, cuts, persistence, timing.

SECURITY R1.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from relume_boards.virtual import open_emulated
from relume_boards.virtual.emulated import EmulatedBoard
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.spec import default_firmware
from relume_boards.virtual.xip import XipSampler

from tests.emulated.bench import BOARD, Repl, supply, until

pytestmark = pytest.mark.emulated

SPI_SETUP = (
    "from machine import SPI, Pin; s = SPI(0, 20000000, sck=Pin(2), mosi=Pin(3), miso=Pin(4)); "
    "cs = Pin(5, Pin.OUT, value=1)"
)


def firmware() -> bytes:
    path = default_firmware("RPI_PICO")
    if not path.is_file():
        pytest.skip("build/firmware/RPI_PICO/firmware.uf2 is not built (make firmware)")
    return path.read_bytes()


@pytest.fixture(scope="module")
def booted() -> Repl:
    """One board at its prompt, for tests that leave it as it was."""
    repl = Repl()
    repl.boot()
    return repl


def test_the_firmware_boots_and_answers_on_its_uart(booted: Repl) -> None:
    assert booted.type("print(6 * 7)") == "42"
    assert "RP2040" in booted.type("import sys; print(sys.implementation._machine)")


def test_the_boards_number_is_the_flash_chips(booted: Repl) -> None:
    """It is asked for behind the inference, not by the SDK's constructor."""
    number = random.Random(f"board {booted.pico.seed}").getrandbits(64)
    assert booted.type("import machine; print(machine.unique_id().hex())") == f"{number:016x}"


def test_vsys_is_on_the_adc(booted: Repl) -> None:
    counts = int(booted.type("from machine import ADC; print(ADC(29).read_u16())"))
    assert counts / 65_535 * 3.3 * 3 == pytest.approx(booted.pico.volts, rel=0.01)


def test_a_sleep_takes_its_emulated_time(booted: Repl) -> None:
    before = booted.pico.record.totals["idle_s"]
    took = booted.type(
        "import time; a = time.ticks_us(); time.sleep_ms(250); "
        "print(time.ticks_diff(time.ticks_us(), a))"
    )
    assert int(took) == pytest.approx(250_000, rel=0.01)
    assert booted.pico.record.totals["idle_s"] - before > 0.2


def test_fram_answers_at_the_speed_of_its_clock(booted: Repl) -> None:
    booted.type(SPI_SETUP)
    booted.type("cs(0); _ = s.write(b'\\x06'); cs(1); cs(0)")
    booted.type("_ = s.write(b'\\x02\\0\\x10\\0' + bytes(range(256))); cs(1); cs(0)")
    booted.type("import time; b = bytearray(256); _ = s.write(b'\\x03\\0\\x10\\0')")
    booted.type("a = time.ticks_us(); s.readinto(b); z = time.ticks_us(); cs(1)")
    hz = int(booted.type("print(repr(s).split('baudrate=')[1].split(',')[0])"))
    took = int(booted.type("print(time.ticks_diff(z, a))")) * 1e-6
    assert booted.type("print(b == bytes(range(256)))") == "True"
    assert 256 * 8 / hz <= took <= 256 * 8 / hz + 80e-6
    assert bytes(booted.pico.fram.memory[0x1000:0x1100]) == bytes(range(256))


def test_flash_takes_its_time_and_costs_its_energy(booted: Repl) -> None:
    booted.type("import rp2, time; f = rp2.Flash(); n = f.ioctl(4, 0) - 1")
    before = dict(booted.pico.record.totals)
    erase = "a = time.ticks_us(); _ = f.ioctl(6, n); print(time.ticks_diff(time.ticks_us(), a))"
    assert int(booted.type(erase)) == pytest.approx(45_000, rel=0.02)
    write = "a = time.ticks_us(); f.writeblocks(n, bytes(4096)); "
    took = int(booted.type(write + "print(time.ticks_diff(time.ticks_us(), a))"))
    assert 45_000 + 16 * 400 <= took <= 60_000  # erases again, then 16 pages
    after = booted.pico.record.totals
    assert after["flash_erases"] - before["flash_erases"] == 2
    assert after["flash_s"] - before["flash_s"] == pytest.approx(2 * 0.045 + 16 * 0.0004, rel=1e-6)


def test_a_cut_takes_sram_and_leaves_flash_and_fram() -> None:
    repl = Repl()
    repl.boot()
    repl.type(SPI_SETUP)
    repl.type("cs(0); _ = s.write(b'\\x06'); cs(1)")
    repl.type("cs(0); _ = s.write(b'\\x02\\0\\0\\x40kept in fram'); cs(1)")
    repl.type("f = open('kept', 'w'); _ = f.write('in flash'); f.close(); here = 1")
    at = repl.pico.now + 0.05
    repl.pico.run(0.05)
    repl.pico.power_off("test")
    cut = repl.pico.run_record.cuts[-1]
    assert cut.t == pytest.approx(at, abs=1e-6)
    repl.boot()
    assert "NameError" in repl.type("here")
    assert repl.type("print(open('kept').read())") == "in flash"
    assert bytes(repl.pico.fram.memory[64:76]) == b"kept in fram"


def test_sram_is_noise_at_every_turn_on_and_the_same_for_the_same_seed() -> None:
    image = firmware()

    def noise(seed: int, turns: int) -> bytes:
        pico = VirtualPico(BOARD, image, seed=seed)
        for _ in range(turns):
            pico.power_off("test")
            pico.advance()
        assert pico.chip is not None
        return bytes(pico.chip.sram)

    assert noise(1, 1) == noise(1, 1)
    assert len({noise(1, 1), noise(1, 2), noise(2, 1)}) == 3


def cuts_and_cycles(seed: int) -> tuple[object, ...]:
    pico = VirtualPico(BOARD, firmware(), seed=seed, supply=supply(4e-4, 0.015), hold=False)
    while len(pico.run_record.cuts) < 2:
        pico.advance()
        if pico.powered and pico.idle:
            pico.feed(b"\r\x03while True: pass\r\r")
    record = pico.record
    return (record.cuts, record.power, record.totals, record.samples, bytes(pico.flash))


def test_the_same_seed_gives_the_same_cycles_and_cuts() -> None:
    assert cuts_and_cycles(5) == cuts_and_cycles(5)


def test_a_cut_inside_a_fram_write_keeps_exactly_what_was_sent() -> None:
    repl = Repl()
    repl.boot()
    repl.type(SPI_SETUP.replace("20000000", "100000"))
    repl.type("cs(0); _ = s.write(b'\\x06'); cs(1); d = b'\\x02\\0\\0\\0' + bytes([170]) * 200")
    repl.output.clear()
    repl.pico.feed(b"cs(0); s.write(d)\r")
    until(repl.pico, lambda: repl.pico.fram.bytes_written >= 50, 5)
    repl.pico.power_off("test")
    memory = repl.pico.fram.memory
    written = repl.pico.fram.bytes_written
    assert 50 <= written < 200
    assert bytes(memory[:200]) == b"\xaa" * written + bytes(200 - written)
    cut = repl.pico.run_record.cuts[-1]
    assert (cut.operation, cut.address) == ("fram write", written)


def test_a_cut_inside_an_erase_is_repeatable() -> None:
    def torn() -> bytes:
        repl = Repl()
        repl.boot()
        repl.type("import rp2; f = rp2.Flash(); n = f.ioctl(4, 0) - 1")
        repl.type("f.writeblocks(n, bytes(4096))")
        repl.pico.feed(b"f.ioctl(6, n)\r")
        chip = repl.pico.chip
        assert chip is not None
        until(repl.pico, lambda: chip.nor.operation is not None, 5)
        repl.pico.run(0.02)
        repl.pico.power_off("test")
        assert repl.pico.run_record.cuts[-1].operation == "erase 4K"
        return bytes(repl.pico.flash[-4096:])

    first = torn()
    assert first == torn()
    assert first not in (bytes(4096), b"\xff" * 4096)


def test_a_reset_from_software_boots_again_and_keeps_power_and_counts() -> None:
    repl = Repl(xip=True)
    repl.boot()
    before = repl.pico.record.totals["cycles"]
    repl.pico.feed(b"import machine; machine.reset()\r")
    repl.pico.run(0.05)
    repl.boot()
    assert repl.type("print('again')") == "again"
    assert len(repl.pico.run_record.power) == 1
    assert repl.pico.record.totals["cycles"] > before


def test_xip_misses_cost_a_little_and_are_counted() -> None:
    with_cost, without = Repl(xip=True), Repl(xip=False)
    for repl in (with_cost, without):
        repl.boot()
    stalled = with_cost.pico.record.totals["stall_cycles"]
    assert 0 < stalled < 0.2 * with_cost.pico.record.totals["cycles"]
    assert without.pico.record.totals["stall_cycles"] == 0


WORK = "import json\rfor i in range(40): x = json.loads(json.dumps([i] * 20))\r\r\r"


def test_sampled_xip_stall_is_within_a_factor_of_two_of_a_full_trace() -> None:
    sampled, traced = Repl(xip=True), Repl(xip=False)
    stalls = []
    for repl in (sampled, traced):
        repl.boot()
        before = repl.pico.record.totals["stall_cycles"]
        repl.pico.feed(WORK.encode() + b"print('do' + 'ne')\r")
        if repl is sampled:
            until(repl.pico, lambda: b"done" in sampled.output, 20)
            stalls.append(repl.pico.record.totals["stall_cycles"] - before)
        else:
            stalls.append(traced_stall(repl))
    assert 0.5 < stalls[0] / stalls[1] < 2


def traced_stall(repl: Repl) -> float:
    """Stall cycles by a trace of every instruction until the output says done."""
    chip, xip = repl.pico.chip, BOARD.xip
    assert chip is not None
    tracer = XipSampler(xip, window=2000)
    probe, misses = chip.probe(), 0
    while b"done" not in repl.output:
        if chip.sleeping:
            chip.run(100_000)
        else:
            tracer.sample(probe)
            misses += tracer.misses
    return misses * xip.miss_cycles


# --- through the port --------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[EmulatedBoard]:
    """A board behind a port, with a capacitor, plugged in."""
    firmware()
    spec = f"emu:RPI_PICO?cap=680uF&power=20mW&plugged=1&hold=0&pty=1&state={tmp_path}"
    with open_emulated(spec) as board:
        yield board


def mpremote(port: str, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", port, *command],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mpremote_works_over_tcp_and_pty_and_state_is_kept(
    served: EmulatedBoard, tmp_path: Path
) -> None:
    assert mpremote(served.url, "exec", "print(1 + 1)") == "2\n"
    assert mpremote(served.pty_path, "exec", "print(2 + 1)") == "3\n"
    mpremote(served.url, "exec", "with open('note', 'w') as f: f.write('kept')")
    served.stop()
    with open_emulated(f"emu:RPI_PICO?hold=0&state={tmp_path}") as again:
        assert mpremote(again.url, "exec", "print(open('note').read())") == "kept\n"


def test_the_connection_ends_with_the_power_and_is_taken_again_when_it_is_back(
    served: EmulatedBoard,
) -> None:
    with socket.create_connection(("127.0.0.1", served.tcp_port)) as line:
        line.settimeout(30)
        line.sendall(b"\r\x03\x03while True: pass\r\r")
        time.sleep(0.2)
        served.unplug()
        while line.recv(4096):
            pass
    assert served.run.brownouts >= 1
    with socket.create_connection(("127.0.0.1", served.tcp_port)) as line:
        line.settimeout(30)
        served.plug()
        line.sendall(b"\r\x03\x03")
        got = bytearray()
        while not got.endswith(b">>> "):
            got += line.recv(4096)


def test_an_idle_board_leaves_the_host_alone(served: EmulatedBoard) -> None:
    mpremote(served.url, "exec", "pass")
    time.sleep(0.3)
    before, wall = time.process_time(), time.monotonic()
    time.sleep(1.0)
    assert time.process_time() - before < 0.25 * (time.monotonic() - wall)


def test_noise_on_the_console_is_no_event_and_harms_nothing(booted: Repl) -> None:
    events = len(booted.pico.run_record.events)
    rng = random.Random(4)
    for _ in range(200):
        booted.pico._on_uart(rng.randrange(256))
    assert len(booted.pico.run_record.events) == events
