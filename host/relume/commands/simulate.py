"""relume simulate: published intermittency policies beside ours, under one cost model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import PlanError

if TYPE_CHECKING:
    from relume.sim.study import Study


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume simulate NET.tflite --cap 1mF --trace FILE --scale 20 [-o PICTURE.svg]."""
    parser = sub.add_parser("simulate", help="intermittency policies beside ours")
    parser.add_argument("net", type=Path, metavar="NET.tflite")
    parser.add_argument("--policy", default="all", help="all, or names with commas between")
    ui.add_power(parser)
    parser.add_argument("--trace", required=True, help="harvest: 3mW, a CSV or a recorded RF file")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the harvest by this")
    parser.add_argument("--starts", type=int, default=1000, help="begins in the trace (1000)")
    parser.add_argument("--seed", type=int, default=1, help="the begins follow from it (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("-o", "--output", type=Path, metavar="PICTURE.svg")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Simulates, prints the table or JSON, writes the picture. Errors: RelumeError."""
    from relume.report.policies import table, write_picture
    from relume.sim.study import run_all

    names = _names(args.policy)
    if args.starts < 1 or args.jobs < 1:
        raise PlanError("--starts and --jobs: at least 1")
    if args.output and args.output.suffix != ".svg":
        raise PlanError(f"{args.output}: the picture is an .svg")
    study = _study(args)
    outcomes = run_all(study, names, args.jobs)
    if args.output:
        write_picture(study, outcomes, args.output)
    if args.json:
        ui.emit_json({"policies": {one.name: one.facts() for one in outcomes}})
    else:
        ui.console().print(table(study, outcomes))
    return 0


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


def _study(args: argparse.Namespace) -> Study:
    from relume.board.profile import load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, check_supply, smallest_capacitor
    from relume.power.trace import load_trace
    from relume.sim.study import Study

    if args.net.suffix == ".rlm":
        raise PlanError(
            f"{args.net}: its layers cannot be cut anew, give the .tflite that it was planned from"
        )
    if args.nvm != "fram":
        raise PlanError(f"--nvm {args.nvm}: the policies are costed for SPI FRAM, use fram")
    board = load_board(args.board)
    budget = ui.budget_of(args, board)
    trace = load_trace(args.trace, args.scale)
    graph = without_dead_channels(read_tflite(args.net))
    if budget is None:
        von, voff = ui.voltages(args, board)
        budget = Budget(smallest_capacitor(graph, board, von, voff, args.nvm), von, voff)
    check_supply(board, budget.von_v)
    study = Study(graph, board, budget, trace, args.starts, args.seed)
    study.supply.when(study.begins)  # refuses a harvest that leaves nothing to simulate
    return study
