"""Cortex-M4: no tile costs more than planned, nor far less; a plan for such a board is exact."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from relume.bench.image import CC, build
from relume.bench.machine import SRAM, Machine
from relume.bench.runner import ARENA, Runner, tensors_of
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Graph, Kind, Window
from relume.model.tflite_reader import read_tflite
from relume.plan import m4_work
from relume.plan.costs import CostModel
from relume.plan.planner import Budget, make_plan
from relume.plan.tiles import cut
from relume.plan.types import Plan

from tests import native
from tests.kernels import m4_ops, netgen, oracle
from tests.shared import MODELS, ROOT, model_file, model_input

BOARD = load_board("PCA10056")
assert BOARD.fram is not None
LARGE = replace(
    BOARD, heap_bytes=1 << 20, file_bytes=1 << 20, fram=replace(BOARD.fram, size=1 << 20)
)
SEEDS = range(420, 430)  # not those that the prices were fitted to
NETS = range(200, 212)
MOST_TILES = 12
FAR = 1.6  # of a model's measured cycles: what is planned stays below
SHAPES = (  # layers larger than the random ones
    (Kind.DEPTHWISE_CONV_2D, (24, 24, 32), 32, Window(5, 5, 1, 1, 2, 2, 1, 1)),
    (Kind.DEPTHWISE_CONV_2D, (25, 13, 16), 16, Window(3, 3, 1, 1, 1, 1, 1, 1)),
    (Kind.DEPTHWISE_CONV_2D, (25, 13, 16), 16, Window(3, 3, 2, 2, 1, 1, 1, 1)),
    (Kind.CONV_2D, (16, 15, 8), 12, Window(3, 3, 1, 1, 1, 1, 1, 1)),
    (Kind.CONV_2D, (21, 17, 3), 8, Window(3, 3, 2, 2, 1, 1, 1, 1)),
    (Kind.CONV_2D, (12, 11, 24), 36, Window(1, 1, 1, 1, 0, 0, 1, 1)),
)


@functools.cache
def machine() -> Machine:
    """A Cortex-M4 with the engine; skips without the cross compiler."""
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    return Machine(build(ROOT, "m4"), "m4")


def planned(graph: Graph, core: str = "m4") -> Plan:
    board = replace(LARGE, core=core)
    return make_plan(graph, board, Budget(1.0, 3.3, 2.0), apart=True)


def slower(graph: Graph, plan: Plan, counts: list[int], data: bytes) -> list[str]:
    """Tiles of the last op that cost more than planned, cut evenly as the planner does."""
    number, found = len(graph.ops) - 1, []
    costs = CostModel(graph, replace(LARGE, core=plan.core), "fram")
    bound = costs.kernel_cycles(graph.ops[number])
    for count in counts:
        sizes = [graph.units(op) for op in graph.ops[:-1]] + [count]
        tiles = cut(graph, sizes)
        segment = replace(plan.segments[0], start=0, end=len(tiles))
        runner = Runner(machine(), pack(replace(plan, tiles=tiles, segments=(segment,))))
        tensors_of(runner, data)
        for place, tile in enumerate(tiles):
            if tile.op == number:
                _, cost = runner.machine.call("rl_engine_tile", SRAM, ARENA, place)
                if cost.cycles > bound.worst(tile.count):
                    found.append(f"{graph.ops[number].kind.name} {tile}: {cost.cycles}")
    return found


def counts_of(graph: Graph, seed: int) -> list[int]:
    """Units a tile: few, a row, all, and some odd number."""
    op = graph.ops[-1]
    units, row = graph.units(op), graph.tensors[op.output].shape[1]
    odd = int(np.random.default_rng(seed).integers(1, units + 1))
    return sorted({max(1, units // MOST_TILES), min(row, units), units, odd})


@pytest.mark.parametrize("kind", m4_ops.KINDS, ids=lambda kind: kind.name)
def test_no_tile_is_slower_than_planned(kind: Kind) -> None:
    for seed in SEEDS:
        case = m4_ops.case(kind, seed)
        plan = planned(case.graph)
        data = case.inputs[seed % len(case.inputs)]
        assert not slower(case.graph, plan, counts_of(case.graph, seed), data), seed


def shaped(place: int) -> m4_ops.Case:
    kind, shape, channels, window = SHAPES[place]
    return m4_ops.window_case(kind, shape, channels, window)


@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_no_tile_of_a_larger_layer_is_slower_than_planned(place: int) -> None:
    case = shaped(place)
    counts = counts_of(case.graph, place)
    assert not slower(case.graph, planned(case.graph), counts, case.inputs[0])


@pytest.mark.parametrize(
    ("place", "price"), [(0, "tap"), (1, "plane_one"), (2, "plane_two"), (3, "conv_step")]
)
def test_a_price_that_is_too_low_is_noticed(
    place: int, price: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = shaped(place)
    monkeypatch.setitem(m4_work.PRICES, price, 0.25 * m4_work.PRICES[price])
    whole = [case.graph.units(case.graph.ops[-1])]
    assert slower(case.graph, planned(case.graph), whole, case.inputs[0])


@pytest.mark.parametrize("seed", NETS)
def test_no_portable_kernel_is_slower_than_planned(seed: int) -> None:
    graph = read_tflite(netgen.random_net(seed))
    plan = planned(graph, "portable")
    tiles = oracle.random_tiles(graph, seed)
    segment = replace(plan.segments[0], start=0, end=len(tiles))
    runner = Runner(machine(), pack(replace(plan, tiles=tiles, segments=(segment,))))
    runner.put(graph.input, oracle.random_input(graph.tensors[graph.input].size, seed))
    costs = CostModel(graph, replace(LARGE, core="portable"), "fram")
    for place, tile in enumerate(tiles):
        _, cost = runner.machine.call("rl_engine_tile", SRAM, ARENA, place)
        op = graph.ops[tile.op]
        assert cost.cycles <= costs.kernel_cycles(op).worst(tile.count), (seed, op.kind.name)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_planned_for_the_board_is_exact_in_its_tiles_and_near_its_cycles(
    name: str,
) -> None:
    data = model_file(name).read_bytes()
    graph, x = read_tflite(data), model_input(name)
    plan = planned(graph)
    runner = Runner(machine(), pack(plan))
    runner.put(graph.input, x)
    spent, got = 0, {graph.input: x}
    for place, tile in enumerate(plan.tiles):
        spent += runner.machine.call("rl_engine_tile", SRAM, ARENA, place)[1].cycles
        output = graph.ops[tile.op].output
        got[output] = runner.get(output)  # as its op's last tile leaves it
    wanted = oracle.run_reference(data, x)
    assert all(got[graph.tensor_of[number]] == value for number, value in wanted.items())
    assert spent <= plan.worst_cycles <= FAR * spent


def test_plans_of_the_twins_are_those_of_the_thumb_code() -> None:
    case = shaped(3)
    plan = planned(case.graph)
    blob, x = pack(plan), case.inputs[0]
    runner = Runner(machine(), blob)
    assert tensors_of(runner, x)[1] == native.accepted(blob).run(x)[1]
