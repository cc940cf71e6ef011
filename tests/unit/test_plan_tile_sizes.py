"""Tile sizes: the fewest charges, and what limits them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.board.profile import load_board
from relume.model.dead import without_dead_channels
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import CostModel
from relume.plan.op_cycles import OpCycles
from relume.plan.tile_sizes import (
    LOST,
    MAX_TILES_PER_OP,
    SMALL,
    best_sizes,
    finer,
    row_units,
    sizes,
)
from relume.plan.tiles import tile_graph
from relume.power.capacitor import Budget

from tests.shared import model_file
from tests.unit.plan_nets import BOARD, VOFF, VON, RandomNet
from tests.unit.sim_nets import conv_net

GRAPH = conv_net(1, side=32)


def _costs(fixed: float, unit: float) -> CostModel:
    """Every op with the same cycles, worst as typical."""
    costs = CostModel(GRAPH, BOARD, "fram")
    costs.ops = tuple(OpCycles(fixed, unit, fixed, unit) for _ in costs.ops)
    return costs


def _best(fixed: float, unit: float, charge: float) -> int:
    """Units of a tile, for an op of 32 rows of 32 units; charge in cycles, commits free."""
    costs = _costs(fixed, unit)
    costs.commit_uj = lambda dirty, ranges, live: 0.0 * dirty  # type: ignore[assignment]
    n_ops = len(GRAPH.ops)
    room = np.full(n_ops, charge * costs.uj_per_cycle)
    return best_sizes(GRAPH, costs, room, np.zeros(n_ops, dtype=np.int64))[0]


def test_tiles_without_a_fixed_part_are_the_finest() -> None:
    assert _best(0.0, 1.0, 2000.0) == sizes(GRAPH, 0)[0] == 1024 // MAX_TILES_PER_OP


def test_a_large_fixed_part_makes_tiles_large() -> None:
    """What they cost was spent once a pixel when a tile was at most an eighth of a charge."""
    assert _best(500.0, 1.0, 2000.0) == 1024
    assert _best(500.0, 1.0, 1200.0) == 512


@given(st.floats(0.0, 400.0), st.floats(300.0, 4000.0))
@settings(deadline=None)
def test_the_size_is_that_of_the_fewest_charges(fixed: float, charge: float) -> None:
    def charges(size: int) -> float:
        whole, rest = divmod(1024, size)
        spent = whole * (fixed + size) + (fixed + rest if rest else 0.0)
        return spent / (charge - LOST * (fixed + size))

    fits = [size for size in sizes(GRAPH, 0) if fixed + size <= charge]
    if fits:
        assert charges(_best(fixed, 1.0, charge)) <= min(map(charges, fits)) * (1 + 1e-9)


def test_an_op_that_is_small_against_a_charge_is_one_tile() -> None:
    assert _best(0.0, 1.0, SMALL * 1024.0) == 1024
    assert _best(0.0, 1.0, SMALL * 1024.0 - 1) < 1024


def test_where_no_tile_fits_the_finest_is_tried() -> None:
    assert _best(10.0, 1.0, 20.0) == sizes(GRAPH, 0)[0]


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_sizes_are_whole_rows_from_a_row_on_and_few(seed: int) -> None:
    graph = RandomNet(seed).graph(5)
    for number, op in enumerate(graph.ops):
        units, row = graph.units(op), row_units(graph, number)
        found = sizes(graph, number)
        assert found == sorted(set(found)) and found[-1] == units
        assert all(size % row == 0 or size < row or size == units for size in found)
        assert all(-(-units // size) <= MAX_TILES_PER_OP for size in found)
        size = units
        while size > 1:
            less = finer(graph, number, size)
            assert 1 <= less < size and (less < row or less % row == 0)
            size = less


def test_the_reference_models_need_fewer_cycles_in_small_charges() -> None:
    """At worst; with tiles of an eighth of a charge it was 277 and 811 ms."""
    board = load_board("RPI_PICO")
    for name, cap_uf, most_ms in (("kws", 220, 170), ("ic", 470, 500)):
        graph = without_dead_channels(read_tflite(model_file(name)))
        costs = CostModel(graph, board, "fram")
        tiled = tile_graph(graph, costs, Budget(cap_uf * 1e-6, VON, VOFF).charge_uj)
        cycles = sum(costs.ops[tile.op].worst(tile.count) for tile in tiled.tiles)
        assert cycles / board.hz * 1e3 <= most_ms, name
