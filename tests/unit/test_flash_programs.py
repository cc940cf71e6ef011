"""relume flash by other projects' programs: which, with what, and what happens when they fail.
The programs are scripts on PATH that write their arguments down."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from relume.board.profile import board_names, load_board
from relume.cli import main
from relume.errors import LinkError
from relume.link import programs, uf2

from tests.unit.test_deploy import refusal

NAMES = [name for names, _, _ in programs.PROGRAMS.values() for name in names]
Program = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a program on PATH; returns the file of its arguments, a call a line."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))

    def make(name: str, code: int = 0, says: str = "fine") -> Path:
        record = tmp_path / f"{name}.calls"
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "$@" >> {record}\necho "{says}"\nexit {code}\n')
        script.chmod(0o755)
        return record

    return make


def image(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    head = {".zip": b"PK\x03\x04", ".hex": b":02000004"}.get(path.suffix, b"\xe9\x00")
    path.write_bytes(head.ljust(4096, b"\0"))
    return path


def flashed(board: str, path: Path, *more: str) -> list[str]:
    return ["flash", "--board", board, "--firmware", str(path), *more]


class Wire:
    """A running MicroPython, or a port where only a loader answers nothing."""

    answers = True
    restarted = 0

    def __init__(self, device: str) -> None:
        from relume.link.transport import NoAnswer

        if not Wire.answers:
            raise NoAnswer(f"{device}: silent")

    def installed(self) -> None:
        return None

    def files(self) -> list[tuple[str, bytes]]:
        return [("main.py", b"print(1)\n")]

    def bootloader(self) -> None:
        Wire.restarted += 1

    def close(self) -> None:
        pass


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> type[Wire]:
    """Behind any port; the loader's port is there at once."""
    monkeypatch.setattr("relume.link.transport.SerialWire", Wire)
    monkeypatch.setattr("relume.commands.flash._device", lambda port: port)
    monkeypatch.setattr("relume.commands.flash._GONE_S", 0.0)
    Wire.answers, Wire.restarted = True, 0
    return Wire


def test_an_esp32_is_written_at_its_chip_s_offset_and_verified(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = program("esptool")
    for board, chip, offset in (
        ("ESP32_GENERIC", "esp32", "0x1000"), ("ESP32_GENERIC_S3", "esp32s3", "0x0"),
        ("ESP32_GENERIC_C3", "esp32c3", "0x0"),
    ):  # fmt: skip
        path = image(tmp_path, f"{chip}.bin")
        assert main(flashed(board, path, "--erase-files")) == 0
        write, verify = calls.read_text().splitlines()[-2:]
        start = f"--chip {chip} --baud 460800"
        assert write == f"{start} write_flash --erase-all {offset} {path}"
        assert verify == f"{start} verify_flash {offset} {path}"
    out = capsys.readouterr().out
    assert "verify: esptool " in out and "next: relume deploy NET.rlm" in out


def test_the_older_name_of_a_program_is_found_too(program: Program, tmp_path: Path) -> None:
    calls = program("esptool.py")
    path = image(tmp_path, "f.bin")
    assert main(flashed("ESP32_GENERIC", path, "--erase-files")) == 0
    assert len(calls.read_text().splitlines()) == 2


def test_an_update_of_a_running_board_keeps_its_files_and_needs_no_consent(
    program: Program, tmp_path: Path, wire: type[Wire], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = program("esptool")
    path = image(tmp_path, "f.bin")
    assert main(flashed("ESP32_GENERIC", path)) == 1
    assert "--erase-files" in capsys.readouterr().err and not calls.exists()
    assert main(flashed("ESP32_GENERIC", path, "-p", "/dev/ttyUSB0")) == 0
    write = calls.read_text().splitlines()[0]
    assert write == (
        f"--chip esp32 --port /dev/ttyUSB0 --baud 460800 write_flash 0x1000 {path}"
    )
    assert wire.restarted == 0  # esptool resets the chip by itself
    wire.answers = False
    assert main(flashed("ESP32_GENERIC", path, "-p", "/dev/ttyUSB0")) == 1
    assert "files that other firmware keeps" in capsys.readouterr().err


def test_a_zip_goes_by_nrfutil_to_the_loader_that_the_board_was_sent_to(
    program: Program, tmp_path: Path, wire: type[Wire], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = program("adafruit-nrfutil")
    path = image(tmp_path, "f.zip")
    for board, step in (
        ("SEEED_XIAO_NRF52", "next: relume deploy"),
        ("ADAFRUIT_FEATHER_NRF52840", "CIRCUITPY/lib"),
    ):
        assert main(flashed(board, path, "-p", "/dev/ttyACM3")) == 0
        assert calls.read_text().splitlines()[-1] == (
            f"dfu serial --package {path} -p /dev/ttyACM3 -b 115200 --singlebank"
        )
        assert step in capsys.readouterr().out
    assert wire.restarted == 2
    wire.answers = False  # the loader runs already
    assert main(flashed("SEEED_XIAO_NRF52", path, "-p", "/dev/ttyACM3", "--erase-files")) == 0
    assert wire.restarted == 2


def test_bossac_and_nrfjprog_get_offset_and_family(
    program: Program, tmp_path: Path, wire: type[Wire]
) -> None:
    bossac, nrfjprog = program("bossac"), program("nrfjprog")
    path = image(tmp_path, "f.bin")
    arguments = flashed("ARDUINO_NANO_33_BLE_SENSE", path, "-p", "/dev/ttyACM0")
    assert main(arguments) == 0 and wire.restarted == 1
    assert bossac.read_text() == f"-e -w --offset=0x16000 --port=ttyACM0 -i -d -U -R {path}\n"
    path = image(tmp_path, "f.hex")
    assert main(flashed("PCA10056", path, "-p", "/dev/ttyACM0")) == 0
    assert nrfjprog.read_text().split()[:4] == ["--family", "NRF52", "--program", str(path)]
    assert nrfjprog.read_text().split()[4:] == ["--sectorerase", "--verify", "--reset"]
    assert main(flashed("PCA10056", path, "--erase-files")) == 0
    assert "--chiperase" in nrfjprog.read_text().splitlines()[-1]


def test_a_backup_is_taken_before_a_program_is_called(
    program: Program, tmp_path: Path, wire: type[Wire], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = program("esptool", code=3)
    path, folder = image(tmp_path, "f.bin"), tmp_path / "files"
    assert main(flashed("ESP32_GENERIC", path, "--backup", str(folder), "-p", "u0")) == 1
    assert (folder / "main.py").read_bytes() == b"print(1)\n" and calls.exists()
    capsys.readouterr()


def test_a_program_that_fails_is_one_line_with_its_last_one_and_the_next_step(
    program: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = program("esptool", code=2, says="No serial data received.")
    path = image(tmp_path, "f.bin")
    assert main(flashed("ESP32_GENERIC", path, "--erase-files")) == 1
    error = capfd.readouterr().err.splitlines()[-1]
    assert "esptool ended with 2: No serial data received.; hold BOOT" in error
    assert len(calls.read_text().splitlines()) == 1  # nothing is verified that was not written


def test_a_program_that_is_not_there_says_where_it_comes_from(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "ESP32_GENERIC": ("f.bin", "pip install esptool"),
        "SEEED_XIAO_NRF52": ("f.zip", "pip install adafruit-nrfutil"),
        "PCA10056": ("f.hex", "Nordic's nRF Command Line Tools"),
        "ARDUINO_NANO_33_BLE_SENSE": ("f.bin", "Arduino's bossac"),
    }
    for board, (name, text) in cases.items():
        path = image(tmp_path, name)
        assert text in refusal([*flashed(board, path)[0:], "--erase-files"], capsys)


def test_an_image_of_another_way_no_image_and_no_port_are_one_line(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program("esptool")
    program("adafruit-nrfutil")
    path = image(tmp_path, "f.bin")
    error = refusal(flashed("SEEED_XIAO_NRF52", path), capsys)
    assert "SEEED_XIAO_NRF52 takes .uf2 (uf2) or .zip (nrfutil)" in error
    path.write_bytes(b"404")
    assert "3 bytes, no BIN image" in refusal(flashed("ESP32_GENERIC", path), capsys)
    path = image(tmp_path, "f.zip")
    error = refusal(flashed("SEEED_XIAO_NRF52", path), capsys)
    assert "is told a port: double-tap the reset button, then -p PORT" in error
    path.write_bytes(bytes(4096))
    assert "no ZIP image" in refusal(flashed("SEEED_XIAO_NRF52", path), capsys)
    assert "absent.zip" in refusal(flashed("SEEED_XIAO_NRF52", tmp_path / "absent.zip"), capsys)
    path = image(tmp_path, "f.zip")
    arguments = flashed("SEEED_XIAO_NRF52", path, "--drive", str(tmp_path))
    assert "--drive is for UF2" in refusal(arguments, capsys)


def test_a_stock_board_s_firmware_is_asked_for_with_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in board_names():
        board = load_board(name)
        if board.tier != "firmware":
            error = refusal(["flash", "--board", name], capsys)
            assert board.flashing is not None and board.flashing.download in error


def test_a_loader_s_port_that_never_comes_back_is_one_line(
    program: Program, tmp_path: Path, wire: type[Wire], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def absent(port: str) -> str:
        raise LinkError(f"{port}: no such port")

    calls = program("adafruit-nrfutil")
    monkeypatch.setattr("relume.commands.flash._device", absent)
    monkeypatch.setattr("relume.commands.flash._APPEAR_S", 0.0)
    path = image(tmp_path, "f.zip")
    assert main(flashed("SEEED_XIAO_NRF52", path, "-p", "/dev/ttyACM3")) == 1
    assert "/dev/ttyACM3: no such port" in capsys.readouterr().err and not calls.exists()


@pytest.mark.parametrize(
    ("name", "board_id", "family", "base"),
    [
        ("RPI_PICO2", "RP2350", 0xE48BFF59, 0x10000000),
        ("SEEED_XIAO_NRF52", "Seeed_XIAO_nRF52840_Sense", 0xADA52840, 0x27000),
        ("ADAFRUIT_FEATHER_NRF52840", "nRF52840-Feather-revE", 0xADA52840, 0x26000),
    ],
)
def test_the_drives_of_other_loaders_take_their_family(
    name: str, board_id: str, family: int, base: int, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from tests.unit.test_flash import block

    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / uf2.INFO).write_text(f"Board-ID: {board_id}\n")
    path = tmp_path / "stock.uf2"
    path.write_bytes(b"".join(block(n, 3, base + 256 * n, family=family) for n in range(3)))
    assert main(flashed(name, path, "--drive", str(drive), "--erase-files")) == 0
    assert (drive / "stock.uf2").read_bytes() == path.read_bytes()
    assert f"({board_id}, " in capsys.readouterr().out
    path.write_bytes(block(0, 1, base, family=family ^ 1))
    error = refusal(flashed(name, path, "--drive", str(drive), "--erase-files"), capsys)
    assert f"this chip is {family:#010x}" in error
    loader = load_board(name).flashing
    assert loader is not None
    path.write_bytes(block(0, 1, loader.base + loader.end, family=family))
    error = refusal(flashed(name, path, "--drive", str(drive), "--erase-files"), capsys)
    assert "that its loader writes" in error
