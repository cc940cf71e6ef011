"""Cycles of the Cortex-M0+ kernels stay within 1 % of a committed table, cycles.json.

After a change that is meant: python -m tests.kernels.test_m0plus_cycles writes the table's part
anew. Rows `seeded_*` need no shared file.
"""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from relume.bench.image import CC, build
from relume.bench.machine import Machine
from relume.bench.runner import Runner
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Graph, Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Tile

from tests.kernels import m0plus_ops, oracle
from tests.shared import MODELS, ROOT, model_file, model_input

TABLE = Path(__file__).with_name("cycles.json")
TOLERANCE = 0.01
SEEDS = range(8)
DENSE_MOST = 5.0  # cycles a multiplication, whatever the input
LAYERS = {
    "conv3x3_16x16": ("ic", 1),
    "pw_64x64": ("kws", 2),
    "fc_640x128": ("ad", 0),
}
MODEL_ROWS = tuple(f"{name}_conv_fc" for name in MODELS)
SEEDED = ("seeded_conv", "seeded_fc")
ROWS = [*SEEDED, *LAYERS, *(f"{name}_random" for name in LAYERS), *MODEL_ROWS]


@functools.cache
def machine() -> Machine:
    """A Cortex-M0+ with the engine; skips without the cross compiler."""
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    return Machine(build(ROOT, "m0plus"), "m0plus")


@dataclass(frozen=True)
class Model:
    """A real model with one tile an op, and the reference's tensors."""

    graph: Graph
    blob: bytes
    tensors: dict[int, bytes]


@functools.cache
def loaded(name: str) -> Model:
    """A reference model for the Cortex-M0+."""
    data = model_file(name).read_bytes()
    graph = read_tflite(data)
    board = replace(load_board("RPI_PICO"), core="m0plus")
    plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), "flash", apart=True)
    tiles = tuple(Tile(number, 0, graph.units(op)) for number, op in enumerate(graph.ops))
    whole = replace(plan.segments[0], start=0, end=len(tiles))
    reference = oracle.run_reference(data, model_input(name))
    tensors = {graph.tensor_of[number]: value for number, value in reference.items()}
    return Model(graph, pack(replace(plan, tiles=tiles, segments=(whole,))), tensors)


def seeded_cycles(row: str) -> int:
    """Cycles of random layers on inputs as after a ReLU."""
    kind = Kind.CONV_2D if row == "seeded_conv" else Kind.FULLY_CONNECTED
    total = 0
    for seed in SEEDS:
        case = m0plus_ops.case(kind, seed)
        runner = Runner(machine(), case.fast)
        runner.put(0, case.inputs[1])
        total += runner.run(0).count.cycles
    return total


def layer_cycles(name: str, number: int, *, uniform: bool) -> int:
    """Cycles of one op on its real input or on uniform random bytes; its output is compared."""
    model = loaded(name)
    op = model.graph.ops[number]
    runner = Runner(machine(), model.blob)
    data = model.tensors[op.inputs[0]]
    runner.put(op.inputs[0], oracle.random_input(len(data), 1) if uniform else data)
    run = runner.run(number)
    assert uniform or run.output == model.tensors[op.output]
    return run.count.cycles


def model_cycles(name: str) -> int:
    """Cycles of all convolutions and fully connected layers of a model on its real input."""
    ops = enumerate(loaded(name).graph.ops)
    numbers = [number for number, op in ops if op.kind in m0plus_ops.KINDS]
    return sum(layer_cycles(name, number, uniform=False) for number in numbers)


@functools.cache
def cycles(row: str) -> int:
    """Cycles of a row of the table."""
    if row in SEEDED:
        return seeded_cycles(row)
    if row in MODEL_ROWS:
        return model_cycles(row.removesuffix("_conv_fc"))
    name, op = LAYERS[row.removesuffix("_random")]
    return layer_cycles(name, op, uniform=row.endswith("_random"))


@pytest.mark.parametrize("row", ROWS)
def test_cycles_have_not_drifted(row: str) -> None:
    committed = json.loads(TABLE.read_text())["m0plus"][row]
    assert cycles(row) == pytest.approx(committed, rel=TOLERANCE)


@pytest.mark.parametrize("layer", LAYERS)
def test_dense_bytes_cost_a_bounded_time(layer: str) -> None:
    name, number = LAYERS[layer]
    graph = loaded(name).graph
    assert cycles(f"{layer}_random") <= DENSE_MOST * graph.macs(graph.ops[number])


if __name__ == "__main__":
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table["m0plus"] = table.get("m0plus", {}) | {row: cycles(row) for row in ROWS}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
