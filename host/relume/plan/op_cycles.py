"""What the tiles of one op cost in cycles, at worst and as they typically are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Cycles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OpCycles:
    """Cycles of one op's tiles: fixed per tile and per unit, worst and typical.

    area: at worst, for each rectangle beyond the first that a tile is made of: the end of a row of
    `row` units, whole rows, the start of a row. Typically such a rectangle, and each begun run of
    `part_units` units, takes `part`, and an end or start of a row, or a row alone, `ragged` more.
    cold: constants that the flash cache keeps from then on, typically fetched where the op begins
    and behind each power cut; a worst tile has them in `fixed`.
    """

    fixed: float
    unit: float
    typical_fixed: float
    typical_unit: float
    row: int = 1
    area: float = 0.0
    part: float = 0.0
    part_units: int = 1
    ragged: float = 0.0
    cold: float = 0.0

    def worst(self, count: int) -> float:
        """Cycles of a tile of `count` units, at worst."""
        return self.fixed + self.area * (self._areas(count) - 1) + self.unit * count

    def typical(self, count: int) -> float:
        """Cycles of a tile of `count` units with the cache warm; never above the worst."""
        more = self._areas(count) - 1
        begun = self.part * (-(-count // self.part_units) + more)
        begun += self.ragged * (1 if count <= self.row else more)
        return min(self.worst(count), self.typical_fixed + begun + self.typical_unit * count)

    def worst_each(self, counts: Counts) -> Cycles:
        """worst() of each count, which is at least 1."""
        return self.fixed + self.area * (self._areas_each(counts) - 1) + self.unit * counts

    def typical_each(self, counts: Counts) -> Cycles:
        """typical() of each count, which is at least 1."""
        more = self._areas_each(counts) - 1
        begun = self.part * (-(-counts // self.part_units) + more)
        begun = begun + self.ragged * np.where(counts <= self.row, 1, more)
        typical = self.typical_fixed + begun + self.typical_unit * counts
        return np.minimum(self.worst_each(counts), typical)

    @property
    def typical_slope(self) -> float:
        """Typical cycles that a unit adds to a large tile."""
        return self.typical_unit + self.part / self.part_units

    def _areas(self, count: int) -> int:
        return 1 if count % self.row == 0 or self.row % count == 0 else 2 + (count > self.row)

    def _areas_each(self, counts: Counts) -> Counts:
        whole = (counts % self.row == 0) | (self.row % counts == 0)
        return np.where(whole, 1, 2 + (counts > self.row))
