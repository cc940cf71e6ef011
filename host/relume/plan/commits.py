"""Where to commit: a shortest path over the tile boundaries.

A segment from boundary p to t costs its commit, less what is written behind its tiles, plus what a
power cut inside it makes the board do again: half of its tiles and commit and one restore of the
bytes live at p, with probability (their energy / what the restore leaves of a charge), all as they
typically are. A segment is allowed only if boot, restore, tiles and its whole commit fit one
charge at their worst. The dirty bytes at t depend on nothing but p and t (SPEC 3), so the path is
exact under this cost.
"""

from __future__ import annotations

import numpy as np

from relume.plan.behind import Behind
from relume.plan.costs import CostModel
from relume.plan.tiles import FloatArray, TiledGraph
from relume.plan.types import Segment
from relume.plan.typical import typical_cycles

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
    start = 0
    for end in range(1, n_tiles + 1):
        while start < end - 1 and prefix[end] - prefix[start] > usable:
            start += 1
        total = _edges(behind, prefix, usable, start, end) + best[start:end]
        pick = int(np.argmin(total))
        best[end] = total[pick]
        previous[end] = start + pick
    if not np.isfinite(best[n_tiles]):
        raise AssertionError("a tile that fits a charge alone was refused")
    ends = [n_tiles]
    while previous[ends[-1]] > 0:
        ends.append(int(previous[ends[-1]]))
    return ends[::-1]


def _edges(behind: Behind, prefix: FloatArray, usable: float, start: int, end: int) -> FloatArray:
    """Cost of the segments from each boundary in [start, end) to end; inf if too big."""
    costs, tiled = behind.costs, behind.tiled
    totals = tiled.live.dirty_totals(start, end)
    dirty, ranges = (total.astype(np.float64) for total in totals)
    live = np.full(end - start, float(tiled.live.live_bytes[end]))
    whole = costs.commit_uj(dirty, ranges, live)
    commit = behind.commit_uj(start, end, dirty, ranges)
    work = prefix[end] - prefix[start:end]
    restore = tiled.restore_uj[start:end]
    need = restore + work + whole
    typical = behind.work_uj(start, end)
    cut = np.minimum(1.0, (typical + commit) / np.maximum(usable - restore, 1e-9))
    cost: FloatArray = commit + cut * (0.5 * (typical + commit) + restore)
    cost[need > usable * (1 + ROUNDING)] = np.inf
    return cost


def make_segments(costs: CostModel, tiled: TiledGraph, ends: list[int]) -> tuple[Segment, ...]:
    """Segments between consecutive ends with their figures."""
    segments = []
    typical = typical_cycles(costs, tiled.tiles)
    start = 0
    for end in ends:
        tiles = tiled.tiles[start:end]
        worst = sum(costs.ops[tile.op].worst(tile.count) for tile in tiles)
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
