"""relume check: which layers can run, what fits, which capacitor it takes. No TensorFlow."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relume import ui
from relume.errors import PlanError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.model.graph import Graph
    from relume.model.tflite_reader import Survey
    from relume.plan.types import Plan
    from relume.plan.wear import Wear
    from relume.power.capacitor import Budget
    from relume.report.ops import OpFound


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume check NET.tflite --board RPI_PICO|all [--cap 1mF]."""
    parser = sub.add_parser("check", help="which layers can run, what fits")
    parser.add_argument("net", type=Path, metavar="NET.tflite", help="an int8 model")
    ui.add_power(parser, "a .toml file, or all")
    parser.add_argument("--ops", action="store_true", help="each op: which kernel, and why")
    ui.add_json(parser)


@dataclass(frozen=True)
class OpFacts:
    """One op of the file. cycles: worst case of one inference; reason: why it cannot run."""

    number: int
    kind: str
    layer: str
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    cycles: int
    note: str
    reason: str | None


@dataclass(frozen=True)
class Use:
    """Bytes needed and there."""

    need: int
    room: int


@dataclass(frozen=True)
class Uses:
    """Flash, SRAM and NVM; None as long as nothing could be planned."""

    flash: Use | None
    sram: Use | None
    store: Use | None


@dataclass(frozen=True)
class Facts:
    """Everything that check tells. Capacitances in farad, None where there is none.

    input_type, output_type: what the file has (int8, uint8, float32); None if it cannot be read.
    serial_cap_f: that lasts for an input over the serial line; None if the plan's capacitor does.
    gap: the flash gap of the board's stock firmware, None if it has none.
    """

    model: str
    board: str
    nvm: str
    ops: tuple[OpFacts, ...]
    flash: Use | None
    sram: Use | None
    store: Use | None
    cap_f: float | None
    smallest_cap_f: float | None
    charges: int | None
    problems: tuple[str, ...]
    kernels: tuple[OpFound, ...] = ()
    input_type: str | None = None
    output_type: str | None = None
    wear: Wear | None = None
    serial_cap_f: float | None = None
    gap: Use | None = None

    @property
    def fits(self) -> bool:
        """Can it run on this board with this budget?"""
        return not self.problems


def run(args: argparse.Namespace) -> int:
    """Prints the table and the verdict; 0 if the model fits, else 1."""
    if args.board == "all":
        from relume.commands import everywhere

        return everywhere.run(args)
    from relume.board.profile import load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_file import load
    from relume.model.tflite_reader import read_tflite, survey
    from relume.report import ops

    board = load_board(args.board)
    budget = ui.budget_of(args, board)
    raw = load(args.net)
    found = survey(raw)
    whole = read_tflite(raw) if found.supported else None
    graph = None if whole is None else without_dead_channels(whole)
    facts = _facts(found, graph, board, args, budget)
    if whole is not None and graph is not None:
        facts = replace(facts, kernels=ops.found(whole, graph, board, args.nvm))
    if args.json:
        ui.emit_json(asdict(facts) | {"fits": facts.fits})
    else:
        _show(facts, board, args.ops)
    return 0 if facts.fits else 1


def refusals(found: Survey) -> list[str]:
    """Why the file cannot run anywhere: each unsupported op by number, layer and reason."""
    of_ops = (
        f"op {op.number}, layer {op.layer}, {op.kind}: {op.reason}"
        for op in found.ops
        if op.reason is not None
    )
    return [*found.problems, *of_ops]


def _facts(
    found: Survey,
    graph: Graph | None,
    board: BoardProfile,
    args: argparse.Namespace,
    budget: Budget | None,
) -> Facts:
    from relume.plan.smallest import serial_capacitor
    from relume.plan.wear import wear

    problems = refusals(found)
    ops = _op_facts(found, graph, board, args.nvm)
    smallest, plan, uses = None, None, Uses(None, None, None)
    if graph is not None:
        smallest, plan, more = _planned(graph, board, args, budget)
        uses = uses_of(plan, board) if plan else uses
        problems += more
    return Facts(
        found.name,
        board.name,
        args.nvm,
        ops,
        uses.flash,
        uses.sram,
        uses.store,
        budget.cap_f if budget else None,
        smallest,
        plan.forecast()[0] if plan and not problems else None,
        tuple(problems),
        input_type=graph.input_type.name.lower() if graph else None,
        output_type=graph.output_type.name.lower() if graph else None,
        wear=wear(plan, board) if plan else None,
        serial_cap_f=serial_capacitor(plan, board) if plan else None,
        gap=_gap_use(plan, board) if plan else None,
    )


def _planned(
    graph: Graph, board: BoardProfile, args: argparse.Namespace, budget: Budget | None
) -> tuple[float | None, Plan | None, list[str]]:
    """(smallest capacitor, plan, problems); the plan is for the budget, or the smallest."""
    from relume.plan.planner import Budget, build_plan, sufficient_capacitor

    von, voff = ui.voltages(args, board)
    problems: list[str] = []
    try:
        smallest = sufficient_capacitor(graph, board, von, voff, args.nvm)
    except PlanError as error:
        return None, None, [str(error)]
    if budget is not None:
        try:
            plan, problems = build_plan(graph, board, budget, args.nvm)
            return smallest, plan, problems
        except PlanError as error:
            problems = [str(error)]
    plan, more = build_plan(graph, board, Budget(smallest, von, voff), args.nvm)
    return smallest, plan, problems + more


def _gap_use(plan: Plan, board: BoardProfile) -> Use | None:
    from relume.blob.pack import packed_size
    from relume.plan.planner import SLOT_HEADER

    if board.gap is None:
        return None
    return Use(packed_size(plan) + SLOT_HEADER, board.gap.end - board.gap.first)


def uses_of(plan: Plan, board: BoardProfile) -> Uses:
    """Bytes of a plan, beside what the board has."""
    from relume.plan.planner import flash_use, nvm_bytes, ram_bytes

    return Uses(
        Use(*flash_use(plan, board)),
        Use(ram_bytes(plan, board), board.heap_bytes),
        Use(nvm_bytes(plan), board.nvm_size(plan.nvm)),
    )


def _op_facts(
    found: Survey, graph: Graph | None, board: BoardProfile, nvm: str
) -> tuple[OpFacts, ...]:
    from relume.model.lower import RESHAPES
    from relume.plan.costs import CostModel

    macs: dict[int, int] = {}
    weights: dict[int, int] = {}
    cycles: dict[int, float] = {}
    if graph is not None:
        costs = CostModel(graph, board, nvm)
        for op, cost in zip(graph.ops, costs.ops, strict=True):
            macs[op.number] = macs.get(op.number, 0) + graph.macs(op)
            weights[op.number] = weights.get(op.number, 0) + op.weight_bytes
            worst = cost.worst(graph.units(op))
            cycles[op.number] = cycles.get(op.number, 0.0) + worst
    rows = []
    for one in found.ops:
        note = one.reason or ""
        if graph is not None and one.number not in cycles:
            note = "same bytes as its input" if one.kind in RESHAPES else "not needed"
            note = "done by the host" if one.by_host else note
        rows.append(
            OpFacts(
                one.number,
                one.kind,
                one.layer,
                one.shape,
                macs.get(one.number, 0),
                weights.get(one.number, 0),
                round(cycles.get(one.number, 0.0)),
                note,
                one.reason,
            )
        )
    return tuple(rows)


def _show(facts: Facts, board: BoardProfile, kernels: bool) -> None:
    from relume.power.capacitor import format_capacitance
    from relume.report.ops import summary, table
    from relume.report.tables import bar, count, grid, short_names

    out = ui.console()
    short = short_names(op.layer for op in facts.ops)
    columns = [
        ("op", True), ("kind", False), ("layer", False), ("output", False), ("MACs", True),
        ("weights", True), ("cycles", True), ("note", False),
    ]  # fmt: skip
    rows = [
        (
            str(op.number),
            op.kind,
            short[op.layer],
            "x".join(str(axis) for axis in op.shape),
            count(op.macs),
            count(op.weight_bytes),
            count(op.cycles),
            op.note,
        )
        for op in facts.ops
    ]
    out.print(grid(f"{facts.model} on {board.title}", columns, rows))
    if kernels and facts.kernels:
        out.print(table("kernels", facts.kernels))
        out.print()
    total = sum(op.cycles for op in facts.ops)
    if total:
        macs = sum(op.macs for op in facts.ops)
        weights = sum(op.weight_bytes for op in facts.ops)
        seconds = total / board.hz
        line = f"total   {count(macs)} MACs, {count(weights)} bytes of weights, "
        out.print(line + f"{count(total)} cycles at worst ({seconds:.2f} s), commits not counted")
    store = "store" if facts.nvm == "flash" else facts.nvm
    for name, use in (("flash", facts.flash), ("SRAM", facts.sram), (store, facts.store)):
        if use is not None:
            out.print(f"{name:7} {bar(use.need, use.room)}", markup=False)
    if facts.gap is not None:
        out.print(f"stock   {_with_stock(facts.gap)}", markup=False, soft_wrap=True)
    if facts.smallest_cap_f is not None:
        out.print(f"power   smallest capacitor that suffices, boot included: "
                  f"{format_capacitance(facts.smallest_cap_f)} (E6)")  # fmt: skip
    if facts.serial_cap_f is not None:
        out.print(f"serial  an input over the serial line takes "
                  f"{format_capacitance(facts.serial_cap_f)}")  # fmt: skip
    if facts.wear is not None:
        out.print(f"wear    {facts.wear.text}", markup=False, soft_wrap=True)
    types = (facts.input_type, facts.output_type)
    if types not in ((None, None), ("int8", "int8")):
        out.print(f"host    {types[0]} in, {types[1]} out: converted on the host")
    if facts.kernels:
        out.print(f"kernels {summary(facts.kernels)}", markup=False, soft_wrap=True)
    for problem in facts.problems:
        out.print(f"no      {problem}", markup=False, soft_wrap=True)
    out.print("verdict " + _verdict(facts), markup=False)


def _with_stock(gap: Use) -> str:
    size = f"{gap.need:,} of {gap.room:,} bytes"
    if gap.need <= gap.room:
        return f"with MicroPython's own firmware weights fit its flash gap, read in place ({size})"
    return f"with MicroPython's own firmware weights take more than its flash gap ({size})"


def _verdict(facts: Facts) -> str:
    from relume.power.capacitor import format_capacitance

    if not facts.fits:
        return f"does not fit ({len(facts.problems)} reasons)" if len(facts.problems) > 1 else (
            "does not fit")  # fmt: skip
    cap_f = facts.cap_f if facts.cap_f is not None else facts.smallest_cap_f
    text = format_capacitance(cap_f) if cap_f else "?"
    charges = f"{facts.charges} charge" + ("s" if facts.charges != 1 else "")
    return f"fits; with {text} an inference takes {charges} at worst"
