"""relume boards: the boards that relume knows, what runs on them and how that was tested."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relume import ui

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile

CORES = {"m0plus": "M0+", "m4": "M4", "portable": "any"}


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume boards [NAME...] [--json]."""
    parser = sub.add_parser("boards", help="the boards, what runs on them, how it was tested")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all there is to say of these")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the table, or what is known of single boards."""
    from relume.board.profile import board_names, load_board

    boards = [load_board(name) for name in args.names or board_names()]
    if args.json:
        ui.emit_json([document(board) for board in boards])
    elif args.names:
        for board in boards:
            _show_one(board)
    else:
        _show(boards)
    return 0


def document(board: BoardProfile) -> dict[str, Any]:
    """What --json says of a board: its profile, cycles left out, with the words of the table."""
    facts = asdict(board)
    for key in ("cycles", "fast_cycles", "store"):
        del facts[key]
    return facts | {"nvm": _nvm(board), "model_bytes": board.model_bytes}


def _nvm(board: BoardProfile) -> list[str]:
    """Kinds that inferences can commit to."""
    flash = board.flash is not None and board.flash.ported
    parts = (("fram", board.fram), ("fram-i2c", board.fram_i2c), ("flash", flash))
    return [name for name, there in parts if there]


def _size(size: int) -> str:
    return f"{size >> 20} MB" if size % (1 << 20) == 0 else f"{size >> 10} KB"


def _show(boards: Sequence[BoardProfile]) -> None:
    from relume.board.profile import STATES, TESTED, TIERS
    from relume.report.tables import grid

    columns = [
        ("board", False), ("core", False), ("MHz", True), ("SRAM", True), ("flash", True),
        ("NVM", False), ("tier", False), *((what, False) for what in TESTED),
    ]  # fmt: skip
    rows = [
        (
            board.name,
            CORES[board.core],
            f"{board.hz / 1e6:g}",
            _size(board.sram_bytes),
            _size(board.flash_bytes),
            " ".join(_nvm(board)).replace("fram-i2c", "i2c"),
            board.tier,
            *(STATES[board.tested[what]] for what in TESTED),
        )
        for board in boards
    ]
    out, table = ui.console(), grid("boards", columns, rows)
    table.columns[0].min_width = max(len(board.name) for board in boards)
    out.print(table)
    for tier, text in TIERS.items():
        out.print(f"{tier:9} {text}")
    out.print("No board has run relume on silicon yet; relume boards NAME tells of estimates.")


def _show_one(board: BoardProfile) -> None:
    from relume.board.profile import STATES, TESTED, TIERS

    out = ui.console()
    lines = [
        ("title", f"{board.title}: {board.mcu}, {board.hz / 1e6:g} MHz"),
        ("kernels for", CORES[board.core]),
        ("tier", TIERS[board.tier] + (f" ({board.native})" if board.native else "")),
        ("memory", f"{_size(board.sram_bytes)} SRAM, of which {board.heap_bytes:,} bytes for "
                   f"models; {board.model_bytes:,} bytes of flash for models"),
        ("weights", weights(board)),
        ("supply", f"{board.supply.von_v:g} V to {board.supply.voff_v:g} V; "
                   f"{board.energy.active_mw:g} mW active, {board.energy.sleep_mw:g} mW asleep"),
        ("NVM", ", ".join(_nvm(board))),
        *([("nvm=", board.flash.device)] if board.flash and board.flash.device else []),
        *(_warning(board)),
        *((what, STATES[board.tested[what]]) for what in TESTED),
        *(("estimate", f"{key}: {why}") for key, why in board.estimates.items()),
    ]  # fmt: skip
    out.print(board.name, markup=False)
    for name, text in lines:
        out.print(f"  {name:11} {text}", markup=False, soft_wrap=True)


def weights(board: BoardProfile) -> str:
    """Where a model's weights may lie."""
    ours = "" if board.blob_in_ram else "in flash, read in place; "
    if board.gap is None:
        stock = "a file, read into RAM; in ROMFS, where there is a partition, in place"
    else:
        gap, size = board.gap, board.gap.end - board.gap.first
        stock = (
            f"with MicroPython's own firmware in its flash gap, {size:,} bytes from {gap.first:#x}"
            " on, in place (relume flash --stock), or a file, read into RAM"
        )
    return ours + stock


def _warning(board: BoardProfile) -> list[tuple[str, str]]:
    warns = board.power_fail
    if warns is None:
        return []
    if board.tier == "native":
        use = "read by relume under MicroPython, but not while a SoftDevice runs"
    else:
        use = "which this firmware lets no program read"
    text = f"{warns.kind}, {warns.lowest_v:g} to {warns.highest_v:g} V, {use}"
    return [("warning", text)]
