"""The rows of `relume bench`: what layers and models cost on one core.

A row runs the shipped Thumb code, one tile an op, on a real or uniform random input. `exact` means
that every output byte equals what the portable kernels give on the same core; those are proven
against TFLite's reference kernels (tests/kernels).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from relume.bench.machine import Machine
from relume.bench.runner import Runner, tensors_of
from relume.blob.pack import pack
from relume.board.profile import BoardProfile, load_board
from relume.errors import ModelError
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan, Tile
from relume.plan.xip import fills_cycles

LAYERS = {
    "conv3x3_16x16": ("ic", 1),
    "pw_64x64": ("kws", 2),
    "dw3x3_64": ("kws", 1),
    "fc_640x128": ("ad", 0),
}
BOUNDLESS = Budget(1.0, 5.0, 1.8)


@dataclass(frozen=True)
class Row:
    """One line. macs; cycles: of the core; cycles_xip: with XIP line fetches (56 cycles each)."""

    name: str
    macs: int
    cycles: int
    cycles_xip: int
    exact: bool
    sram_bytes: int
    xip_bytes: int

    @property
    def per_mac(self) -> float:
        """Core cycles a multiply-accumulate."""
        return self.cycles / max(1, self.macs)


class Subject:
    """A model packed for a core and for the portable kernels, on that core's machine."""

    def __init__(self, path: Path, machine: Machine, core: str) -> None:
        self.path, self.machine = path, machine
        self.whole: Graph = read_tflite(path)
        self.graph: Graph = without_dead_channels(self.whole)
        board = replace(load_board("RPI_PICO"), heap_bytes=1 << 20)
        self.plan = _whole(self.graph, replace(board, core=core))
        self.fast = pack(self.plan)
        portable = replace(board, core="portable")
        self.portable = pack(_whole(self.graph, portable))
        self.file = pack(_whole(self.whole, portable))

    @cached_property
    def tensors(self) -> dict[int, bytes]:
        """Every tensor of the file's own run by the portable kernels, less dead channels."""
        made = tensors_of(Runner(self.machine, self.file), self._input())
        kept = self.graph.kept
        return {n: kept[n].narrowed(data) if n in kept else data for n, data in made.items()}

    def _input(self) -> bytes:
        size = self.graph.tensors[self.graph.input].size
        beside = self.path.with_suffix(".input.bin")
        if beside.is_file() and beside.stat().st_size == size:
            return beside.read_bytes()
        return random_bytes(size)

    def layer(
        self, name: str, number: int, uniform: bool = False, warm: bool = False
    ) -> Row:
        """One op, on its real input or on uniform random bytes; the flash cache empty or as is."""
        op = self.graph.ops[number]
        inputs = {t: self.tensors[t] for t in op.inputs}
        if uniform:
            inputs = {t: random_bytes(len(data)) for t, data in inputs.items()}
        expected = self._portable(number, inputs) if uniform else self.tensors[op.output]
        runner = Runner(self.machine, self.fast)
        for tensor, data in inputs.items():
            runner.put(tensor, data)
        if not warm:
            self.machine.cache.clear()
        run = runner.run(number)
        fills = run.count.xip_fills
        return Row(
            name,
            self.graph.macs_per_unit(op) * self.graph.units(op),
            run.count.cycles,
            run.count.cycles + round(fills_cycles(self.machine.xip, fills)),
            run.output == expected,
            sum(len(data) for data in inputs.values()) + len(expected) + self.plan.scratch_size,
            fills * self.machine.xip.fill_bytes,
        )

    def _portable(self, number: int, inputs: dict[int, bytes]) -> bytes:
        runner = Runner(self.machine, self.portable)
        for tensor, data in inputs.items():
            runner.put(tensor, data)
        return runner.run(number, count=False).output

    def model(self) -> Row:
        """All ops of the model on its input."""
        rows = [self.layer(op.name, n, warm=n > 0) for n, op in enumerate(self.graph.ops)]
        return Row(
            self.path.stem,
            sum(row.macs for row in rows),
            sum(row.cycles for row in rows),
            sum(row.cycles_xip for row in rows),
            all(row.exact for row in rows),
            self.plan.arena_size + self.plan.scratch_size,
            sum(row.xip_bytes for row in rows),
        )


def kernel_rows(folder: Path, machine: Machine, core: str) -> list[Row]:
    """The four reference layers of the models in `folder`, each with its random twin."""
    subjects: dict[str, Subject] = {}
    rows = []
    for name, (model, number) in LAYERS.items():
        path = folder / f"{model}.tflite"
        if not path.is_file():
            raise ModelError(f"{path}: not there; the layer {name} comes from it")
        if model not in subjects:
            subjects[model] = Subject(path, machine, core)
        rows.append(subjects[model].layer(name, number))
        rows.append(subjects[model].layer(f"{name}_random", number, uniform=True))
    return rows


def random_bytes(size: int) -> bytes:
    """Uniform bytes from a fixed seed."""
    return np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8).tobytes()


def _whole(graph: Graph, board: BoardProfile) -> Plan:
    """A plan with one tile an op and one segment."""
    plan = make_plan(graph, board, BOUNDLESS, apart=True)
    tiles = tuple(Tile(number, 0, graph.units(op)) for number, op in enumerate(graph.ops))
    whole = replace(plan.segments[0], start=0, end=len(tiles))
    return replace(plan, tiles=tiles, segments=(whole,))
