"""relume plan: TFLite model -> .rlm for one board and one power budget."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.commands import deadlines

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.plan.types import Plan


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume plan NET.tflite --board RPI_PICO [--cap 1mF] -o NET.rlm."""
    parser = sub.add_parser("plan", help="TFLite model -> .rlm")
    parser.add_argument("net", type=Path, metavar="NET.tflite", help="an int8 model")
    ui.add_power(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="NET.rlm", help="default: NET.rlm")
    parser.add_argument("--ops", action="store_true", help="each op: which kernel, and why")
    parser.add_argument(
        "--core", choices=("portable",),
        help="kernels that the engine in Python has, too (default: the board's)",
    )
    deadlines.add_options(parser)
    parser.add_argument(
        "--sram", type=int, metavar="BYTES",
        help="finer tiles until tensors and scratch fit (default: as fast as the board allows)",
    )
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the blob and prints the plan."""
    from relume.blob.pack import pack, with_test
    from relume.blob.reader import read_blob
    from relume.board.profile import load_board
    from relume.link.selftest import known_crc
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, make_plan, smallest_capacitor
    from relume.report import deadlines as report
    from relume.report.ops import found, summary, table

    board = load_board(args.board)
    if args.core:
        board = replace(board, core=args.core)
    budget = ui.budget_of(args, board)
    trace = deadlines.trace_of(args)
    von, voff = ui.voltages(args, board)
    whole = read_tflite(args.net)
    graph = without_dead_channels(whole)
    plan = make_plan(graph, board, budget, args.nvm, sram=args.sram) if budget else None
    smallest = smallest_capacitor(graph, board, von, voff, args.nvm)
    if plan is None:
        plan = make_plan(graph, board, Budget(smallest, von, voff), args.nvm, sram=args.sram)
    promised = deadlines.schedule_of(args, plan, board, trace) if trace else None
    times = deadlines.latency_of(plan, board, trace) if trace else None
    output = args.output or Path(args.net.stem + ".rlm")
    blob = pack(plan)
    test_crc = known_crc(args.net, read_blob(blob))
    blob = with_test(blob, test_crc)
    ui.write_atomic(output, blob)
    ops = found(whole, graph, board, args.nvm)
    if args.json:
        document = facts(plan, board, smallest, len(blob), str(output))
        document["test_crc"] = test_crc or None
        if times:
            document["latency"] = report.latency_facts(times)
        if promised:
            document["schedule"] = report.facts(promised)
        ui.emit_json(document | {"ops": [asdict(op) for op in ops]})
    else:
        if args.ops:
            ui.console().print(table(f"{graph.name}: the ops", ops))
        _show(plan, board, smallest, len(blob), output)
        ui.console().print(f"{'ops':9} {summary(ops)}", markup=False, soft_wrap=True)
        ui.console().print(f"{'self-test':9} {_test_line(test_crc)}", markup=False, soft_wrap=True)
        if trace:
            line = f"{'latency':9} {report.latency_line(times, trace)}"
            ui.console().print(line, markup=False, soft_wrap=True)
        if promised and trace:
            ui.console().print(report.table(promised, trace))
    return 0


def _test_line(crc: int) -> str:
    if crc:
        return f"output {crc:08x} for a known input, by TFLite's reference kernels"
    return "none: pip install ai-edge-litert==1.2.0 and plan again"


def facts(
    plan: Plan, board: BoardProfile, smallest_f: float, blob_bytes: int, file: str
) -> dict[str, Any]:
    """The plan as a JSON-able document: every segment, memory, energy."""
    from relume.plan.planner import nvm_bytes, ram_bytes, sram_bytes
    from relume.plan.wear import wear, written_bytes

    charges, energy = plan.forecast()
    worn = wear(plan, board)
    return {
        "file": file,
        "model": plan.graph.name,
        "board": plan.board,
        "measured": asdict(board.measured) if board.measured else None,
        "nvm": plan.nvm,
        "cap_f": plan.budget.cap_f,
        "von_v": plan.budget.von_v,
        "voff_v": plan.budget.voff_v,
        "smallest_cap_f": smallest_f,
        "charge_uj": plan.charge_uj,
        "boot_uj": plan.boot_uj,
        "worst_uj": plan.worst_uj,
        "charges": charges,
        "energy_uj": energy,
        "blob_bytes": blob_bytes,
        "arena_bytes": plan.arena_size,
        "scratch_bytes": plan.scratch_size,
        "saved_bytes": plan.saved,
        "saved_price": plan.price,
        "sram_bytes": sram_bytes(plan),
        "ram_bytes": ram_bytes(plan, board),
        "nvm_bytes": nvm_bytes(plan),
        "commit_bytes": sum(segment.commit_bytes for segment in plan.segments),
        "written_bytes": written_bytes(plan),
        "wear": asdict(worn) if worn else None,
        "cycles": plan.worst_cycles,
        "tiles": len(plan.tiles),
        "segments": [
            {
                "tiles": [segment.start, segment.end],
                "from": _layer(plan, segment.start),
                "to": _layer(plan, segment.end - 1),
                "worst_cycles": segment.worst_cycles,
                "typical_cycles": segment.typical_cycles,
                "typical_ms": segment.typical_cycles * 1e3 / board.hz,
                "worst_ms": segment.worst_cycles * 1e3 / board.hz,
                "worst_uj": segment.worst_uj,
                "commit_bytes": segment.commit_bytes,
            }
            for segment in plan.segments
        ],
    }


def _layer(plan: Plan, tile: int) -> str:
    return plan.graph.ops[plan.tiles[tile].op].name


def _rows(plan: Plan, board: BoardProfile) -> list[Sequence[str]]:
    from relume.report.tables import count, short_names

    short = short_names(op.name for op in plan.graph.ops)
    rows: list[Sequence[str]] = []
    for number, segment in enumerate(plan.segments):
        first = short[_layer(plan, segment.start)]
        last = short[_layer(plan, segment.end - 1)]
        last_tile = segment.end - 1
        rows.append(
            (
                str(number),
                f"{segment.start}-{last_tile}" if last_tile > segment.start else str(last_tile),
                first,
                last if last != first else "",
                f"{segment.typical_cycles * 1e3 / board.hz:.1f}",
                f"{segment.worst_cycles * 1e3 / board.hz:.1f}",
                f"{segment.worst_uj / 1e3:.2f}",
                count(segment.commit_bytes),
            )
        )
    return rows


def _wear_line(plan: Plan, board: BoardProfile) -> list[tuple[str, str]]:
    """What is said of flash that wears out; nothing of other NVM."""
    from relume.plan.wear import wear

    worn = wear(plan, board)
    return [("wear", worn.text)] if worn else []


def _serial_line(plan: Plan, board: BoardProfile) -> list[tuple[str, str]]:
    """What is said of a charge that does not last until a host has handed over an input."""
    from relume.plan.smallest import serial_capacitor
    from relume.power.capacitor import format_capacitance
    from relume.report.tables import millijoule

    cap_f = serial_capacitor(plan, board)
    if cap_f is None:
        return []
    text = f"takes {millijoule(plan.exchange_uj)} over the serial line, more than a charge: "
    return [("input", f"{text}{format_capacitance(cap_f)}, or a program on the board that has it")]


def _device_line(plan: Plan, board: BoardProfile) -> list[tuple[str, str]]:
    """What a program on stock firmware names, so that it commits to flash."""
    if plan.nvm != "flash" or board.flash is None or not board.flash.device:
        return []
    return [("nvm=", f"{board.flash.device}, in the program that runs it")]


def _show(
    plan: Plan, board: BoardProfile, smallest_f: float, blob_bytes: int, output: Path
) -> None:
    from relume.plan.planner import nvm_bytes, ram_bytes, sram_parts
    from relume.plan.wear import written_bytes
    from relume.power.capacitor import format_capacitance
    from relume.report.tables import bar, count, elided, grid, millijoule

    out = ui.console()
    columns = [
        ("segment", True), ("tiles", False), ("from layer", False), ("to layer", False),
        ("typical ms", True), ("worst ms", True), ("mJ", True), ("commit bytes", True),
    ]  # fmt: skip
    budget = plan.budget
    title = (
        f"{plan.graph.name} on {board.title}: {format_capacitance(budget.cap_f)}, "
        f"{budget.von_v:g} V to {budget.voff_v:g} V, {plan.nvm}"
    )
    out.print(grid(title, columns, elided(_rows(plan, board), "segments")))
    charges, energy = plan.forecast()
    region = board.model_bytes
    for name, text in (
        ("plan", f"{len(plan.tiles)} tiles in {len(plan.segments)} segments, "
                 f"{count(plan.worst_cycles)} cycles at worst"),
        ("charge", f"{millijoule(plan.charge_uj)}, of which a boot takes "
                   f"{millijoule(plan.boot_uj)} and a segment at most "
                   f"{millijoule(plan.worst_uj)}"),
        ("run", f"{charges} charges and {millijoule(energy)} an inference at worst, nothing "
                "harvested meanwhile"),
        ("commits", f"{count(sum(s.commit_bytes for s in plan.segments))} bytes an inference; "
                    f"{count(written_bytes(plan))} written with its input and the records"),
        ("flash", bar(blob_bytes, region)),
        ("SRAM", f"{bar(ram_bytes(plan, board), board.heap_bytes)}, {sram_parts(plan)}"),
        ("store" if plan.nvm == "flash" else plan.nvm,
         bar(nvm_bytes(plan), board.nvm_size(plan.nvm))),
        *_wear_line(plan, board),
        *_device_line(plan, board),
        *_serial_line(plan, board),
        *([("profile", board.measured.text)] if board.measured else []),
        ("smallest", f"{format_capacitance(smallest_f)} (E6) suffices, boot included"),
        ("written", str(output)),
    ):  # fmt: skip
        out.print(f"{name:9} {text}", markup=False, soft_wrap=True)
