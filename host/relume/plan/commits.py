"""Where to commit: a shortest path over the tile boundaries.

A segment from boundary p to t costs its commit, less what is written behind its tiles, plus what a
power cut inside it makes the board do again: half of its tiles and commit and one restore of the
bytes live at p, with probability (their energy / what the restore leaves of a charge), all as they
typically are. A segment is allowed only if boot, restore, tiles and its whole commit fit one
charge at their worst. The dirty bytes at t depend on nothing but p and t (SPEC 3), so the path is
exact under this cost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relume.plan.behind import Behind, Spans
from relume.plan.costs import CostModel
from relume.plan.live import IntArray
from relume.plan.op_cycles import worst_of
from relume.plan.tiles import FloatArray, TiledGraph
from relume.plan.types import Segment
from relume.plan.typical import typical_cycles

SPANS = 1 << 15  # segments that are looked at together, for the cache's sake
ROUNDING = 1e-12  # sums of the same energies in another order


def segment_ends(costs: CostModel, tiled: TiledGraph, charge_uj: float) -> list[int]:
    """End boundaries of the cheapest segments, rising; the last is n_tiles.

    Every single tile must fit a charge (tile_graph has made sure).
    """
    n_tiles = len(tiled.tiles)
    prefix = np.concatenate(([0.0], np.cumsum(tiled.tile_uj)))
    best = np.full(n_tiles + 1, np.inf)
    best[0] = 0.0
    previous = np.zeros(n_tiles + 1, dtype=np.int64)
    usable = charge_uj - costs.boot_uj
    behind = Behind(costs, tiled)
    firsts = _firsts(prefix, usable)
    for ends in _blocks(firsts):
        spans = Spans.of(firsts[ends - 1], ends)
        edges, at = _edges(behind, prefix, usable, spans), 0
        for end, start in zip(ends.tolist(), firsts[ends - 1].tolist(), strict=True):
            total = edges[at : at + end - start] + best[start:end]
            pick = int(total.argmin())
            best[end] = total[pick]
            previous[end] = start + pick
            at += end - start
    if not np.isfinite(best[n_tiles]):
        raise AssertionError("a tile that fits a charge alone was refused")
    path = [n_tiles]
    while previous[path[-1]] > 0:
        path.append(int(previous[path[-1]]))
    return path[::-1]


def _firsts(prefix: FloatArray, usable: float) -> IntArray:
    """[n]: for each end from 1 on, where the longest segment begins whose tiles a charge feeds."""
    sums, firsts, start = prefix.tolist(), [], 0
    for end in range(1, len(sums)):
        while start < end - 1 and sums[end] - sums[start] > usable:
            start += 1
        firsts.append(start)
    return np.array(firsts, dtype=np.int64)


def _blocks(firsts: IntArray) -> Iterator[IntArray]:
    """Ends from 1 on, as many at a time as have about SPANS segments between them."""
    ends = np.arange(1, len(firsts) + 1, dtype=np.int64)
    block = np.cumsum(ends - firsts) // SPANS
    yield from np.split(ends, np.flatnonzero(np.diff(block)) + 1)


def _edges(behind: Behind, prefix: FloatArray, usable: float, spans: Spans) -> FloatArray:
    """Cost of each segment; inf if too big."""
    costs, tiled = behind.costs, behind.tiled
    totals = tiled.live.dirty_totals(spans.start, spans.end)
    dirty, ranges = (total.astype(np.float64) for total in totals)
    whole = costs.commit_uj(dirty, ranges, tiled.live.live_bytes[spans.end].astype(np.float64))
    commit = behind.commit_uj(spans, dirty, ranges)
    work = prefix[spans.end] - prefix[spans.start]
    restore = tiled.restore_uj[spans.start]
    need = restore + work + whole
    typical = behind.work_uj(spans)
    cut = np.minimum(1.0, (typical + commit) / np.maximum(usable - restore, 1e-9))
    cost: FloatArray = commit + cut * (0.5 * (typical + commit) + restore)
    cost[need > usable * (1 + ROUNDING)] = np.inf
    return cost


def make_segments(costs: CostModel, tiled: TiledGraph, ends: list[int]) -> tuple[Segment, ...]:
    """Segments between consecutive ends with their figures."""
    segments = []
    typical = typical_cycles(costs, tiled.tiles)
    cycles = worst_of(costs.ops, tiled.live.op_of, tiled.live.count_of).tolist()
    start = 0
    for end in ends:
        worst = sum(cycles[start:end])
        stage = float(tiled.stage_cycles[start:end].sum())
        work = float(typical.work[start:end].sum())
        dirty = tiled.live.dirty(start, end)
        live = int(tiled.live.live_bytes[end])
        written = sum(stop - first for _, first, stop in dirty)
        commit = costs.commit_uj(float(written), float(len(dirty)), float(live))
        if costs.nvm == "flash":
            written = live  # the log carries all of it
        energy = float(tiled.restore_uj[start] + tiled.tile_uj[start:end].sum() + commit)
        restore = float(tiled.restore_uj[start])
        segments.append(
            Segment(start, end, round(worst + stage), round(work), energy, written, restore)
        )
        start = end
    return tuple(segments)
