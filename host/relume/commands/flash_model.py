"""relume flash --model NET.rlm: a model without a port, as a UF2 for the loader's drive."""

from __future__ import annotations

import argparse

from relume import ui
from relume.errors import BoardError


def run(args: argparse.Namespace) -> int:
    """Writes the file, or copies it to the loader's drive."""
    from relume.blob.reader import read_blob
    from relume.board.profile import load_board
    from relume.commands.flash import copy, wait_drive
    from relume.link.model_uf2 import model_image
    from relume.link.uf2 import Image

    board, path = load_board(args.board), args.model
    if args.firmware is not None or args.backup is not None or args.port is not None:
        raise BoardError("--model goes without --firmware, --backup and -p: the drive takes it")
    made = model_image(read_blob(path), board, path.stem)
    if args.output is not None:
        ui.write_atomic(args.output, made)
        enter = board.flashing.enter if board.flashing else ""
        print(f"{args.output}: {len(made):,} bytes: model {path.stem} for {board.title}")
        print(f"then: {enter}, and copy it to the drive; files stay, other models go")
        return 0
    if not args.erase_models:
        raise BoardError(
            f"{path}: replaces all models on the board, and their checkpoints in flash: say"
            " --erase-models, or write a file with -o"
        )
    drive = wait_drive(args.drive, board, 0.0)
    region = board.regions["blobs"]
    image = Image(made, region.offset, region.offset + region.size)
    copy(image, drive.path / f"{path.stem}.uf2")
    print(f"done: {path.stem} is the board's model; {board.title} restarts by itself")
    return 0
