"""What the tiles of one op cost in cycles, at worst and as they typically are."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def typical_slope(self) -> float:
        """Typical cycles that a unit adds to a large tile."""
        return self.typical_unit + self.part / self.part_units

    def _areas(self, count: int) -> int:
        return 1 if count % self.row == 0 or self.row % count == 0 else 2 + (count > self.row)
