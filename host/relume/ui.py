"""What the commands share in front of a person: tables, JSON, progress, files, options."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume.errors import RelumeError

if TYPE_CHECKING:
    from rich.console import Console

    from relume.board.profile import BoardProfile
    from relume.power.capacitor import Budget

WIDE = 136
NVMS = ("fram", "fram-i2c", "flash", "file")  # of --nvm: BoardProfile.nvm_size knows them


def console() -> Console:
    """Standard output. Colour only on a terminal without NO_COLOR; wide when piped."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=WIDE, no_color=True)


def emit_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Any]:
    """A bar on a terminal's stderr, nothing elsewhere; yields a function of the amount done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all. Errors: RelumeError naming the file."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent or Path(), prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RelumeError(f"{path}: cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_power(parser: argparse.ArgumentParser, boards: str = "or a .toml file") -> None:
    """--board, --cap, --von, --voff, --nvm. boards: what else --board takes."""
    parser.add_argument(
        "--board", default="RPI_PICO", help=f"board profile, {boards} (default RPI_PICO)"
    )
    parser.add_argument("--cap", help="capacitor, as 1mF or 470uF (default: smallest that works)")
    parser.add_argument("--von", help="turn-on voltage, as 5V (default: the board's)")
    parser.add_argument("--voff", help="turn-off voltage, as 1.8V (default: the board's)")
    parser.add_argument(
        "--nvm", choices=NVMS, default="fram",
        help="where commits go (default fram: on SPI)",
    )


def voltages(args: argparse.Namespace, board: BoardProfile) -> tuple[float, float]:
    """(von, voff) in volt, of the options or the board. Errors: PlanError."""
    from relume.power.capacitor import parse_voltage

    von = board.supply.von_v if args.von is None else parse_voltage(args.von)
    voff = board.supply.voff_v if args.voff is None else parse_voltage(args.voff)
    return von, voff


def budget_of(args: argparse.Namespace, board: BoardProfile) -> Budget | None:
    """The power budget of the options; None when --cap was not given. Errors: PlanError."""
    from relume.power.capacitor import Budget, parse_capacitance

    von, voff = voltages(args, board)
    if args.cap is None:
        Budget(1e-3, von, voff)  # refuses voltages that make no budget
        return None
    return Budget(parse_capacitance(args.cap), von, voff)
