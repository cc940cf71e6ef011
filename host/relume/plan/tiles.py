"""Cuts every op into tiles of which each fits a charge.

Sizes are those of `relume.plan.tile_sizes`. When a tile with its restore and commit does not fit a
charge its op is cut finer, down to one unit, before the plan is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relume.model.graph import Graph
from relume.plan.costs import CostModel
from relume.plan.live import LiveMap
from relume.plan.op_cycles import worst_of
from relume.plan.tile_sizes import best_sizes, finer
from relume.plan.types import Tile

MAX_TILES = 65535
FloatArray = npt.NDArray[np.float64]


class Infeasible(Exception):
    """A charge of `need_uj` is needed for `what`; op is its number or None."""

    def __init__(self, need_uj: float, what: str, op: int | None = None) -> None:
        super().__init__(what)
        self.need_uj = need_uj
        self.what = what
        self.op = op


@dataclass(frozen=True, eq=False)
class TiledGraph:
    """Tiles with everything that planning the commits needs. Energies in microjoule.

    tile_uj [n]: each tile. restore_uj [n + 1]: fixed part and live bytes at each boundary, and the
    copy of constants to SRAM where it is lost. stage_cycles [n]: the copy that a tile begins with,
    which is part of tile_uj.
    """

    tiles: tuple[Tile, ...]
    live: LiveMap
    tile_uj: FloatArray
    restore_uj: FloatArray
    stage_cycles: FloatArray


def cut(graph: Graph, counts: Sequence[int]) -> tuple[Tile, ...]:
    """Tiles of all ops in order, counts[op] units each."""
    tiles = []
    for number, op in enumerate(graph.ops):
        units = graph.units(op)
        for first in range(0, units, counts[number]):
            tiles.append(Tile(number, first, min(counts[number], units - first)))
    return tuple(tiles)


def tile_graph(graph: Graph, costs: CostModel, charge_uj: float) -> TiledGraph:
    """Tiles of which each, with boot, restore and commit, fits a charge. Raises Infeasible."""
    counts = _counts(graph, costs, charge_uj)
    while True:
        tiled = _cut(graph, costs, counts)
        over = too_big(graph, costs, tiled, charge_uj)
        if not over:
            return tiled
        for number in over:
            counts[number] = finer(graph, number, counts[number])
        n_tiles = sum(-(-graph.units(op) // counts[n]) for n, op in enumerate(graph.ops))
        if n_tiles > MAX_TILES:
            number = over[0]
            raise Infeasible(charge_uj * 1.25, f"its tiles (more than {MAX_TILES} in all)", number)


def _counts(graph: Graph, costs: CostModel, charge_uj: float) -> list[int]:
    """Units of each op's tiles, by what a charge has left when it begins at the op."""
    whole = _cut(graph, costs, [graph.units(op) for op in graph.ops])
    room = charge_uj - costs.boot_uj - np.maximum(whole.restore_uj[:-1], whole.restore_uj[1:])
    room -= whole.stage_cycles * costs.uj_per_cycle
    live = np.maximum(whole.live.live_bytes[:-1], whole.live.live_bytes[1:])
    return best_sizes(graph, costs, room, live)


@dataclass(frozen=True, eq=False)
class _Same:
    """A graph by what it is, not what it is equal to."""

    graph: Graph

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.graph is self.graph

    def __hash__(self) -> int:
        return id(self.graph)


@functools.lru_cache(maxsize=128)
def _live(same: _Same, counts: tuple[int, ...]) -> LiveMap:
    """Many boards and charges lead to the same tiles."""
    return LiveMap(same.graph, cut(same.graph, counts))


def _cut(graph: Graph, costs: CostModel, counts: Sequence[int]) -> TiledGraph:
    """assemble() of cut()."""
    return _priced(costs, _live(_Same(graph), tuple(counts)))


def assemble(graph: Graph, costs: CostModel, tiles: tuple[Tile, ...]) -> TiledGraph:
    """Tiles in their order with what they cost."""
    return _priced(costs, LiveMap(graph, tiles))


def _priced(costs: CostModel, live: LiveMap) -> TiledGraph:
    tiles, op_of = live.tiles, live.op_of
    cycles = worst_of(costs.ops, op_of, live.count_of)
    stage = np.array([costs.stage_cycles(op) for op in range(len(costs.ops))])[op_of]
    begins = np.concatenate(([True], op_of[1:] != op_of[:-1]))
    first = np.where(begins, stage, 0.0)
    again = np.append(stage - first, 0.0)
    restore = costs.resume_uj(len(tiles)) + again * costs.uj_per_cycle
    restore = restore + costs.restore_uj(
        live.live_bytes.astype(np.float64), live.live_ranges.astype(np.float64)
    )
    return TiledGraph(tiles, live, (cycles + first) * costs.uj_per_cycle, restore, first)


def too_big(graph: Graph, costs: CostModel, tiled: TiledGraph, charge_uj: float) -> list[int]:
    """Ops with a tile that does not fit a charge; Infeasible if finer tiles would not help."""
    live = tiled.live.live_bytes.astype(np.float64)
    fixed_check(costs, tiled, charge_uj)
    unit_bytes = np.array([graph.unit_bytes(op) for op in graph.ops], dtype=np.float64)
    op_of, count = tiled.live.op_of, tiled.live.count_of.astype(np.float64)
    one = np.ones(len(op_of))
    start = costs.boot_uj + tiled.restore_uj[:-1]
    written = unit_bytes[op_of]
    need = start + tiled.tile_uj + costs.commit_uj(written * count, one, live[1:])
    over = need > charge_uj
    if not over.any():
        return []
    unit_cycles = np.array([op.worst(1) for op in costs.ops])[op_of] + tiled.stage_cycles
    floor = start + unit_cycles * costs.uj_per_cycle
    floor = floor + costs.commit_uj(written, one, np.minimum(live[:-1], live[1:]))
    floor = np.where(count > 1, np.minimum(floor, need), need)
    worst = int(np.argmax(floor))
    if floor[worst] > charge_uj:
        raise Infeasible(float(floor[worst]), "its smallest tile", int(op_of[worst]))
    return sorted({int(number) for number in op_of[over]})


def fixed_check(costs: CostModel, tiled: TiledGraph, charge_uj: float) -> None:
    """A resume and, on flash, one sector erase must each fit a charge of their own; so must the
    input's commit where the interpreter boots in every charge."""
    start = costs.boot_uj + float(tiled.restore_uj[0])
    size = float(tiled.live.live_bytes[0])
    if start > charge_uj:
        raise Infeasible(start, "booting and resuming")
    need = start + costs.commit_uj(size, 1.0, size)
    if need > charge_uj and costs.board.boot.early_ms is None:
        raise Infeasible(need, "the commit of the input")
    need = costs.boot_uj + float(tiled.restore_uj.max()) + costs.erase_uj()
    if need > charge_uj:
        what = "erasing one flash sector" if costs.erase_uj() else "restoring the live bytes"
        raise Infeasible(need, what)
