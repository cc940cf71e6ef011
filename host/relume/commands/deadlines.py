"""--trace, --period, --deadline and --beside of `relume plan`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relume.errors import PlanError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.plan.response import Schedule, Task
    from relume.plan.types import Plan
    from relume.power.trace import Trace
    from relume.sim.latency import Latency


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options; a deadline without --deadline is the period."""
    group = parser.add_argument_group("deadlines on harvested power")
    group.add_argument("--trace", help="harvest: 3mW, a CSV or a recorded RF file (default: none)")
    group.add_argument(
        "--scale", type=float, default=1.0,
        help="multiply the harvest by this (default 1)",
    )  # fmt: skip
    group.add_argument(
        "--period",
        help="an input comes this often, as 30s or 10min (default: once)",
    )  # fmt: skip
    group.add_argument("--deadline", help="and is answered within this (default: the period)")
    group.add_argument(
        "--beside", action="append", default=[], metavar="NET.tflite:PERIOD[:DEADLINE]",
        help="another model on the same board; may be given again",
    )  # fmt: skip


def trace_of(args: argparse.Namespace) -> Trace | None:
    """The harvest, None without --trace. Errors: PlanError, TraceError."""
    from relume.power.trace import load_trace

    if args.trace is None:
        if args.period or args.deadline or args.beside:
            raise PlanError("deadlines depend on the harvest: add --trace FILE or --trace 3mW")
        return None
    if (args.deadline or args.beside) and not args.period:
        raise PlanError("--deadline and --beside need --period: how often an input comes")
    return load_trace(args.trace, args.scale)


def latency_of(plan: Plan, board: BoardProfile, trace: Trace) -> Latency | None:
    """Simulated times on the harvest; None for a file as NVM, or if no power fails."""
    from relume.errors import TraceError
    from relume.sim.latency import SIMULATED, latency

    if plan.nvm not in SIMULATED:
        return None
    try:
        return latency(plan, board, trace)
    except TraceError:
        return None


def schedule_of(
    args: argparse.Namespace, plan: Plan, board: BoardProfile, trace: Trace
) -> Schedule | None:
    """Response times of the plan and those beside it; None without --period.

    Errors: PlanError, also for a deadline that is missed, with the harvest that would do.
    """
    from relume.plan.response import Task, schedule, sufficient_scale
    from relume.power.durations import format_duration, parse_duration

    if not args.period:
        return None
    period = parse_duration(args.period)
    deadline = parse_duration(args.deadline) if args.deadline else period
    tasks = [Task(plan, period, deadline)]
    for text in args.beside:
        tasks.append(_beside(text, plan, board))
    _fit_together(tasks, board)
    active_w = board.energy.active_mw * 1e-3
    promised = schedule(tasks, trace, active_w)
    late = next((one for one in promised.responses if not one.met), None)
    if late is None:
        return promised
    scale = sufficient_scale(tasks, trace, active_w)
    raise PlanError(
        f"{late.task.plan.graph.name}: answers within {format_duration(late.response_s)} on "
        f"{trace.name}, the deadline is {format_duration(late.task.deadline_s)}: "
        + (f"{scale:.3g} times this harvest would do" if scale else "no harvest would do")
    )


def _fit_together(tasks: Sequence[Task], board: BoardProfile) -> None:
    """Flash and NVM hold all models. Errors: PlanError."""
    from relume.blob.pack import packed_size
    from relume.plan.planner import nvm_bytes

    plans = [task.plan for task in tasks]
    nvm = plans[0].nvm
    for what, used, room in (
        ("model flash", sum(map(packed_size, plans)), board.model_bytes),
        (nvm, sum(map(nvm_bytes, plans)), board.nvm_size(nvm)),
    ):
        if used > room:
            names = ", ".join(plan.graph.name for plan in plans)
            raise PlanError(f"{names}: {used} bytes of {what} together, {board.name} has {room}")


def _beside(text: str, plan: Plan, board: BoardProfile) -> Task:
    """Another model, planned for the same capacitor and NVM."""
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import make_plan
    from relume.plan.response import Task
    from relume.power.durations import parse_duration

    net, _, rest = text.partition(".tflite:")
    if not rest:
        raise PlanError(f"--beside {text}: write it as NET.tflite:PERIOD[:DEADLINE]")
    period, _, deadline = rest.partition(":")
    graph = without_dead_channels(read_tflite(Path(net + ".tflite")))
    other = make_plan(graph, board, plan.budget, plan.nvm)
    seconds = parse_duration(period)
    return Task(other, seconds, parse_duration(deadline) if deadline else seconds)
