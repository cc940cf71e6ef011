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
from relume.plan.op_cycles import typical_of, worst_of

IntArray = npt.NDArray[np.int64]

MAX_TILES_PER_OP = 64
SMALL = 8  # ops of so many to a charge are one tile
LOST = 0.4  # of a tile, in each charge


def row_units(graph: Graph, number: int) -> int:
    """Units of one output row; 1 where rows mean nothing."""
    op = graph.ops[number]
    return graph.tensors[op.output].shape[1] if op.kind in PIXEL_KINDS else 1


def sizes(graph: Graph, number: int) -> list[int]:
    """Units of a tile that cut an op into up to MAX_TILES_PER_OP even pieces, rising."""
    found: list[int] = _sizes(graph.units(graph.ops[number]), row_units(graph, number)).tolist()
    return found


@functools.lru_cache(maxsize=256)
def _sizes(units: int, row: int) -> IntArray:
    most = min(units, MAX_TILES_PER_OP)
    return np.array(sorted({_even(units, -(-units // n), row) for n in range(1, most + 1)}))


def _even(units: int, count: int, row: int) -> int:
    """`count` or a little more: whole rows from a row on."""
    return min(units, -(-count // row) * row) if count >= row else count


def finer(graph: Graph, number: int, size: int) -> int:
    """A size of about three quarters, at least 1."""
    row = row_units(graph, number)
    less = max(1, 3 * size // 4)
    return less - less % row if less >= row else less


def best_sizes(
    graph: Graph, costs: CostModel, room_uj: npt.NDArray[np.float64], live: IntArray
) -> list[int]:
    """Of each op: units of the tiles that use the fewest charges; where none fits, the finest.

    room_uj [ops]: of a charge for a tile and its commit, in which `live` bytes [ops] are live.
    """
    tried = [_sizes(graph.units(op), row_units(graph, n)) for n, op in enumerate(graph.ops)]
    number = np.repeat(np.arange(len(tried)), [len(found) for found in tried])
    size = np.concatenate(tried)
    prices = _charges(graph, costs, number, size, room_uj[number], live[number])
    most = np.array([found[-1] for found in tried])
    whole = worst_of(costs.ops, np.arange(len(tried)), most) * costs.uj_per_cycle
    small = SMALL * whole <= room_uj
    best, at = [], 0
    for n, found in enumerate(tried):
        price = prices[at : at + len(found)]
        at += len(found)
        one_tile = small[n] and price[-1] < math.inf
        best.append(int(found[-1] if one_tile else found[price.argmin()]))
    return best


def _charges(
    graph: Graph,
    costs: CostModel,
    number: IntArray,
    size: IntArray,
    room_uj: npt.NDArray[np.float64],
    live: IntArray,
) -> npt.NDArray[np.float64]:
    """[n] charges that each op takes in tiles of that size; inf where one does not fit."""
    units = np.array([graph.units(op) for op in graph.ops])[number]
    unit_bytes = np.array([graph.unit_bytes(op) for op in graph.ops])[number]
    cold = np.array([cycles.cold for cycles in costs.ops])[number]
    pieces, rest = np.divmod(units, size)
    typical = typical_of(costs.ops, number, size) + cold
    left = typical_of(costs.ops, number, np.maximum(rest, 1)) + cold
    last = np.where(rest > 0, left, 0.0)
    written = (size * unit_bytes).astype(np.float64)
    commit = costs.commit_uj(written, np.ones(len(size)), live.astype(np.float64))
    tile = worst_of(costs.ops, number, size) * costs.uj_per_cycle
    fits = tile + commit <= room_uj
    charges = (pieces * typical + last) * costs.uj_per_cycle
    return np.where(fits, charges / np.where(fits, room_uj - LOST * tile, 1.0), math.inf)
