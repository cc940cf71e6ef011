"""relume flash: put firmware on a board, by its UF2 loader or by another project's program."""

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
    from relume.link.installed import Installed
    from relume.link.uf2 import Drive, Image

_CHUNK = 16 * 1024
_APPEAR_S = 30.0
_GONE_S = 1.0  # a port that restarts is still there for a moment


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume flash --board RPI_PICO [--firmware FILE] [--erase-files | --backup DIR] [-p PORT]."""
    parser = sub.add_parser("flash", help="put firmware on a board")
    parser.add_argument("--board", default="RPI_PICO", help="board profile (default RPI_PICO)")
    parser.add_argument(
        "--firmware", type=Path, metavar="FILE", help="default: our image, where there is one"
    )
    parser.add_argument(
        "--model", type=Path, metavar="NET.rlm", help="a model instead of firmware, no port needed"
    )
    parser.add_argument(
        "--stock", action="store_true",
        help="with --model: into the flash gap of an RP2040 with MicroPython's own firmware;"
        " -p PORT: look first what lies there",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="with --model: a UF2 to hand on"
    )
    parser.add_argument("--drive", type=Path, metavar="DIR", help="the loader's drive (UF2)")
    parser.add_argument(
        "--erase-files", action="store_true", help="the files on the board may be lost"
    )
    parser.add_argument(
        "--erase-models", action="store_true", help="its models and what they store may be lost"
    )
    parser.add_argument(
        "--backup", type=Path, metavar="DIR", help="copy the board's files here first"
    )
    parser.add_argument(
        "-p", "--port", help="a running board: restart it into its loader (default with --backup:"
        " auto); the port that a program is told",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Checks the image, backs up, finds drive or program, writes."""
    if args.model is not None:
        from relume.commands import flash_gap, flash_model

        return flash_gap.run(args) if args.stock else flash_model.run(args)
    if args.stock:
        raise BoardError("--stock goes with --model NET.rlm")
    from relume.board.profile import load_board
    from relume.link.programs import way_of

    board = load_board(args.board)
    path = args.firmware or default_firmware(board)
    way = way_of(board, path)
    if way == "uf2":
        _copy_to_drive(args, board, path)
    else:
        _call_program(args, board, path, way)
    if args.backup is not None:
        print(f"files: put back what you need with: mpremote cp -r {args.backup}/. :")
    print(_next_step(board))
    return 0


def _next_step(board: BoardProfile) -> str:
    if board.flashing is not None and "circuitpython" in board.flashing.download:
        return "next: copy relume, relume_pure (of firmware/) and NET.rlm to CIRCUITPY/lib"
    return "next: relume deploy NET.rlm -p PORT"


def _copy_to_drive(args: argparse.Namespace, board: BoardProfile, path: Path) -> None:
    from relume.link.uf2 import read_image

    image = read_image(path, board)
    print(f"image: {path}, flash {image.first:#x} to {image.end:#x}")
    drive = _ready_drive(args, board)
    print(f"drive: {drive.path} ({drive.board_id}, {drive.model or 'no model named'})")
    copy(image, drive.path / path.name)
    print(f"done: {len(image.data)} bytes copied; {board.title} restarts by itself")


def _call_program(args: argparse.Namespace, board: BoardProfile, path: Path, way: str) -> None:
    """Another project's program does it. A board that answers is sent to its loader first."""
    from relume.link import programs

    assert board.flashing is not None
    if args.drive is not None:
        raise BoardError(f"{path}: {way} writes it, --drive is for UF2 images")
    size = programs.check_image(path)
    program = programs.find(way)
    if args.port is None and programs.needs_loader(way):
        raise BoardError(f"{program.name} is told a port: {board.flashing.enter}, then -p PORT")
    print(f"image: {path}, {size} bytes")
    if not (_restarted(args, board, way) or args.erase_files or args.backup):
        raise BoardError(_consent(board))
    device = _device(args.port)
    for call in programs.calls(way, board, path, device, args.erase_files):
        programs.run(program, call, board.flashing.enter)
    print(f"done: {board.title} restarts by itself")


def _restarted(args: argparse.Namespace, board: BoardProfile, way: str) -> bool:
    """Backs up, and starts the loader where only the board's firmware can; True if its files stay.

    A port that does not answer is taken for one of a loader that runs already.
    """
    from relume.link.programs import needs_loader
    from relume.link.transport import NoAnswer

    if args.backup is None and args.port is None:
        return False
    loader = needs_loader(way)
    try:
        keeps = _restart(args, board, loader)
    except NoAnswer:
        if args.backup is not None:
            raise
        return False
    if loader and args.port is not None:
        _wait_port(args.port)
    return keeps


def _device(port: str | None) -> str | None:
    """The device of a port as the user writes it. Errors: LinkError."""
    from relume.link.ports import open_port

    return None if port is None else open_port(port).device()


def _wait_port(port: str) -> None:
    """The port goes and comes back as the loader's. Errors: LinkError when it does not."""
    end = time.monotonic() + _APPEAR_S
    time.sleep(_GONE_S)
    while True:
        try:
            _device(port)
            return
        except LinkError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.3)


def default_firmware(board: BoardProfile) -> Path:
    """The image that comes with relume. Errors: BoardError if it is not built, or not ours."""
    from relume.board import images

    if board.tier != "firmware":
        source = board.flashing.download if board.flashing else ""
        raise BoardError(f"{board.name} runs stock firmware: --firmware FILE, from {source}")
    path = images.default_firmware(board.name)
    if not path.is_file():
        hint = "" if board.name == "RPI_PICO" else f" BOARD={board.name}"
        raise BoardError(f"{path}: no firmware image: make firmware{hint}, or give --firmware UF2")
    return path


def _ready_drive(args: argparse.Namespace, board: BoardProfile) -> Drive:
    """The loader's drive, after the consent about files. Errors: BoardError, LinkError."""
    keeps = False
    if args.backup is not None or args.port is not None:
        keeps = _restart(args, board)
    if not (keeps or args.erase_files or args.backup):
        raise BoardError(_consent(board))
    return wait_drive(args.drive, board, _APPEAR_S if args.port or args.backup else 0.0)


def _consent(board: BoardProfile) -> str:
    ask = "say --erase-files, or --backup DIR while the board runs MicroPython"
    region = board.regions.get("filesystem")
    if region is None:
        return f"files that other firmware keeps on the board may be lost; {ask}"
    return (
        f"flashing moves the filesystem to {region.offset:#x}: files that stock MicroPython, or a"
        f" relume that divided its flash otherwise, keeps on the board are lost; {ask}"
    )


def _restart(args: argparse.Namespace, board: BoardProfile, loader: bool = True) -> bool:
    """Backs up a running board and sends it to its loader; True if its files stay in place."""
    from relume.link.ports import open_port
    from relume.link.transport import SerialWire

    port: str = args.port or "auto"
    if port.startswith("emu:"):
        raise LinkError("an emulated board takes its firmware in the port: emu:...?firmware=UF2")
    wire = SerialWire(open_port(port).device())
    try:
        found = wire.installed()
        # An update of stock firmware leaves its files where they are.
        keeps = board.tier != "firmware"
        if found is not None and board.tier == "firmware":
            keeps = _update(found, board, args.erase_models)
        if args.backup is not None:
            _back_up(wire.files(), args.backup)
        elif not (keeps or args.erase_files):
            raise BoardError(_consent(board))
        if loader:
            wire.bootloader()
    finally:
        wire.close()
    return keeps


def _update(found: Installed, board: BoardProfile, erase: bool) -> bool:
    """Says what stays on a board with our firmware; True if its files do. Errors: BoardError
    where models or what they store would be lost without consent."""
    from relume.link.installed import HELD

    if found.board != board.name:
        raise BoardError(
            f"the board runs relume {found.version} for {found.board}: say --board {found.board}"
        )
    moved = found.moved(board.regions)
    names = ", ".join(found.models) or "none"
    what = {**HELD, "blobs": f"its models ({names})"}
    staying = ", ".join(what[name] for name in HELD if name not in moved)
    print(f"update: relume {found.version} is on the board; {staying or 'nothing'} will stay")
    for note in found.notes():
        print(f"note: {note}")
    lost = [what[name] for name in moved if name != "filesystem"]
    if lost and not erase:
        raise BoardError(
            f"this firmware has its flash divided otherwise than relume {found.version}:"
            f" {' and '.join(lost)} would be lost: say --erase-models"
        )
    return "filesystem" not in moved


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


def wait_drive(folder: Path | None, board: BoardProfile, seconds: float) -> Drive:
    """The one drive of this board's chip. Errors: BoardError with the next step."""
    from relume.link.uf2 import find_drives, loader_of

    loader = loader_of(board)
    wanted = loader.board_id
    end = time.monotonic() + seconds
    while True:
        drives = find_drives(folder)
        fitting = [drive for drive in drives if drive.board_id.startswith(wanted)]
        if len(fitting) == 1:
            return fitting[0]
        if len(fitting) > 1:
            names = ", ".join(str(drive.path) for drive in fitting)
            raise BoardError(f"{len(fitting)} {wanted} drives ({names}): choose with --drive")
        if time.monotonic() >= end:
            raise BoardError(_no_drive(folder, wanted, drives, loader.enter))
        time.sleep(0.3)


def _no_drive(folder: Path | None, wanted: str, drives: list[Drive], enter: str) -> str:
    if drives:
        names = ", ".join(f"{drive.path} is {drive.board_id}" for drive in drives)
        return f"no {wanted} drive ({names}): plug in the right board"
    place = f"{folder}: no INFO_UF2.TXT there" if folder else f"no {wanted} drive is mounted"
    return (
        f"{place}: {enter}, or run `mpremote bootloader`, and mount the drive that appears"
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
                f"{target}: {error.strerror or error} after {written} of {len(data)} bytes: start"
                " the board's loader again and repeat"
            ) from error
        print("note: the drive went away at the end of the copy", file=sys.stderr)


@contextlib.contextmanager
def _sink(target: Path) -> Iterator[int]:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0))
    try:
        yield handle
    finally:
        os.close(handle)
