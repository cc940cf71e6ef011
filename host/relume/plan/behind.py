"""Writes behind the tiles (docs/DESIGN.md 3c): what they leave for a commit to write.

Our firmware sends dirty bytes to SPI FRAM by DMA while tiles compute. A plan is not promised that
much, since nobody knows the least cycles of a tile; it chooses among segments that hold without.
"""

from __future__ import annotations

import numpy as np

from relume.plan.costs import CostModel
from relume.plan.tiles import FloatArray, TiledGraph
from relume.plan.typical import typical_cycles

BURST_CYCLES = 1200.0  # of the core, to start a write in the background (docs/DESIGN.md 17)


class Behind:
    """Expected commits of one tiling."""

    def __init__(self, costs: CostModel, tiled: TiledGraph) -> None:
        self.costs, self.tiled = costs, tiled
        cycles = typical_cycles(costs, tiled.tiles).work
        self._clock = np.concatenate(([0.0], np.cumsum(cycles * costs.uj_per_cycle)))
        self._byte_uj = float(costs.transfer_uj(1.0, 0.0))

    def work_uj(self, start: int, end: int) -> FloatArray:
        """Tiles from each of [start, end) to end, as they typically are."""
        work: FloatArray = self._clock[end] - self._clock[start:end]
        return work

    def commit_uj(self, start: int, end: int, dirty: FloatArray, ranges: FloatArray) -> FloatArray:
        """Of segments from each of [start, end) to end, dirty and ranges as at its end."""
        costs = self.costs
        live = np.full(end - start, float(self.tiled.live.live_bytes[end]))
        if not costs.streams:
            return costs.commit_uj(dirty, ranges, live)
        left = self.left(start, end, dirty)
        sent = (dirty - left) * self._chip_uj()
        bursts = np.arange(end - start - 1, -1, -1) * (BURST_CYCLES * costs.uj_per_cycle)
        one = np.minimum(ranges, 1.0)
        whole: FloatArray = costs.commit_uj(left, one, live) + sent + bursts
        return whole

    def left(self, start: int, end: int, dirty: FloatArray) -> FloatArray:
        """Bytes that the core waits for: at least the last tile's, which nothing was computed
        behind, and what the tiles behind a segment's first had no time for."""
        first = np.minimum(np.arange(start, end) + 1, end)
        room = (self._clock[end] - self._clock[first]) / self._byte_uj
        left: FloatArray = np.maximum(dirty[-1], dirty - room)
        return np.minimum(left, dirty)

    def _chip_uj(self) -> float:
        fram = self.costs.board.fram
        assert fram is not None
        return fram.chip_nj_per_byte * 1e-3
