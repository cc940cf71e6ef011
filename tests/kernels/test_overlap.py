"""Outputs over dead rows of their inputs: the same bytes as with tensors kept apart.

SECURITY B1.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.tflite_reader import read_tflite
from relume.plan.arena import place_sram
from relume.plan.live import LiveMap
from relume.plan.planner import Budget, make_plan
from relume.plan.scratch import op_scratch
from relume.plan.types import Plan

from tests import native
from tests.kernels import netgen, oracle
from tests.unit.plan_nets import random_tiles

SEEDS = range(40)
CORES = ("portable", "m0plus", "m4")


@functools.cache
def plans(seed: int, core: str) -> tuple[Plan, Plan]:
    """(tensors kept apart, overlapped) plans of one net with the same tiles."""
    graph = read_tflite(netgen.random_net(seed))
    board = replace(load_board("RPI_PICO"), core=core)
    plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), apart=True, staging=False)
    tiles = random_tiles(graph, seed) if seed % 2 else oracle.random_tiles(graph, seed)
    segments = (replace(plan.segments[0], start=0, end=len(tiles)),)
    plan = replace(plan, tiles=tiles, segments=segments)
    live = LiveMap(graph, tiles)
    both = []
    for apart in (True, False):
        sram = place_sram(graph, live, tiles, core, apart=apart)
        changes = {field: getattr(sram, field) for field in sram.__dataclass_fields__}
        both.append(replace(plan, **changes))
    return both[0], both[1]


def shares_bytes(plan: Plan) -> bool:
    """Does an output lie over an input of its op?"""
    at, tensors = plan.arena_off, plan.graph.tensors
    return any(
        at[op.output] < at[t] + tensors[t].size and at[t] < at[op.output] + tensors[op.output].size
        for op in plan.graph.ops
        for t in op.inputs
    )


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", SEEDS)
def test_live_bytes_at_every_boundary_are_those_of_tensors_kept_apart(
    seed: int, core: str
) -> None:
    apart, overlapped = plans(seed, core)
    graph, live = apart.graph, LiveMap(apart.graph, apart.tiles)
    data = oracle.random_input(graph.tensors[graph.input].size, seed)
    runs = [native.accepted(pack(plan)).arenas(data) for plan in (apart, overlapped)]
    for boundary, (kept, shared) in enumerate(zip(*runs, strict=True)):
        for tensor, lo, end in live.live(boundary):
            a, b = apart.arena_off[tensor], overlapped.arena_off[tensor]
            assert kept[a + lo : a + end] == shared[b + lo : b + end], f"boundary {boundary}"


def test_most_random_nets_do_share_bytes() -> None:
    assert sum(shares_bytes(plans(seed, "portable")[1]) for seed in SEEDS) > len(SEEDS) // 2
    assert not any(shares_bytes(plans(seed, "portable")[0]) for seed in SEEDS)


@pytest.mark.parametrize("core", CORES)
def test_sanitizers_find_nothing_in_overlapped_plans(core: str) -> None:
    cases, wanted = [], []
    for seed in SEEDS:
        apart, overlapped = plans(seed, core)
        size = apart.graph.tensors[apart.graph.input].size
        data = oracle.random_input(size, seed)
        checked = native.accepted(pack(apart))
        cases.append((pack(overlapped), data))
        wanted.append(native.finished(checked, checked.run(data)))
    for program in native.runners():
        outcomes = native.run_program(program, cases)
        assert [outcome.data for outcome in outcomes] == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_an_output_over_its_input_is_refused_just_where_a_tile_meets_what_it_reads(
    seed: int,
) -> None:
    apart, _ = plans(seed, "portable")
    random = np.random.default_rng(seed)
    op = apart.graph.ops[int(random.integers(len(apart.graph.ops)))]
    offsets = list(apart.arena_off)
    offsets[op.output] = offsets[op.inputs[0]]
    size = max(at + t.size for at, t in zip(offsets, apart.graph.tensors, strict=True))
    moved = replace(apart, arena_off=tuple(offsets), arena_size=-(-size // 16) * 16)
    checked = native.accepted(pack(apart))
    status, fault, _ = native.check(pack(moved))
    spans = [used_by(moved, checked, number) for number in range(len(moved.tiles))]
    if any(meet(own, other) for own, *others in spans for other in others):
        assert (status, fault.what) == ("RL_E_PLAN", "tile writes over what it reads")
    else:
        assert status == "RL_OK"


def meet(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Do two ranges share a byte?"""
    return max(a[0], b[0]) < min(a[1], b[1])


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", SEEDS[:20])
def test_scratch_memory_is_refused_just_where_the_tile_reads_or_writes(
    seed: int, core: str
) -> None:
    _, plan = plans(seed, core)
    random = np.random.default_rng(seed)
    checked = native.accepted(pack(plan))
    for number, tile in enumerate(plan.tiles):
        size = op_scratch(plan.graph, core, plan.graph.ops[tile.op])
        if size == 0:
            continue
        places = list(plan.scratch_off)
        places[number] = 16 * int(random.integers(plan.arena_size // 16))
        moved = replace(plan, scratch_off=tuple(places), scratch_size=1 << 16)
        status, fault, _ = native.check(pack(moved))
        used = used_by(plan, checked, number)
        if any(places[number] < end and at < places[number] + size for at, end in used):
            assert status == "RL_E_PLAN" and "scratch memory" in fault.what
        else:
            assert status == "RL_OK"


def used_by(plan: Plan, checked: native.Checked, number: int) -> list[tuple[int, int]]:
    """Parts of the arena that a tile reads and writes."""
    tile = plan.tiles[number]
    op = plan.graph.ops[tile.op]
    start = plan.arena_off[op.output]
    width = plan.graph.unit_bytes(op)
    end = tile.first + tile.count
    spans = [(start + tile.first * width, start + end * width)]
    for which, tensor in enumerate(op.inputs):
        at = plan.arena_off[tensor]
        low = checked.need(tile.op, which, tile.first)
        spans.append((at + low, at + checked.reach(tile.op, which, end - 1)))
    return [span for span in spans if span[0] < span[1]]
