"""Which constants are copied from flash into SRAM before their op runs, and where they lie there.

A burst past the XIP cache fetches a word in 16 cycles, a miss in 48, and what lies in SRAM is not
fetched twice (relume.plan.xip). A copy stays as long as tiles of its op follow one another; a
brown-out loses it. It takes bytes of arena and scratch memory that are free while its op runs, so
it never raises the peak; only a model that needs less than SMALL bytes grows, up to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relume.blob.pack import constant_arrays
from relume.model.graph import Graph
from relume.plan.costs import CostModel, copy_cycles
from relume.plan.live import LiveMap
from relume.plan.overlap import Use, whole
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


@dataclass(frozen=True)
class Memory:
    """What is placed already: offsets of the tensors, bytes of the arena, scratch of each op."""

    offsets: Sequence[int]
    arena: int
    scratch: Sequence[int]

    @property
    def scratch_size(self) -> int:
        """The largest scratch, as the header has it."""
        return _up(max(self.scratch), ALIGN)


def place_stages(
    graph: Graph, live: LiveMap, memory: Memory, sizes: Mapping[int, int], apart: bool = False
) -> tuple[dict[int, Stage], int]:
    """(blocks of those ops of `sizes` for which there is room, scratch_size with them)."""
    uses = _uses(graph, live, apart) if sizes else []
    first, last = np.array([use.first for use in uses]), np.array([use.last for use in uses])
    total = memory.arena + memory.scratch_size
    top = max(total, SMALL)
    stages: dict[int, Stage] = {}
    end = total
    for number, size in sizes.items():
        begin, stop = live.first_place(number), live.last_place(number) + 1
        op, beside = graph.ops[number], np.flatnonzero((first < stop) & (last > begin))
        own = {*op.inputs, op.output}
        spans = {int(tensor): _held(uses[tensor], begin, stop) for tensor in beside}
        spans |= {tensor: (0, uses[tensor].size) for tensor in own}
        places = memory.offsets
        taken = [(places[t] + low, places[t] + high) for t, (low, high) in spans.items()]
        taken.append((memory.arena, memory.arena + _up(memory.scratch[number], ALIGN)))
        taken.sort()
        off = _fit(taken, size, total)
        if off is None:
            off = _fit(taken, size, top)
        if off is not None:
            stages[number] = Stage(off, size)
            end = max(end, off + size)
    return stages, _up(end, ALIGN) - memory.arena


def _uses(graph: Graph, live: LiveMap, apart: bool) -> list[Use]:
    uses = [live.use(tensor) for tensor in range(len(graph.tensors))]
    return [whole(use) for use in uses] if apart else uses


def _held(use: Use, begin: int, stop: int) -> tuple[int, int]:
    """Bytes of a tensor that are in use at any time during tiles [begin, stop)."""
    part = slice(max(begin, use.first) - use.first, min(stop, use.last) - use.first)
    low, high = use.low[part], use.high[part]
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
