"""relume bench: cycles, bytes and exactness of the shipped kernels, counted under unicorn."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import RelumeError

if TYPE_CHECKING:
    from relume.bench.machine import Machine
    from relume.bench.rows import Row

CORES = ("m0plus", "m4")
ROOT = Path(__file__).resolve().parents[3]


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume bench kernels [--from FOLDER] | relume bench models FILE..."""
    parser = sub.add_parser("bench", help="cycles of the kernels")
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    kernels = what.add_parser("kernels", help="four layers, each on uniform random input, too")
    kernels.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER",
        help="take the layers from ic.tflite, kws.tflite and ad.tflite of MLPerf Tiny in FOLDER "
             "(default: layers of the same shapes and statistics from fixed seeds)",
    )  # fmt: skip
    kernels.add_argument(
        "--cmsis", type=Path, metavar="CHECKOUT",
        help="run CMSIS-NN's kernels of this checkout on the same layers, too",
    )  # fmt: skip
    models = what.add_parser("models", help="whole models")
    models.add_argument("files", type=Path, nargs="+", metavar="FILE.tflite", help="int8 models")
    for one in (kernels, models):
        one.add_argument(
            "--core", choices=CORES, default="m0plus", help="whose kernels (default m0plus)"
        )
        one.add_argument(
            "-p", "--port",
            help="run on a board (as deploy -p; emu:RPI_PICO is emulated; default: unicorn)",
        )
        ui.add_json(one)


def run(args: argparse.Namespace) -> int:
    """Prints the rows; exit code 1 when one is not exact, or CMSIS-NN's bytes are others."""
    if args.port is not None:
        return _on_board(args)
    try:
        from relume.bench.image import build
        from relume.bench.machine import Machine
    except ModuleNotFoundError as error:
        raise RelumeError(f"bench: needs the Python package {error.name}") from error
    rows = _rows(args, Machine(build(ROOT, args.core), args.core))
    if args.json:
        ui.emit_json({"core": args.core, "rows": [row.document() for row in rows]})
    else:
        _print(rows, _legend(args.core, rows))
    return 0 if all(row.exact and row.cmsis_exact is not False for row in rows) else 1


def _on_board(args: argparse.Namespace) -> int:
    from relume.bench.on_board import rows_on
    from relume.commands.deploy import plug
    from relume.link.client import Board

    if args.what == "kernels" and (args.folder is not None or args.cmsis is not None):
        raise RelumeError("bench: -p runs the seeded layers or models: no --from, no --cmsis")
    with Board(args.port) as board:
        plug(board)
        who, rows = rows_on(board, args.files if args.what == "models" else None)
    core = load_core(who.board)
    if args.json:
        document = {"core": core, "measured": asdict(who), "rows": [r.document() for r in rows]}
        ui.emit_json(document)
    else:
        _print(rows, f"{core}: {who.text}.")
    return 0 if all(row.exact for row in rows) else 1


def load_core(board: str) -> str:
    """Core of a board; the unix port computes with the portable C of its own machine."""
    from relume.board.profile import load_board

    return "unix" if board == "unix" else load_board(board).core


def _rows(args: argparse.Namespace, machine: Machine) -> list[Row]:
    from relume.bench.cmsis import Cmsis
    from relume.bench.rows import file_rows, model_row, seeded_rows

    if args.what == "kernels":
        cmsis = None if args.cmsis is None else Cmsis(ROOT, args.cmsis, args.core)
        if args.folder is None:
            return seeded_rows(machine, cmsis)
        return file_rows(args.folder, machine, cmsis)
    rows = []
    with ui.progress("models", len(args.files)) as done:
        for number, file in enumerate(args.files, 1):
            rows.append(model_row(file, machine))
            done(number)
    return rows


def _print(rows: list[Row], legend: str) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("row")
    titles = ["MACs", "cycles", "cycles/MAC", "with XIP", "SRAM", "XIP bytes", "exact"]
    compared = any(row.ratio is not None for row in rows)
    for title in titles + ["CMSIS-NN", "ratio", "same bytes"] * compared:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row.name, f"{row.macs:,}", f"{row.cycles:,}", f"{row.per_mac:.2f}",
            _cell(row.cycles_xip), f"{row.sram_bytes:,}", _cell(row.xip_bytes),
            "yes" if row.exact else "NO", *_rival(row),
        )  # fmt: skip
    console = ui.console()
    console.print(table)
    console.print(legend, soft_wrap=True)


def _rival(row: Row) -> tuple[str, ...]:
    if row.ratio is None:
        return ()
    return _cell(row.cmsis_cycles), f"{row.ratio:.2f}", "yes" if row.cmsis_exact else "NO"


def _cell(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _legend(core: str, rows: list[Row]) -> str:
    from relume.bench.rows import BOARD
    from relume.board.profile import load_board

    xip = load_board(BOARD).xip
    asked = "the portable kernels and TFLite's BUILTIN_REF" if all(
        row.reference for row in rows) else "the portable kernels"  # fmt: skip
    return (
        f"{core}: Thumb code under unicorn, Arm's cycle tables, code and data in SRAM "
        f"(host/relume/bench/costs.py). With XIP: {xip.miss_cycles} cycles more for each "
        f"{xip.fill_bytes} bytes that the RP2040's cache of {xip.cache_bytes:,} has to fetch; "
        f"plan counts every constant as such a miss. exact: against {asked}. "
        "No silicon was measured."
    )
