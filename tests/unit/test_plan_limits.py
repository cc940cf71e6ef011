"""What fits a charge, a board, a second: limits that plans keep and refusals that say enough."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.errors import BoardError, PlanError
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan import commits
from relume.plan.behind import Behind, Spans
from relume.plan.commits import segment_ends
from relume.plan.costs import CostModel
from relume.plan.live import LiveMap
from relume.plan.planner import Budget, build_plan, make_plan, ring_bytes, smallest_capacitor
from relume.plan.tiles import TiledGraph, cut, tile_graph
from relume.plan.types import Plan
from relume.power.capacitor import E6, parse_capacitance

from tests.unit.plan_nets import BOARD, VOFF, VON, RandomNet, random_plan

SEEDS = st.integers(0, 2**32 - 1)
NVMS = st.sampled_from(("fram", "flash"))


def _need(plan: Plan, start: int, end: int) -> float:
    """Restore + tiles + commit of tiles [start, end), from the cost model alone."""
    costs = CostModel(plan.graph, BOARD, plan.nvm, plan.stages)
    live = LiveMap(plan.graph, plan.tiles)
    ranges = live.live(start)
    size = sum(stop - first for _, first, stop in ranges)
    total = costs.resume_uj(len(plan.tiles)) + costs.restore_uj(float(size), float(len(ranges)))
    copied = None  # a restore leaves no constants in SRAM
    for tile in plan.tiles[start:end]:
        total += costs.ops[tile.op].worst(tile.count) * costs.uj_per_cycle
        total += costs.stage_cycles(tile.op) * costs.uj_per_cycle * (tile.op != copied)
        copied = tile.op
    dirty = live.dirty(start, end)
    written = sum(stop - first for _, first, stop in dirty)
    kept = sum(stop - first for _, first, stop in live.live(end))
    return total + costs.commit_uj(float(written), float(len(dirty)), float(kept))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8), st.floats(1.0, 4.0), NVMS)
def test_every_segment_and_every_single_tile_fits_one_charge(
    seed: int, n_ops: int, slack: float, nvm: str
) -> None:
    plan = random_plan(seed, n_ops, slack, nvm)
    for segment in plan.segments:
        need = _need(plan, segment.start, segment.end)
        assert need == pytest.approx(segment.worst_uj, rel=1e-9)
        assert plan.boot_uj + need <= plan.charge_uj * (1 + 1e-9)
        assert need <= plan.worst_uj * (1 + 1e-9)
    for tile in range(len(plan.tiles)):
        assert plan.boot_uj + _need(plan, tile, tile + 1) <= plan.charge_uj * (1 + 1e-9)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8), st.floats(1.0, 4.0))
def test_tiles_and_segments_cover_everything_in_order(seed: int, n_ops: int, slack: float) -> None:
    plan = random_plan(seed, n_ops, slack)
    done = [0] * len(plan.graph.ops)
    for tile in plan.tiles:
        assert tile.count >= 1 and done[tile.op] == tile.first
        done[tile.op] += tile.count
    assert done == [plan.graph.units(op) for op in plan.graph.ops]
    edges = [0, *(segment.end for segment in plan.segments)]
    assert edges[-1] == len(plan.tiles)
    assert [segment.start for segment in plan.segments] == edges[:-1]
    assert all(a < b for a, b in itertools.pairwise(edges))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 3), st.floats(1.0, 4.0), st.sampled_from((20_000_000, 100_000)))
def test_commits_are_the_cheapest_of_all_placements(
    seed: int, n_ops: int, slack: float, hz: int
) -> None:
    graph = RandomNet(seed, 5).graph(n_ops)
    counts = [-(-graph.units(op) // 2) for op in graph.ops]
    assert BOARD.fram is not None
    slow = replace(BOARD, fram=replace(BOARD.fram, hz=hz))
    costs = CostModel(graph, slow, "fram")
    tiled = _tiled(graph, costs, cut(graph, counts))
    n_tiles = len(tiled.tiles)
    charge = costs.boot_uj + slack * max(_edge(costs, tiled, t, t + 1)[0] for t in range(n_tiles))
    found = _path_cost(costs, tiled, charge, segment_ends(costs, tiled, charge))
    inner = range(1, n_tiles)
    every = [
        _path_cost(costs, tiled, charge, [*ends, n_tiles])
        for size in range(n_tiles)
        for ends in itertools.combinations(inner, size)
    ]
    assert found == pytest.approx(min(every), rel=1e-9)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 5), st.floats(1.0, 8.0), st.integers(1, 20))
def test_commits_are_the_same_however_many_segments_are_looked_at_together(
    seed: int, n_ops: int, slack: float, together: int
) -> None:
    graph = RandomNet(seed, 6).graph(n_ops)
    costs = CostModel(graph, BOARD, "fram")
    tiled = _tiled(graph, costs, cut(graph, [-(-graph.units(op) // 4) for op in graph.ops]))
    need = max(_edge(costs, tiled, tile, tile + 1)[0] for tile in range(len(tiled.tiles)))
    charge = costs.boot_uj + slack * need
    ends = segment_ends(costs, tiled, charge)
    with patch.object(commits, "SPANS", together):
        assert segment_ends(costs, tiled, charge) == ends


def _tiled(graph: Graph, costs: CostModel, tiles: tuple) -> TiledGraph:  # type: ignore[type-arg]
    live = LiveMap(graph, tiles)
    energy = [costs.ops[t.op].worst(t.count) * costs.uj_per_cycle for t in tiles]
    restore = costs.resume_uj(len(tiles)) + costs.restore_uj(
        live.live_bytes.astype(np.float64), live.live_ranges.astype(np.float64)
    )
    return TiledGraph(tiles, live, np.array(energy), restore, np.zeros(len(tiles)))


def _edge(costs: CostModel, tiled: TiledGraph, start: int, end: int) -> tuple[float, float, float]:
    """(need, work, commit) of one segment."""
    dirty = tiled.live.dirty(start, end)
    written = sum(stop - first for _, first, stop in dirty)
    live = float(tiled.live.live_bytes[end])
    commit = costs.commit_uj(float(written), float(len(dirty)), live)
    work = float(tiled.tile_uj[start:end].sum())
    return float(tiled.restore_uj[start]) + work + commit, work, commit


def _path_cost(costs: CostModel, tiled: TiledGraph, charge: float, ends: list[int]) -> float:
    """Commits plus expected re-execution; inf where a segment does not fit."""
    usable, total = charge - costs.boot_uj, 0.0
    behind = Behind(costs, tiled)
    for start, end in itertools.pairwise([0, *ends]):
        need, _, _ = _edge(costs, tiled, start, end)
        if need > usable * (1 + 1e-12):
            return float("inf")
        spans = Spans.to(end, start)
        dirty, ranges = tiled.live.dirty_totals(spans.start, spans.end)
        commit = float(behind.commit_uj(spans, dirty * 1.0, ranges * 1.0)[0])
        restore, tiles = float(tiled.restore_uj[start]), tiled.tiles[start:end]
        work = sum(costs.ops[t.op].typical(t.count) for t in tiles) * costs.uj_per_cycle
        cut_share = min(1.0, (work + commit) / (usable - restore))
        total += commit + cut_share * (0.5 * (work + commit) + restore)
    return total


@settings(max_examples=25, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8), NVMS)
def test_the_smallest_capacitor_suffices_and_the_e6_value_below_does_not(
    seed: int, n_ops: int, nvm: str
) -> None:
    graph = RandomNet(seed).graph(n_ops)
    cap_f = smallest_capacitor(graph, BOARD, VON, VOFF, nvm)
    make_plan(graph, BOARD, Budget(cap_f, VON, VOFF), nvm)
    decade = 10.0 ** np.floor(np.log10(cap_f) + 1e-9)
    step = min(range(6), key=lambda n: abs(E6[n] - cap_f / decade))
    assert cap_f == pytest.approx(E6[step] * decade)
    below = E6[step - 1] * decade / (10 if step == 0 else 1)
    with pytest.raises(PlanError, match="use at least"):
        make_plan(graph, BOARD, Budget(below, VON, VOFF), nvm)


def test_a_refusal_names_layer_energy_and_a_capacitor_that_works() -> None:
    graph = _heavy_graph(pixels=4)
    with pytest.raises(PlanError) as refusal:
        make_plan(graph, BOARD, _just_too_small(graph))
    text = str(refusal.value)
    assert "\n" not in text and "mJ" in text
    match = re.search(r"use at least (\d+) uF \(E6: ([\d.]+ [um]F)\)", text)
    assert match is not None
    make_plan(graph, BOARD, Budget(float(match[1]) * 1e-6, VON, VOFF))
    make_plan(graph, BOARD, Budget(parse_capacitance(match[2]), VON, VOFF))


def test_a_layer_too_big_for_a_charge_is_named() -> None:
    with pytest.raises(PlanError, match=r"op 5, layer heavy, CONV_2D: its smallest tile needs"):
        make_plan(_heavy_graph(pixels=1), BOARD, _just_too_small(_heavy_graph(pixels=1)))


def _just_too_small(graph: Graph) -> Budget:
    exact = smallest_capacitor(graph, BOARD, VON, VOFF, "fram", "exact")
    return Budget(exact * 0.99, VON, VOFF)


def _heavy_graph(pixels: int) -> Graph:
    """One convolution of 262144 MACs a pixel."""
    op = Op(
        Kind.CONV_2D, "heavy", (0,), 1, 5, Window(8, 8, 1, 1, 0, 0, 1, 1),
        weights=np.zeros((64, 8, 8, 64), np.int8),
        multipliers=np.full(64, 1 << 30, np.int32), shifts=np.zeros(64, np.int8),
    )  # fmt: skip
    source = Tensor("in", (8, 7 + pixels, 64), 0.5, 0)
    return Graph("heavy", (source, Tensor("out", (1, pixels, 64), 0.5, 0)), (op,), 0, 1)


def _dense_graph(inputs: int, outputs: int) -> Graph:
    op = Op(
        Kind.FULLY_CONNECTED, "wide", (0,), 1, 7, weights=np.zeros((outputs, inputs), np.int8),
        multipliers=np.full(outputs, 1 << 30, np.int32), shifts=np.zeros(outputs, np.int8),
    )  # fmt: skip
    tensors = (Tensor("in", (1, 1, inputs), 0.5, 0), Tensor("out", (1, 1, outputs), 0.5, 0))
    return Graph("dense", tensors, (op,), 0, 1)


def test_a_tile_that_is_too_big_is_cut_down_to_one_unit_before_the_plan_is_refused() -> None:
    graph = _heavy_graph(pixels=6)
    exact = smallest_capacitor(graph, BOARD, VON, VOFF, "fram", "exact")
    plan = make_plan(graph, BOARD, Budget(exact, VON, VOFF))
    assert {tile.count for tile in plan.tiles} == {1}


def test_a_model_too_large_for_the_sram_is_refused_with_its_peak() -> None:
    tensors = tuple(Tensor(f"t{n}", (190, 100, 10), 0.5, 0) for n in range(3))
    ops = tuple(Op(Kind.RESHAPE, f"copy{n}", (n,), n + 1, n) for n in range(2))
    graph = Graph("big", tensors, ops, 0, 2)
    assert BOARD.fram is not None
    roomy = replace(BOARD, fram=replace(BOARD.fram, size=1 << 20))
    with pytest.raises(PlanError, match=r"needs 19\d+ bytes of SRAM.*180000.*copy0.*19\d+"):
        make_plan(graph, roomy, Budget(0.1, VON, VOFF))


def test_a_blob_larger_than_its_region_is_refused() -> None:
    graph = _dense_graph(inputs=30000, outputs=40)
    with pytest.raises(PlanError, match=r"the blob of 12\d+ bytes does not fit"):
        make_plan(graph, BOARD, Budget(0.1, VON, VOFF))


def test_homes_that_do_not_fit_even_shared_are_refused() -> None:
    assert BOARD.fram is not None
    small = replace(BOARD, fram=replace(BOARD.fram, size=512))
    graph = _dense_graph(inputs=400, outputs=4)
    with pytest.raises(PlanError, match=r"tensors need 404 bytes of fram, RPI_PICO has 256"):
        make_plan(graph, small, Budget(0.1, VON, VOFF))


def test_flash_refuses_a_capacitor_that_cannot_erase_a_sector() -> None:
    graph = _dense_graph(inputs=64, outputs=4)
    with pytest.raises(PlanError, match=r"erasing one flash sector needs .* use at least"):
        make_plan(graph, BOARD, Budget(2.2e-3, VON, VOFF), "flash")


def test_flash_segments_count_the_whole_live_set() -> None:
    plan = random_plan(3, 6, 1.0, "flash")
    live = LiveMap(plan.graph, plan.tiles)
    for segment in plan.segments:
        assert segment.commit_bytes == live.live_bytes[segment.end]
    assert plan.nvm_size >= live.live_bytes.max()


def test_flash_ring_holds_the_newest_commit_and_the_next_beside_an_erase() -> None:
    # (live bytes, sectors): a record page behind ceil(live / 255) data pages, 15 pages a sector.
    for live, sectors in ((0, 3), (14 * 255, 3), (14 * 255 + 1, 4), (29 * 255, 5)):
        assert ring_bytes(live) == sectors * 4096


def test_an_unknown_or_absent_nvm_is_refused() -> None:
    graph = _dense_graph(inputs=16, outputs=4)
    with pytest.raises(BoardError, match="unknown NVM tape"):
        make_plan(graph, BOARD, Budget(0.1, VON, VOFF), "tape")
    with pytest.raises(BoardError, match="has no fram"):
        make_plan(graph, replace(BOARD, fram=None), Budget(0.1, VON, VOFF))


def test_a_supply_above_the_boards_limit_is_refused() -> None:
    with pytest.raises(PlanError, match=r"takes at most 5\.5 V"):
        make_plan(_dense_graph(16, 4), BOARD, Budget(0.1, 6.0, VOFF))


def test_build_plan_lists_every_memory_problem() -> None:
    assert BOARD.fram is not None
    small = replace(BOARD, fram=replace(BOARD.fram, size=512), heap_bytes=100)
    _, problems = build_plan(_dense_graph(400, 4), small, Budget(0.1, VON, VOFF))
    assert len(problems) == 2 and "fram" in problems[0] and "SRAM" in problems[1]


def test_a_larger_capacitor_never_needs_more_commits_for_the_same_tiles() -> None:
    graph = RandomNet(11).graph(8)
    costs = CostModel(graph, BOARD, "fram")
    tiled = tile_graph(graph, costs, Budget(2.2e-3, VON, VOFF).charge_uj)
    counts = [
        len(segment_ends(costs, tiled, Budget(cap, VON, VOFF).charge_uj))
        for cap in (2.2e-3, 10e-3, 100e-3)
    ]
    assert counts == sorted(counts, reverse=True)


def test_a_thousand_ops_are_planned_in_seconds() -> None:
    graph = RandomNet(5, 9).graph(1000)
    began = time.process_time()
    plan = make_plan(graph, BOARD, Budget(0.02, VON, VOFF))
    assert time.process_time() - began < 10
    assert len(plan.graph.ops) >= 1000
