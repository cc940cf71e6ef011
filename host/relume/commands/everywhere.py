"""relume check NET.tflite --board all: the model on every board, a line each."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from relume import ui
from relume.commands.check import Use, Uses, refusals, uses_of
from relume.errors import BoardError, PlanError

if TYPE_CHECKING:
    from relume.board.profile import BoardProfile
    from relume.model.graph import Graph
    from relume.plan.types import Plan


@dataclass(frozen=True)
class Place:
    """The model on one board. Bytes and capacitances (farad) are None where there is no plan;
    smallest_cap_f: that suffices. problems: the first names the op that fails, and what to do."""

    board: str
    tier: str
    flash: Use | None
    sram: Use | None
    store: Use | None
    arena_bytes: int | None
    cap_f: float | None
    smallest_cap_f: float | None
    charges: int | None
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Can it run there with this budget?"""
        return not self.problems


def run(args: argparse.Namespace) -> int:
    """Prints a line for every board; 0 if the model fits at least one of them."""
    from relume.board.profile import board_names, load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_file import load
    from relume.model.tflite_reader import read_tflite, survey

    raw = load(args.net)
    found = survey(raw)
    graph = without_dead_channels(read_tflite(raw)) if found.supported else None
    reasons = refusals(found)
    places = [_place(graph, load_board(name), args, reasons) for name in board_names()]
    if args.json:
        rows = [asdict(place) | {"fits": place.fits} for place in places]
        ui.emit_json({"model": found.name, "nvm": args.nvm, "boards": rows})
    else:
        _show(found.name, args.nvm, places)
    return 0 if any(place.fits for place in places) else 1


def _place(
    graph: Graph | None, board: BoardProfile, args: argparse.Namespace, reasons: list[str]
) -> Place:
    smallest, plan, problems = None, None, reasons
    if graph is not None:
        try:
            smallest, plan, problems = _planned(graph, board, args)
        except (PlanError, BoardError) as error:
            problems = [str(error)]
    uses = uses_of(plan, board) if plan else Uses(None, None, None)
    return Place(
        board.name,
        board.tier,
        uses.flash,
        uses.sram,
        uses.store,
        plan.arena_size + plan.scratch_size if plan else None,
        plan.budget.cap_f if plan else None,
        smallest,
        plan.forecast()[0] if plan and not problems else None,
        tuple(problems),
    )


def _planned(
    graph: Graph, board: BoardProfile, args: argparse.Namespace
) -> tuple[float, Plan, list[str]]:
    """(smallest capacitor, plan, problems); the plan is for the budget, or the smallest. Tiles
    that need less SRAM are looked for only where that could make the first plan fit."""
    from relume.plan.planner import Budget, build_plan, ram_bytes, sufficient_capacitor

    von, voff = ui.voltages(args, board)
    smallest = sufficient_capacitor(graph, board, von, voff, args.nvm)
    enough = Budget(smallest, von, voff)
    refused: list[str] = []
    try:
        budget = ui.budget_of(args, board) or enough
        plan, problems = build_plan(graph, board, budget, args.nvm, search=False)
    except PlanError as error:
        budget, refused = enough, [str(error)]
        plan, problems = build_plan(graph, board, budget, args.nvm, search=False)
    over, tensors = ram_bytes(plan, board) - board.heap_bytes, plan.arena_size + plan.scratch_size
    if len(problems) == 1 and 0 < over <= tensors - max(one.size for one in graph.tensors):
        plan, problems = build_plan(graph, board, budget, args.nvm)
    return smallest, plan, refused + problems


def _share(use: Use | None) -> str:
    if use is None:
        return ""
    return f"{use.need:,} ({100 * use.need / use.room:.0f} %)" if use.room else f"{use.need:,}"


def _show(model: str, nvm: str, places: list[Place]) -> None:
    from relume.power.capacitor import format_capacitance
    from relume.report.tables import count, grid

    columns = [
        ("board", False), ("tier", False), ("", False), ("flash", True), ("SRAM", True),
        ("arena", True), (nvm, True), ("smallest", True), ("charges", True),
    ]  # fmt: skip
    rows = [
        (
            place.board,
            place.tier,
            "fits" if place.fits else "no",
            _share(place.flash),
            _share(place.sram),
            "" if place.arena_bytes is None else count(place.arena_bytes),
            _share(place.store),
            format_capacitance(place.smallest_cap_f) if place.smallest_cap_f else "",
            "" if place.charges is None else count(place.charges),
        )
        for place in places
    ]
    out = ui.console()
    out.print(grid(f"{model} on every board, bytes and share of what is there", columns, rows))
    for place in places:
        if not place.fits:
            more = len(place.problems) - 1
            text = f"{place.problems[0]}{f' (and {more} more)' if more else ''}"
            out.print(f"no {place.board}: {text}", markup=False, soft_wrap=True)
    fitting = sum(place.fits for place in places)
    out.print(f"verdict fits {fitting} of {len(places)} boards (--board NAME: all of one)")
