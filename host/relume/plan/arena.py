"""Places the tensors in SRAM. Bytes that no later tile reads are free, tile by tile (SPEC 3)."""

from __future__ import annotations

from relume.model.graph import Graph
from relume.plan.live import LiveMap
from relume.plan.overlap import busiest, place_uses, whole

ALIGN = 4
ROUND = 16  # arena_size, SPEC 2.1


def place_arena(graph: Graph, live: LiveMap, apart: bool = False) -> tuple[tuple[int, ...], int]:
    """(arena_off per tensor, arena_size).

    An output may lie over rows of its input that are dead when they are written; apart: tensors
    share bytes only if their whole lives do not touch.
    """
    uses = [live.use(tensor) for tensor in range(len(graph.tensors))]
    offsets, end = place_uses([whole(use) for use in uses] if apart else uses, ALIGN)
    return offsets, -(-end // ROUND) * ROUND


def peak_tile(graph: Graph, live: LiveMap) -> tuple[int, int]:
    """(tile number, bytes): the tile during which most tensor bytes are in use."""
    return busiest([live.use(n) for n in range(len(graph.tensors))], live.n_tiles)
