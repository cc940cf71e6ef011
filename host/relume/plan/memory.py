"""Tiles, places in SRAM and staged constants, chosen together: less SRAM for few cycles.

`relume.plan.shrink` proposes tiles; here each proposal is placed and staged, so that what it costs
is known in full. Less SRAM may cost up to PRICE more cycles, and no more than a tenth of the
constants that are copied to SRAM. Where the board is short of SRAM neither counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relume.blob.layouts.select import lay_out
from relume.model.graph import Graph
from relume.plan.arena import MAX_SRAM, Sram, place_sram
from relume.plan.costs import CostModel
from relume.plan.shrink import proposals
from relume.plan.staging import gains, place_stages
from relume.plan.tiles import Infeasible, TiledGraph, assemble, too_big
from relume.plan.types import Stage

PRICE = 0.08
KEPT = 0.9  # of the staged bytes


@dataclass(frozen=True, eq=False)
class Memory:
    """Tiles, what they cost, where tensors, scratch memory and staged constants lie.

    price: share of cycles that finer tiles cost, `saved` bytes of SRAM being the gain.
    """

    costs: CostModel
    tiled: TiledGraph
    sram: Sram
    stages: Mapping[int, Stage] = field(default_factory=dict)
    price: float = 0.0
    saved: int = 0

    @property
    def staged(self) -> int:
        """Bytes of constants that are copied to SRAM."""
        return sum(stage.size for stage in self.stages.values())

    @property
    def cycles(self) -> float:
        """Of all tiles and copies, at worst."""
        return float(self.tiled.tile_uj.sum()) / self.costs.uj_per_cycle


def choose_memory(
    costs: CostModel,
    tiled: TiledGraph,
    charge_uj: float,
    *,
    apart: bool = False,
    staging: bool = True,
    sram: int | None = None,
    search: bool = True,
) -> Memory:
    """The least SRAM whose price is allowed, from the tiles of tile_graph.

    apart: no output lies over its op's inputs, and the tiles stay. staging: constants may be
    copied to SRAM. sram: bytes of tensors and scratch memory to come down to, whatever the price.
    search: other tiles are tried.
    """
    room = costs.board.heap_bytes - work_bytes(costs.graph) - _model_bytes(costs, tiled)
    limit = min(room, sram or MAX_SRAM)
    plain = _memory(costs, tiled, charge_uj, limit, apart, staging)
    if apart or not search:
        return plain
    for other in proposals(costs, tiled, charge_uj, limit):
        found = _memory(costs, other, charge_uj, limit, apart, staging)
        price, saved = found.cycles / plain.cycles - 1, plain.sram.total - found.sram.total
        cheap = price <= PRICE and found.staged >= KEPT * plain.staged
        if saved > 0 and (cheap or plain.sram.total > limit):
            return replace(found, price=price, saved=saved)
    return plain


def _model_bytes(costs: CostModel, tiled: TiledGraph) -> int:
    """RAM that the model itself takes at most, where a board reads it into RAM."""
    if not costs.board.blob_in_ram:
        return 0
    graph, core = costs.graph, costs.board.core
    laid_out = ((op, lay_out(core, graph, op)) for op in graph.ops)
    constants = sum(
        op.constant_bytes if fast is None else fast.constant_bytes for op, fast in laid_out
    )
    return constants + costs.meta_bytes_bound(len(tiled.tiles))


def work_bytes(graph: Graph) -> int:
    """SRAM of the scheduler beside arena and scratch: rl_session_work."""
    return 4 * (len(graph.ops) + 3 * len(graph.tensors))


def _memory(
    costs: CostModel, tiled: TiledGraph, charge_uj: float, limit: int, apart: bool, staging: bool
) -> Memory:
    sram = place_sram(costs.graph, tiled.live, tiled.tiles, costs.board.core, apart=apart)
    placed = Memory(costs, tiled, sram)
    if not staging or not costs.board.xip.word_cycles:
        return placed
    return _staged(placed, charge_uj, limit, apart)


def _staged(plain: Memory, charge_uj: float, limit: int, apart: bool) -> Memory:
    """With constants copied to SRAM where they find room; the tiles stay.

    An op that does not fit a charge with its copy is read in place.
    """
    costs, tiled, graph = plain.costs, plain.tiled, plain.costs.graph
    ways = gains(costs, tiled.tiles)
    while ways:
        stages, sram = place_stages(costs, tiled, plain.sram, ways, limit, apart)
        cheaper = CostModel(graph, costs.board, costs.nvm, stages)
        with_copies = assemble(graph, cheaper, tiled.tiles)
        try:
            over = too_big(graph, cheaper, with_copies, charge_uj)
        except Infeasible as reason:
            over = [] if reason.op is None else [reason.op]
            if not over:
                return plain
        if not over:
            return Memory(cheaper, with_copies, sram, stages)
        ways = {number: ways[number] for number in stages if number not in over}
        if len(ways) == len(stages):
            return plain
    return plain
