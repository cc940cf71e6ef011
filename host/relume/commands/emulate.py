"""relume emulate: an emulated board on a TCP port, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.errors import BoardError

if TYPE_CHECKING:
    from relume_boards.virtual.emulated import EmulatedBoard
    from relume_boards.virtual.record import PowerChange, Run

DEFAULT_PORT = 2040
_POLL_S = 0.2
_SPEC_KEYS = (
    "cap", "trace", "scale", "power", "von", "voff", "seed", "fram", "firmware",
    "sound", "motion", "celsius",
)  # fmt: skip


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume emulate RPI_PICO [--cap 10mF --power 10mW] [--tcp PORT] [--record FILE]."""
    parser = sub.add_parser("emulate", help="serve an emulated board")
    parser.add_argument("board", metavar="BOARD", help="RPI_PICO, the one there is")
    supply = parser.add_argument_group("supply (without any of these: external power)")
    supply.add_argument("--cap", help="capacitor, as 1mF or 470uF")
    supply.add_argument("--power", help="constant harvest, as 10mW")
    supply.add_argument("--trace", metavar="FILE", help="harvest trace: CSV or recorded RF")
    supply.add_argument("--scale", help="multiply the harvest by this (default 1)")
    supply.add_argument("--von", help="turn-on voltage, as 5V (default: the board's)")
    supply.add_argument("--voff", help="turn-off voltage, as 1.8V (default: the board's)")
    supply.add_argument("--plugged", action="store_true", help="start on external power")
    sensors = parser.add_argument_group("what its sensors feel, again and again")
    sensors.add_argument("--sound", metavar="WAV", help="microphone on GP26; 16 bits, mono")
    sensors.add_argument(
        "--motion", metavar="CSV",
        help="MPU-6050 on GP20 and GP21; lines of seconds and x, y, z in g",
    )  # fmt: skip
    sensors.add_argument(
        "--celsius", metavar="CSV",
        help="the chip's own sensor: lines of seconds and degrees, or a number (default 25)",
    )  # fmt: skip
    parser.add_argument("--seed", help="SRAM noise and torn writes follow from it (default 1)")
    parser.add_argument(
        "--fram", metavar="BYTES",
        help="size of the FRAM chip, in bytes (default 262144)",
    )  # fmt: skip
    parser.add_argument(
        "--firmware", metavar="UF2",
        help="image to run (default: what make firmware built)",
    )  # fmt: skip
    parser.add_argument(
        "--tcp", metavar="PORT",
        help=f"TCP port (default {DEFAULT_PORT}; 0: any free one)",
    )  # fmt: skip
    parser.add_argument("--pty", action="store_true", help="serve a pseudo-terminal as well")
    parser.add_argument(
        "--keep-open", action="store_true", help="keep the TCP connection over power cuts"
    )
    parser.add_argument(
        "--state", metavar="DIR",
        help="keep flash and FRAM there (default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write the run: .json, .html or .svg"
    )
    parser.add_argument("--quiet", action="store_true", help="do not report power and events")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM. Errors: RelumeError."""
    if args.record and args.record.suffix not in (".json", ".html", ".svg"):
        raise BoardError(f"{args.record}: --record writes .json, .html or .svg")
    board = _open(args)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with board:
            _greet(board, args)
            _follow(board, args.quiet or args.json)
    except KeyboardInterrupt:
        pass
    finally:
        board.stop()
    record = board.run
    if args.record:
        _write(record, args.record)
    if args.json:
        print(json.dumps({"run": record.to_json()}))
    else:
        print(_summary(record))
    return 0


def _open(args: argparse.Namespace) -> EmulatedBoard:
    try:
        from relume_boards.virtual.spec import EmuSpec, build
    except ModuleNotFoundError as error:
        hint = "pip install 'relume[emulate]'"
        raise BoardError(f"the emulated board needs {error.name}: {hint}") from error
    given = {key: str(getattr(args, key) or "") for key in _SPEC_KEYS}
    flags = {key: "1" if getattr(args, key) else "" for key in ("plugged", "pty", "keep_open")}
    tcp = args.tcp if args.tcp is not None else str(DEFAULT_PORT)
    return build(EmuSpec(board=args.board, tcp=tcp, state=args.state or "", **given, **flags))


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _greet(board: EmulatedBoard, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps({"url": board.url, "pty": board.pty_path}), flush=True)
        return
    print(f"{args.board} runs; its console:")
    print(f"  mpremote connect {board.url}")
    if board.pty_path:
        print(f"  mpremote connect {board.pty_path}")
    print(f"  relume run NET.rlm -p {board.url} --input X.npy")
    print("Ctrl-C ends it.", flush=True)


def _follow(board: EmulatedBoard, quiet: bool) -> None:
    """Report power changes and events as they come; returns only by an exception."""
    changes = events = 0
    while True:
        time.sleep(_POLL_S)
        new_changes, new_events = board.news(changes, events)
        changes += len(new_changes)
        events += len(new_events)
        if quiet:
            continue
        lines = [(c.t, _change_line(c)) for c in new_changes]
        lines += [(e.t, f"{e.kind}: inference {e.inference}, tile {e.tile}") for e in new_events]
        for t, text in sorted(lines):
            print(f"{t:10.3f} s  {text}", flush=True)


def _change_line(change: PowerChange) -> str:
    return f"power {'on' if change.on else 'off'}: {change.cause}, {change.volts:.2f} V"


def _summary(record: Run) -> str:
    cycles, joules = record.totals.get("cycles", 0.0), record.totals.get("drawn_j", 0.0)
    return (
        f"{record.end:.3f} s emulated, {record.charges} charges, {record.brownouts} brown-outs, "
        f"{cycles / 1e6:.1f} M cycles, {joules * 1e3:.2f} mJ drawn"
    )


def _write(record: Run, path: Path) -> None:
    if path.suffix == ".json":
        ui.write_atomic(path, json.dumps(record.to_json(), indent=1).encode())
        return
    from relume.report.timeline import write_timeline, write_timeline_svg

    if path.suffix == ".svg":
        write_timeline_svg(record, path)
    else:
        write_timeline(record, path)
