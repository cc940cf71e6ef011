"""Typical cycles: never above the worst, near what the kernels were counted to take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.board.profile import load_board
from relume.model.graph import Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import CostModel
from relume.plan.op_cycles import typical_of, worst_of
from relume.plan.tiles import cut
from relume.plan.typical import typical_cycles

from tests.shared import ROOT, model_file
from tests.unit.plan_nets import RandomNet
from tests.unit.sim_nets import conv_net

COUNTED: dict[str, int] = json.loads(Path(ROOT / "tests/kernels/cycles.json").read_text())[
    "m0plus"
]
PICO = load_board("RPI_PICO")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["portable", "m0plus", "m4"]), st.data())
def test_no_tile_typically_takes_more_than_at_worst(
    seed: int, core: str, data: st.DataObject
) -> None:
    graph = RandomNet(seed).graph(4)
    board = load_board("RPI_PICO2") if core == "m4" else replace(PICO, core=core)
    costs = CostModel(graph, board, "fram")
    for number, op in enumerate(graph.ops):
        count = data.draw(st.integers(1, graph.units(op)))
        cycles = costs.ops[number]
        assert 0 < cycles.typical(count) <= cycles.worst(count)
        assert cycles.typical(1) <= cycles.typical(graph.units(op)) + 1e-6


def test_constants_are_fetched_where_an_op_begins_and_behind_a_cut() -> None:
    graph = conv_net(2)
    costs = CostModel(graph, PICO, "fram")
    tiles = cut(graph, [-(-graph.units(op) // 3) for op in graph.ops])
    made = typical_cycles(costs, tiles)
    warm = [costs.ops[tile.op].typical(tile.count) for tile in tiles]
    cold = [costs.begin_cycles(number) for number in (0, 1)]
    assert min(cold) > 0 and [tile.op for tile in tiles] == [0, 0, 0, 1, 1, 1]
    assert np.allclose(made.work - warm, [cold[0], 0, 0, cold[1], 0, 0])
    assert np.allclose(made.again, [0, cold[0], cold[0], 0, cold[1], cold[1], 0])


@pytest.mark.parametrize("name", ["kws", "ic"])
def test_layers_of_real_networks_typically_take_what_was_counted(name: str) -> None:
    """One tile an op, code and data in SRAM (cycles.json), within 5 %; the worst case is not.

    Visual wake words was counted with its dead channels, which no plan has."""
    graph = read_tflite(model_file(name))
    costs = CostModel(graph, PICO, "fram")
    rows = {"conv_fc": (Kind.CONV_2D, Kind.FULLY_CONNECTED), "dw": (Kind.DEPTHWISE_CONV_2D,)}
    counted = sum(COUNTED.get(f"{name}_{row}", 0) for row in rows)
    mine = [op for op in graph.ops if any(op.kind in kinds for kinds in rows.values())]
    typical = sum(costs.kernel_cycles(op).typical(graph.units(op)) for op in mine)
    worst = sum(costs.kernel_cycles(op).worst(graph.units(op)) for op in mine)
    assert typical == pytest.approx(counted, rel=0.05)
    assert worst > 1.3 * counted


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["portable", "m0plus"]))
def test_tiles_of_many_sizes_at_once_take_what_each_takes(seed: int, core: str) -> None:
    graph = RandomNet(seed).graph(4)
    for number, cycles in enumerate(CostModel(graph, replace(PICO, core=core), "fram").ops):
        counts = np.arange(1, min(graph.units(graph.ops[number]), 300) + 1)
        each = [(cycles.worst(int(one)), cycles.typical(int(one))) for one in counts]
        assert cycles.worst(counts).tolist() == [worst for worst, _ in each]
        assert cycles.typical(counts).tolist() == [typical for _, typical in each]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["portable", "m0plus"]))
def test_tiles_of_many_ops_at_once_take_what_each_takes(seed: int, core: str) -> None:
    graph = RandomNet(seed).graph(6)
    ops = CostModel(graph, replace(PICO, core=core), "fram").ops
    random = np.random.default_rng(seed)
    number = random.integers(0, len(ops), 200)
    count = random.integers(1, 400, 200)
    pairs = list(zip(number.tolist(), count.tolist(), strict=True))
    assert worst_of(ops, number, count).tolist() == [ops[n].worst(one) for n, one in pairs]
    assert typical_of(ops, number, count).tolist() == [ops[n].typical(one) for n, one in pairs]
