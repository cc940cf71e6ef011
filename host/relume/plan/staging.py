"""Which constants are copied from flash into SRAM before their op runs, and where they lie there.

Where not even the smallest gap holds an op's constants, its weights may come in parts: the kernel
copies those of the next channels into one buffer whenever it has done with the last (Cortex-M0+
CONV_2D and FULLY_CONNECTED; the other layouts read such weights in place).

Where no gap holds an op's constants, its weights may come in parts (`relume.plan.parts`).

A burst past the XIP cache fetches a word in 16 cycles, a miss in 48, and what lies in SRAM is not
fetched twice (relume.plan.xip). A copy stays as long as tiles of its op follow one another; a
brown-out loses it. It takes bytes of arena and scratch memory that are free while its op runs, so
it never raises the peak; only a model that needs less than SMALL bytes grows, up to that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from relume.blob.layouts.select import M0PLUS, lay_out
from relume.blob.pack import constant_arrays
from relume.model.graph import Graph
from relume.plan.arena import Sram
from relume.plan.costs import CostModel
from relume.plan.overlap import IntArray, Use, whole
from relume.plan.parts import buffers
from relume.plan.scratch import op_scratch
from relume.plan.tiles import TiledGraph
from relume.plan.types import Stage, Tile
from relume.plan.xip import copy_cycles

SMALL = 16_000  # bytes of arena and scratch that staging may fill, 9 % of the Pico's free SRAM
ALIGN = 16


def run_bytes(graph: Graph, core: str) -> tuple[int, ...]:
    """Bytes of each op's constants, one array behind the other; 0 without weights."""
    sizes = []
    for op in graph.ops:
        arrays = constant_arrays(core, graph, op)
        sizes.append(sum(_up(len(array), 4) for array in arrays) if arrays[0] else 0)
    return tuple(sizes)


def gains(costs: CostModel, tiles: Sequence[Tile]) -> dict[int, tuple[Stage, ...]]:
    """Op number -> blocks, not placed yet, the cheapest for all of its tiles first. With each of
    them a single tile, copy included, costs less than without."""
    counts = [Counter(tile.count for tile in tiles if tile.op == n) for n in range(len(costs.ops))]
    order = [tile.op for tile in tiles]
    begun = Counter(op for op, before in zip(order, [-1, *order], strict=False) if op != before)
    found = {}
    for number, size in enumerate(run_bytes(costs.graph, costs.board.core)):
        largest = max(counts[number])
        priced = []
        for way in _ways(costs, number, size):
            cycles = costs.op_cycles(number, way)
            copy = copy_cycles(costs.board.xip, way.size - way.chunk)
            if copy + cycles.worst(largest) < costs.ops[number].worst(largest):
                all_tiles = sum(n * cycles.worst(count) for count, n in counts[number].items())
                priced.append((begun[number] * copy + all_tiles, way))
        if priced:
            priced.sort(key=lambda pair: pair[0])
            found[number] = tuple(way for _, way in priced)
    return found


def _ways(costs: CostModel, number: int, size: int) -> Iterator[Stage]:
    """Blocks that could hold an op's `size` bytes of constants, or parts of them."""
    graph, core = costs.graph, costs.board.core
    op = graph.ops[number]
    if not size:
        return
    yield Stage(0, size)
    fast = lay_out(core, graph, op) if core == M0PLUS else None
    if fast is not None:
        yield from buffers(op.kind, graph.tensors[op.output].shape, fast, size)


def place_stages(
    costs: CostModel,
    tiled: TiledGraph,
    sram: Sram,
    ways: Mapping[int, Sequence[Stage]],
    limit: int,
    apart: bool = False,
) -> tuple[dict[int, Stage], Sram]:
    """(of each op of `ways` the first block for which there is room, the memory with them).

    limit: bytes of tensors and scratch memory that the memory may grow to, at most SMALL.
    """
    graph = costs.graph
    uses = [tiled.live.use(tensor) for tensor in range(len(graph.tensors))]
    uses = [whole(use) for use in uses] if apart else uses
    first, last = np.array([use.first for use in uses]), np.array([use.last for use in uses])
    top = max(sram.total, min(SMALL, limit))
    stages: dict[int, Stage] = {}
    end = sram.total
    for number, blocks in ways.items():
        places = tiled.live.places(number)
        beside = np.flatnonzero((first <= places[-1]) & (last > places[0]))
        taken = []
        for tensor in beside.tolist():
            low, high = _held(uses[tensor], places)
            taken.append((sram.arena_off[tensor] + low, sram.arena_off[tensor] + high))
        scratch = op_scratch(graph, costs.board.core, graph.ops[number])
        starts = {sram.scratch_at(place) for place in places.tolist()}
        taken += [(at, at + scratch) for at in starts]
        stage = _first_fit(sorted(taken), blocks, sram.total, top)
        if stage is not None:
            stages[number] = stage
            end = max(end, stage.off + stage.size)
    return stages, replace(sram, scratch_size=_up(end, ALIGN) - sram.arena_size)


def _first_fit(
    taken: list[tuple[int, int]], blocks: Sequence[Stage], total: int, top: int
) -> Stage | None:
    """The first of the blocks that a gap holds, below `total` or else below `top`, placed."""
    for block in blocks:
        for end in (total, top):
            off = _fit(taken, block.size, end)
            if off is not None:
                return replace(block, off=off)
    return None


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
