"""relume flash: put the relume firmware on a board through its UF2 loader."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import BoardError, LinkError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.link.uf2 import Drive, Image

_CHUNK = 16 * 1024
_APPEAR_S = 30.0


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume flash --board RPI_PICO [--firmware UF2] [--erase-files | --backup DIR]."""
    parser = sub.add_parser("flash", help="put the relume firmware on a board")
    parser.add_argument("--board", default="RPI_PICO", help="board profile (default RPI_PICO)")
    parser.add_argument("--firmware", type=Path, metavar="UF2", help="default: the built image")
    parser.add_argument("--drive", type=Path, metavar="DIR", help="the loader's drive")
    parser.add_argument(
        "--erase-files", action="store_true", help="the files on the board may be lost"
    )
    parser.add_argument(
        "--backup", type=Path, metavar="DIR", help="copy the board's files here first"
    )
    parser.add_argument(
        "-p", "--port", help="a running board: restart it into its loader (default with --backup:"
        " auto)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Checks the image, backs up, finds the drive, copies."""
    from relume.board.profile import load_board
    from relume.link.uf2 import read_image

    board = load_board(args.board)
    path = args.firmware or default_firmware(args.board)
    image = read_image(path, board)
    print(f"image: {path}, flash {image.first:#x} to {image.end:#x}")
    drive = _ready_drive(args, board)
    print(f"drive: {drive.path} ({drive.board_id}, {drive.model or 'no model named'})")
    copy(image, drive.path / path.name)
    print(f"done: {len(image.data)} bytes copied; {board.title} restarts by itself")
    if args.backup is not None:
        print(f"files: put back what you need with: mpremote cp -r {args.backup}/. :")
    return 0


def default_firmware(board: str) -> Path:
    """Where `make firmware` puts the image. Errors: BoardError if it is not built."""
    from importlib import resources

    root = Path(str(resources.files("relume_boards"))).parent
    path = root / "build" / "firmware" / board / "firmware.uf2"
    if not path.is_file():
        raise BoardError(f"{path}: no firmware image: make firmware, or give --firmware UF2")
    return path


def _ready_drive(args: argparse.Namespace, board: BoardProfile) -> Drive:
    """The loader's drive, after the consent about files. Errors: BoardError, LinkError."""
    keeps = False
    if args.backup is not None or args.port is not None:
        keeps = _restart(args.port or "auto", args.backup, args.erase_files, board)
    if not (keeps or args.erase_files or args.backup):
        raise BoardError(_consent(board))
    return _wait_drive(args.drive, board, _APPEAR_S if args.port or args.backup else 0.0)


def _consent(board: BoardProfile) -> str:
    region = board.regions.get("filesystem")
    where = f"the filesystem to {region.offset:#x}" if region else "the filesystem"
    return (
        f"flashing moves {where}: files that stock MicroPython keeps on the board are lost; say"
        " --erase-files, or --backup DIR while the board runs MicroPython"
    )


def _restart(port: str, backup: Path | None, erase: bool, board: BoardProfile) -> bool:
    """Backs up a running board and sends it to its loader; True if its files stay in place."""
    from relume.link.ports import open_port
    from relume.link.transport import SerialWire

    if port.startswith("emu:"):
        raise LinkError("an emulated board takes its firmware in the port: emu:...?firmware=UF2")
    wire = SerialWire(open_port(port).device())
    try:
        keeps = wire.has_relume()
        if backup is not None:
            _back_up(wire.files(), backup)
        elif not (keeps or erase):
            raise BoardError(_consent(board))
        wire.bootloader()
    finally:
        wire.close()
    return keeps


def _back_up(files: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Writes the board's files below folder, which must be new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BoardError(f"{folder}: give a new or empty folder for the backup")
    count = size = 0
    for name, content in files:
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BoardError(f"the board has a file {name!r}, which is not safe to copy")
        path.parent.mkdir(parents=True, exist_ok=True)
        ui.write_atomic(path, content)
        count, size = count + 1, size + len(content)
    print(f"backup: {count} files, {size} bytes in {folder}")


def _wait_drive(folder: Path | None, board: BoardProfile, seconds: float) -> Drive:
    """The one drive of this board's chip. Errors: BoardError with the next step."""
    from relume.link.uf2 import find_drives, loader_of

    wanted = loader_of(board).board_id
    end = time.monotonic() + seconds
    while True:
        drives = find_drives(folder)
        fitting = [drive for drive in drives if drive.board_id == wanted]
        if len(fitting) == 1:
            return fitting[0]
        if len(fitting) > 1:
            names = ", ".join(str(drive.path) for drive in fitting)
            raise BoardError(f"{len(fitting)} {wanted} drives ({names}): choose with --drive")
        if time.monotonic() >= end:
            raise BoardError(_no_drive(folder, wanted, drives))
        time.sleep(0.3)


def _no_drive(folder: Path | None, wanted: str, drives: list[Drive]) -> str:
    if drives:
        names = ", ".join(f"{drive.path} is {drive.board_id}" for drive in drives)
        return f"no {wanted} drive ({names}): plug in the right board"
    place = f"{folder}: no INFO_UF2.TXT there" if folder else f"no {wanted} drive is mounted"
    return (
        f"{place}: hold BOOTSEL while plugging in USB, or run `mpremote bootloader`, and mount the"
        " drive that appears"
    )


def copy(image: Image, target: Path) -> None:
    """Copies with a bar. The loader takes its drive away at the last block. Errors: BoardError."""
    data, written = image.data, 0
    try:
        with ui.progress(f"copy {target.name}", len(data)) as bar, _sink(target) as handle:
            while written < len(data):
                written += os.write(handle, data[written : written + _CHUNK])
                bar(written)
            with contextlib.suppress(OSError):  # the drive may be gone, its work done
                os.fsync(handle)
    except OSError as error:
        if written < len(data):
            raise BoardError(
                f"{target}: {error.strerror or error} after {written} of {len(data)} bytes: plug"
                " the board in again with BOOTSEL held and repeat"
            ) from error
        print("note: the drive went away at the end of the copy", file=sys.stderr)


@contextlib.contextmanager
def _sink(target: Path) -> Iterator[int]:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0))
    try:
        yield handle
    finally:
        os.close(handle)
