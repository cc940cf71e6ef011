"""Writes behind the tiles (docs/DESIGN.md 3c): what they leave for a commit to write.

Our firmware sends dirty bytes to SPI FRAM by DMA while tiles compute. A plan is not promised that
much, since nobody knows the least cycles of a tile; it chooses among segments that hold without.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.plan.costs import CostModel
from relume.plan.live import IntArray
from relume.plan.tiles import FloatArray, TiledGraph
from relume.plan.typical import typical_cycles

BURST_CYCLES = 1200.0  # of the core, to start a write in the background (docs/DESIGN.md 17)


@dataclass(frozen=True, eq=False)
class Spans:
    """Segments that may be, [n]: boundaries start and end, by rising end, then start. last: the
    shortest span with the same end, by its place here."""

    start: IntArray
    end: IntArray
    last: IntArray

    @staticmethod
    def of(first: IntArray, ends: IntArray) -> Spans:
        """From each boundary in [first[i], ends[i]) to ends[i], which rise."""
        counts = ends - first
        stop = np.cumsum(counts)
        start = np.arange(counts.sum(), dtype=np.int64) + np.repeat(first - stop + counts, counts)
        return Spans(start, np.repeat(ends, counts), np.repeat(stop - 1, counts))

    @staticmethod
    def to(end: int, start: int = 0) -> Spans:
        """From each boundary in [start, end) to end."""
        return Spans.of(np.array([start], dtype=np.int64), np.array([end], dtype=np.int64))


class Behind:
    """Expected commits of one tiling."""

    def __init__(self, costs: CostModel, tiled: TiledGraph) -> None:
        self.costs, self.tiled = costs, tiled
        cycles = typical_cycles(costs, tiled.tiles).work
        self._clock = np.concatenate(([0.0], np.cumsum(cycles * costs.uj_per_cycle)))
        self._byte_uj = float(costs.transfer_uj(1.0, 0.0))

    def work_uj(self, spans: Spans) -> FloatArray:
        """The tiles of each span, as they typically are."""
        work: FloatArray = self._clock[spans.end] - self._clock[spans.start]
        return work

    def commit_uj(self, spans: Spans, dirty: FloatArray, ranges: FloatArray) -> FloatArray:
        """The commit behind each span, dirty and ranges as at its end."""
        costs = self.costs
        live = self.tiled.live.live_bytes[spans.end].astype(np.float64)
        if not costs.streams:
            return costs.commit_uj(dirty, ranges, live)
        left = self.left(spans, dirty)
        sent = (dirty - left) * self._chip_uj()
        bursts = (spans.end - 1 - spans.start) * (BURST_CYCLES * costs.uj_per_cycle)
        one = np.minimum(ranges, 1.0)
        whole: FloatArray = costs.commit_uj(left, one, live) + sent + bursts
        return whole

    def left(self, spans: Spans, dirty: FloatArray) -> FloatArray:
        """Bytes that the core waits for: at least the last tile's, which nothing was computed
        behind, and what the tiles behind a segment's first had no time for."""
        room = (self._clock[spans.end] - self._clock[spans.start + 1]) / self._byte_uj
        left: FloatArray = np.maximum(dirty[spans.last], dirty - room)
        return np.minimum(left, dirty)

    def _chip_uj(self) -> float:
        fram = self.costs.board.fram
        assert fram is not None
        return fram.chip_nj_per_byte * 1e-3
