"""What a sequence of tiles typically takes: warm cache, constants fetched where an op begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relume.plan.costs import CostModel
from relume.plan.op_cycles import typical_of
from relume.plan.tiles import FloatArray
from relume.plan.types import Tile


@dataclass(frozen=True, eq=False)
class TypicalCycles:
    """work [n]: of each tile, with what its op begins with if it is the op's first in a row.
    again [n + 1]: of each boundary, what the next tile's op begins with once more if the power is
    cut there; 0 where it begins anyhow."""

    work: FloatArray
    again: FloatArray


def typical_cycles(costs: CostModel, tiles: Sequence[Tile]) -> TypicalCycles:
    """Of tiles in their order, in core cycles."""
    op, count = np.array([(tile.op, tile.count) for tile in tiles]).T
    tile = typical_of(costs.ops, op, count)
    begin = np.array([costs.begin_cycles(number) for number in range(len(costs.ops))])[op]
    begins = np.concatenate(([True], op[1:] != op[:-1]))
    return TypicalCycles(tile + begin * begins, np.append(begin * ~begins, 0.0))
