"""relume bench: cycles, bytes and exactness of the shipped kernels, counted under unicorn."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import RelumeError

if TYPE_CHECKING:
    from relume.bench.rows import Row

CORES = ("m0plus", "m4")
ROOT = Path(__file__).resolve().parents[3]


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume bench kernels --from FOLDER | relume bench models FILE..."""
    parser = sub.add_parser("bench", help="cycles of the kernels")
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    kernels = what.add_parser("kernels", help="four reference layers")
    kernels.add_argument(
        "--from", dest="folder", type=Path, required=True, metavar="FOLDER",
        help="holds ic.tflite, kws.tflite and ad.tflite of MLPerf Tiny",
    )  # fmt: skip
    models = what.add_parser("models", help="whole models")
    models.add_argument("files", type=Path, nargs="+", metavar="FILE.tflite")
    for one in (kernels, models):
        one.add_argument("--core", choices=CORES, default="m0plus")
        ui.add_json(one)


def run(args: argparse.Namespace) -> int:
    """Prints the rows; exit code 1 when one is not exact."""
    try:
        from relume.bench.image import build
        from relume.bench.machine import Machine
        from relume.bench.rows import Subject, kernel_rows
    except ModuleNotFoundError as error:
        raise RelumeError(f"bench: needs the Python package {error.name}") from error
    machine = Machine(build(ROOT, args.core), args.core)
    if args.what == "kernels":
        rows = kernel_rows(args.folder, machine, args.core)
    else:
        rows = []
        with ui.progress("models", len(args.files)) as done:
            for number, file in enumerate(args.files, 1):
                rows.append(Subject(file, machine, args.core).model())
                done(number)
    if args.json:
        ui.emit_json({"core": args.core, "rows": [asdict(row) for row in rows]})
    else:
        _show(args.core, rows)
    return 0 if all(row.exact for row in rows) else 1


def _show(core: str, rows: list[Row]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("row")
    for title in ("MACs", "cycles", "cycles/MAC", "with XIP", "SRAM", "XIP bytes", "exact"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row.name, f"{row.macs:,}", f"{row.cycles:,}", f"{row.per_mac:.2f}",
            f"{row.cycles_xip:,}", f"{row.sram_bytes:,}", f"{row.xip_bytes:,}",
            "yes" if row.exact else "NO",
        )  # fmt: skip
    console = ui.console()
    console.print(table)
    console.print(
        f"{core}: Thumb code under unicorn, Arm's cycle tables, zero wait states "
        "(host/relume/bench/costs.py); XIP: 56 cycles a line of 8 bytes, RP2040 cache. "
        "No silicon was measured."
    )
