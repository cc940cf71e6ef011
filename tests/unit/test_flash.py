"""relume flash: the image is checked, the drive found, and no file lost without consent."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from relume.board.profile import load_board
from relume.cli import main
from relume.commands import flash
from relume.errors import BoardError, LinkError
from relume.link import installed, uf2
from relume.link.installed import HELD, Installed
from relume.link.uf2 import read_image

from tests.unit.test_deploy import refusal

PICO = load_board("RPI_PICO")
REGION = PICO.regions["firmware"]
BASE, FAMILY = 0x10000000, 0xE48BFF56


def block(number: int, count: int, address: int, *, family: int = FAMILY) -> bytes:
    head = struct.pack(
        "<8I", 0x0A324655, 0x9E5D5157, 0x2000, address, 256, number, count, family
    )
    return head + bytes(476) + struct.pack("<I", 0x0AB16F30)


def image(pages: int = 5, start: int = 0, family: int = FAMILY) -> bytes:
    addresses = [BASE + REGION.offset + start + 256 * n for n in range(pages)]
    return b"".join(block(n, pages, at, family=family) for n, at in enumerate(addresses))


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    path = tmp_path / "firmware.uf2"
    path.write_bytes(image())
    return path


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "drive"
    folder.mkdir()
    text = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
    (folder / uf2.INFO).write_text(text)
    return folder


@pytest.fixture
def no_volumes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    volumes: list[Path] = []
    monkeypatch.setattr(uf2, "_volumes", lambda: volumes)
    return volumes


def test_the_image_lands_whole_on_the_drive(
    firmware: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["flash", "--firmware", str(firmware), "--drive", str(drive), "--erase-files"]
    assert main(arguments) == 0
    assert (drive / "firmware.uf2").read_bytes() == firmware.read_bytes()
    out = capsys.readouterr().out
    assert f"drive: {drive} (RPI-RP2, Raspberry Pi RP2)" in out
    assert "flash 0x0 to 0x500" in out and "2560 bytes copied" in out


def test_files_are_not_lost_without_consent(
    firmware: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", "--firmware", str(firmware), "--drive", str(drive)]) == 1
    error = capsys.readouterr().err
    assert "--erase-files" in error and "--backup DIR" in error and "0x1a0000" in error
    assert not (drive / "firmware.uf2").exists()


def test_a_drive_is_found_among_the_mounted_volumes(
    firmware: Path, drive: Path, no_volumes: list[Path], tmp_path: Path
) -> None:
    no_volumes += [tmp_path, drive]
    assert main(["flash", "--firmware", str(firmware), "--erase-files"]) == 0
    assert (drive / "firmware.uf2").exists()


def flash_refusal(firmware: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["flash", "--firmware", str(firmware), "--erase-files", *more]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_no_drive_says_what_to_do_next(
    firmware: Path, no_volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = flash_refusal(firmware, capsys)
    assert "hold BOOTSEL while plugging in" in error and "mpremote bootloader" in error
    error = flash_refusal(firmware, capsys, "--drive", str(tmp_path))
    assert f"{tmp_path}: no INFO_UF2.TXT there" in error


def test_another_boards_drive_and_two_drives_are_refused(
    firmware: Path, drive: Path, no_volumes: list[Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    (other / uf2.INFO).write_text("Board-ID: RP2350\n")
    no_volumes.append(other)
    assert f"no RPI-RP2 drive ({other} is RP2350)" in flash_refusal(firmware, capsys)
    (other / uf2.INFO).write_text("Board-ID: RPI-RP2\n")
    no_volumes.append(drive)
    assert "choose with --drive" in flash_refusal(firmware, capsys)
    assert not list(drive.glob("*.uf2")) and not list(other.glob("*.uf2"))


def damaged(at: int, value: int, pages: int = 3) -> bytes:
    data = bytearray(image(pages))
    struct.pack_into("<I", data, at, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no UF2 image"),
        (image()[:-1], "no UF2 image"),
        (b"hello" * 512, "block 0 .*no UF2 marks"),
        (damaged(512 + 4, 1), "block 1 .offset 512.: no UF2 marks"),
        (damaged(1024 - 4, 1), "block 1 .offset 512.: no UF2 marks"),
        (image(family=0xE48BFF59), "made for family 0xe48bff59, this chip is 0xe48bff56"),
        (damaged(8, 0), "made for family"),
        (damaged(512 + 20, 2), "says 2 of 3, is 1 of 3"),
        (image(3)[:1024], "says 0 of 3, is 0 of 2"),
        (damaged(512 + 12, BASE), "two blocks for one address"),
        (damaged(512 + 12, BASE + 128), "not a flash page"),
        (damaged(512 + 16, 476), "not a flash page"),
        (image(2, REGION.size - 256), "the firmware region of RPI_PICO is 0x0 to 0x70000"),
        (damaged(12, BASE - 256), "firmware region"),
    ],
)
def test_an_image_that_does_not_belong_there_is_refused_with_the_place(
    tmp_path: Path, data: bytes, text: str
) -> None:
    path = tmp_path / "bad.uf2"
    path.write_bytes(data)
    with pytest.raises(BoardError, match=text) as caught:
        read_image(path, PICO)
    assert str(path) in str(caught.value)


def test_an_image_up_to_the_regions_end_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "full.uf2"
    path.write_bytes(image(2, REGION.size - 512))
    assert read_image(path, PICO).end == REGION.offset + REGION.size


def test_a_drive_that_fills_up_is_one_line(
    firmware: Path, drive: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("relume.commands.flash.os.write", full)
    error = flash_refusal(firmware, capsys, "--drive", str(drive))
    assert "No space left on device after 0 of 2560 bytes" in error


def test_a_drive_that_leaves_at_the_last_block_is_success(
    firmware: Path, drive: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def gone(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("relume.commands.flash.os.fsync", gone)
    arguments = ["flash", "--firmware", str(firmware), "--drive", str(drive), "--erase-files"]
    assert main(arguments) == 0
    assert "restarts by itself" in capsys.readouterr().out


PLACES = {name: (one.offset, one.size) for name, one in PICO.regions.items()}
OURS = Installed("0.1.0", "RPI_PICO", (1, 0), PLACES, ("kws", "vww"), False)


class Wire:
    """A running board: its files, and whether its firmware is ours."""

    relume: Installed | None = None
    restarted = 0

    def __init__(self, device: str) -> None:
        self.device = device

    def installed(self) -> Installed | None:
        return Wire.relume

    def files(self) -> list[tuple[str, bytes]]:
        return [("main.py", b"print(1)\n"), ("lib/a/b.mpy", b"M\x06")]

    def bootloader(self) -> None:
        Wire.restarted += 1

    def close(self) -> None:
        pass


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> type[Wire]:
    monkeypatch.setattr("relume.link.transport.SerialWire", Wire)
    Wire.relume, Wire.restarted = None, 0
    return Wire


def test_a_backup_is_taken_before_the_board_is_flashed(
    running: type[Wire], firmware: Path, drive: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "files"
    base = ["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]
    assert main([*base, "--backup", str(folder)]) == 0
    assert (folder / "main.py").read_bytes() == b"print(1)\n"
    assert (folder / "lib/a/b.mpy").read_bytes() == b"M\x06"
    assert running.restarted == 1 and (drive / "firmware.uf2").exists()
    out = capsys.readouterr().out
    assert "backup: 2 files, 11 bytes" in out and "mpremote cp -r" in out
    assert "new or empty folder" in refusal_after_image([*base, "--backup", str(folder)], capsys)


def refusal_after_image(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 1
    return capsys.readouterr().err


def test_a_board_that_runs_relume_keeps_its_files_and_needs_no_consent(
    running: type[Wire], firmware: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]
    assert "--erase-files" in refusal_after_image(base, capsys)
    assert running.restarted == 0
    running.relume = OURS
    assert main(base) == 0 and running.restarted == 1


def test_an_update_says_what_stays_before_it_begins(
    running: type[Wire], firmware: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running.relume = OURS
    assert main(["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("update:"))
    assert "relume 0.1.0" in line and "its models (kws, vww)" in line and "owner's key" in line


@pytest.mark.parametrize("moved", HELD)
def test_what_another_division_of_the_flash_loses_wants_consent(
    moved: str, running: type[Wire], firmware: Path, drive: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    at, size = PLACES[moved]
    running.relume = replace(OURS, regions={**PLACES, moved: (at, size - 4096)})
    base = ["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]
    say, other = "--erase-models", "--erase-files"
    if moved == "filesystem":
        say, other = other, say
    for arguments in (base, [*base, other]):
        error = refusal_after_image(arguments, capsys)
        assert say in error and error.count("\n") == 1
    assert running.restarted == 0 and not (drive / "firmware.uf2").exists()
    assert main([*base, say]) == 0 and running.restarted == 1
    update = capsys.readouterr().out.splitlines()[1]
    word = "its models" if moved == "blobs" else HELD[moved]
    assert update.startswith("update:") and word not in update


def test_regions_that_the_board_has_not_got_hold_nothing() -> None:
    assert replace(OURS, regions={}).moved(PICO.regions) == []
    assert OURS.moved({}) == list(HELD)


def test_an_update_of_another_boards_firmware_is_refused(
    running: type[Wire], firmware: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running.relume = replace(OURS, board="RPI_PICO_W")
    base = ["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]
    assert "say --board RPI_PICO_W" in refusal_after_image([*base, "--erase-files"], capsys)
    assert running.restarted == 0


@pytest.mark.parametrize("version", [(2, 0), (1, 9), (0, 0)])
def test_models_of_another_blob_version_are_said_to_need_a_new_plan(
    version: tuple[int, int], running: type[Wire], firmware: Path, drive: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    running.relume = replace(OURS, blob=version)
    base = ["flash", "--firmware", str(firmware), "--drive", str(drive), "-p", "a0"]
    assert main(base) == 0
    assert "plan and deploy them again" in capsys.readouterr().out
    running.relume = replace(OURS, blob=version, models=())
    assert main(base) == 0 and "note:" not in capsys.readouterr().out


def test_what_firmware_says_of_itself_is_read_or_refused_in_one_line() -> None:
    said = ("0.2.0", "RPI_PICO", (1, 1), {"blobs": (1, 2)}, ["a"], True)
    assert installed.parse(repr(said) + "\r\n") == Installed(
        "0.2.0", "RPI_PICO", (1, 1), {"blobs": (1, 2)}, ("a",), True
    )
    odd = ["", "1", "(" * 900, repr(said[:5]), repr((*said[:3], 7, *said[4:])),
           repr((*said[:2], (), *said[3:])), repr((*said[:4], ["\x1b[2J"], True))]  # fmt: skip
    for text in odd:
        with pytest.raises(LinkError) as caught:
            installed.parse(text)
        assert "\n" not in str(caught.value)


def test_missing_firmware_unknown_board_and_emulated_port_are_one_line(
    firmware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert "unknown board NOPE" in refusal(["flash", "--board", "NOPE"], capsys)
    assert "no.uf2" in refusal(["flash", "--firmware", str(tmp_path / "no.uf2")], capsys)
    base = ["flash", "--firmware", str(firmware), "-p", "emu:RPI_PICO"]
    assert "emu:...?firmware=UF2" in refusal_after_image(base, capsys)
    monkeypatch.setattr("relume.board.images.default_firmware", lambda name: tmp_path / "no.uf2")
    with pytest.raises(BoardError, match="make firmware"):
        flash.default_firmware(PICO)
