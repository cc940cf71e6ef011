"""Outputs over dead rows of their inputs: the same bytes as with tensors kept apart."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.arena import place_arena
from relume.plan.live import LiveMap
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan

from tests import native
from tests.kernels import netgen, oracle

SEEDS = range(40)
CORES = ("portable", "m0plus", "m4")


@functools.cache
def plans(seed: int, core: str) -> tuple[Plan, Plan]:
    """(tensors kept apart, overlapped) plans of one net with the same tiles."""
    graph = read_tflite(netgen.random_net(seed))
    board = replace(load_board("RPI_PICO"), core=core)
    plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), apart=True, staging=False)
    tiles = oracle.random_tiles(graph, seed)
    segments = (replace(plan.segments[0], start=0, end=len(tiles)),)
    plan = replace(plan, tiles=tiles, segments=segments)
    offsets, size = place_arena(graph, LiveMap(graph, tiles))
    return plan, replace(plan, arena_off=offsets, arena_size=size)


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
def test_the_checker_refuses_a_tile_that_writes_over_what_it_reads(seed: int) -> None:
    _, plan = plans(seed, "portable")
    random = np.random.default_rng(seed)
    # A GATHER that begins farther on in its input may lie over it.
    ops = [op for op in plan.graph.ops if op.kind is not Kind.GATHER or op.p[0] == 0]
    op = ops[int(random.integers(len(ops)))]
    offsets = list(plan.arena_off)
    offsets[op.output] = offsets[op.inputs[0]]
    size = max(at + t.size for at, t in zip(offsets, plan.graph.tensors, strict=True))
    hostile = replace(plan, arena_off=tuple(offsets), arena_size=-(-size // 16) * 16)
    status, fault, _ = native.check(pack(hostile))
    assert (status, fault.what[:16]) == ("RL_E_PLAN", "tile writes over")
