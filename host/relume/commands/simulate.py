"""relume simulate: published intermittency policies beside ours, under one cost model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import PlanError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.model.graph import Graph
    from relume.power.capacitor import Budget
    from relume.sim.study import Outcome, Study


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume simulate NET.tflite --cap 1mF --trace FILE --scale 20 [-o PICTURE.svg].

    --cap and --scale may be lists with commas between; each pair is simulated. A .rlm stands for
    the .tflite beside it that it was planned from, and for its capacitor where no --cap is given.
    """
    parser = sub.add_parser("simulate", help="intermittency policies beside ours")
    parser.add_argument("net", type=Path, metavar="NET.tflite|NET.rlm",
                        help="an int8 model, or the plan of the .tflite beside it")
    parser.add_argument(
        "--policy", default="all",
        help="all (default), or names with commas between",
    )  # fmt: skip
    ui.add_power(parser)
    parser.add_argument("--trace", required=True, help="harvest: 3mW, a CSV or a recorded RF file")
    parser.add_argument("--scale", default="1", help="multiply the harvest by this (default 1)")
    parser.add_argument(
        "--starts", type=int, default=1000,
        help="begins in the trace (default 1000)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=1,
        help="the begins follow from it (default 1)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("-o", "--output", type=Path, metavar="PICTURE.svg",
                        help="draw the times of all policies")
    parser.add_argument("--blob", type=Path, metavar="OUT.rlm",
                        help="the one policy given, at its best setting, as a plan for the board")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Simulates, prints the table or JSON, writes the picture. Errors: RelumeError."""
    from relume.report.sweep import text, write
    from relume.sim.study import run_all

    names = _names(args.policy)
    if args.starts < 1 or args.jobs < 1:
        raise PlanError("--starts and --jobs: at least 1")
    if args.output and args.output.suffix != ".svg":
        raise PlanError(f"{args.output}: the picture is an .svg")
    studies = _studies(args)
    if args.blob and (len(names) > 1 or len(studies) > 1):
        raise PlanError("--blob: one policy, one capacitor and one scale, as --policy inasplus")
    found = run_all(studies, names, args.jobs)
    if args.blob:
        _write_blob(args.blob, studies[0], found[0][0])
    if args.output:
        write(args.output, studies, found)
    if args.json:
        ui.emit_json(_document(studies, found))
    else:
        ui.console().print(text(studies, found))
    return 0


def _write_blob(output: Path, study: Study, outcome: Outcome) -> None:
    from relume.blob.pack import pack
    from relume.sim.firmware import firmware_plan

    ui.write_atomic(output, pack(firmware_plan(study, outcome)))


def _document(studies: list[Study], found: list[list[Outcome]]) -> object:
    """JSON: one study, or a list of them with their capacitors and scales."""
    from relume.sim.ours import plan_overhead

    documents: list[dict[str, object]] = []
    for study, outcomes in zip(studies, found, strict=True):
        documents.append({
            "cap_f": study.budget.cap_f,
            "harvest": study.trace.name,
            "commit_overhead": plan_overhead(study),
            "policies": {one.name: one.facts() for one in outcomes},
        })  # fmt: skip
    return documents[0] if len(documents) == 1 else {"studies": documents}


def _names(text: str) -> list[str]:
    """Policies in the order of the table. Errors: PlanError naming the known ones."""
    from relume.sim.policies import POLICIES

    if text == "all":
        return list(POLICIES)
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in POLICIES:
            raise PlanError(f"unknown policy {name!r}: all, or of {', '.join(POLICIES)}")
    return [name for name in POLICIES if name in wanted]


def _studies(args: argparse.Namespace) -> list[Study]:
    """A study for each capacitor and, inside, each scale."""
    from relume.board.profile import load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import check_supply
    from relume.power.trace import load_trace
    from relume.sim.latency import COSTED
    from relume.sim.study import Study

    if args.nvm not in COSTED:
        raise PlanError(
            f"--nvm {args.nvm}: the policies are costed for FRAM, use fram or fram-i2c"
        )
    source = _source(args)
    board = load_board(args.board)
    scales = _scales(args.scale)
    traces = [load_trace(args.trace, scale) for scale in scales]
    graph = without_dead_channels(read_tflite(source))
    budgets = _budgets(args, graph, board)
    check_supply(board, budgets[0].von_v)
    studies = [
        Study(graph, board, budget, trace, args.starts, args.seed, nvm=args.nvm)
        for budget in budgets
        for trace in traces
    ]
    for study in studies:
        study.supply.when(study.begins)  # refuses a harvest that leaves nothing to simulate
    return studies


def _source(args: argparse.Namespace) -> Path:
    """The .tflite to cut into tiles; of a .rlm the one beside it. Errors: PlanError, BlobError."""
    from relume.blob.reader import read_blob
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.power.capacitor import format_capacitance

    net: Path = args.net
    if net.suffix != ".rlm":
        return net
    blob, source = read_blob(net), net.with_suffix(".tflite")
    if not source.is_file():
        raise PlanError(
            f"{net}: its layers cannot be cut anew, put {source.name} beside it or give the "
            ".tflite that it was planned from"
        )
    graph = without_dead_channels(read_tflite(source))
    if [op.name for op in blob.ops] != [op.name for op in graph.ops]:
        raise PlanError(f"{source}: {net.name} was planned from another model")
    if args.cap is None:
        args.cap = format_capacitance(blob.cap_f)
        args.von, args.voff = f"{blob.von_v:g}", f"{blob.voff_v:g}"
    return source


def _scales(text: str) -> list[float]:
    """Numbers with commas between. Errors: PlanError."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise PlanError(f"--scale {text}: numbers with commas between, as 1,5,20") from None


def _budgets(args: argparse.Namespace, graph: Graph, board: BoardProfile) -> list[Budget]:
    """One for each capacitor of the option; without it the smallest that a plan exists for."""
    from relume.plan.planner import Budget, smallest_capacitor
    from relume.power.capacitor import parse_capacitance

    von, voff = ui.voltages(args, board)
    if args.cap is None:
        Budget(1e-3, von, voff)  # refuses voltages that make no budget
        return [Budget(smallest_capacitor(graph, board, von, voff, args.nvm), von, voff)]
    return [Budget(parse_capacitance(part), von, voff) for part in args.cap.split(",")]
