"""relume deploy: send a .rlm to a board, resumable, checked there; list and remove models.

To a board with MicroPython's own firmware go the Python package and the native module, too.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.commands import deployed
from relume.errors import LinkError

if TYPE_CHECKING:
    from relume.blob.reader import Blob
    from relume.link.client import Board, Deployed
    from relume.link.ports import Port


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume deploy NET.rlm -p PORT [--name NAME] [--only]; --list; --remove NAME."""
    parser = sub.add_parser("deploy", help="send a .rlm to a board, beside other models")
    parser.add_argument(
        "net", type=Path, metavar="NET.rlm", nargs="?",
        help="a blob of relume plan",
    )  # fmt: skip
    add_port(parser)
    parser.add_argument("--name", help="name on the board (default: the model's)")
    parser.add_argument(
        "--labels", type=Path, metavar="TXT",
        help="names of the outputs, one a line (default: NET.txt beside NET.rlm, if it is there)",
    )  # fmt: skip
    parser.add_argument(
        "--owner", type=Path, metavar="KEY.pem",
        help="sign it for a board that takes its owner's models only (default: $RELUME_OWNER)",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="store_true", help="remove all other models, and their inferences, first"
    )
    parser.add_argument("--list", action="store_true", help="show the models on the board")
    parser.add_argument("--remove", metavar="NAME", help="remove a model and its inference")
    ui.add_json(parser)


def add_port(parser: argparse.ArgumentParser) -> None:
    """-p/--port."""
    parser.add_argument(
        "-p", "--port", default="auto",
        help="a0, u0, c0, auto, id:SERIAL, /dev/..., COM3, socket://HOST:PORT, rfc2217://..., or"
        " emu:RPI_PICO[?cap=1mF&power=10mW] (default: auto)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Deploys and prints what the board has verified; or lists, or removes."""
    from relume.blob.reader import read_blob
    from relume.link import labels
    from relume.link.client import Board
    from relume.link.transport import NoRelume, PortOpener

    if sum((args.net is not None, args.list, args.remove is not None)) != 1:
        raise LinkError("give one of NET.rlm, --list and --remove NAME")
    blob = None if args.net is None else read_blob(args.net)
    named = [] if blob is None else labels.of_model(blob, args.net, args.labels)
    with Board(args.port) as board:
        plug(board)
        if blob is None:
            return deployed.look_after(board, args)
        try:
            if args.only:
                deployed.remove_others(board, args.name or blob.name)
            done = send(board, blob, args.name, args.owner)
        except NoRelume:
            board.stream.close()
            return _install(args, blob, named, board.port)
        hello = board.hello
        if named:
            board.stream.close()
            labels.send(PortOpener(board.port), blob, named)
    if args.json:
        ui.emit_json(
            {
                "name": done.name,
                "board": hello.board,
                "bytes": done.size,
                "resumed": done.resumed,
                "labels": len(named),
                "model": f"{done.meta_crc:08x}",
                "seconds": round(done.seconds, 3),
            }
        )
    else:
        print(summary(done, hello.board) + (f"; {len(named)} labels" if named else ""))
    return 0


_PACKAGE = 55_000  # bytes of Python part and module, about


def _install(args: argparse.Namespace, blob: Blob, labels: list[str], port: Port) -> int:
    """Deploys to a board with MicroPython's own firmware."""
    from relume.link.install import facts, install, lines

    with ui.progress(f"deploy {args.net.name}", blob.size + _PACKAGE) as bar:
        done = install(port, blob, args.name or args.net.stem, labels, bar)
    if args.json:
        ui.emit_json(facts(done))
    else:
        print("\n".join(lines(done)))
    return 0


def plug(board: Board) -> None:
    """External power for an emulated board: deploying is done on USB."""
    if board.port.emulated is not None:
        board.port.emulated.plug()


def send(board: Board, blob: Blob, name: str | None, key: Path | None = None) -> Deployed:
    """Deploys to a board that the blob was planned for, with a bar. Errors: LinkError.

    key: file of the board's owner; without it the one that RELUME_OWNER names, if set."""
    from relume.link.owner import Owner

    path = key or os.environ.get("RELUME_OWNER")
    owner = Owner.load(Path(path)) if path else None
    hello = board.connect()
    check_board(board.port.text, blob, hello.board)
    with ui.progress(f"deploy {name or blob.name}", blob.size) as bar:
        return board.deploy(blob, name, bar, owner)


def check_board(port: str, blob: Blob, board: str) -> None:
    """A plan holds for one board. The unix port has no power to plan for and takes any."""
    if board not in (blob.board, "unix"):
        raise LinkError(
            f"{port}: {blob.name} is planned for {blob.board}, but {board} answers: relume plan"
            f" --board {board}"
        )


def summary(done: Deployed, board: str) -> str:
    """One line for a person."""
    text = f"{done.name}: {done.size} bytes verified on {board} in {done.seconds:.1f} s"
    if done.resumed == done.size:
        return text + " (it was there already)"
    if done.resumed:
        return text + f" (went on at byte {done.resumed})"
    return text
