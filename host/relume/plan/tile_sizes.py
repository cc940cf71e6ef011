"""How many units the tiles of an op have.

A tile costs a fixed part (rows listed, constants fetched) whatever its size, so large tiles are
cheap. But the tile that no longer fits at the end of a charge is lost, half of it on average, so
small tiles save too. With T the energy of all tiles of an op, each with a cold flash cache, w that
of one at its worst and `room` what boot and restore leave of a charge, T / (room - LOST w) charges
are used; the size with the least of them is taken, whole rows of the output where a row fits. An
op that takes little of a charge is one tile.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from relume.model.graph import PIXEL_KINDS, Graph
from relume.plan.costs import CostModel

MAX_TILES_PER_OP = 64
SMALL = 8  # ops of so many to a charge are one tile
LOST = 0.4  # of a tile, in each charge


def row_units(graph: Graph, number: int) -> int:
    """Units of one output row; 1 where rows mean nothing."""
    op = graph.ops[number]
    return graph.tensors[op.output].shape[1] if op.kind in PIXEL_KINDS else 1


def sizes(graph: Graph, number: int) -> list[int]:
    """Units of a tile that cut an op into up to MAX_TILES_PER_OP even pieces, rising."""
    return list(_sizes(graph.units(graph.ops[number]), row_units(graph, number)))


@functools.lru_cache(maxsize=256)
def _sizes(units: int, row: int) -> tuple[int, ...]:
    most = min(units, MAX_TILES_PER_OP)
    return tuple(sorted({_even(units, -(-units // n), row) for n in range(1, most + 1)}))


def _even(units: int, count: int, row: int) -> int:
    """`count` or a little more: whole rows from a row on."""
    return min(units, -(-count // row) * row) if count >= row else count


def finer(graph: Graph, number: int, size: int) -> int:
    """A size of about three quarters, at least 1."""
    row = row_units(graph, number)
    less = max(1, 3 * size // 4)
    return less - less % row if less >= row else less


def best_size(graph: Graph, costs: CostModel, number: int, room_uj: float, live: int) -> int:
    """Units of the tiles that use the fewest charges; where none fits, the finest.

    room_uj: of a charge for a tile and its commit, in which `live` bytes are live.
    """
    found = sizes(graph, number)
    prices = _charges(graph, costs, number, found, room_uj, live)
    if prices.min() == math.inf:
        return found[0]
    whole = costs.ops[number].worst(found[-1]) * costs.uj_per_cycle
    if SMALL * whole <= room_uj and prices[-1] < math.inf:
        return found[-1]
    return found[int(prices.argmin())]


def _charges(
    graph: Graph, costs: CostModel, number: int, found: list[int], room_uj: float, live: int
) -> npt.NDArray[np.float64]:
    """[sizes] charges that an op takes in tiles of these units; inf where one does not fit."""
    op, cycles = graph.ops[number], costs.ops[number]
    size = np.array(found)
    pieces, rest = np.divmod(graph.units(op), size)
    typical = cycles.typical(size) + cycles.cold
    left = cycles.typical(np.maximum(rest, 1)) + cycles.cold
    last = np.where(rest > 0, left, 0.0)
    written = (size * graph.unit_bytes(op)).astype(np.float64)
    commit = costs.commit_uj(written, np.ones(len(found)), np.full(len(found), float(live)))
    tile = cycles.worst(size) * costs.uj_per_cycle
    fits = tile + commit <= room_uj
    charges = (pieces * typical + last) * costs.uj_per_cycle
    return np.where(fits, charges / np.where(fits, room_uj - LOST * tile, 1.0), math.inf)
