"""What the board counts with is never cheaper than what the planner counted with."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from relume.blob import format as fmt
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import CostModel
from relume.plan.live import LiveMap
from relume.plan.pace import pace_of
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan

from tests.kernels.netgen import random_net
from tests.powercut.plans import random_plan

BOARD = load_board("RPI_PICO")
BUDGET = Budget(2.2e-3, 5.0, 1.8)
KINDS = ("fram", "flash")


@pytest.mark.parametrize("nvm", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_no_tile_looks_cheaper_than_planned(nvm: str, seed: int) -> None:
    graph = read_tflite(random_net(seed))
    costs = CostModel(graph, BOARD, nvm)
    pace = pace_of(costs, BUDGET)
    for number, op in enumerate(costs.ops):
        figures = pace.op(number)
        for count in {1, graph.units(graph.ops[number]), *range(1, 40, 7)}:
            cycles = figures.tile + figures.unit * count
            assert cycles >= op.worst(count)
            assert cycles <= op.worst(count) + 2.0 * op.area + count + 2


@pytest.mark.parametrize("nvm", KINDS)
@pytest.mark.parametrize(("dirty", "ranges", "live"), [(0, 0, 0), (1, 1, 1), (700, 3, 5000)])
def test_no_commit_looks_cheaper_than_planned(
    nvm: str, dirty: int, ranges: int, live: int
) -> None:
    costs = CostModel(read_tflite(random_net(1)), BOARD, nvm)
    pace = pace_of(costs, BUDGET)
    written = live if nvm == "flash" else dirty
    cycles = pace.commit + pace.access * ranges + pace.byte * written + pace.crc * live
    planned = costs.commit_uj(float(dirty), float(ranges), float(live)) / costs.uj_per_cycle
    page = 1.05 * 255 * pace.byte if nvm == "flash" else 0.0
    assert planned <= cycles <= 1.1 * planned + page + 20_000


def test_a_charge_is_not_larger_than_planned() -> None:
    costs = CostModel(read_tflite(random_net(1)), BOARD, "fram")
    pace = pace_of(costs, BUDGET)
    square_mv = 1e6 * (BUDGET.von_v**2 - BUDGET.voff_v**2)
    whole = BUDGET.charge_uj / costs.uj_per_cycle
    assert 0.999 * whole <= square_mv * pace.mv2 / 65536 <= whole


def shared(plan: Plan) -> list[tuple[int, int]]:
    """Pairs of tensors with home bytes in common, the one that dies first in front."""
    lives = LiveMap(plan.graph, plan.tiles).lives
    sizes = [tensor.size for tensor in plan.graph.tensors]
    places = [range(at, at + n) for at, n in zip(plan.nvm_off, sizes, strict=True)]
    return [
        (a, b) for a, b in itertools.permutations(range(len(sizes)), 2)
        if set(places[a]) & set(places[b]) and lives[a].last <= lives[b].first
    ]  # fmt: skip


def test_obligatory_ends_are_those_that_shared_homes_need_and_no_more() -> None:
    pairs = 0
    for seed in range(40):
        plan = random_plan(seed)
        lives = LiveMap(plan.graph, plan.tiles).lives
        marked = [segment.end for segment in plan.segments if segment.obligatory]
        spans = [(lives[a].last, lives[b].first) for a, b in shared(plan)]
        pairs += len(spans)
        assert all(any(low <= end <= high for end in marked) for low, high in spans)
        for one in marked:
            rest = [end for end in marked if end != one]
            assert not all(any(low <= end <= high for end in rest) for low, high in spans)
    assert pairs > 40


def test_homes_apart_need_no_obligatory_commit() -> None:
    plan = make_plan(read_tflite(random_net(2)), BOARD, BUDGET)
    assert not any(segment.obligatory for segment in plan.segments)


def test_the_blob_carries_the_figures() -> None:
    plan = make_plan(read_tflite(random_net(2)), BOARD, BUDGET)
    segments = tuple(dataclasses.replace(s, obligatory=True) for s in plan.segments)
    blob = pack(dataclasses.replace(plan, segments=segments))
    header = fmt.HEADER.parse(blob)
    pace = plan.pace
    assert (header.mv2_cycles, header.commit_cycles, header.byte_cycles) == (
        pace.mv2, pace.commit, pace.byte)  # fmt: skip
    assert (header.access_cycles, header.crc_cycles) == (pace.access, pace.crc)
    for number in range(header.n_ops):
        row = fmt.OP.parse(blob[header.off_ops + number * fmt.OP_SIZE :])
        figures = pace.op(number)
        got = (row.tile_cycles, row.unit_cycles, row.stage_cycles)
        assert got == (figures.tile, figures.unit, figures.stage)
    assert fmt.SEGMENT.parse(blob[header.off_segments :]).flags == fmt.OBLIGATORY
