"""Which constants are copied from flash into SRAM before their op runs, and where they lie there.

A burst past the XIP cache fetches a word in 16 cycles, a miss in 48, and what lies in SRAM is not
fetched twice (relume.plan.xip). A copy stays as long as tiles of its op follow one another; a
brown-out loses it. It takes bytes of arena and scratch memory that are free while its op runs, so
it never raises the peak; only a model that needs less than SMALL bytes grows, up to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relume.blob.pack import constant_arrays
from relume.model.graph import Graph
from relume.plan.arena import Sram
from relume.plan.costs import CostModel, copy_cycles
from relume.plan.overlap import IntArray, Use, whole
from relume.plan.scratch import op_scratch
from relume.plan.tiles import TiledGraph
from relume.plan.types import Tile

SMALL = 16_000  # bytes of arena and scratch that staging may fill, 9 % of the Pico's free SRAM
ALIGN = 16


@dataclass(frozen=True)
class Stage:
    """A block of SRAM, `off` bytes from the arena's start; size 0: constants are read in place."""

    off: int = 0
    size: int = 0


def run_bytes(graph: Graph, core: str) -> tuple[int, ...]:
    """Bytes of each op's constants, one array behind the other; 0 without weights."""
    sizes = []
    for op in graph.ops:
        arrays = constant_arrays(core, graph, op)
        sizes.append(sum(_up(len(array), 4) for array in arrays) if arrays[0] else 0)
    return tuple(sizes)


def gains(costs: CostModel, tiles: Sequence[Tile]) -> dict[int, int]:
    """Op number -> bytes of its constants, where one copy costs less than what a tile fetches."""
    largest: dict[int, int] = {}
    for tile in tiles:
        largest[tile.op] = max(tile.count, largest.get(tile.op, 0))
    sizes = {}
    for number, size in enumerate(run_bytes(costs.graph, costs.board.core)):
        once, unit = costs.fetches(number)
        if size and copy_cycles(costs.board.xip, size) < once + unit * largest[number]:
            sizes[number] = size
    return sizes


def place_stages(
    costs: CostModel,
    tiled: TiledGraph,
    sram: Sram,
    sizes: Mapping[int, int],
    limit: int,
    apart: bool = False,
) -> tuple[dict[int, Stage], Sram]:
    """(blocks of those ops of `sizes` for which there is room, the memory with them).

    limit: bytes of tensors and scratch memory that the memory may grow to, at most SMALL.
    """
    graph = costs.graph
    uses = [tiled.live.use(tensor) for tensor in range(len(graph.tensors))]
    uses = [whole(use) for use in uses] if apart else uses
    first, last = np.array([use.first for use in uses]), np.array([use.last for use in uses])
    top = max(sram.total, min(SMALL, limit))
    stages: dict[int, Stage] = {}
    end = sram.total
    for number, size in sizes.items():
        places = tiled.live.places(number)
        beside = np.flatnonzero((first <= places[-1]) & (last > places[0]))
        taken = []
        for tensor in beside.tolist():
            low, high = _held(uses[tensor], places)
            taken.append((sram.arena_off[tensor] + low, sram.arena_off[tensor] + high))
        scratch = op_scratch(graph, costs.board.core, graph.ops[number])
        starts = {sram.scratch_at(place) for place in places.tolist()}
        taken += [(at, at + scratch) for at in starts]
        taken.sort()
        off = _fit(taken, size, sram.total)
        if off is None:
            off = _fit(taken, size, top)
        if off is not None:
            stages[number] = Stage(off, size)
            end = max(end, off + size)
    return stages, replace(sram, scratch_size=_up(end, ALIGN) - sram.arena_size)


def _held(use: Use, places: IntArray) -> tuple[int, int]:
    """Bytes of a tensor that are in use at any time during the tiles at `places`."""
    at = places[(places >= use.first) & (places < use.last)] - use.first
    low, high = use.low[at], use.high[at]
    held = high > low
    return (int(low[held].min()), int(high[held].max())) if held.any() else (0, 0)


def _fit(taken: list[tuple[int, int]], size: int, total: int) -> int | None:
    """Start of the smallest gap in [0, total) that holds size bytes."""
    best: tuple[int, int] | None = None
    end = 0
    for first, stop in [*taken, (total, total)]:
        at = _up(end, ALIGN)
        gap = min(first, total) - at
        if gap >= size and (best is None or gap < best[0]):
            best = (gap, at)
        end = max(end, stop)
    return None if best is None else best[1]


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
