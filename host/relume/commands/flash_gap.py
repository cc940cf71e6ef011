"""relume flash --model NET.rlm --stock: a model into the flash gap of stock MicroPython."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import BoardError, LinkError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile, Gap
    from relume.link.ports import Port

_APPEAR_S = 30.0


def run(args: argparse.Namespace) -> int:
    """Looks at the board (-p), then writes the file or copies it to the loader's drive."""
    from relume.blob.reader import read_blob
    from relume.board.profile import load_board
    from relume.link import labels
    from relume.link.gap import gap_image, gap_of
    from relume.link.ports import open_port

    board, path = load_board(args.board), args.model
    if args.firmware is not None or args.backup is not None:
        raise BoardError("--model goes without --firmware and --backup")
    blob, room = read_blob(path), gap_of(board)
    names = labels.of_model(blob, path, None)
    text = labels.as_file(names) if names else b""
    port = None if args.port is None else open_port(args.port)
    try:
        if port is not None:
            room = _look(port, board, args.erase_models)
        made = gap_image(blob, board, path.stem, text, room)
        if args.output is not None:
            ui.write_atomic(args.output, made)
            _tell_file(args, board, len(made), len(names), room)
            return 0
        _copy(args, board, made, port, room)
    finally:
        if port is not None:
            port.close()
    print(f"done: {path.stem} is in flash, {len(names)} labels; {board.title} restarts by itself")
    print(_next(args))
    return 0


def _look(port: Port, board: BoardProfile, force: bool) -> Gap:
    """The gap of the board that runs there."""
    from relume.link.gap import look, room_on
    from relume.link.transport import PortOpener

    found = look(PortOpener(port))
    room = room_on(port.text, found, board, force)
    size = room.end - room.first
    print(f"gap: flash {room.first:#x} to {room.end:#x}, {size:,} bytes on {found.machine}")
    for one in found.models:
        if one.at >= room.first:
            print(f"gap: {one.name} lies there and goes")
    return room


def _copy(
    args: argparse.Namespace, board: BoardProfile, made: bytes, port: Port | None, room: Gap
) -> None:
    from relume.commands.flash import copy, wait_drive
    from relume.link.transport import SerialWire
    from relume.link.uf2 import Image

    if port is None and not args.erase_models:
        raise BoardError(
            f"{args.model}: a board in its loader does not tell what lies in its flash gap: give"
            " -p PORT while MicroPython runs, say --erase-models, or write a file with -o"
        )
    if port is not None:
        if port.emulated is not None:
            raise LinkError("an emulated board has no loader: -o FILE, then emu:...?firmware=FILE")
        wire = SerialWire(port.device())
        try:
            wire.bootloader()
        finally:
            wire.close()
    drive = wait_drive(args.drive, board, 0.0 if port is None else _APPEAR_S)
    copy(Image(made, room.first, room.end), drive.path / f"{args.model.stem}.uf2")


def _tell_file(
    args: argparse.Namespace, board: BoardProfile, size: int, labels: int, room: Gap
) -> None:
    enter = board.flashing.enter if board.flashing else ""
    print(
        f"{args.output}: {size:,} bytes: model {args.model.stem} with {labels} labels for"
        f" {board.title} with MicroPython's own firmware"
    )
    print(
        f"then: {enter}, and copy it to the drive; firmware and files stay, what else lies in"
        f" flash {room.first:#x} to {room.end:#x} goes"
    )
    print(_next(args))


def _next(args: argparse.Namespace) -> str:
    return (
        f'next: relume deploy {args.model} -p PORT (the Python part); there: relume.Model("'
        f'{args.model.stem}")'
    )
