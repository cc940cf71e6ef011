"""Gives every tensor its home in NVM, so that no commit writes what the newest record needs.

Write after read (SPEC 3): two tensors share home bytes only if a segment end, where a commit is
obligatory, lies after the last use of the one and before the first tile of the other. The output's
home is shared only with tensors that are dead before its first tile, and never with the input's.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from relume.model.graph import Graph
from relume.plan.live import LiveMap
from relume.plan.placement import place
from relume.plan.types import Segment

ALIGN = 4
RESERVED = 256  # record slots and cells before the home area (SPEC 4.2)


def place_homes(
    graph: Graph, live: LiveMap, ends: list[int], capacity: int
) -> tuple[tuple[int, ...], int]:
    """(nvm_off per tensor, home area bytes) for byte-writable NVM; may exceed capacity."""
    sizes = [tensor.size for tensor in graph.tensors]
    apart = np.ones(len(sizes), dtype=np.bool_)
    offsets, total = place(sizes, lambda block: apart, ALIGN)
    if total <= capacity:
        return offsets, total
    return place(sizes, _conflicts(graph, live, ends), ALIGN)


def obligatory_ends(
    graph: Graph, live: LiveMap, ends: list[int], offsets: tuple[int, ...]
) -> frozenset[int]:
    """The segment ends without which a home would be written that the newest record needs.

    Each pair of tensors that share bytes needs a commit from the last use of the one to the first
    tile of the other: the fewest ends that do for all pairs, latest first use last.
    """
    sizes = [tensor.size for tensor in graph.tensors]
    spans = []
    for a, b in itertools.permutations(range(len(sizes)), 2):
        share = offsets[a] < offsets[b] + sizes[b] and offsets[b] < offsets[a] + sizes[a]
        if share and live.lives[a].last <= live.lives[b].first:
            spans.append((live.lives[b].first, live.lives[a].last))
    chosen: list[int] = []
    for first, last in sorted(spans):
        if not chosen or chosen[-1] < last:
            chosen.append(ends[bisect.bisect_right(ends, first) - 1])
    return frozenset(chosen)


def with_obligatory(
    segments: tuple[Segment, ...], ends: frozenset[int]
) -> tuple[Segment, ...]:
    """The segments, those that end at `ends` marked."""
    return tuple(dataclasses.replace(s, obligatory=s.end in ends) for s in segments)


def _conflicts(graph: Graph, live: LiveMap, ends: list[int]) -> _Conflicts:
    first = np.array([life.first for life in live.lives])
    last = np.array([life.last for life in live.lives])
    boundaries = np.array(ends)
    # The first obligatory commit at or after a tensor's last use frees its home.
    index = np.searchsorted(boundaries, last, side="left")
    freed = np.append(boundaries, live.n_tiles + 1)[index]
    return _Conflicts(graph, first, freed)


class _Conflicts:
    """conflicts(i)[j] for place()."""

    def __init__(
        self, graph: Graph, first: npt.NDArray[np.int64], freed: npt.NDArray[np.int64]
    ) -> None:
        self.graph = graph
        self.first = first
        self.freed = freed

    def __call__(self, block: int) -> npt.NDArray[np.bool_]:
        before = self.freed <= self.first[block]
        after = self.freed[block] <= self.first
        clash: npt.NDArray[np.bool_] = ~(before | after)
        ends = {self.graph.input, self.graph.output}
        if block in ends:
            clash[list(ends)] = True
        return clash
