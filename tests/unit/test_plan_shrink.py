"""Tile orders by bands, and plans that the search for less SRAM has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.errors import PlanError
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan import memory, shrink
from relume.plan.depth_first import Run, ordered
from relume.plan.live import LiveMap
from relume.plan.planner import Budget, make_plan, sram_bytes
from relume.plan.types import Plan, Tile

from tests import native
from tests.shared import model_file, model_input, shared_file
from tests.unit.plan_nets import RandomNet, bytes_read, random_plan

SEEDS = st.integers(0, 2**32 - 1)


def random_runs(n_ops: int, random: np.random.Generator) -> list[Run]:
    """Runs of up to four ops, some ops in none."""
    runs, first = [], 0
    while first < n_ops - 1:
        last = min(n_ops - 1, first + int(random.integers(0, 4)))
        if last > first:
            runs.append(Run(first, last, int(random.integers(1, 4))))
        first = last + 1
    return runs


def check_order(graph: Graph, tiles: tuple[Tile, ...]) -> None:
    """Each op covered once and in order, nothing read that is not finished."""
    finished = {graph.input: graph.tensors[graph.input].size}
    done = [0] * len(graph.ops)
    for tile in tiles:
        op = graph.ops[tile.op]
        assert tile.first == done[tile.op]
        done[tile.op] += tile.count
        for unit in range(tile.first, done[tile.op]):
            assert all(byte < finished.get(t, 0) for t, byte in bytes_read(graph, op, unit))
        finished[op.output] = done[tile.op] * graph.unit_bytes(op)
    assert done == [graph.units(op) for op in graph.ops]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 9))
def test_bands_cover_every_op_and_read_what_is_finished(seed: int, n_ops: int) -> None:
    random = np.random.default_rng(seed)
    graph = RandomNet(seed, 6).graph(n_ops)
    counts = [int(random.integers(1, graph.units(op) + 1)) for op in graph.ops]
    tiles = ordered(graph, counts, random_runs(len(graph.ops), random))
    assert all(tile.count <= counts[tile.op] for tile in tiles)
    check_order(graph, tiles)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(SEEDS, st.integers(2, 7), st.sampled_from((1.0, 1.3, 4.0)))
def test_smaller_plans_still_fit_the_charge_and_never_need_more(
    seed: int, n_ops: int, slack: float
) -> None:
    plain = random_plan(seed, n_ops, slack, staging=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shrink, "WORTH", 0)
        patch.setattr(memory, "PRICE", 1.0)
        plan = random_plan(seed, n_ops, slack, staging=False)
    check_order(plan.graph, plan.tiles)
    assert sram(plan) <= sram(plain)
    assert max(segment.worst_uj for segment in plan.segments) + plan.boot_uj <= plan.charge_uj
    assert LiveMap(plan.graph, plan.tiles).n_tiles == plan.segments[-1].end


def sram(plan: Plan) -> int:
    """Tensors and scratch memory."""
    return plan.arena_size + plan.scratch_size


LIMITS = {"kws": 16_000, "vww": 40_000, "ic": 49_152}


@pytest.mark.parametrize("name", LIMITS)
def test_a_real_model_fits_its_memory_and_gives_the_published_output(name: str) -> None:
    graph = without_dead_channels(read_tflite(model_file(name)))
    budget = Budget(2.2e-3, 5.0, 1.8)
    plan = make_plan(graph, load_board("RPI_PICO"), budget)
    assert sram(plan) <= LIMITS[name]
    assert plan.price <= memory.PRICE
    output = native.accepted(pack(plan)).run(model_input(name))[graph.output]
    assert output == shared_file(f"models/mlperf_tiny/{name}.output.bin").read_bytes()


def test_a_board_short_of_memory_gets_finer_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PRICE", -1.0)  # so that only a lack of memory is a reason
    graph = without_dead_channels(read_tflite(model_file("kws")))
    board, budget = load_board("RPI_PICO"), Budget(1.0, 5.0, 1.8)
    roomy = sram_bytes(make_plan(graph, board, budget))
    short = replace(board, heap_bytes=roomy - 1500)
    assert sram_bytes(make_plan(graph, short, budget)) <= roomy - 1500
    with pytest.raises(PlanError, match="the peak is op"):
        make_plan(graph, replace(board, heap_bytes=8000), budget)
