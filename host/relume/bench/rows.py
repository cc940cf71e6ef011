"""The rows of `relume bench`: what layers and models cost on one core.

A row runs the shipped Thumb code, one tile an op, on a real, seeded or uniform random input.
`exact` means that every output byte equals what the portable kernels give on the same core, and
what TFLite's reference kernels (BUILTIN_REF) give where ai-edge-litert is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from relume.bench.cmsis import Cmsis
from relume.bench.layers import SeededLayer, seeded_layers
from relume.bench.machine import Machine
from relume.bench.oracle import layer_reference, reference
from relume.bench.runner import Runner, tensors_of
from relume.blob.pack import pack
from relume.board.profile import BoardProfile, load_board
from relume.errors import ModelError
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.scratch import op_scratch
from relume.plan.types import Plan, Tile
from relume.plan.xip import fills_cycles

LAYERS = {
    "conv3x3_16x16": ("ic", 1),
    "pw_64x64": ("kws", 2),
    "dw3x3_64": ("kws", 1),
    "fc_640x128": ("ad", 0),
}
BOARD = "RPI_PICO"  # whose flash and whose planner's figures are taken, for every core
BOUNDLESS = Budget(1.0, 5.0, 1.8)
USUAL = Budget(2.2e-3, 5.0, 1.8)  # of the plan whose arena a model's row tells


@dataclass(frozen=True)
class Row:
    """One line. cycles: of the core, code and data in SRAM; cycles_xip: with flash reads.

    macs: multiply-accumulates. xip_bytes: fetched from flash, the cache empty at first.
    sram_bytes of a layer: input, output, scratch; of a model: arena + scratch of its plan.
    On a board cycles are as measured, and cycles_xip and xip_bytes None. reference: BUILTIN_REF
    was asked, too. cmsis_*: core cycles of CMSIS-NN, and whether its bytes are the same.
    """

    name: str
    macs: int
    cycles: int
    cycles_xip: int | None
    exact: bool
    sram_bytes: int
    xip_bytes: int | None
    reference: bool
    cmsis_cycles: int | None = None
    cmsis_exact: bool | None = None

    @property
    def ratio(self) -> float | None:
        """CMSIS-NN's cycles over ours."""
        return None if self.cmsis_cycles is None else self.cmsis_cycles / max(1, self.cycles)

    @property
    def per_mac(self) -> float:
        """Core cycles a multiply-accumulate."""
        return self.cycles / max(1, self.macs)

    def document(self) -> dict[str, Any]:
        """The row for JSON."""
        made = {
            "name": self.name,
            "macs": self.macs,
            "cycles": self.cycles,
            "exact": self.exact,
            "sram_bytes": self.sram_bytes,
            "xip_bytes": self.xip_bytes,
            "cycles_per_mac": round(self.per_mac, 4),
            "cycles_xip": self.cycles_xip,
            "reference": self.reference,
        }
        if self.ratio is not None:
            made["cmsis_cycles"] = self.cmsis_cycles
            made["cmsis_exact"] = self.cmsis_exact
            made["ratio"] = round(self.ratio, 3)
        return made


class Subject:
    """A graph packed for a core and for the portable kernels, on that core's machine."""

    def __init__(
        self, whole: Graph, data: bytes, machine: Machine, cmsis: Cmsis | None = None
    ) -> None:
        self.whole, self.data, self.machine, self.cmsis = whole, data, machine, cmsis
        self.graph = without_dead_channels(whole)
        self.board = replace(load_board(BOARD), heap_bytes=1 << 20, core=machine.core)
        portable = replace(self.board, core="portable")
        self.plan = _whole(self.graph, self.board)
        self.fast = pack(self.plan)
        self.portable = pack(_whole(self.graph, portable))
        self.file = pack(_whole(self.whole, portable))

    @cached_property
    def tensors(self) -> dict[int, bytes]:
        """Every tensor of the whole net's run by the portable kernels, less dead channels."""
        made = tensors_of(Runner(self.machine, self.file), self.data)
        kept = self.graph.kept
        return {n: kept[n].narrowed(data) if n in kept else data for n, data in made.items()}

    def layer(self, name: str, number: int, uniform: bool = False, warm: bool = False) -> Row:
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
        row = Row(
            name,
            self.graph.macs_per_unit(op) * self.graph.units(op),
            run.count.cycles,
            run.count.cycles + round(fills_cycles(self.machine.xip, fills)),
            run.output == expected,
            sum(len(data) for data in inputs.values())
            + len(expected)
            + op_scratch(self.graph, self.plan.core, op),
            fills * self.machine.xip.fill_bytes,
            False,
        )
        if self.cmsis is None:
            return row
        rival = self.cmsis.run(self.graph, op, inputs[op.inputs[0]])
        return replace(row, cmsis_cycles=rival.cycles, cmsis_exact=rival.output == expected)

    def _portable(self, number: int, inputs: dict[int, bytes]) -> bytes:
        runner = Runner(self.machine, self.portable)
        for tensor, data in inputs.items():
            runner.put(tensor, data)
        return runner.run(number, count=False).output

    def model(self, name: str, wanted: bytes | None) -> Row:
        """All ops of the model on its input. wanted: what BUILTIN_REF gives, if known."""
        rows = [self.layer(op.name, n, warm=n > 0) for n, op in enumerate(self.graph.ops)]
        usual = make_plan(self.graph, self.board, USUAL)
        return Row(
            name,
            sum(row.macs for row in rows),
            sum(row.cycles for row in rows),
            sum(row.cycles_xip or 0 for row in rows),
            all(row.exact for row in rows) and wanted in (None, self.tensors[self.graph.output]),
            usual.arena_size + usual.scratch_size,
            sum(row.xip_bytes or 0 for row in rows),
            wanted is not None,
        )


def model_row(path: Path, machine: Machine) -> Row:
    """A .tflite file; its input lies beside it as NAME.input.bin, or is uniform random."""
    graph = read_tflite(path)
    data = input_of(path, graph)
    return Subject(graph, data, machine).model(path.stem, reference(path.read_bytes(), data))


def file_rows(folder: Path, machine: Machine, cmsis: Cmsis | None = None) -> list[Row]:
    """The four reference layers of the models in `folder`, each with its random twin."""
    subjects: dict[str, Subject] = {}
    rows = []
    for name, (model, number) in LAYERS.items():
        path = folder / f"{model}.tflite"
        if not path.is_file():
            raise ModelError(f"{path}: not there; the layer {name} comes from it")
        if model not in subjects:
            graph = read_tflite(path)
            subjects[model] = Subject(graph, input_of(path, graph), machine, cmsis)
        rows.append(subjects[model].layer(name, number))
        rows.append(subjects[model].layer(f"{name}_random", number, uniform=True))
    return rows


def seeded_rows(machine: Machine, cmsis: Cmsis | None = None) -> list[Row]:
    """Four layers from seeds, each with its random twin; no file is needed."""
    rows = []
    for layer in seeded_layers():
        rows.append(_seeded_row(layer, layer.name, layer.data, machine, cmsis))
        noise = random_bytes(len(layer.data))
        rows.append(_seeded_row(layer, f"{layer.name}_random", noise, machine, cmsis))
    return rows


def _seeded_row(
    layer: SeededLayer, name: str, data: bytes, machine: Machine, cmsis: Cmsis | None
) -> Row:
    subject = Subject(layer.graph, data, machine, cmsis)
    wanted = layer_reference(layer, data)
    row = subject.layer(name, 0)
    agrees = wanted in (None, subject.tensors[layer.graph.output])
    return replace(row, exact=row.exact and agrees, reference=wanted is not None)


def input_of(path: Path, graph: Graph) -> bytes:
    """NAME.input.bin beside a model, or uniform random bytes."""
    size = graph.tensors[graph.input].size
    beside = path.with_suffix(".input.bin")
    if beside.is_file() and beside.stat().st_size == size:
        return beside.read_bytes()
    return random_bytes(size)


def random_bytes(size: int) -> bytes:
    """Uniform bytes from a fixed seed."""
    return np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8).tobytes()


def _whole(graph: Graph, board: BoardProfile) -> Plan:
    """A plan with one tile an op and one segment."""
    plan = make_plan(graph, board, BOUNDLESS, apart=True)
    tiles = tuple(Tile(number, 0, graph.units(op)) for number, op in enumerate(graph.ops))
    whole = replace(plan.segments[0], start=0, end=len(tiles))
    return replace(plan, tiles=tiles, segments=(whole,))
