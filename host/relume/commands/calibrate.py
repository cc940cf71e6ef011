"""relume calibrate: measures a board's cycles and writes a profile that holds for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.commands import deploy
from relume.errors import LinkError, RelumeError

if TYPE_CHECKING:
    from relume.bench.calibration import Row, Run, Subject
    from relume.board.profile import BoardProfile, Measured
    from relume.link.client import Board

ADC_SHARE = 1 / 32  # of a reading, which the scheduler takes off (SPEC 2.9)


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume calibrate -p PORT [-o BOARD.toml]."""
    parser = sub.add_parser("calibrate", help="measure a board's cycles, write its profile")
    deploy.add_port(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="BOARD.toml",
                        help="default: NAME.toml of the board that answers")
    parser.add_argument("--model", type=Path, action="append", metavar="FILE.tflite",
                        help="measure on this model (again for more; default: four seeded layers)")
    parser.add_argument("--margin", type=float, default=10.0, metavar="PERCENT",
                        help="above the largest measurement (default 10)")
    parser.add_argument("--lower", action="store_true",
                        help="lower rows, too: what was measured and the margin, no worst case")
    parser.add_argument("--volts", type=float, metavar="V",
                        help="what a meter shows of the supply: the board's reading is compared")
    parser.add_argument("--nvm", choices=ui.NVMS, default="fram",
                        help="where commits go meanwhile (default fram)")
    parser.add_argument("--clear", action="store_true",
                        help="give up an inference or an output that is on the board")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measures, fits, writes, and reads back what it wrote. Errors: RelumeError."""
    from relume.bench.calibration import fitted, measure
    from relume.board.profile import load_board
    from relume.link.client import Board

    _check(args)
    subjects = list(_subjects(args.model))
    with Board(args.port) as board:
        deploy.plug(board)
        hello = board.connect()
        profile = load_board(_profile_name(args.port, hello.board))
        _make_room(board, args)
        found = measure(board, profile, subjects, args.nvm, _say)
        where = "emulated board" if board.port.emulated else "board"
    rows = fitted(found, profile, args.margin / 100, args.lower)
    output = args.output or Path(f"{profile.name}.toml")
    measured = _measured(rows, hello.firmware, where)
    notes = _notes(args, found, measured)
    ui.write_atomic(output, _text(profile, rows, measured, notes).encode())
    _prove(output, found, profile, args.margin / 100)
    if args.json:
        ui.emit_json(document(output, measured, rows, found, args.volts))
    else:
        _show(output, measured, rows, found, args.volts)
    return 0


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.margin <= 1000:
        raise RelumeError(f"--margin {args.margin:g}: give a percentage from 0 to 1000")
    if args.volts is not None and not 0 < args.volts < 60:
        raise RelumeError(f"--volts {args.volts:g}: give the supply's voltage")
    if args.output and args.output.suffix != ".toml":
        raise RelumeError(f"{args.output}: a profile's name ends in .toml")


def _profile_name(port: str, board: str) -> str:
    from relume.board.profile import board_names

    if board not in board_names():
        known = ", ".join(board_names())
        raise LinkError(f"{port}: {board} answers, which has no profile to correct: {known}")
    return board


def _make_room(board: Board, args: argparse.Namespace) -> None:
    """Nothing of the user's is given up unasked."""
    from relume.link.messages import State

    if not board.hello.model:
        return
    status = board.status()
    if status.state in (State.RUNNING, State.DONE) and not args.clear:
        raise LinkError(
            f"{board.port.text}: inference {status.inference:08x} is"
            f" {status.state.name.lower()}, and calibrating gives it up: take it, or add --clear"
        )
    _say(f"{board.hello.model_name} will not be the active model any more: deploy it again")


def _subjects(files: Sequence[Path] | None) -> Iterator[Subject]:
    """What is run: files on their own input and on random bytes, or the seeded layers."""
    from relume.bench.calibration import Subject
    from relume.bench.layers import seeded_layers
    from relume.bench.rows import input_of, random_bytes
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite

    if files is None:
        for layer in seeded_layers():
            noise = random_bytes(len(layer.data))
            inputs = {layer.name: layer.data, f"{layer.name}, random": noise}
            yield Subject(without_dead_channels(layer.graph), inputs)
        return
    for path in files:
        graph = read_tflite(path)
        size = graph.tensors[graph.input].size
        inputs = {path.stem: input_of(path, graph), f"{path.stem}, random": random_bytes(size)}
        yield Subject(without_dead_channels(graph), inputs)


def _say(text: str) -> None:
    print(f"relume: {text}", file=sys.stderr)


# ---- The profile -----------------------------------------------------------


def _measured(rows: Sequence[Row], firmware: str, where: str) -> Measured:
    from relume.board.profile import Measured

    typical = tuple(row.name for row in rows if row.typical)
    today = datetime.now().date().isoformat()
    return Measured(today, f"firmware {firmware}", where, typical)


def _notes(args: argparse.Namespace, found: Run, measured: Measured) -> list[str]:
    notes = [
        f"{found.inputs} inputs on the {measured.where}, {measured.date}, {measured.firmware}.",
        "Rows that are not here are the board's own; a * work + b * outputs + c a tile.",
    ]
    if measured.typical:
        notes.append(
            f"Rows marked typical are the largest measurement plus {args.margin:g} %: they hold"
            " for these inputs, a worst case over data and shapes they are not."
        )
    else:
        notes.append(
            "Every row is a worst case: the board's own, or raised to the largest measurement plus"
            f" {args.margin:g} %. None was lowered."
        )
    if found.volts:
        notes.append(_volts_text(found.volts, args.volts))
    return notes


def _text(
    profile: BoardProfile, rows: Sequence[Row], measured: Measured, notes: Sequence[str]
) -> str:
    from relume.board.corrected import Correction, corrected_toml

    changes = []
    for row in rows:
        core, _, kind = row.name.partition(".")
        changes.append(Correction(core, kind, row.figures, f"{_verdict(row)}; {_found(row)}"))
    return corrected_toml(profile, changes, measured, notes)


def _verdict(row: Row) -> str:
    if row.factor > 1:
        return f"RAISED by {100 * (row.factor - 1):.0f} %"
    return f"typical, lowered to {100 * row.factor:.0f} %" if row.typical else "worst case, kept"


def _found(row: Row) -> str:
    ops = f"{row.ops} op" + ("" if row.ops == 1 else "s")
    return f"{ops} measured at {100 * row.share:.0f} % of the worst case at most"


def _prove(path: Path, found: Run, before: BoardProfile, margin: float) -> None:
    """What was written is read, and its worst cases lie above the measurements and the margin."""
    from relume.bench.calibration import under
    from relume.board.profile import load_board

    after = load_board(str(path))
    for cost in under(found, before, after).ops:
        if cost.counted * (1 + margin) > cost.worst * (1 + 1e-9):
            raise RelumeError(
                f"{path}: {cost.row}: op {cost.op} of {cost.model} took {cost.counted:,.0f}"
                f" cycles, the row gives {cost.worst:,.0f}: do not use this profile, report it"
            )


# ---- What a person sees ----------------------------------------------------


def _volts_text(volts: tuple[float, float], meter: float | None) -> str:
    text = f"The board reads {volts[0]:.3f} to {volts[1]:.3f} V of its supply"
    if meter is None:
        return text + "; --volts compares that with a meter."
    off = volts_error(volts, meter)
    verdict = (
        "within what the scheduler allows for"
        if abs(off) <= ADC_SHARE
        else "MORE than the 3.1 % that the scheduler allows for: commits may come too late, which"
        " costs time, never progress"
        if off > 0
        else "below: commits come earlier than they need to"
    )
    return f"{text}, a meter shows {meter:g} V: {100 * off:+.1f} %, {verdict}."


def volts_error(volts: tuple[float, float], meter: float) -> float:
    """The reading farthest from the meter's, as a share of that."""
    return max(volts, key=lambda one: abs(one - meter)) / meter - 1


def document(
    output: Path, measured: Measured, rows: Sequence[Row], found: Run, meter: float | None
) -> dict[str, Any]:
    """The JSON document."""
    return {
        "file": str(output),
        "measured": asdict(measured),
        "inputs": found.inputs,
        "rows": [asdict(row) | {"typical": row.typical} for row in rows],
        "ops": [asdict(c) | {"worst": c.worst, "counted": c.counted} for c in found.ops],
        "volts": found.volts,
        "volts_error": volts_error(found.volts, meter) if found.volts and meter else None,
    }


_COLUMNS = [
    ("row of [cycles]", False), ("ops", True), ("of worst", True), ("of typical", True),
    ("the row", False),
]  # fmt: skip


def _show(
    output: Path, measured: Measured, rows: Sequence[Row], found: Run, meter: float | None
) -> None:
    from relume.report.tables import grid

    cells = [
        (row.name, str(row.ops), f"{100 * row.share:.0f} %", f"{100 * row.expected:.0f} %",
         _verdict(row))
        for row in rows
    ]  # fmt: skip
    out = ui.console()
    out.print(grid(f"measured on the {measured.where}, {measured.firmware}", _COLUMNS, cells))
    lines = [_volts_text(found.volts, meter)] if found.volts else []
    if measured.typical:
        lines.append("Typical rows are no worst case: plan says so, too.")
    for line in [*lines, f"written to {output}: relume plan NET.tflite --board {output}"]:
        out.print(line, markup=False, soft_wrap=True)
