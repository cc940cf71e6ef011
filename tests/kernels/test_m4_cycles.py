"""Cycles of the Cortex-M4 kernels stay within 1 % of a committed table, cycles.json.

After a change that is meant: python -m tests.kernels.test_m4_cycles writes the table's part anew.
"""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from relume.bench.image import CC, build
from relume.bench.machine import Machine
from relume.bench.runner import Runner, tensors_of
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Window
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Tile

from tests.kernels import m4_ops, oracle
from tests.shared import MODELS, ROOT, model_file, model_input

TABLE = Path(__file__).with_name("cycles.json")
TOLERANCE = 0.01
LAYERS = {
    "conv3x3_16x16": ("ic", 1),
    "pw_64x64": ("kws", 2),
    "dw3x3_64": ("kws", 1),
    "fc_640x128": ("ad", 0),
}
# Depthwise filters that no model of MODELS has; some 14 tiles each.
SEEDED = {
    "dw5x5_32": ((24, 24, 32), 32, Window(5, 5, 1, 1, 2, 2, 1, 1)),
    "dw3x3_dilated_32": ((24, 24, 32), 32, Window(3, 3, 1, 1, 2, 2, 2, 2)),
    "dw1x9_32": ((1, 100, 32), 32, Window(1, 9, 1, 1, 0, 4, 1, 1)),
    "dw3x3_twice_16": ((24, 24, 16), 32, Window(3, 3, 1, 1, 1, 1, 1, 1)),
    "dw10x8_one_channel": ((49, 40, 1), 8, Window(10, 8, 2, 2, 4, 3, 1, 1)),
}
ROWS = [*LAYERS, *(f"{name}_random" for name in LAYERS), *MODELS, *SEEDED]


@functools.cache
def loaded(name: str) -> tuple[Runner, dict[int, bytes]]:
    """A model with one tile an op on the machine, and all its tensors."""
    graph = read_tflite(model_file(name).read_bytes())
    board = replace(load_board("RPI_PICO"), core="m4")
    plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), "flash", apart=True)
    tiles = tuple(Tile(number, 0, graph.units(op)) for number, op in enumerate(graph.ops))
    whole = replace(plan.segments[0], start=0, end=len(tiles))
    blob = pack(replace(plan, tiles=tiles, segments=(whole,)))
    runner = Runner(Machine(build(ROOT, "m4"), "m4"), blob)
    return runner, tensors_of(runner, model_input(name))


def layer_cycles(name: str, op: int, *, uniform: bool) -> int:
    """Cycles of one op on its real input or on uniform random bytes."""
    runner, tensors = loaded(name)
    for tensor in runner.inputs(op):
        data = tensors[tensor]
        runner.put(tensor, oracle.random_input(len(data), 1) if uniform else data)
    return runner.run(op).count.cycles


def cycles(row: str) -> int:
    """Cycles of a row of the table."""
    if row in SEEDED:
        case = m4_ops.depthwise_case(*SEEDED[row])
        runner = Runner(Machine(build(ROOT, "m4"), "m4"), case.fast)
        runner.put(runner.blob.input, case.inputs[0])
        return runner.run(0).count.cycles
    if row in MODELS:
        runner, _ = loaded(row)
        ops = range(len(runner.blob.ops))
        return sum(layer_cycles(row, op, uniform=False) for op in ops)
    name, op = LAYERS[row.removesuffix("_random")]
    return layer_cycles(name, op, uniform=row.endswith("_random"))


@pytest.mark.parametrize("row", ROWS)
def test_cycles_have_not_drifted(row: str) -> None:
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    committed = json.loads(TABLE.read_text())["m4"][row]
    assert cycles(row) == pytest.approx(committed, rel=TOLERANCE)


@pytest.mark.parametrize("layer", LAYERS)
def test_cycles_do_not_depend_on_the_data(layer: str) -> None:
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    assert cycles(layer) == pytest.approx(cycles(f"{layer}_random"), rel=1e-3)


if __name__ == "__main__":
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table["m4"] = {row: cycles(row) for row in ROWS}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
