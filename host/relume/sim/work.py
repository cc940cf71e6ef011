"""A network cut into tiles, as every policy sees it: compute, outputs, what is live.

Times are active seconds: energy by the board's active power, so that a byte of FRAM carries its
chip's energy too. Compute is that of our kernels with typical cycles (`relume.plan.costs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relume.model.graph import Graph
from relume.plan.costs import CostModel
from relume.plan.live import LiveMap
from relume.plan.tile_sizes import row_units
from relume.plan.tiles import cut
from relume.plan.types import Tile
from relume.plan.typical import typical_cycles
from relume.sim.supply import FloatArray, IntArray

TARGETS_MS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
MAX_PIECES = 512  # tiles an op


@dataclass(frozen=True, eq=False)
class Work:
    """Tiles [n] with their figures, boundaries [n + 1].

    stage_s: per boundary inside an op, fetching its constants once more after a brown-out.
    compute_s, out_bytes, op: per tile. live_bytes, live_ranges: needed behind each boundary, where
    live: their map. units: units of the network finished at each boundary, to find a place again
    in another tiling.
    """

    costs: CostModel
    tiles: tuple[Tile, ...]
    live: LiveMap
    compute_s: FloatArray
    stage_s: FloatArray
    out_bytes: FloatArray
    live_bytes: FloatArray
    live_ranges: FloatArray
    op: IntArray
    units: IntArray

    @classmethod
    def of(cls, costs: CostModel, tiles: Sequence[Tile]) -> Work:
        graph = costs.graph
        typical = typical_cycles(costs, tiles)
        out = [tile.count * graph.unit_bytes(graph.ops[tile.op]) for tile in tiles]
        live = LiveMap(graph, tiles)
        op = np.array([tile.op for tile in tiles])
        per_cycle = costs.uj_per_cycle / uj_per_s(costs)
        units = np.concatenate(([0], np.cumsum([tile.count for tile in tiles])))
        return cls(
            costs,
            tuple(tiles),
            live,
            typical.work * per_cycle,
            typical.again * per_cycle,
            np.array(out, np.float64),
            live.live_bytes.astype(np.float64),
            live.live_ranges.astype(np.float64),
            op,
            units,
        )

    @property
    def n_tiles(self) -> int:
        return len(self.tiles)

    @property
    def jobs_of_op(self) -> IntArray:
        """Tiles of each tile's op."""
        counts: IntArray = np.bincount(self.op)[self.op]
        return counts

    @property
    def done_of_op(self) -> IntArray:
        """At each boundary: tiles of the next tile's op that are finished; 0 at the end."""
        first = np.searchsorted(self.op, self.op, side="left")
        return np.append(np.arange(self.n_tiles) - first, 0)

    def seconds(self, microjoule: FloatArray | float) -> FloatArray:
        """Active seconds of an energy."""
        return np.asarray(microjoule, dtype=np.float64) / uj_per_s(self.costs)

    def access_s(self, size: FloatArray | float, accesses: FloatArray | float = 1.0) -> FloatArray:
        """Reading or writing `size` bytes of SPI FRAM in `accesses` transfers."""
        whole = self.costs.transfer_uj(
            np.asarray(size, np.float64), np.asarray(accesses, np.float64)
        )
        return self.seconds(whole)

    def boot_s(self) -> float:
        """Boot, blob checked, store mounted: the least that a turn-on costs."""
        fixed = self.costs.boot_uj + self.costs.resume_uj(len(self.costs.graph.ops))
        return fixed / uj_per_s(self.costs)

    def start_s(self) -> FloatArray:
        """Per boundary: boot, mount and check, what is live read back without its CRC, stage.

        The check is that of a blob with one tile an op: loop counters need no table of tiles.
        """
        read = self.access_s(self.live_bytes, self.live_ranges)
        return self.boot_s() + read + self.stage_s


def uj_per_s(costs: CostModel) -> float:
    """Microjoule of one active second."""
    return costs.board.energy.active_mw * 1e3


def whole_ops(costs: CostModel) -> Work:
    """One tile an op: no tiling computes less."""
    graph = costs.graph
    return Work.of(costs, cut(graph, [graph.units(op) for op in graph.ops]))


def tiling(costs: CostModel, target_ms: float) -> Work:
    """Tiles of at most about target_ms, of whole rows where a row fits."""
    target = target_ms * 1e-3 * uj_per_s(costs) / costs.uj_per_cycle
    graph = costs.graph
    return Work.of(costs, cut(graph, [units_for(graph, costs, n, target)
                                      for n in range(len(graph.ops))]))  # fmt: skip


def units_for(graph: Graph, costs: CostModel, number: int, cycles: float) -> int:
    """Units of op `number` whose tile takes at most `cycles`, if one unit does."""
    units, row, op = graph.units(graph.ops[number]), row_units(graph, number), costs.ops[number]
    room, slope = max(0.0, cycles - op.typical_fixed - op.part), op.typical_slope
    count = units if slope <= 0 else int(min(units, room // slope))
    count = max(count, -(-units // MAX_PIECES), 1)
    return count - count % row if count >= row else count
