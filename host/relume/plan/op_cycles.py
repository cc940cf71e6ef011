"""What the tiles of one op cost in cycles, at worst and as they typically are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, overload

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

    @overload
    def worst(self, count: int) -> float: ...
    @overload
    def worst(self, count: Counts) -> Cycles: ...
    def worst(self, count: Any) -> Any:
        """Cycles of a tile of `count` units, at least 1, or of each of many, at worst."""
        return self.fixed + self.area * self._more_areas(count) + self.unit * count

    @overload
    def typical(self, count: int) -> float: ...
    @overload
    def typical(self, count: Counts) -> Cycles: ...
    def typical(self, count: Any) -> Any:
        """The same with the cache warm; never above the worst."""
        more = self._more_areas(count)
        begun = self.part * (-(-count // self.part_units) + more)
        begun = begun + self.ragged * ((count <= self.row) + (count > self.row) * more)
        typical = self.typical_fixed + begun + self.typical_unit * count
        return np.minimum(self.worst(count), typical)

    @property
    def typical_slope(self) -> float:
        """Typical cycles that a unit adds to a large tile."""
        return self.typical_unit + self.part / self.part_units

    def _more_areas(self, count: Any) -> Any:
        """Rectangles beyond the first: 0 of whole rows or equal parts of one, else 1 or 2."""
        return (count % self.row != 0) * (self.row % count != 0) * (1 + (count > self.row))


def worst_of(ops: Sequence[OpCycles], number: Counts, count: Counts) -> Cycles:
    """[n] cycles of tiles of `count` units of the ops with these numbers, at worst."""
    return _side_by_side(ops, number).worst(count)


def typical_of(ops: Sequence[OpCycles], number: Counts, count: Counts) -> Cycles:
    """The same with the cache warm."""
    return _side_by_side(ops, number).typical(count)


def _side_by_side(ops: Sequence[OpCycles], number: Counts) -> OpCycles:
    """Each figure an array [n]: what is said of one op holds of each."""
    figures: list[Any] = [
        np.array([getattr(op, figure.name) for op in ops])[number] for figure in fields(OpCycles)
    ]
    return OpCycles(*figures)
