"""Places tensors and scratch memory in SRAM. Bytes that no later tile reads are free (SPEC 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relume.errors import PlanError
from relume.model.graph import Graph
from relume.plan.live import IntArray, LiveMap
from relume.plan.overlap import Use, whole
from relume.plan.placing import WIDTH, place_uses
from relume.plan.scratch import op_scratch
from relume.plan.types import Tile

ALIGN = 4
GRAIN = 16  # of scratch memory and of all sizes (SPEC 2.1, 2.5)
MAX_GRAINS = 0xFFFF
MAX_SRAM = 1 << 24  # bytes of arena or scratch memory (SPEC 2.4)
TAIL = 16  # behind the tensors on cores that read rows by words (SPEC 2.7.2)


@dataclass(frozen=True)
class Sram:
    """arena_off: per tensor. scratch_off: per tile, 0 where none is needed. Bytes."""

    arena_off: tuple[int, ...]
    arena_size: int
    scratch_off: tuple[int, ...]
    scratch_size: int

    @property
    def total(self) -> int:
        """Tensors and scratch memory."""
        return self.arena_size + self.scratch_size

    def scratch_at(self, place: int) -> int:
        """Where the scratch memory of the tile at `place` lies."""
        return self.scratch_off[place] if self.scratch_off else self.arena_size


def place_sram(
    graph: Graph,
    live: LiveMap,
    tiles: Sequence[Tile],
    core: str = "portable",
    *,
    apart: bool = False,
    width: int = WIDTH,
) -> Sram:
    """Places the tensors, and for each tile its scratch memory where nothing is in use.

    An output may lie over rows of its input that are dead when they are written; apart: tensors
    share bytes only if their whole lives do not touch, and scratch lies behind all of them.
    """
    uses = [live.use(tensor) for tensor in range(len(graph.tensors))]
    sizes = [op_scratch(graph, core, op) for op in graph.ops]
    tail = TAIL if core == "m4" else 0
    if apart:
        offsets, end = place_uses([whole(use) for use in uses], ALIGN)
        size = max(_round(max(sizes)), tail)
        return Sram(offsets, _round(end), (), size)
    needs = {place: sizes[tile.op] for place, tile in enumerate(tiles) if sizes[tile.op]}
    guests = [_scratch(place, size) for place, size in needs.items()]
    placed, total = place_uses([*uses, *guests], ALIGN, guests=len(guests), width=width)
    offsets, where = placed[: len(uses)], dict(zip(needs, placed[len(uses) :], strict=True))
    if max(where.values(), default=0) > GRAIN * MAX_GRAINS:
        raise PlanError(f"{graph.name}: needs more than 1 MiB of SRAM: use a smaller model")
    end = _round(max(at + use.size for at, use in zip(offsets, uses, strict=True)))
    off = tuple(where.get(place, 0) for place in range(len(tiles)))
    return Sram(offsets, end, off, max(_round(total) - end, tail))


def _scratch(place: int, size: int) -> Use:
    return Use(size, place, np.zeros(1, dtype=np.int64), np.full(1, size, dtype=np.int64))


def _round(size: int) -> int:
    return -(-size // GRAIN) * GRAIN


def in_use(graph: Graph, live: LiveMap, tiles: Sequence[Tile], core: str) -> IntArray:
    """Bytes in use during each tile, its scratch memory included."""
    sizes = [op_scratch(graph, core, op) for op in graph.ops]
    held = np.array([sizes[tile.op] for tile in tiles], dtype=np.int64)
    for tensor in range(len(graph.tensors)):
        use = live.use(tensor)
        held[use.first : use.last] += np.maximum(use.high - use.low, 0)
    return held
