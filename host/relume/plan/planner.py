"""Graph + board + power budget -> Plan, or a PlanError that says what would suffice."""

from __future__ import annotations

from dataclasses import replace

from relume.board.profile import BoardProfile
from relume.errors import PlanError
from relume.model.graph import Graph
from relume.plan.arena import in_use
from relume.plan.commits import make_segments, segment_ends
from relume.plan.costs import PAGE_DATA, RING_PAGES, SECTOR, CostModel
from relume.plan.homes import RESERVED, obligatory_ends, place_homes, with_obligatory
from relume.plan.live import LiveMap, most_carried
from relume.plan.memory import Memory, choose_memory, work_bytes
from relume.plan.pace import pace_of
from relume.plan.smallest import check_supply, refusal, sufficient_capacitor
from relume.plan.tiles import Infeasible, TiledGraph, assemble, tile_graph, too_big
from relume.plan.types import Pace, Plan, Segment, Tile
from relume.power.capacitor import Budget

__all__ = [
    "Budget", "Plan", "Segment", "Tile", "check_supply", "make_plan", "plan_of_tiles",
    "smallest_capacitor", "sufficient_capacitor",
]  # fmt: skip

MAX_COUNT = 4096
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
    search: bool = True,
) -> tuple[Plan, list[str]]:
    """A plan that fits the power budget, and where it does not fit the board's memories.

    search: tiles that need less SRAM are looked for (relume.plan.memory).
    Raises PlanError when no tiles fit the power budget.
    """
    check_supply(board, budget.von_v)
    if len(graph.tensors) > MAX_COUNT or len(graph.ops) > MAX_COUNT:
        raise PlanError(f"{graph.name}: {len(graph.ops)} ops, at most {MAX_COUNT} can be planned")
    costs = CostModel(graph, board, nvm)
    try:
        tiled = tile_graph(graph, costs, budget.charge_uj)
    except Infeasible as reason:
        raise refusal(graph, costs, budget, reason) from reason
    memory = choose_memory(
        costs, tiled, budget.charge_uj, apart=apart, staging=staging, sram=sram, search=search
    )
    tiled = memory.tiled
    ends = segment_ends(memory.costs, tiled, budget.charge_uj)
    plan = _finish(graph, board, budget, memory, ends)
    problems = [*_nvm_problems(plan, board), *_sram_problems(plan, board, tiled)]
    return plan, problems + _flash_problems(plan, board)


def plan_of_tiles(
    graph: Graph,
    board: BoardProfile,
    budget: Budget,
    tiles: tuple[Tile, ...],
) -> Plan:
    """These tiles on SPI FRAM with a commit behind each, whatever the voltage: how another policy
    runs on our engine (relume.sim.firmware). Constants are copied to SRAM as make_plan does.

    Raises PlanError where the model does not fit the board's memories, or a tile a charge.
    """
    costs = CostModel(graph, board, "fram")
    tiled = assemble(graph, costs, tiles)
    try:
        over = too_big(graph, costs, tiled, budget.charge_uj)
    except Infeasible as reason:
        raise refusal(graph, costs, budget, reason) from reason
    if over:
        raise PlanError(
            f"{graph.name}: a tile of op {over[0]}, layer {graph.ops[over[0]].name}, does not "
            "fit a charge at its worst: use a larger capacitor"
        )
    memory = choose_memory(costs, tiled, budget.charge_uj, search=False)
    plan = _finish(graph, board, budget, memory, list(range(1, len(tiles) + 1)))
    problems = [*_nvm_problems(plan, board), *_sram_problems(plan, board, tiled)]
    problems += _flash_problems(plan, board)
    if problems:
        raise PlanError(problems[0])
    return replace(plan, pace=Pace())


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
    budget = Budget(cap_f, von_v, voff_v)
    if build_plan(graph, board, budget, nvm, search=False)[1]:
        make_plan(graph, board, budget, nvm)
    return cap_f


def _finish(
    graph: Graph,
    board: BoardProfile,
    budget: Budget,
    memory: Memory,
    ends: list[int],
) -> Plan:
    costs, tiled, placed = memory.costs, memory.tiled, memory.sram
    segments = make_segments(costs, tiled, ends)
    nvm_off, nvm_size = _homes(graph, board, costs.nvm, tiled, ends)
    if costs.nvm != "flash":
        segments = with_obligatory(segments, obligatory_ends(graph, tiled.live, ends, nvm_off))
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
        placed.arena_off,
        placed.arena_size,
        placed.scratch_size,
        nvm_off,
        nvm_size,
        costs.boot_uj,
        min(budget.charge_uj, MAX_CHARGE_UJ),
        worst_uj,
        board.core,
        dict(memory.stages),
        exchange_uj,
        placed.scratch_off,
        memory.saved,
        memory.price,
        pace_of(costs, budget),
    )


def _homes(
    graph: Graph, board: BoardProfile, nvm: str, tiled: TiledGraph, ends: list[int]
) -> tuple[tuple[int, ...], int]:
    """Homes on FRAM and file. Flash has none: nvm_size is the most that a commit carries."""
    if nvm == "flash":
        largest = most_carried(graph, tiled.tiles)
        return (0,) * len(graph.tensors), max(largest, *(t.size for t in graph.tensors))
    return place_homes(graph, tiled.live, ends, board.nvm_size(nvm) - RESERVED)


def _nvm_problems(plan: Plan, board: BoardProfile) -> list[str]:
    graph, capacity = plan.graph, board.nvm_size(plan.nvm)
    if plan.nvm == "flash":
        size = ring_bytes(plan.nvm_size)
        if size > capacity:
            return [
                f"{graph.name}: its largest commit of {plan.nvm_size} bytes needs {size} bytes of "
                f"store flash, {board.name} has {capacity}: use FRAM or a smaller model"
            ]
    elif plan.nvm_size > capacity - RESERVED:
        return [
            f"{graph.name}: its tensors need {plan.nvm_size} bytes of {plan.nvm}, "
            f"{board.name} has {capacity - RESERVED} for them: use a larger chip, a smaller "
            "capacitor, whose commits let tensors share, or a smaller model"
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


def ram_bytes(plan: Plan, board: BoardProfile) -> int:
    """sram_bytes, and the model where a board reads it into RAM."""
    from relume.blob.pack import packed_size

    return sram_bytes(plan) + (packed_size(plan) if board.blob_in_ram else 0)


def flash_use(plan: Plan, board: BoardProfile) -> tuple[int, int]:
    """(bytes of flash that the model takes, bytes there): its slot, or a file."""
    from relume.blob.pack import packed_size

    header = 0 if board.blob_in_ram else SLOT_HEADER
    return packed_size(plan) + header, board.model_bytes


def sram_parts(plan: Plan) -> str:
    """What the SRAM is for, and the op during which most of it is in use."""
    held = in_use(plan.graph, LiveMap(plan.graph, plan.tiles), plan.tiles, plan.core)
    peak = int(held.argmax())
    op = plan.graph.ops[plan.tiles[peak].op]
    gain = f"; tiles save {plan.saved} for {plan.price:.1%} more cycles" if plan.saved else ""
    return (
        f"{plan.arena_size + plan.scratch_size} of tensors and scratch, {work_bytes(plan.graph)} "
        f"of work; at most {held[peak]} in use, op {op.number}, {op.kind.name}{gain}"
    )


def _sram_problems(plan: Plan, board: BoardProfile, tiled: TiledGraph) -> list[str]:
    graph, total = plan.graph, ram_bytes(plan, board)
    if total <= board.heap_bytes:
        return []
    held = in_use(graph, tiled.live, plan.tiles, plan.core)
    peak = int(held.argmax())
    op = graph.ops[plan.tiles[peak].op]
    return [
        f"{graph.name}: needs {total} bytes of SRAM{_with_model(plan, board)}, {board.name} has "
        f"{board.heap_bytes} free: the peak is op {op.number}, layer {op.name}, "
        f"{op.kind.name}, with {held[peak]} bytes"
    ]


def _with_model(plan: Plan, board: BoardProfile) -> str:
    more = ram_bytes(plan, board) - sram_bytes(plan)
    return f", {more} of them for the model" if more else ""


def _flash_problems(plan: Plan, board: BoardProfile) -> list[str]:
    size, room = flash_use(plan, board)
    if size <= room:
        return []
    what = "file system" if board.blob_in_ram else "model flash"
    return [
        f"{plan.graph.name}: the blob of {size} bytes does not fit {board.name}'s {room} bytes "
        f"of {what}: use a smaller model"
    ]
