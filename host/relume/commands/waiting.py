"""relume run --results: the outputs that wait on a board, each taken once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.errors import LinkError

if TYPE_CHECKING:
    from relume.link.messages import Waiting


def run(args: argparse.Namespace) -> int:
    """Prints them, oldest first for each model. An output leaves the board when it is printed."""
    from relume.commands import deploy
    from relume.link.client import Board

    if args.net is not None or args.input is not None or args.output is not None:
        raise LinkError("--results takes the outputs of all models: no NET, --input or --output")
    found: list[dict[str, Any]] = []
    with Board(args.port) as board:
        deploy.plug(board)
        board.connect()
        names = {slot.meta_crc: slot.name for slot in board.models()}
        try:
            for item in board.results():
                found.append(as_json(item, names))
                if not args.json:
                    print(line(found[-1]), flush=True)
        finally:
            if args.json:
                ui.emit_json(found)  # what was taken, whatever happens behind it
    if not found and not args.json:
        print("no outputs wait")
    return 0


def as_json(item: Waiting, names: dict[int, str]) -> dict[str, Any]:
    """An output as plain values; name: None if its model is no longer on the board."""
    output = [value - 256 if value > 127 else value for value in item.data]
    return {
        "name": names.get(item.model),
        "model": f"{item.model:08x}",
        "inference": f"{item.inference:08x}",
        "output": output,
        "argmax": output.index(max(output)) if output else None,
    }


def line(row: dict[str, Any]) -> str:
    """One line for a person."""
    values = row["output"]
    shown = " ".join(str(value) for value in values[:16]) + (" ..." if len(values) > 16 else "")
    return f"{row['name'] or row['model']}: inference {row['inference']}: {shown}"
