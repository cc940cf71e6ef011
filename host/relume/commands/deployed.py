"""What is deployed on a board: relume deploy --list, --remove and --only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from relume import ui
from relume.blob.format import NVM_NAMES
from relume.errors import LinkError

if TYPE_CHECKING:
    from relume.link.client import Board
    from relume.link.messages import Slot


def look_after(board: Board, args: argparse.Namespace) -> int:
    """--list and --remove. Errors: LinkError."""
    board.connect()
    if args.remove is not None:
        names = [slot.name for slot in board.models()]
        if args.remove not in names:
            there = ", ".join(names) or "none"
            raise LinkError(f"{args.port}: no model {args.remove} on the board (there: {there})")
        _remove(board, [args.remove])
    rows = [_row(board, slot) for slot in board.models()]
    if args.json:
        ui.emit_json(rows)
    elif not args.list:
        print(f"{args.remove}: removed")
    else:
        _show(rows)
    return 0


def remove_others(board: Board, name: str) -> None:
    """Removes all models but the one of this name."""
    board.connect()
    _remove(board, [slot.name for slot in board.models() if slot.name != name])


def _remove(board: Board, names: list[str]) -> None:
    for name in names:
        board.remove(name)


def _row(board: Board, slot: Slot) -> dict[str, object]:
    """A model and how its inference stands, as plain values."""
    status = board.status(model=slot.meta_crc)
    return {
        "name": slot.name,
        "model": f"{slot.meta_crc:08x}",
        "bytes": slot.size,
        "nvm": NVM_NAMES.get(slot.nvm_kind, "?"),
        "nvm_bytes": slot.store_size,
        "state": status.state.name.lower(),
        "active": slot.active,
    }


def _show(rows: list[dict[str, object]]) -> None:
    from relume.report.tables import grid

    columns = [
        ("name", False), ("model", False), ("bytes", True), ("nvm", False), ("NVM bytes", True),
        ("inference", False), ("active", False),
    ]  # fmt: skip
    cells = [tuple(_cell(value) for value in row.values()) for row in rows]
    ui.console().print(grid("models on the board", columns, cells))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)
