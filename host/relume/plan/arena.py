"""Places the tensors in SRAM: two tensors share bytes only if their lives do not touch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from relume.model.graph import Graph
from relume.plan.live import LiveMap
from relume.plan.placement import place

ALIGN = 16


def place_arena(graph: Graph, live: LiveMap) -> tuple[tuple[int, ...], int]:
    """(arena_off per tensor, arena_size). An op's output never overlaps its inputs."""
    first = np.array([life.first for life in live.lives])
    last = np.array([life.last for life in live.lives])
    # A tensor that nobody reads is still written by its last tile.
    ends = _last_writes(graph, live)
    last = np.maximum(last, ends)

    def overlap(block: int) -> npt.NDArray[np.bool_]:
        # Lives are boundaries, both ends included: a producer's first tile starts at `first`,
        # a reader's last tile ends at `last`, so touching in one boundary alone is no overlap.
        clash: npt.NDArray[np.bool_] = (first < last[block]) & (first[block] < last)
        return clash

    return place([tensor.size for tensor in graph.tensors], overlap, ALIGN)


def _last_writes(graph: Graph, live: LiveMap) -> npt.NDArray[np.int64]:
    ends = np.zeros(len(graph.tensors), dtype=np.int64)
    ends[graph.input] = 1
    for number, op in enumerate(graph.ops):
        ends[op.output] = live.last_place(number) + 1
    return ends


def peak_op(graph: Graph, live: LiveMap) -> tuple[int, int]:
    """(op number, bytes): the op during which most tensor bytes are held."""
    held = []
    for number in range(len(graph.ops)):
        begin, end = live.first_place(number), live.last_place(number) + 1
        held.append(
            sum(
                tensor.size
                for tensor, life in zip(graph.tensors, live.lives, strict=True)
                if life.first < end and life.last > begin
            )
        )
    worst = max(range(len(held)), key=held.__getitem__)
    return worst, held[worst]
