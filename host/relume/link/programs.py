"""Programs of other projects that put firmware on a board: esptool, adafruit-nrfutil, bossac,
nrfjprog. Each is looked for beside this Python and on PATH, and called once or twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.board.profile import BoardProfile, Flashing
from relume.errors import BoardError

# Way: (names that the program goes by, where it comes from, what its image ends in).
PROGRAMS = {
    "esptool": (("esptool", "esptool.py"), "pip install esptool", ".bin"),
    "nrfutil": (("adafruit-nrfutil",), "pip install adafruit-nrfutil", ".zip"),
    "bossac": (("bossac",), "Arduino's bossac, which knows the nRF52840", ".bin"),
    "nrfjprog": (("nrfjprog",), "Nordic's nRF Command Line Tools", ".hex"),
}
ESP_BAUD = 460_800
DFU_BAUD = 115_200
LEAST = 1024  # bytes of an image: a page that says "not found" is no firmware, but this is shorter
_MAGIC = {".zip": b"PK\x03\x04", ".hex": b":"}


@dataclass(frozen=True)
class Call:
    """One call of a program. what: for the person in front of it."""

    what: str
    arguments: tuple[str, ...]


def way_of(board: BoardProfile, image: Path) -> str:
    """The board's way for an image, by how its name ends. Errors: BoardError."""
    assert board.flashing is not None
    endings = {"uf2": ".uf2"} | {way: PROGRAMS[way][2] for way in PROGRAMS}
    for way in board.flashing.ways:
        if image.suffix.lower() == endings[way]:
            return way
    wanted = " or ".join(f"{endings[way]} ({way})" for way in board.flashing.ways)
    raise BoardError(f"{image}: {board.name} takes {wanted}")


def check_image(image: Path) -> int:
    """Bytes of an image that may be one. Errors: BoardError."""
    try:
        with image.open("rb") as file:
            head = file.read(8)
        size = image.stat().st_size
    except OSError as error:
        raise BoardError(f"{image}: {error.strerror or error}") from error
    magic = _MAGIC.get(image.suffix.lower(), b"")
    if size < LEAST or not head.startswith(magic):
        raise BoardError(f"{image}: {size} bytes, no {image.suffix[1:].upper()} image")
    return size


def needs_loader(way: str) -> bool:
    """The program is told the port of a loader that the firmware starts. The others find and
    reset the chip by themselves."""
    return way in ("nrfutil", "bossac")


def calls(
    way: str, board: BoardProfile, image: Path, port: str | None, erase: bool
) -> list[Call]:
    """What the way's program is called with. erase: all that is on the board goes first."""
    flashing = board.flashing
    assert flashing is not None
    if way == "esptool":
        return _esptool(flashing, image, port, erase)
    if way == "nrfutil":
        line = ("-p", str(port), "-b", str(DFU_BAUD), "--singlebank")
        return [Call("write", ("dfu", "serial", "--package", str(image), *line))]
    if way == "bossac":
        place = (f"--offset={flashing.offset:#x}", f"--port={_bare(str(port))}")
        return [Call("write", ("-e", "-w", *place, "-i", "-d", "-U", "-R", str(image)))]
    how = "--chiperase" if erase else "--sectorerase"
    what = ("--family", flashing.chip, "--program", str(image))
    return [Call("write and verify", (*what, how, "--verify", "--reset"))]


def _esptool(flashing: Flashing, image: Path, port: str | None, erase: bool) -> list[Call]:
    start = ["--chip", flashing.chip, *(("--port", port) if port else ()), "--baud", str(ESP_BAUD)]
    place = [hex(flashing.offset), str(image)]
    wipe = ["--erase-all"] if erase else []
    return [
        Call("write", (*start, "write_flash", *wipe, *place)),
        Call("verify", (*start, "verify_flash", *place)),
    ]


def _bare(port: str) -> str:
    """bossac wants ttyACM0 for /dev/ttyACM0."""
    return port.removeprefix("/dev/")


def find(way: str) -> Path:
    """The program. Errors: BoardError that says where it comes from."""
    names, source, _ = PROGRAMS[way]
    beside = str(Path(sys.executable).parent)
    for name in names:
        found = shutil.which(name, path=beside) or shutil.which(name)
        if found is not None:
            return Path(found)
    raise BoardError(f"{names[0]} is not on PATH: {source}")


def run(program: Path, call: Call, enter: str) -> None:
    """Calls it, its output on stderr as it comes. Errors: BoardError with its last line.

    enter: how a person starts the board's loader.
    """
    print(f"{call.what}: {program.name} {' '.join(call.arguments)}", flush=True)
    status, last = _run([str(program), *call.arguments])
    if status:
        text = f": {last}" if last else ""
        raise BoardError(f"{program.name} ended with {status}{text}; {enter}, and repeat")


def _run(command: Sequence[str]) -> tuple[int, str]:
    """(exit code, last line of output)."""
    lines: deque[str] = deque(maxlen=1)
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stderr.write(line)
                if line.strip():
                    lines.append(line.strip())
            return process.wait(), lines[0] if lines else ""
    except OSError as error:
        raise BoardError(f"{command[0]}: {error.strerror or error}") from error
