"""Graph + board + power budget -> Plan, or a PlanError that says what would suffice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from relume.board.profile import BoardProfile
from relume.errors import PlanError
from relume.model.graph import Graph
from relume.plan.arena import Sram, in_use, place_sram
from relume.plan.commits import make_segments, segment_ends
from relume.plan.costs import PAGE_DATA, RING_PAGES, SECTOR, CostModel
from relume.plan.homes import RESERVED, place_homes
from relume.plan.live import LiveMap
from relume.plan.shrink import shrink
from relume.plan.staging import Stage, gains, place_stages
from relume.plan.tiles import Infeasible, TiledGraph, assemble, tile_graph, too_big
from relume.plan.types import Plan, Segment, Tile
from relume.power.capacitor import (
    Budget,
    capacitance_for,
    e6_after,
    e6_at_least,
    format_capacitance,
)

__all__ = ["Budget", "Plan", "Segment", "Tile", "make_plan", "smallest_capacitor"]

MAX_COUNT = 4096
MAX_SEARCH_F = 1.0
CLOSE = 1.01  # of a capacitor that is called the smallest
SLOT_HEADER = 256  # SPEC 5
MAX_CHARGE_UJ = float(0xFFFFFFFF)


def make_plan(
    graph: Graph,
    board: BoardProfile,
    budget: Budget,
    nvm: str = "fram",
    *,
    apart: bool = False,
    staging: bool = True,
    sram: int | None = None,
) -> Plan:
    """Plans a graph for one board, power budget and NVM kind (fram, flash, file).

    apart: no output lies over its op's inputs, so that any tiles may take the plan's place.
    staging: constants may be copied to SRAM before their op runs (relume.plan.staging).
    sram: bytes of tensors and scratch memory to come down to, if that can be, whatever the cycles.
    Raises PlanError when a layer does not fit one charge (naming the smallest capacitor that
    does), the SRAM, the NVM or the flash; BoardError when the board lacks the NVM.
    """
    plan, problems = build_plan(
        graph, board, budget, nvm, apart=apart, staging=staging, sram=sram
    )
    if problems:
        raise PlanError(problems[0])
    return plan


def build_plan(
    graph: Graph,
    board: BoardProfile,
    budget: Budget,
    nvm: str = "fram",
    *,
    apart: bool = False,
    staging: bool = True,
    sram: int | None = None,
) -> tuple[Plan, list[str]]:
    """A plan that fits the power budget, and where it does not fit the board's memories.

    Raises PlanError when no tiles fit the power budget.
    """
    check_supply(board, budget.von_v)
    if len(graph.tensors) > MAX_COUNT or len(graph.ops) > MAX_COUNT:
        raise PlanError(f"{graph.name}: {len(graph.ops)} ops, at most {MAX_COUNT} can be planned")
    costs = CostModel(graph, board, nvm)
    try:
        tiled = tile_graph(graph, costs, budget.charge_uj)
    except Infeasible as reason:
        raise _refusal(graph, costs, budget, reason) from reason
    if not apart:
        limit = min(board.heap_bytes - work_bytes(graph), sram or board.heap_bytes)
        tiled = shrink(graph, costs, tiled, budget.charge_uj, limit)
    placed = _Placed(place_sram(graph, tiled.live, tiled.tiles, board.core, apart=apart), {})
    if staging and board.xip.word_cycles:
        costs, tiled, placed = _stage(costs, tiled, placed, budget.charge_uj, apart)
    plan = _finish(graph, board, budget, costs, tiled, placed)
    problems = [*_nvm_problems(plan, board, tiled), *_sram_problems(plan, board, tiled)]
    return plan, problems + _flash_problems(plan, board)


def check_supply(board: BoardProfile, von_v: float) -> None:
    """Refuses a turn-on voltage that the board does not survive."""
    if von_v > board.supply.vmax_v:
        raise PlanError(
            f"turn-on voltage {von_v:g} V: {board.name} takes at most {board.supply.vmax_v:g} V"
        )


def smallest_capacitor(
    graph: Graph,
    board: BoardProfile,
    von_v: float,
    voff_v: float,
    nvm: str = "fram",
    series: str = "E6",
    exchange: bool = False,
) -> float:
    """Farad of the smallest E6 capacitor (series "exact": any) with which a plan exists.

    Boot, restore, tile and commit each proven to fit one charge; with `exchange` also a boot in
    which the host hands over the input. Raises PlanError when none does, and where the model does
    not fit the board's memories.
    """
    cap_f = sufficient_capacitor(graph, board, von_v, voff_v, nvm, series, exchange)
    make_plan(graph, board, Budget(cap_f, von_v, voff_v), nvm)
    return cap_f


def sufficient_capacitor(
    graph: Graph,
    board: BoardProfile,
    von_v: float,
    voff_v: float,
    nvm: str = "fram",
    series: str = "E6",
    exchange: bool = False,
) -> float:
    """smallest_capacitor for the energy alone: the memories are not looked at."""
    if series not in ("E6", "exact"):
        raise PlanError(f"unknown series {series}: E6 or exact")
    check_supply(board, von_v)
    costs = CostModel(graph, board, nvm)
    exact = _sufficient(costs, Budget(1e-6, von_v, voff_v), costs.boot_uj)
    if exchange:
        tiled = tile_graph(graph, costs, Budget(exact, von_v, voff_v).charge_uj)
        need_uj = costs.exchange_uj(len(tiled.tiles))
        exact = max(exact, CLOSE * capacitance_for(need_uj, von_v, voff_v))
    return exact if series == "exact" else _sufficient_e6(costs, exact, von_v, voff_v)


def _fits(costs: CostModel, charge_uj: float) -> Infeasible | None:
    """None if tiles exist for this charge, else why not."""
    try:
        tile_graph(costs.graph, costs, charge_uj)
    except Infeasible as reason:
        return reason
    return None


def _sufficient(costs: CostModel, budget: Budget, need_uj: float) -> float:
    """Farad for which tiles exist, at most CLOSE more than needed.

    The charge is raised to what each refusal names. Larger charges have larger tiles, which need
    more: so what lies between the last refusal and the first success is halved."""
    refused = 0.0
    while (reason := _fits(costs, need_uj)) is not None:
        refused, need_uj = need_uj, max(reason.need_uj, need_uj) * (1 + 1e-9)
        if capacitance_for(need_uj, budget.von_v, budget.voff_v) > MAX_SEARCH_F:
            raise PlanError(f"{costs.graph.name}: no capacitor up to 1 F feeds one charge of it")
    while refused and need_uj > refused * CLOSE:
        middle = (refused + need_uj) / 2
        if _fits(costs, middle) is None:
            need_uj = middle
        else:
            refused = middle
    return capacitance_for(need_uj, budget.von_v, budget.voff_v) * (1 + 1e-9)


def _sufficient_e6(costs: CostModel, exact_f: float, von_v: float, voff_v: float) -> float:
    cap_f = e6_at_least(exact_f / CLOSE)
    while cap_f <= MAX_SEARCH_F:
        if _fits(costs, Budget(cap_f, von_v, voff_v).charge_uj) is None:
            return cap_f
        cap_f = e6_after(cap_f)
    raise PlanError(f"{costs.graph.name}: no capacitor up to 1 F feeds one charge of it")


def _refusal(graph: Graph, costs: CostModel, budget: Budget, reason: Infeasible) -> PlanError:
    """Names the layer, its need and the capacitor that suffices for the whole model."""
    if reason.op is None:
        what = reason.what
    else:
        op = graph.ops[reason.op]
        what = f"op {op.number}, layer {op.name}, {op.kind.name}: {reason.what}"
    exact = _sufficient(costs, budget, max(reason.need_uj, costs.boot_uj))
    e6 = _sufficient_e6(costs, exact, budget.von_v, budget.voff_v)
    return PlanError(
        f"{graph.name}: {what} needs {reason.need_uj / 1e3:.2f} mJ, {costs.boot_uj / 1e3:.2f} mJ "
        f"of it to boot; one charge of {format_capacitance(budget.cap_f)} is "
        f"{budget.charge_uj / 1e3:.2f} mJ: use at least {math.ceil(exact * 1e6)} uF "
        f"(E6: {format_capacitance(e6)})"
    )


@dataclass(frozen=True)
class _Placed:
    """Where tensors, scratch memory and staged constants lie in SRAM."""

    sram: Sram
    stages: Mapping[int, Stage]


def _stage(
    costs: CostModel, tiled: TiledGraph, placed: _Placed, charge_uj: float, apart: bool
) -> tuple[CostModel, TiledGraph, _Placed]:
    """Costs, tiles and places with staged constants, where they find room; the tiles stay.

    An op that does not fit a charge with its copy is read in place.
    """
    graph, plain = costs.graph, (costs, tiled, placed)
    sizes = gains(costs, tiled.tiles)
    while sizes:
        stages, sram = place_stages(costs, tiled, placed.sram, sizes, apart)
        staged = {number: stage.size for number, stage in stages.items()}
        cheaper = CostModel(graph, costs.board, costs.nvm, staged)
        with_copies = assemble(graph, cheaper, tiled.tiles)
        try:
            over = too_big(graph, cheaper, with_copies, charge_uj)
        except Infeasible as reason:
            over = [] if reason.op is None else [reason.op]
            if not over:
                return plain
        if not over:
            return cheaper, with_copies, _Placed(sram, stages)
        sizes = {number: size for number, size in staged.items() if number not in over}
        if len(sizes) == len(staged):
            return plain
    return plain


def _finish(
    graph: Graph,
    board: BoardProfile,
    budget: Budget,
    costs: CostModel,
    tiled: TiledGraph,
    placed: _Placed,
) -> Plan:
    ends = segment_ends(costs, tiled, budget.charge_uj)
    segments = make_segments(costs, tiled, ends)
    nvm_off, nvm_size = _homes(graph, board, costs.nvm, tiled, ends)
    exchange_uj = costs.exchange_uj(len(tiled.tiles))
    worst_uj = max(segment.worst_uj for segment in segments)
    if board.boot.early_ms is None:
        worst_uj = max(worst_uj, exchange_uj - costs.boot_uj)
    return Plan(
        graph,
        board.name,
        costs.nvm,
        budget,
        tiled.tiles,
        segments,
        placed.sram.arena_off,
        placed.sram.arena_size,
        placed.sram.scratch_size,
        nvm_off,
        nvm_size,
        costs.boot_uj,
        min(budget.charge_uj, MAX_CHARGE_UJ),
        worst_uj,
        board.core,
        {number: (stage.off, stage.size) for number, stage in placed.stages.items()},
        exchange_uj,
        placed.sram.scratch_off,
    )


def work_bytes(graph: Graph) -> int:
    """SRAM of the scheduler beside arena and scratch: rl_session_work."""
    return 4 * (len(graph.ops) + 3 * len(graph.tensors))


def _homes(
    graph: Graph, board: BoardProfile, nvm: str, tiled: TiledGraph, ends: list[int]
) -> tuple[tuple[int, ...], int]:
    """Homes on FRAM and file. Flash has none: nvm_size is the most that a commit carries."""
    if nvm == "flash":
        largest = int(tiled.live.live_bytes.max())
        return (0,) * len(graph.tensors), max(largest, *(t.size for t in graph.tensors))
    return place_homes(graph, tiled.live, ends, board.nvm_size(nvm) - RESERVED)


def _nvm_problems(plan: Plan, board: BoardProfile, tiled: TiledGraph) -> list[str]:
    graph, capacity = plan.graph, board.nvm_size(plan.nvm)
    if plan.nvm == "flash":
        largest = int(tiled.live.live_bytes.max())
        size = ring_bytes(largest)
        if size > capacity:
            return [
                f"{graph.name}: its largest commit of {largest} bytes needs {size} bytes of "
                f"store flash, {board.name} has {capacity}: use FRAM or a smaller model"
            ]
    elif plan.nvm_size > capacity - RESERVED:
        return [
            f"{graph.name}: its tensors need {plan.nvm_size} bytes of {plan.nvm}, "
            f"{board.name} has {capacity - RESERVED} for them: use a smaller model"
        ]
    return []


def ring_bytes(largest: int) -> int:
    """Flash ring for commits of `largest` bytes, as rl_store_fits counts.

    The sectors that the newest commit may touch cannot be erased; the next must fit the others.
    """
    pages = -(-largest // PAGE_DATA) + 1
    touched = (pages + RING_PAGES - 2) // RING_PAGES + 1
    return SECTOR * max(3, touched + -(-pages // RING_PAGES))


def nvm_bytes(plan: Plan) -> int:
    """NVM of an inference: home area with slots, or the ring that its largest commit needs."""
    return ring_bytes(plan.nvm_size) if plan.nvm == "flash" else plan.nvm_size + RESERVED


def sram_bytes(plan: Plan) -> int:
    """SRAM of an inference: arena, scratch and the scheduler's work memory."""
    return plan.arena_size + plan.scratch_size + work_bytes(plan.graph)


def sram_parts(plan: Plan) -> str:
    """What the SRAM is for, and the op during which most of it is in use."""
    held = in_use(plan.graph, LiveMap(plan.graph, plan.tiles), plan.tiles, plan.core)
    peak = int(held.argmax())
    op = plan.graph.ops[plan.tiles[peak].op]
    return (
        f"{plan.arena_size + plan.scratch_size} of tensors and scratch, {work_bytes(plan.graph)} "
        f"of work; at most {held[peak]} in use, op {op.number}, {op.kind.name}"
    )


def _sram_problems(plan: Plan, board: BoardProfile, tiled: TiledGraph) -> list[str]:
    graph, total = plan.graph, sram_bytes(plan)
    if total <= board.heap_bytes:
        return []
    held = in_use(graph, tiled.live, plan.tiles, plan.core)
    peak = int(held.argmax())
    op = graph.ops[plan.tiles[peak].op]
    return [
        f"{graph.name}: needs {total} bytes of SRAM, {board.name} has {board.heap_bytes} free: "
        f"the peak is op {op.number}, layer {op.name}, {op.kind.name}, with {held[peak]} bytes"
    ]


def _flash_problems(plan: Plan, board: BoardProfile) -> list[str]:
    from relume.blob.pack import packed_size

    size, room = packed_size(plan), board.regions["blobs"].size - SLOT_HEADER
    if size <= room:
        return []
    return [
        f"{plan.graph.name}: the blob of {size} bytes does not fit {board.name}'s {room} bytes "
        "of model flash: use a smaller model"
    ]
